"""How is a file written so that it is either the old one or the whole new one, and never half of it?"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qviz.core.problems import N_
from qviz.files.problems import FileProblem, system_errors


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Write a file under a temporary name, and give it its own when it is complete and on disk.

    Parameters
    ----------
    path : str or Path
        The file to write or to replace. A link stays one: the file it leads to is replaced.

    Yields
    ------
    Path
        An empty file in the same folder and with the same suffix, for any library to write to.
        When the block fails it is removed, and what was at ``path`` is left as it was.

    Raises
    ------
    FileProblem
        When the file can't be written: no permission, no such folder, a full or read-only disk,
        or something at ``path`` that is not an ordinary file.
    """
    path = Path(path)
    with system_errors(path, writing=True):
        target = Path(os.path.realpath(path))
        _check_target(path, target)
        # Not tempfile: its files are for the owner's eyes only, and would stay so.
        temporary = target.with_name(f".qviz-{os.urandom(8).hex()}{target.suffix}")
        try:
            temporary.touch(exist_ok=False)
            yield temporary
            if target.exists():
                shutil.copymode(target, temporary)
            _flush_to_disk(temporary)
            temporary.replace(target)
        except BaseException:
            # The first error is the one to tell.
            with suppress(OSError):
                temporary.unlink()
            raise


def _check_target(path: Path, target: Path) -> None:
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not target.exists():
        return
    if not target.is_file():
        # Renaming would put an ordinary file in the place of, say, /dev/null.
        raise FileProblem(path, N_("can't be written: it is a device or a pipe"), N_("Choose an ordinary file."))
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _flush_to_disk(file: Path) -> None:
    # Windows flushes only through a handle that may write.
    with file.open("rb+") as handle:
        os.fsync(handle.fileno())
