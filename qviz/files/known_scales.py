"""Which scales and zero points does a file hold, and of which tensors?"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from qviz.core.problems import N_
from qviz.core.ranges.known import MOST, Known
from qviz.files.entry import TensorEntry
from qviz.files.problems import FileProblem
from qviz.files.readers import list_tensors

_SCALE = re.compile(r"(?i)(^|[._/])(weight_)?scales?(_inv)?$")
_POINT = re.compile(r"(?i)(^|[._/])zero_?points?$|(^|[._/])qzeros?$")


def known_scales(path: str | Path) -> dict[str, TensorEntry]:
    """The scales in a file, by the name of what they belong to: what stands before ``scale``.

    ONNX writes ``x_scale`` and ``x_zero_point``, checkpoints ``layer.weight_scale``, qviz ``scale`` and ``zero_point``.

    Raises
    ------
    FileProblem
        When the file can't be read, or holds none.
    """
    found = {}
    for entry in list_tensors(path):
        name = entry.key or entry.name
        match = _SCALE.search(name)
        if match:
            found[name[: match.start()] or name] = entry
    if not found:
        raise FileProblem(
            Path(path),
            N_("holds no tensor that is called a scale"),
            N_("Choose a model with x_scale and x_zero_point, or a tensor that qviz saved."),
        )
    return found


def known_of(path: str | Path, name: str | None = None) -> Known:
    """The scale and the zero point of one tensor in a file.

    Parameters
    ----------
    path : str or Path
    name : str, optional
        A key of `known_scales`; where there is one alone, it is that.

    Raises
    ------
    FileProblem
        When there is none of that name, several to choose from, or numbers that can't be scales.
    """
    path, scales = Path(path), known_scales(path)
    if name is None and len(scales) == 1:
        name = next(iter(scales))
    if name not in scales:
        first = ", ".join(list(scales)[:8]) + (", …" if len(scales) > 8 else "")
        raise FileProblem(
            path, N_("holds {count} scales"), N_("Choose one of {names}."), count=len(scales), names=first
        )
    assert name is not None
    scale = _numbers(path, scales[name])
    before = name if (scales[name].key or scales[name].name) != name else ""
    for entry in list_tensors(path):
        key = entry.key or entry.name
        match = _POINT.search(key)
        if match and key[: match.start()] == before:
            return Known(scale, _numbers(path, entry))
    return Known(scale)


def _numbers(path: Path, entry: TensorEntry) -> tuple[float, ...]:
    values = np.asarray(entry.load())
    if values.size > MOST:
        raise FileProblem(
            path, N_("has more scales than a scheme can carry about"), N_("Choose a tensor with fewer groups.")
        )
    return tuple(float(each) for each in np.ravel(values).astype(np.float64))
