"""The parts of the window together: made and wired, a module a page."""
