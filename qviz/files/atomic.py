"""How is a file written so that it is either the old one or the whole new one, and never half of it?"""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
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
        with _noted(temporary):
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


def check_writable(path: str | Path) -> None:
    """Nothing, where `atomic_write` may begin, so that no long work is done for a file that cannot be written.

    Raises
    ------
    FileProblem
        When there is no such folder, it takes no files, or what is at ``path`` cannot be replaced.
    """
    path = Path(path)
    with system_errors(path, writing=True):
        target = Path(os.path.realpath(path))
        _check_target(path, target)
        target.parent.stat()
        if not os.access(target.parent, os.W_OK | os.X_OK):
            code = errno.EROFS if _is_read_only(target.parent) else errno.EACCES
            raise PermissionError(code, os.strerror(code))


def _is_read_only(folder: Path) -> bool:
    """Whether its disk is, as far as the system tells."""
    return hasattr(os, "statvfs") and bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def check_spared(path: str | Path, read: Iterable[str | Path]) -> None:
    """Nothing, where a file that is to be written is none of those that are read.

    Raises
    ------
    FileProblem
        When it is one of them: it would be lost.
    """
    if any(same_file(path, each) for each in read):
        raise FileProblem(Path(path), N_("is read itself, and would be lost"), N_("Choose another name."))


def same_file(first: str | Path, second: str | Path) -> bool:
    """Whether both are there, and are one."""
    try:
        return Path(first).samefile(second)
    except OSError:
        return False


def clean_up() -> None:
    """Remove what processes left that were killed while they saved, wherever that was.

    Each save is noted in the person's folder for such things while it lasts. A note of a process
    that still runs is left alone; so is a file of any other name than ours.
    """
    with suppress(OSError):
        for note in sorted(notes_folder().iterdir()):
            with suppress(OSError, ValueError):
                process, started, path = note.read_text(encoding="utf-8", errors="surrogateescape").split("\n", 2)
                if _runs(int(process), float(started)):
                    continue
                if re.fullmatch(r"\.qviz-[0-9a-f]{16}", Path(path).name[:22]):
                    Path(path).unlink(missing_ok=True)
                note.unlink()


def notes_folder() -> Path:
    """Where saves that are under way are noted."""
    home = os.environ.get("XDG_STATE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(home) if home else Path.home() / ".local" / "state") / "qviz" / "saving"


@contextmanager
def _noted(temporary: Path) -> Iterator[None]:
    """Where the folder for notes can't be written, a killed save leaves its file: no reason not to save."""
    note = None
    with suppress(OSError, RuntimeError):  # there need not be a home
        folder = notes_folder()
        folder.mkdir(parents=True, exist_ok=True)
        note = folder / f"{temporary.stem}.txt"
        text = f"{os.getpid()}\n{time.time()}\n{temporary}"
        note.write_text(text, encoding="utf-8", errors="surrogateescape")
    try:
        yield
    finally:
        if note is not None:
            with suppress(OSError):
                note.unlink()


def _runs(process: int, noted: float) -> bool:
    """Whether the process that noted something at a time is still the one of that number."""
    import psutil

    try:
        return bool(psutil.Process(process).create_time() <= noted)
    except psutil.Error:
        return False


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
