"""Each runtime's arithmetic, as one frozen record in one table.

Only what the runtimes really do differently is a field here; `qviz.core.affine` reads the
fields and knows no runtime by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from qviz.core.number_formats import NumberFormat
from qviz.core.problems import Problem

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Convention:
    """How one runtime turns a range into a scale and a zero point, and a value into a code.

    Attributes
    ----------
    name, label, summary : str
        The name people type, the one they read, and a line on what is particular about it.
    range_includes_zero : bool
        Whether an asymmetric range is first widened to contain 0.
    symmetric_steps : Callable[[NumberFormat], float]
        How many steps span [-absmax, absmax]; the scale is ``2 * absmax / steps``.
    symmetric_zero_point : Callable[[NumberFormat], float]
        The zero point of a symmetric scheme.
    zero_point : Callable[[NumberFormat, low, high, scale], array]
        The zero point of an asymmetric scheme, all in float64.
    degenerate_zero_point : Callable[[high], array]
        The zero point of an asymmetric range too narrow for a scale (the scale is then 1).
    scale_formula, symmetric_scale_formula, zero_point_formula, code_formula : str
        The same rules as people write them.
    zero_point_before_rounding : bool
        ``round(x / s + Z)`` when true, ``round(x / s) + Z`` when false.
    multiplies_by_reciprocal : bool
        ``x * (1 / s)`` instead of ``x / s``.
    """

    name: str
    label: str
    summary: str
    range_includes_zero: bool
    symmetric_steps: Callable[[NumberFormat], float]
    symmetric_zero_point: Callable[[NumberFormat], float]
    zero_point: Callable[[NumberFormat, Floats, Floats, Floats], Floats]
    degenerate_zero_point: Callable[[Floats], Floats]
    scale_formula: str
    symmetric_scale_formula: str
    zero_point_formula: str
    code_formula: str
    zero_point_before_rounding: bool
    multiplies_by_reciprocal: bool = False


def _textbook_middle(number_format: NumberFormat) -> float:
    return 0.0 if number_format.signed else (number_format.quant_max + 1) / 2


def _onnxruntime_symmetric_range(number_format: NumberFormat) -> tuple[int, int]:
    # ONNX_INT_TYPE_SYMMETRIC_RANGE of onnxruntime.quantization: int8 and int16 alone leave out
    # their smallest code when the scale is chosen.
    if number_format.signed and number_format.bits in (8, 16):
        return -number_format.quant_max, number_format.quant_max
    return number_format.quant_min, number_format.quant_max


def _onnxruntime_steps(number_format: NumberFormat) -> float:
    low, high = _onnxruntime_symmetric_range(number_format)
    return high - low


def _onnxruntime_middle(number_format: NumberFormat) -> float:
    return float(np.rint(sum(_onnxruntime_symmetric_range(number_format)) / 2))


CONVENTIONS: dict[str, Convention] = {
    convention.name: convention
    for convention in (
        Convention(
            name="textbook",
            label="Textbook",
            summary="Q = round(R/S + Z), with a zero point that stays a real number: "
            "the formulas as they are taught. No runtime stores exactly these codes.",
            range_includes_zero=False,
            symmetric_steps=lambda f: 2 * (f.quant_max - _textbook_middle(f)),
            symmetric_zero_point=_textbook_middle,
            zero_point=lambda f, low, high, scale: f.quant_max - high / scale,
            # Z = -x gives the code 0 and (0 - Z) * 1 = x, exactly.
            degenerate_zero_point=lambda high: -high,
            scale_formula="S = (max − min) / (qmax − qmin)",
            symmetric_scale_formula="S = absmax / (qmax − Z)",
            zero_point_formula="Z = qmax − max / S",
            code_formula="Q = clip(round(R / S + Z), qmin, qmax)",
            zero_point_before_rounding=True,
        ),
        Convention(
            name="onnxruntime",
            label="ONNX Runtime",
            summary="The range always includes 0; the zero point is a whole number, added after rounding. "
            "Symmetric int8 and int16 leave out the smallest code when scaling (254 steps), not when clipping; "
            "int4 uses all of −8…7 (15 steps).",
            range_includes_zero=True,
            symmetric_steps=_onnxruntime_steps,
            symmetric_zero_point=_onnxruntime_middle,
            zero_point=lambda f, low, high, scale: np.rint(f.quant_min - low / scale),
            degenerate_zero_point=np.zeros_like,
            scale_formula="S = (max − min) / (qmax − qmin), with min ≤ 0 ≤ max",
            symmetric_scale_formula="S = 2 · absmax / steps",
            zero_point_formula="Z = round(qmin − min / S)",
            code_formula="Q = clip(round(R / S) + Z, qmin, qmax)",
            zero_point_before_rounding=False,
        ),
    )
}
"""Every convention by its name; a new runtime is a row."""


def convention_named(name: str) -> Convention:
    """The convention called ``name``.

    Raises
    ------
    Problem
        When there is none.
    """
    try:
        return CONVENTIONS[name]
    except KeyError:
        raise Problem(f"There is no convention “{name}”: choose one of {', '.join(CONVENTIONS)}.") from None
