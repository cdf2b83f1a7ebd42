"""Is a file still the one that was read? Its size, its time and its number on the disk tell."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from qviz.core.problems import N_
from qviz.files.problems import FileProblem, system_errors


class ChangedFile(FileProblem):
    """The file is not the one any more that was opened."""


@dataclass(frozen=True)
class Stamp:
    """What tells one state of a file from another.

    Attributes
    ----------
    size : int
        Bytes.
    modified : int
        Nanoseconds.
    number : tuple of int
        Device and inode; a file that takes the place of another has one of its own.
    """

    size: int
    modified: int
    number: tuple[int, int]

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
