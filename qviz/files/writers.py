"""In which forms can a quantized tensor, or a chart, be written? The ending of the file's name tells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qviz.core.problems import N_, Problem
from qviz.files.results import save_quantized

if TYPE_CHECKING:
    from qviz.core.questions.analysis import Analysis

# The writers are imported when they are asked for: that keeps the start quick.


def _save_onnx(path: Path, analysis: Analysis) -> None:
    from qviz.files.onnx_out import save_onnx

    save_onnx(path, analysis, name_in_model(analysis.tensor.name))


def _save_overrides(path: Path, analysis: Analysis) -> None:
    from qviz.files.overrides import save_overrides

    save_overrides(path, {name_in_model(analysis.tensor.name): analysis.qparams})


PICTURE_FORMATS = ("png", "svg", "pdf")
TABLE_FORMATS = ("csv",)
"""Of these, a chart of several tables makes several files."""

EXPORT_FORMATS = (*PICTURE_FORMATS, *TABLE_FORMATS)
"""How a chart can leave the window; `qviz.gui.charts.export` has a writer for each."""

WRITERS: dict[str, tuple[str, Callable[[Path, Analysis], None]]] = {
    ".npz": (N_("NumPy archive"), save_quantized),
    ".onnx": (N_("ONNX model"), _save_onnx),
    ".json": (N_("ONNX Runtime overrides"), _save_overrides),
}
"""Every form by the ending of the name: what it is called, and what writes it."""


def check_ending(path: Path) -> None:
    """Nothing, where the ending of a name is known.

    Raises
    ------
    Problem
        When no form has this ending.
    """
    if path.suffix.lower() not in WRITERS:
        *first, last = WRITERS
        raise Problem(
            "{file} cannot be written: end its name in {endings} or {last}.",
            file=path.name,
            endings=", ".join(first),
            last=last,
        )


def save_as(path: Path, analysis: Analysis) -> None:
    """Write a quantized tensor in the form that the ending of the name tells.

    Raises
    ------
    Problem
        When no form has this ending, or this form has no words for the scheme.
    FileProblem
        When the file cannot be written.
    """
    check_ending(path)
    WRITERS[path.suffix.lower()][1](path, analysis)


def name_in_model(name: str) -> str:
    """What a tensor was called in its file: ``"layer.w"`` for ``"net/layer.w"``, ``"w"`` for ``"w.npy"``.

    Names of files need not be text, those in models have to be: what is none becomes ``?``.
    """
    return (name.partition("/")[2] or Path(name).stem or "tensor").encode(errors="replace").decode()
