"""What is a file called that is named after a tensor, a scheme, or anything else that a person or a file named?"""

from __future__ import annotations

import unicodedata
from pathlib import Path

LONGEST_PART = 48
"""Bytes: two such parts and the name of a chart fit into every file system, also the 143 bytes of an encrypted one."""

KEPT = frozenset("._-+")
"""Besides letters and digits of any script."""


def plain_name(text: str, longest: int = LONGEST_PART) -> str:
    """A part of a file's name: letters, digits and a few signs, in so many bytes of UTF-8.

    Whatever else there is becomes a hyphen. A text that is cut ends in six digits of its hash: texts that begin
    alike stay apart.
    """
    marks = (c if c.isalnum() or c in KEPT else "-" for c in unicodedata.normalize("NFC", text))
    name = "-".join(part for part in "".join(marks).split("-") if part).strip("._-")
    if len(name.encode()) <= longest:
        return name or "unnamed"
    from hashlib import blake2b  # loads OpenSSL, which the first picture need not wait for

    digits = blake2b(text.encode(errors="surrogatepass"), digest_size=3).hexdigest()
    return f"{name.encode()[: longest - 7].decode(errors='ignore').rstrip('._-')}-{digits}"


def stem_of(*parts: str) -> str:
    """The name of a file, without its ending, that is called after ``parts``; empty ones are left out."""
    return "_".join(plain_name(part) for part in parts if part)


def numbered(path: Path, number: int) -> Path:
    """``path`` for 1, and ``path (2)``, ``path (3)`` … beside it, with the ending where it belongs."""
    return path if number == 1 else path.with_name(f"{path.stem} ({number}){path.suffix}")
