"""Which numbers can a code stand for?

A code is computed with as a *unit value*: the number that it stands for before it is scaled. For
integers that is the code itself; for small floats and codebooks it is the entry of a table, and
the stored bit pattern is looked up at the very end.

Every format has the same properties: ``name``, ``label``, ``bits``, ``signed``, ``scaled`` (whether values are
divided by a scale first), ``offers_zero_point`` (whether an asymmetric scheme is possible),
``quant_min`` and ``quant_max`` (the smallest and the largest unit value), ``values`` (all of them,
ascending), ``levels`` (how many), ``has_nan``, ``largest_step`` (the widest gap between neighbours) and ``dtype``
(of a stored code); and `round`, `index`, `encode`, `decode`.
"""

from __future__ import annotations

from qviz.core.formats.codebooks import CODEBOOKS, Codebook
from qviz.core.formats.floats import FLOATS, FloatFormat
from qviz.core.formats.integers import IntFormat
from qviz.core.problems import Problem

NumberFormat = IntFormat | FloatFormat | Codebook

NUMBER_FORMATS: dict[str, type[NumberFormat]] = {each.kind: each for each in (IntFormat, FloatFormat, Codebook)}
"""Every number format by its ``kind``; a new one is a class and a row."""


def format_named(name: str) -> NumberFormat:
    """The number format that people call ``name``: ``int8``, ``uint4``, ``e4m3fn``, ``float8_e4m3fn``, ``nf4``, …

    Raises
    ------
    Problem
        When there is none.
    """
    for layout, (official, _) in FLOATS.items():
        if name in (layout, official, layout.removesuffix("fn")):
            return FloatFormat(layout)
    if name in CODEBOOKS:
        return Codebook(name)
    digits = name.removeprefix("u").removeprefix("int")
    if name.startswith(("int", "uint")) and digits.isdecimal() and len(digits) < 3:
        return IntFormat(int(digits), not name.startswith("u"))
    names = ["int2 … int16", "uint2 … uint16", *FLOATS, *CODEBOOKS]
    raise Problem("There is no number format “{name}”: choose one of {choices}.", name=name, choices=", ".join(names))
