"""Which tensors does a file offer? The one registry of the formats that qviz reads."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from qviz.core.problems import N_, Phrase
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.encodings import decoded
from qviz.files.entry import Loaded, Note, TensorEntry, no_note, with_changes
from qviz.files.foreign import foreign_problem
from qviz.files.memory import without_collections
from qviz.files.problems import FileProblem, system_errors
from qviz.files.raw import SUFFIXES as RAW_SUFFIXES
from qviz.files.raw import RawForm
from qviz.files.stamp import Stamp, check_stamp
from qviz.files.start import Start
from qviz.files.tables.form import TableOptions


@dataclass(frozen=True)
class Format:
    """One row of the registry.

    ``list_entries(path)`` reads the headers of a file. ``is_it(start)`` tells by its content whether a file
    is of this format, whatever it is called; the ending decides only where no content does. ``outputs_first``
    is how it stores the weight of a layer, as `TensorEntry` has it. ``of_weights`` where files
    called so are checkpoints, and neither samples nor tables nor networks.
    """

    description: str
    suffixes: tuple[str, ...]
    list_entries: Callable[[Path], tuple[TensorEntry, ...]]
    is_it: Callable[[Start], bool] = lambda start: False
    outputs_first: bool | None = None
    of_weights: bool = False


# The readers are imported when their first file is opened: that keeps the start quick.


def _list_npy(path: Path) -> tuple[TensorEntry, ...]:
    from qviz.files.npy import list_entries

    return list_entries(path)


def _list_npz(path: Path) -> tuple[TensorEntry, ...]:
    from qviz.files.npz import list_entries

    return list_entries(path)


def _list_safetensors(path: Path) -> tuple[TensorEntry, ...]:
    from qviz.files.safetensors import list_entries

    return list_entries(path)


def _list_card(path: Path) -> tuple[TensorEntry, ...]:
    from qviz.files.cards import list_entries

    return list_entries(path)


def _list_gguf(path: Path) -> tuple[TensorEntry, ...]:
    from qviz.files.gguf import list_entries

    return list_entries(path)


def _list_parquet(path: Path) -> tuple[TensorEntry, ...]:
    from qviz.files.parquet import list_entries

    return list_entries(path)


def _list_onnx(path: Path) -> tuple[TensorEntry, ...]:
    from qviz.files.onnx_in import list_entries

    return list_entries(path)


def _list_pytorch(path: Path) -> tuple[TensorEntry, ...]:
    from qviz.files.pytorch import list_entries

    return list_entries(path)


def _list_hdf5(path: Path) -> tuple[TensorEntry, ...]:
    from qviz.files.hdf5 import list_entries

    return list_entries(path)


def _list_bundle(path: Path) -> tuple[TensorEntry, ...]:
    from qviz.files.bundles import list_entries

    return list_entries(path)


def _list_tflite(path: Path) -> tuple[TensorEntry, ...]:
    from qviz.files.tflite import list_entries

    return list_entries(path)


def _list_pickle(path: Path) -> tuple[TensorEntry, ...]:
    from qviz.files.paddle import list_pickle

    return list_pickle(path)


def _list_paddle(path: Path) -> tuple[TensorEntry, ...]:
    from qviz.files.paddle import list_stream

    return list_stream(path)


def _list_shards(path: Path) -> tuple[TensorEntry, ...]:
    from qviz.files.shards import list_entries

    return list_entries(path)


def _list_packed(path: Path) -> tuple[TensorEntry, ...]:
    from qviz.files.packed import list_entries

    return list_entries(path)


def _list_text(path: Path) -> tuple[TensorEntry, ...]:
    from qviz.files.text import list_entries

    return list_entries(path)


def _is_archive(start: Start) -> bool:
    """A zip file with arrays in it, or one that nothing else claims."""
    return (
        start.is_zip
        and not (_is_pytorch(start) or _is_hdf5(start) or _is_bundle(start))
        and (start.has_member(".npy") or foreign_problem(start) is None)
    )


def _is_index(start: Start) -> bool:
    """What lists the files of a checkpoint, as Hugging Face writes it."""
    return start.text[:1] == "{" and (start.name.endswith(_INDICES) or '"weight_map"' in start.text)


def _is_onnx(start: Start) -> bool:
    """A protobuf message whose first field is a small version number, followed by the producer or the graph."""
    head = start.head
    is_model = (
        head[:1] == b"\x08" and 0 < (head[1:2] or b"\0")[0] <= 20 and head[2:3] in (b"\x12", b"\x1a", b"\x3a", b"\x42")
    )
    return is_model or (start.name.endswith(".onnx") and head[:1] in (b"\x08", b"\x3a", b"\x12"))


def _is_pickle(start: Start) -> bool:
    return start.head[:1] == b"\x80" and start.head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")


def _is_hdf5(start: Start) -> bool:
    return start.head.startswith(b"\x89HDF\r\n\x1a\n") or start.has_member("model.weights.h5")


def _is_bundle(start: Start) -> bool:
    """NeMo's by its name, for it is a tar file like any other; TorchServe's by its manifest."""
    is_tar = start.head[257:262] == b"ustar"
    return (is_tar and start.name.endswith(".nemo")) or start.has_member("MAR-INF/MANIFEST.json")


def _is_paddle(start: Start) -> bool:
    """A tensor without levels of detail, described by a message that begins with its type."""
    return (
        start.head[:16] == bytes(16)
        and int.from_bytes(start.head[16:20], "little") >= 2
        and start.head[20:21] == b"\x08"
    )


def _is_pytorch(start: Start) -> bool:
    return start.head.startswith(_PYTORCH) or start.has_member("/data.pkl", "data.pkl", "/constants.pkl")


def _is_card(start: Start) -> bool:
    return _is_safetensors(start) and b'"__metadata__":{"qvizcard":' in start.head


def _is_safetensors(start: Start) -> bool:
    length = int.from_bytes(start.head[:8], "little")
    return start.head[8:9] == b"{" and 2 <= length <= start.size - 8


_INDICES = (".safetensors.index.json", ".bin.index.json")
_PYTORCH = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
"""How a stream of PyTorch begins, as it was before 1.6."""

FORMATS: tuple[Format, ...] = (
    Format(N_("NumPy array"), (".npy",), _list_npy, lambda start: start.head.startswith(b"\x93NUMPY")),
    Format(N_("NumPy archive"), (".npz",), _list_npz, _is_archive),
    Format(N_("Card of a checkpoint"), (".qvizcard",), _list_card, _is_card, outputs_first=True, of_weights=True),
    Format(
        N_("safetensors"), (".safetensors",), _list_safetensors, _is_safetensors, outputs_first=True, of_weights=True
    ),
    Format(
        N_("GGUF model"),
        (".gguf",),
        _list_gguf,
        lambda start: start.head.startswith(b"GGUF"),
        outputs_first=True,
        of_weights=True,
    ),
    Format(N_("Table of numbers"), (".csv", ".txt", ".tsv"), _list_text),
    Format(N_("Parquet table"), (".parquet",), _list_parquet, lambda start: start.head.startswith(b"PAR1")),
    Format(
        N_("Packed array or table"),
        (".npy.gz", ".csv.gz", ".txt.gz", ".tsv.gz"),
        _list_packed,
        lambda start: start.head.startswith(b"\x1f\x8b"),
    ),
    Format(N_("ONNX model"), (".onnx",), _list_onnx, _is_onnx, outputs_first=False),
    Format(
        N_("PyTorch checkpoint"),
        (".pt", ".pth", ".bin", ".ckpt"),
        _list_pytorch,
        _is_pytorch,
        outputs_first=True,
        of_weights=True,
    ),
    Format(
        N_("TensorFlow Lite model"),
        (".tflite",),
        _list_tflite,
        lambda start: start.head[4:8] == b"TFL3",
        outputs_first=True,
        of_weights=True,
    ),
    Format(
        N_("Pickle of arrays, as Paddle writes it"),
        (".pdparams",),
        _list_pickle,
        _is_pickle,
        outputs_first=False,
        of_weights=True,
    ),
    Format(
        N_("Parameters of a Paddle program"),
        (".pdiparams",),
        _list_paddle,
        _is_paddle,
        outputs_first=False,
        of_weights=True,
    ),
    Format(
        N_("HDF5 file, as Keras writes it"),
        (".h5", ".hdf5", ".keras"),
        _list_hdf5,
        _is_hdf5,
        outputs_first=False,
        of_weights=True,
    ),
    Format(
        N_("Bundle of NeMo or TorchServe"),
        (".nemo", ".mar"),
        _list_bundle,
        _is_bundle,
        outputs_first=True,
        of_weights=True,
    ),
    Format(N_("Parts of a checkpoint"), _INDICES, _list_shards, _is_index, outputs_first=True, of_weights=True),
)

SUFFIXES: tuple[str, ...] = tuple(suffix for form in FORMATS for suffix in form.suffixes)


@dataclass(frozen=True)
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
            raise FileProblem(path, N_("has no file that qviz reads"), _supported())
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
    form = _format_of(start)
    if form is None:
        return _list_raw(path, None)
    if not reading.table:
        return tuple(
            entry if entry.outputs_first is not None else with_changes(entry, outputs_first=form.outputs_first)
            for entry in form.list_entries(path)
        )
    if form.list_entries is _list_packed:
        from qviz.files import packed

        return packed.list_entries(path, reading.table)
    if form.list_entries is _list_text:
        from qviz.files import text

        return text.list_entries(path, reading.table)
    raise FileProblem(path, N_("is no table of text"), N_("Leave out what is said of a table."))


def _list_raw(path: Path, form: RawForm | None) -> tuple[TensorEntry, ...]:
    from qviz.files.raw import list_entries

    return list_entries(path, form)


def _format_of(start: Start) -> Format | None:
    """By its content, else by its name; None for bare numbers."""
    named = next((form for form in FORMATS if start.name.endswith(form.suffixes)), None)
    if not start.head and named is not None:
        return named
    if form := next((form for form in FORMATS if form.is_it(start)), None):
        return form
    if problem := foreign_problem(start):
        raise problem
    if start.name.endswith(RAW_SUFFIXES) and start.head:  # .bin is anybody's
        return None
    if named is None:
        raise FileProblem(start.path, N_("is of no format that qviz knows"), _supported())
    return named


def _supported() -> Phrase:
    return Phrase("It reads {first} and {last}.", first=", ".join(SUFFIXES[:-1]), last=SUFFIXES[-1])


def _is_offered(file: Path) -> bool:
    name = file.name.lower()
    return name.endswith(SUFFIXES) and not name.startswith(".") and file.is_file()


def _is_worth_it(file: Path) -> bool:
    """Whether its name alone does not say that it holds tensors, but its content does."""
    suffix = file.suffix.lower()
    if suffix == ".bin":
        try:
            return _is_pytorch(Start.of(file))
        except OSError:
            return True
    return suffix != ".txt" or _is_table(file)


def _parts(files: list[Path]) -> frozenset[Path]:
    """The files that an index among them lists: they are read through it."""
    from qviz.files.shards import parts_of

    indices = [file for file in files if file.name.lower().endswith(_INDICES)]
    return frozenset(part for index in indices for part in parts_of(index))


def _is_table(file: Path) -> bool:
    """Whether a text is worth a place beside tensors; what can't be read is, for its problem is said."""
    from qviz.files.text import is_table

    try:
        return is_table(file)
    except OSError:
        return True


