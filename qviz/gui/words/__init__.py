"""Every number, unit and part of a sentence that a person reads."""
