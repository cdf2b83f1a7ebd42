"""What went wrong, in one sentence that a person can act on."""

from __future__ import annotations


class Problem(ValueError):
    """Bad input: the message says what is wrong, with which value, and what to do.

    Raised by every layer for anything a person can mend; the window shows it in a
    banner, the command line prints it on stderr and exits with code 2. A bug is
    never a ``Problem``.
    """
