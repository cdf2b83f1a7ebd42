"""Is a file still the one that was read? Its size, its times and its number on the disk tell."""

from __future__ import annotations

import os
import zlib
from dataclasses import replace
from pathlib import Path

from qviz.core.frozen import frozen
from qviz.core.problems import N_
from qviz.files.problems import FileProblem, system_errors

SUMMED_BYTES = 1 << 24
"""Of a file that takes no more its content may be asked: in some milliseconds."""


class ChangedFile(FileProblem):
    """The file is not the one any more that was opened."""


@frozen(eq=False)
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
    touched : int, or None
        Nanoseconds: when its content, its name, its rights or anything else about it was changed. Whoever writes and
        puts `modified` back cannot put this back.
    content : int, or None
        A checksum of a small file, to tell one that was written from one that was renamed.
    """

    size: int
    modified: int
    number: tuple[int, int] | None
    touched: int | None = None
    content: int | None = None

    def __eq__(self, other: object) -> bool:
        """Whether it is the same state, as far as both tell."""
        if not isinstance(other, Stamp):
            return NotImplemented
        if (self.size, self.modified) != (other.size, other.modified):
            return False
        pairs = (self.number, other.number), (self.touched, other.touched), (self.content, other.content)
        return all(mine == theirs or mine is None or theirs is None for mine, theirs in pairs)

    def __hash__(self) -> int:
        return hash((self.size, self.modified))

    def __reduce__(self) -> tuple[type[Stamp], tuple[int, int, None, int | None, int | None]]:
        return Stamp, (self.size, self.modified, None, self.touched, self.content)

    @classmethod
    def of(cls, file: Path | int) -> Stamp:
        """That of a file now, without its content; the descriptor of an open one will do.

        Raises
        ------
        OSError
            When it can't be looked at.
        """
        found = os.stat(file)  # noqa: PTH116 (of a descriptor too, and many times a second)
        return cls(found.st_size, found.st_mtime_ns, (found.st_dev, found.st_ino), found.st_ctime_ns)

    @classmethod
    def listed(cls, file: Path) -> Stamp:
        """That of a file of which nothing but what lies where is known yet: renaming it changes nothing of that.

        Raises
        ------
        OSError
            When it can't be looked at.
        """
        return replace(cls.of(file), touched=None)

    @classmethod
    def with_content(cls, path: Path) -> Stamp:
        """That of a file now, with a checksum where it is small.

        Raises
        ------
        OSError
            When it can't be read.
        """
        found = cls.of(path)
        return found if found.size > SUMMED_BYTES else replace(found, content=zlib.crc32(path.read_bytes()))

    def is_content_of(self, path: Path, now: Stamp) -> bool:
        """Whether a file that looks otherwise `now` was touched alone: renamed, copied to, or given other rights.

        Raises
        ------
        OSError
            When it can't be read.
        """
        if self.content is None or replace(now, touched=None) != self:
            return False
        return replace(Stamp.with_content(path), touched=None) == self


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
