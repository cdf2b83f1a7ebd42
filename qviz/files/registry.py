"""Of which format is a file? The one registry of those that qviz reads, each with its reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qviz.core.frozen import frozen
from qviz.core.problems import N_, Phrase
from qviz.files.entry import TensorEntry
from qviz.files.foreign import foreign_problem
from qviz.files.problems import FileProblem
from qviz.files.raw import SUFFIXES as RAW_SUFFIXES
from qviz.files.start import Start


@frozen
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


def list_packed(path: Path) -> tuple[TensorEntry, ...]:
    """An array or a table that was packed."""
    from qviz.files.packed import list_entries

    return list_entries(path)


def list_text(path: Path) -> tuple[TensorEntry, ...]:
    """A table of text."""
    from qviz.files.text import list_entries

    return list_entries(path)


def _is_archive(start: Start) -> bool:
    """A zip file with arrays in it, or one that nothing else claims."""
    return (
        start.is_zip
        and not (is_pytorch(start) or _is_hdf5(start) or _is_bundle(start))
        and (start.has_member(".npy") or foreign_problem(start) is None)
    )


def _is_index(start: Start) -> bool:
    """What lists the files of a checkpoint, as Hugging Face writes it."""
    return start.text[:1] == "{" and (start.name.endswith(INDICES) or '"weight_map"' in start.text)


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


def is_pytorch(start: Start) -> bool:
    """A zip file or a stream of PyTorch."""
    return start.head.startswith(_PYTORCH) or start.has_member("/data.pkl", "data.pkl", "/constants.pkl")


def _is_card(start: Start) -> bool:
    return _is_safetensors(start) and b'"__metadata__":{"qvizcard":' in start.head


def _is_safetensors(start: Start) -> bool:
    length = int.from_bytes(start.head[:8], "little")
    return start.head[8:9] == b"{" and 2 <= length <= start.size - 8


INDICES = (".safetensors.index.json", ".bin.index.json")
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
    Format(N_("Table of numbers"), (".csv", ".txt", ".tsv"), list_text),
    Format(N_("Parquet table"), (".parquet",), _list_parquet, lambda start: start.head.startswith(b"PAR1")),
    Format(
        N_("Packed array or table"),
        (".npy.gz", ".csv.gz", ".txt.gz", ".tsv.gz"),
        list_packed,
        lambda start: start.head.startswith(b"\x1f\x8b"),
    ),
    Format(N_("ONNX model"), (".onnx",), _list_onnx, _is_onnx, outputs_first=False),
    Format(
        N_("PyTorch checkpoint"),
        (".pt", ".pth", ".bin", ".ckpt"),
        _list_pytorch,
        is_pytorch,
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
    Format(N_("Parts of a checkpoint"), INDICES, _list_shards, _is_index, outputs_first=True, of_weights=True),
)

SUFFIXES: tuple[str, ...] = tuple(suffix for form in FORMATS for suffix in form.suffixes)


def format_of(start: Start) -> Format | None:
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
        raise FileProblem(start.path, N_("is of no format that qviz knows"), supported())
    return named


def supported() -> Phrase:
    """What a person hears of a file of another format."""
    return Phrase("It reads {first} and {last}.", first=", ".join(SUFFIXES[:-1]), last=SUFFIXES[-1])
