"""How does OpenVINO quantize activations? The FakeQuantize that NNCF's ``quantize`` puts in front of them.

``calculate_quantizer_parameters`` of NNCF 3.4 finds the ends of its 256 levels, OpenVINO's plugin for processors the
codes: values times an inverse, plus a real zero point, in float32.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.formats.table import NumberFormat
from qviz.core.problems import N_
from qviz.core.runtimes.expressions import Constant, Expression, Formula, Function, Symbol
from qviz.core.runtimes.formulas import DEQUANTIZED, MAX, MIN, Formulas, R, S, Z, clipped, rounding
from qviz.core.runtimes.record import ZERO, Convention, Recipe

F = np.float32
STEPS = 255
SMALLEST_WIDTH, SMALLEST_END = F(8e-4), F(8e-5)
"""What asymmetric ranges are widened by at both ends where they are no wider; and the least end of symmetric ones."""

FURTHER = F(256 / 254)
"""The lower end of a symmetric range, as a part of the upper one."""


def _symmetric_ends(low: Any, high: Any) -> tuple[Any, Any]:
    """``symmetric_range``, of a single tensor."""
    end = np.maximum(np.maximum(np.abs(F(low)), np.abs(F(high))), SMALLEST_END)
    return np.where(F(low) < 0, -end * FURTHER, F(0)), end


def _asymmetric_ends(low: Any, high: Any) -> tuple[Any, Any]:
    """``asymmetric_range``: one end is moved away, so that 0 is a level."""
    low, high = F(low), F(high)
    width = high - low  # where that is infinite, nothing is left of it
    more = np.where(width > SMALLEST_WIDTH, width - width, SMALLEST_WIDTH)
    low, high = np.where(low < more, low - more, F(0)), np.where(high > -more, high + more, F(0))
    level = np.round(-low * (F(STEPS) / (high - low)))
    below = np.where(level < STEPS, level / (level - F(STEPS)) * high, low)
    above = np.where(level > 0, (level - F(STEPS)) / level * low, high)
    moves_low = high - below > above - low
    return np.where(moves_low, below, low), np.where(moves_low, high, above)


def _ends(low: Any, high: Any, symmetric: bool) -> tuple[Any, Any]:
    with np.errstate(all="ignore"):
        return _symmetric_ends(low, high) if symmetric else _asymmetric_ends(low, high)


def _recipe(low: FloatArray, high: FloatArray, scheme: Any) -> Recipe:
    """Scale, inverse and zero point of the ends of the levels."""
    first, last = (np.asarray(end, F) for end in _ends(low, high, scheme.symmetric))
    with np.errstate(all="ignore"):
        inverse = np.asarray(F(STEPS) / (last - first), F)
        scale = np.asarray((last - first) / F(STEPS), F)
        return Recipe(scale, inverse, np.asarray(-first * inverse + F(0), F))


_SYMMETRIC_HELPER = """\
def ends(low, high):  # of 256 levels, 128 of them below 0 where any value is
    low, high = np.float32(low), np.float32(high)
    end = np.maximum(np.maximum(np.abs(low), np.abs(high)), np.float32(8e-5))
    return np.where(low < 0, -end * np.float32(256 / 254), np.float32(0)), end
"""
_ASYMMETRIC_HELPER = """\
def ends(low, high):  # of 256 levels, one of which is 0
    f = np.float32
    low, high = f(low), f(high)
    with np.errstate(all="ignore"):
        width = high - low  # where that is infinite, nothing is left of it
        more = np.where(width > f(8e-4), width - width, f(8e-4))
        low, high = np.where(low < more, low - more, f(0)), np.where(high > -more, high + more, f(0))
        level = np.round(-low * (f(255) / (high - low)))
        below = np.where(level < 255, level / (level - f(255)) * high, low)
        above = np.where(level > 0, (level - f(255)) / level * low, high)
        moves_low = high - below > above - low
    return np.where(moves_low, below, low), np.where(moves_low, high, above)
"""

INVERSE = Symbol("I", "inverse")
ALL_STEPS = Constant("qmax", STEPS)


@lru_cache
def _formulas(number_format: NumberFormat, symmetric: bool) -> Formulas:
    helper = _SYMMETRIC_HELPER if symmetric else _ASYMMETRIC_HELPER

    def end(which: int, written: str) -> Expression:
        return Function(
            written,
            f"ends({{0}}, {{1}})[{which}]",
            lambda low, high: _ends(low, high, symmetric)[which],
            helper,
            hides=lambda *_: True,
        )(MIN, MAX)

    first, last = end(0, "first({0}, {1})"), end(1, "last({0}, {1})")
    inverse = Formula(INVERSE, ALL_STEPS / (last - first))
    return Formulas(
        scale=Formula(S, (last - first) / ALL_STEPS, (inverse,)),
        zero_point=Formula(Z, -first * INVERSE),
        code=clipped(rounding(number_format)(R * INVERSE + Z)),
        value=DEQUANTIZED,
        divisor=inverse,
    )


NNCF_ACTIVATIONS = Convention(
    name="nncf_activations",
    label=N_("OpenVINO (NNCF activations)"),
    summary=N_(
        "FakeQuantize of 256 levels, as nncf.quantize puts it in front of layers. Asymmetric: one end of the range is "
        "moved away from 0 until 0 is a level. Symmetric: from −absmax · 256 / 254 to absmax, or from 0 where no value "
        "is below. Each group stands for a tensor of its own; values are (Q − Z) · S, to float32's last bits."
    ),
    range_includes_zero=False,
    formulas=_formulas,
    zero_point_before_rounding=True,
    symmetric_span=lambda f: f.levels - 2,
    symmetric_zero_point=lambda f: f.levels / 2,
    integers=frozenset({"uint8"}),
    divisor_is_inverse=True,
    recipe=_recipe,
    nan_code=ZERO,
)
