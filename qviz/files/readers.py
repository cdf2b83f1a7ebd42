"""Which tensors does a file offer? Listed from its headers, in natural order, and read when they are asked for."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field
from functools import partial
from pathlib import Path

from qviz.core.frozen import frozen
from qviz.core.problems import N_
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.encodings import decoded
from qviz.files.entry import Loaded, Note, TensorEntry, no_note, with_changes
from qviz.files.memory import without_collections
from qviz.files.natural_order import in_natural_order, natural_order
from qviz.files.problems import FileProblem, system_errors
from qviz.files.raw import RawForm
from qviz.files.registry import INDICES, SUFFIXES, format_of, is_pytorch, list_packed, list_text, supported
from qviz.files.stamp import Stamp, check_stamp
from qviz.files.start import Start
from qviz.files.tables.form import TableOptions


@frozen
class Reading:
    """What a person says of a file that does not say it itself.

    Parameters
    ----------
    table : TableOptions
        Of a table; what is None in it is recognized.
    raw : RawForm, optional
        Of bare numbers.
    """

    table: TableOptions = field(default_factory=TableOptions)
    raw: RawForm | None = None


def list_tensors(path: str | Path, reading: Reading | None = None) -> tuple[TensorEntry, ...]:
    """List what a file offers, from its headers alone.

    Parameters
    ----------
    path : str or Path
        A file; its content decides the format, and its name does where no content tells.
    reading : Reading, optional
        How it is written, where it does not say so itself.

    Returns
    -------
    tuple of TensorEntry
        In the order of the file; at least one.

    Raises
    ------
    FileProblem
        When the file can't be read, is of no known format, is damaged, or holds no real numbers.
    """
    path = Path(path)
    with system_errors(path), without_collections():
        if stat.S_ISDIR(path.stat().st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        entries = in_natural_order(decoded(_entries(path, reading or Reading())))
        for entry in entries:
            _guard(entry)
        return entries


def expand(paths: Iterable[str | Path], *, cancelled: IsCancelled = never) -> list[Path]:
    """Replace each folder by the files in it that qviz reads.

    Parameters
    ----------
    paths : iterable of str or Path
        Files are kept as they are, known or not. Folders are not searched any deeper; hidden files and
        texts that are no tables (``merges.txt`` of a checkpoint) are left out.

    Returns
    -------
    list of Path
        Those of a folder in natural order: ``w2.npy`` before ``w10.npy``.

    Raises
    ------
    FileProblem
        When a folder can't be read or has no file of a known format.
    Cancelled
        When asked to stop, between two files.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        with system_errors(path):
            if not path.is_dir():
                files.append(path)
                continue
            found = list(_offered(path, cancelled))
            parts = _parts(found)
            found = [file for file in found if file not in parts]
        if not found:
            raise FileProblem(path, N_("has no file that qviz reads"), supported())
        files += sorted(found, key=lambda file: natural_order(file.name))
    return files


def _offered(folder: Path, cancelled: IsCancelled) -> Iterator[Path]:
    for file in folder.iterdir():
        check(cancelled)
        if _is_offered(file) and _is_worth_it(file):
            yield file


def _guard(entry: TensorEntry) -> None:
    """Have the reading of an entry, which nobody has seen yet, say in a sentence what the system refuses."""
    # A second entry for each of 90,000 takes a third of the time of listing them.
    fields = entry.__dict__
    fields["load"] = partial(_load, entry.path, entry.load)
    if entry.note is not no_note:
        fields["note"] = partial(_note, entry.path, entry.note)


def _load(
    path: Path, load: Callable[..., Loaded], *, progress: Progress = ignore, cancelled: IsCancelled = never
) -> Loaded:
    with system_errors(path):
        stamp = Stamp.of(path)
        loaded = load(progress=progress, cancelled=cancelled)
        # Of a file that is written meanwhile, a part would be the old and a part the new.
        check_stamp(path, stamp)
        return loaded


def _note(path: Path, note: Callable[[], Note | None]) -> Note | None:
    with system_errors(path):
        return note()


def _entries(path: Path, reading: Reading) -> tuple[TensorEntry, ...]:
    if reading.raw is not None:
        return _list_raw(path, reading.raw)
    start = Start.of(path)
    form = format_of(start)
    if form is None:
        return _list_raw(path, None)
    if not reading.table:
        return tuple(
            entry if entry.outputs_first is not None else with_changes(entry, outputs_first=form.outputs_first)
            for entry in form.list_entries(path)
        )
    if form.list_entries is list_packed:
        from qviz.files import packed

        return packed.list_entries(path, reading.table)
    if form.list_entries is list_text:
        from qviz.files import text

        return text.list_entries(path, reading.table)
    raise FileProblem(path, N_("is no table of text"), N_("Leave out what is said of a table."))


def _list_raw(path: Path, form: RawForm | None) -> tuple[TensorEntry, ...]:
    from qviz.files.raw import list_entries

    return list_entries(path, form)


def _is_offered(file: Path) -> bool:
    name = file.name.lower()
    return name.endswith(SUFFIXES) and not name.startswith(".") and file.is_file()


def _is_worth_it(file: Path) -> bool:
    """Whether its name alone does not say that it holds tensors, but its content does."""
    suffix = file.suffix.lower()
    if suffix == ".bin":
        try:
            return is_pytorch(Start.of(file))
        except OSError:
            return True
    return suffix != ".txt" or _is_table(file)


def _parts(files: list[Path]) -> frozenset[Path]:
    """The files that an index among them lists: they are read through it."""
    from qviz.files.shards import parts_of

    indices = [file for file in files if file.name.lower().endswith(INDICES)]
    return frozenset(part for index in indices for part in parts_of(index))


def _is_table(file: Path) -> bool:
    """Whether a text is worth a place beside tensors; what can't be read is, for its problem is said."""
    from qviz.files.text import is_table

    try:
        return is_table(file)
    except OSError:
        return True
