"""Which scheme of qviz has the codes and the scales that a file keeps of a weight? Its own scales, none looked for."""

from __future__ import annotations

import math
import re

import numpy as np

from qviz.core.formats.floats import FLOATS, FloatFormat
from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.problems import Problem
from qviz.core.ranges.known import MOST, Known
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import Granularity, PerAxis, PerBlock, PerTensor
from qviz.files.entry import TensorEntry

_SCALE = re.compile(r"(^|[._])(scale|scales|SCB)$|_scale$")
_ZERO = re.compile(r"(zero_point|qzeros)$")
_FACTORS = {"bitsandbytes": 1 / 127}
"""What the scales of a library are multiplied by."""

SYMMETRIC = ("compressed-tensors", "bitsandbytes", "torchao")
"""Libraries whose codes are x̂ = S·Q, where there are no zero points."""


def recognized(entry: TensorEntry) -> Scheme | None:
    """The scheme with the file's own scales, under which every value is one that a code stands for.

    Parameters
    ----------
    entry : TensorEntry
        A weight that was quantized.

    Returns
    -------
    Scheme or None
        None where its encoding has no such scheme: zero points, scales that are quantized themselves, tables.

    Raises
    ------
    FileProblem
        When its scales can't be read.
    """
    encoding, shape = entry.encoding, entry.shape
    if encoding is None or shape is None or len(shape) != 2 or encoding.name not in SYMMETRIC:
        return None
    number_format = _format(encoding.codes)
    scales = [part for part in encoding.parts if _SCALE.search(str(part.key))]
    if number_format is None or len(scales) != 1 or scales[0].shape is None:
        return None
    for part in encoding.parts:
        if _ZERO.search(str(part.key)) and np.any(np.asarray(part.load()[:])):
            return None
    many = math.prod(scales[0].shape)
    granularity = _granularity(many, encoding.group, shape)
    if granularity is None or many > MOST or any("g_idx" in str(part.key) for part in encoding.parts):
        return None
    values = np.asarray(scales[0].load()[:], np.float32).reshape(-1) * np.float32(_FACTORS.get(encoding.name, 1))
    try:
        rule = Known(tuple(float(value) for value in values))
        return Scheme(number_format, True, granularity, rule, "textbook")
    except Problem:
        return None


def _format(codes: str) -> NumberFormat | None:
    whole = re.fullmatch(r"int(\d+)", codes)
    if whole and 2 <= int(whole[1]) <= 8:
        return IntFormat(int(whole[1]))
    name = codes.removeprefix("float8_")
    return FloatFormat(name) if name != codes and name in FLOATS else None


def _granularity(many: int, group: int | None, shape: tuple[int, ...]) -> Granularity | None:
    rows, columns = shape
    if many == 1:
        return PerTensor()
    if group is not None and columns % group == 0 and many == rows * (columns // group):
        return PerBlock(-1, group)
    return PerAxis(0) if many == rows else None
