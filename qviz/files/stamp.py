"""Is a file still the one that was read? Its size, its time and its number on the disk tell."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from qviz.core.problems import N_
from qviz.files.problems import FileProblem, system_errors


class ChangedFile(FileProblem):
    """The file is not the one any more that was opened."""


@dataclass(frozen=True, eq=False)
class Stamp:
    """What tells one state of a file from another.

    Attributes
    ----------
    size : int
        Bytes.
    modified : int
        Nanoseconds.
    number : tuple of int, or None
        Device and inode; a file that takes the place of another has one of its own. Another process may see a shared
        disk under another number: it is not sent along.
    """

    size: int
    modified: int
    number: tuple[int, int] | None

    def __eq__(self, other: object) -> bool:
        """Whether it is the same state, as far as both tell."""
        if not isinstance(other, Stamp):
            return NotImplemented
        alike = self.number == other.number or self.number is None or other.number is None
        return alike and (self.size, self.modified) == (other.size, other.modified)

    def __hash__(self) -> int:
        return hash((self.size, self.modified))

    def __reduce__(self) -> tuple[type[Stamp], tuple[int, int, None]]:
        return Stamp, (self.size, self.modified, None)

    @classmethod
    def of(cls, file: Path | int) -> Stamp:
        """That of a file now; the descriptor of an open one will do.

        Raises
        ------
        OSError
            When it can't be looked at.
        """
        found = os.stat(file)  # noqa: PTH116 (of a descriptor too, and many times a second)
        return cls(found.st_size, found.st_mtime_ns, (found.st_dev, found.st_ino))


def check_stamp(path: Path, stamp: Stamp, now: Path | int | None = None) -> None:
    """Make sure that a file is the one that it was.

    Parameters
    ----------
    path : Path
        The file, for messages.
    stamp : Stamp
        What it was.
    now : path or descriptor, optional
        Where to look; `path` by default.

    Raises
    ------
    ChangedFile
        When it is not, or is gone.
    FileProblem
        When it can't be looked at.
    """
    try:
        found = Stamp.of(path if now is None else now)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise gone(path) from error
    except OSError:
        with system_errors(path):
            raise
    if found != stamp:
        raise changed(path)


def changed(path: Path) -> ChangedFile:
    """Another file is there now, or other values in it."""
    return ChangedFile(path, N_("has changed since it was opened"), N_("Open it again."))


def gone(path: Path) -> ChangedFile:
    """Nothing is there any more."""
    return ChangedFile(
        path, N_("is gone: it was moved or deleted since it was opened"), N_("Put it back, or open another one.")
    )
