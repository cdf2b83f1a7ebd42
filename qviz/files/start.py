"""How does a file begin? What its content tells of its format, read once for all formats."""

from __future__ import annotations

import zipfile
from functools import cached_property
from pathlib import Path

from qviz.core.frozen import frozen
from qviz.files.zips import check_directory

LENGTH = 4096
"""Bytes that are looked at."""

_MOST_MEMBERS = 100_000


@frozen
class Start:
    """The first bytes of a file."""

    path: Path
    size: int
    head: bytes

    @classmethod
    def of(cls, path: Path) -> Start:
        """Read them.

        Raises
        ------
        OSError
            When the file can't be read.
        """
        with path.open("rb") as file:
            head = file.read(LENGTH)
            return cls(path, file.seek(0, 2), head)

    @cached_property
    def name(self) -> str:
        """The file's name in lower case."""
        return self.path.name.lower()

    @cached_property
    def text(self) -> str:
        """The beginning as text in lower case, without what precedes the first character."""
        return self.head.decode("latin-1").removeprefix("ï»¿").lstrip().lower()

    @cached_property
    def is_zip(self) -> bool:
        """Whether it is a zip file, as archives of many kinds are."""
        return self.head.startswith((b"PK\x03\x04", b"PK\x05\x06"))

    @cached_property
    def members(self) -> tuple[str, ...]:
        """The names in a zip file; none in a damaged one."""
        if not self.is_zip:
            return ()
        try:
            with self.path.open("rb") as file:
                check_directory(file, self.path)
            with zipfile.ZipFile(self.path) as archive:
                return tuple(archive.namelist()[:_MOST_MEMBERS])
        except Exception:  # damaged in any of many ways: its reader will say so
            return ()

    def has_member(self, *ends: str) -> bool:
        """Whether the name of a member ends so."""
        return any(name.endswith(ends) for name in self.members)