def natural_order(name: str) -> list[str | int]:
    """A key that sorts numbers in names by their value: ``layers.2`` before ``layers.10``."""
    parts = re.split(r"([0-9]+)", name.lower())
    return [int(part[:300]) if index % 2 else part for index, part in enumerate(parts)]


def in_natural_order(entries: Sequence[TensorEntry]) -> tuple[TensorEntry, ...]:
    """The entries as the file has them, but those whose names differ in numbers alone by these numbers."""
    full = [entry.name for entry in entries]
    names = _without_numbers(full)
    # The numbers of all names in one stretch: those of a family have as many each.
    numbers = [int(number[:300]) for number in _NUMBER.findall("\n".join(full))]
    families: dict[str, list[tuple[list[int], int]]] = {}
    counts: dict[str, int] = {}
    at = 0
    for place, name in enumerate(names):
        family = families.get(name)
        if family is None:
            family = families[name] = []
            counts[name] = len(_NUMBER.findall(name))
        until = at + counts[name]
        family.append((numbers[at:until], place))
        at = until
    for family in families.values():
        family.sort(reverse=True)
    return tuple(entries[families[name].pop()[1]] for name in names)


_NUMBER = re.compile(r"[0-9]+")


def _without_numbers(names: Sequence[str]) -> list[str]:
    """What names have in common that differ in numbers alone: all in one stretch, which is quicker."""
    found = _NUMBER.sub("0", "\n".join(names)).split("\n")
    return found if len(found) == len(names) else [_NUMBER.sub("0", name) for name in names]
