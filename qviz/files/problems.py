"""What is wrong with this file, and what can its owner do about it?"""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qviz.core.printable import printable
from qviz.core.problems import N_, Phrase, Problem

_READING = {
    errno.ENOENT: (N_("does not exist"), N_("Check its name and its folder.")),
    errno.EISDIR: (N_("is a folder, not a file"), N_("Choose one of the files in it.")),
    errno.EACCES: (
        N_("can't be read: permission denied"),
        N_("Ask its owner for access, or copy it to your own folder."),
    ),
    errno.ENOMEM: (N_("needs more memory than is free"), N_("Close other programs, or choose a smaller tensor.")),
}
_WRITING = {
    errno.ENOENT: (N_("can't be written: there is no folder {folder}"), N_("Create it, or choose another one.")),
    errno.EISDIR: (N_("can't be written: it is a folder"), N_("Add a file name to it.")),
    errno.EACCES: (
        N_("can't be written: permission denied"),
        N_("Choose another folder, or change the permissions."),
    ),
    errno.EROFS: (N_("can't be written: the disk is read-only"), N_("Choose another folder.")),
    errno.ENOSPC: (N_("can't be written: the disk is full"), N_("Free some space, or choose another folder.")),
    errno.ENOMEM: (N_("can't be written: memory has run out"), N_("Close other programs, and try again.")),
}
_SAME_AS = {errno.ENOTDIR: errno.ENOENT, errno.EPERM: errno.EACCES, errno.EDQUOT: errno.ENOSPC}


class FileProblem(Problem):
    """A file that can't be used: which one, what is wrong with it, and what to do.

    Parameters
    ----------
    path : str or Path
        The file; the message shows its name alone.
    what : str
        The rest of the sentence that begins with the name, without its full stop; marked by `N_`.
    advice : str or Phrase
        A sentence of its own; marked by `N_`.
    **values : object
        What is filled into both, as in `Problem`.
    """

    def __init__(self, path: str | Path, what: str, advice: str | Phrase, /, **values: object) -> None:
        path = Path(path)
        super().__init__(
            "{file} {what}. {advice}",
            file=printable(path.name or str(path)),
            what=Phrase(what, **values),
            advice=advice if isinstance(advice, Phrase) else Phrase(advice, **values),
        )
        self.args = (path, what, advice)
        self.path = path
        self.what = what
        self.advice = advice


MOST_TENSORS = 500_000
"""Of one file or checkpoint: five times as many as the largest models have."""


def check_number(path: Path, count: int) -> None:
    """Make sure that no more tensors are named than any model has.

    Raises
    ------
    FileProblem
        When there are more.
    """
    if count > MOST_TENSORS:
        raise FileProblem(
            path,
            N_("names more than {most:,} tensors, as no model does"),
            N_("Get the model from somebody you trust."),
            most=MOST_TENSORS,
        )


class NoNumbers(FileProblem):
    """The file, or the array, is sound, but it has no elements, or none that are real numbers."""


@contextmanager
def system_errors(path: Path, *, writing: bool = False) -> Iterator[None]:
    """Turn whatever the operating system refuses inside the block into a ``FileProblem``.

    Parameters
    ----------
    path : Path
        The file that the block reads or writes.
    writing : bool
        Which of the two it does: the advice differs.

    Raises
    ------
    FileProblem
        For every ``OSError``, when memory runs out, and for something to read that is neither a file nor a
        folder.
    """
    try:
        if not writing:
            _check_ordinary(path)
        yield
    except OSError as error:
        code = error.errno or 0
        reason = error.strerror or str(error)
        raise _problem(path, writing, _SAME_AS.get(code, code), reason) from error
    except MemoryError as error:
        raise _problem(path, writing, errno.ENOMEM, "") from error


def _check_ordinary(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError:  # the block tells it
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        # Opening a pipe would wait for ever, and some devices have no end.
        raise FileProblem(path, N_("is a device or a pipe"), N_("Save its content to a file first."))


def _problem(path: Path, writing: bool, code: int, reason: str) -> FileProblem:
    known = (_WRITING if writing else _READING).get(code)
    if known is None:
        what = N_("can't be written: {reason}") if writing else N_("can't be read: {reason}")
        return FileProblem(path, what, N_("Try again, or choose another place."), reason=reason)
    if writing and code == errno.ENOENT and path.parent.is_dir():  # such as /proc
        return FileProblem(path, N_("can't be written: its folder takes no files"), N_("Choose another folder."))
    what, advice = known
    return FileProblem(path, what, advice, folder=printable(str(path.parent)))


def shortened(text: str, length: int = 40) -> str:
    """One printable line of ``text``, cut where it would fill a message with rubbish."""
    line = printable(text[: length + 1])
    return line if len(line) <= length else line[: length - 1] + "…"
