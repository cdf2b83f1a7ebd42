"""Each runtime's arithmetic, as one frozen record in one table.

Only what the runtimes really do differently is a field here; `qviz.core.affine` reads the
fields and knows no runtime by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qviz.core.number_formats import NumberFormat
from qviz.core.problems import Problem

Floats = np.ndarray[Any, np.dtype[np.float64]]


def _full_range(number_format: NumberFormat) -> tuple[int, int]:
    return number_format.quant_min, number_format.quant_max


def _all_codes(number_format: NumberFormat, symmetric: bool) -> tuple[int, int]:
    return _full_range(number_format)


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
        How many steps span [-absmax, absmax]; the scale is ``absmax / (steps / 2)``.
    symmetric_zero_point : Callable[[NumberFormat], float]
        The zero point of a symmetric scheme.
    zero_point : Callable[[NumberFormat, low, high, scale], array]
        The zero point of an asymmetric scheme, in the precision of the scale.
    scale_formula, symmetric_scale_formula, zero_point_formula, code_formula : str
        The same rules as people write them.
    zero_point_before_rounding : bool
        ``round(x / s + Z)`` when true, ``round(x / s) + Z`` when false.
    degenerate_zero_point : Callable[[high], array]
        The zero point of an asymmetric range too narrow for a scale (the scale is then 1).
    scale_range : Callable[[NumberFormat], (first, last)]
        The codes that an asymmetric range is spread over.
    code_range : Callable[[NumberFormat, symmetric], (first, last)]
        The codes that are clipped to.
    multiplies_by_reciprocal : bool
        ``x * (1 / s)`` instead of ``x / s``.
    divides_by_threshold : bool
        ``x / T * (steps / 2)`` instead of ``x / s``, with T the absmax of a symmetric range.
    single_precision : bool
        Whether scale and zero point follow from the range in float32, not in float64.
    smallest_scale, smallest_range : float
        A scale is made at least this large; so is the width of an asymmetric range, or the absmax
        of a symmetric one, before it is divided. Where both are 0, a range can be too narrow.
    symmetric_only, signed_only, asymmetric_only, unsigned_only : bool
        What the runtime does not offer is a `Problem`.
    """

    name: str
    label: str
    summary: str
    range_includes_zero: bool
    symmetric_steps: Callable[[NumberFormat], float]
    symmetric_zero_point: Callable[[NumberFormat], float]
    zero_point: Callable[[NumberFormat, Floats, Floats, Floats], Floats]
    scale_formula: str
    symmetric_scale_formula: str
    zero_point_formula: str
    code_formula: str
    zero_point_before_rounding: bool
    degenerate_zero_point: Callable[[Floats], Floats] = np.zeros_like
    scale_range: Callable[[NumberFormat], tuple[int, int]] = _full_range
    code_range: Callable[[NumberFormat, bool], tuple[int, int]] = _all_codes
    multiplies_by_reciprocal: bool = False
    divides_by_threshold: bool = False
    single_precision: bool = False
    smallest_scale: float = 0.0
    smallest_range: float = 0.0
    symmetric_only: bool = False
    signed_only: bool = False
    asymmetric_only: bool = False
    unsigned_only: bool = False

    def offers(self, number_format: NumberFormat, symmetric: bool) -> bool:
        """Whether the runtime knows such codes."""
        mode = self.asymmetric_only if symmetric else self.symmetric_only
        sign = self.unsigned_only if number_format.signed else self.signed_only
        return not (mode or sign)

    def nearest(self, number_format: NumberFormat, symmetric: bool) -> tuple[NumberFormat, bool]:
        """What it offers in the place of such codes: themselves, with another mode, sign, or both."""
        signs = number_format, replace(number_format, signed=not number_format.signed)
        choices = [(codes, mode) for codes in signs for mode in (symmetric, not symmetric)]
        return next((codes, mode) for codes, mode in choices if self.offers(codes, mode))

    def check(self, number_format: NumberFormat, symmetric: bool) -> None:
        """Nothing, where the runtime knows such codes.

        Raises
        ------
        Problem
            Where it does not.
        """
        if self.symmetric_only and not symmetric:
            raise Problem(f"{self.label} quantizes symmetrically only: choose symmetric, or another runtime.")
        if self.signed_only and not number_format.signed:
            raise Problem(f"{self.label} has signed codes only: choose signed, or another runtime.")
        if self.asymmetric_only and symmetric:
            raise Problem(f"{self.label} quantizes asymmetrically only: choose asymmetric, or another runtime.")
        if self.unsigned_only and number_format.signed:
            raise Problem(f"{self.label} has unsigned codes only: choose unsigned, or another runtime.")


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


def _onnxruntime_reduced_range(number_format: NumberFormat) -> tuple[int, int]:
    # ONNX_INT_TYPE_REDUCED_RANGE of onnxruntime.quantization, which knows 4, 8 and 16 bits; with 2 or 3 there is
    # nothing to spare.
    if number_format.bits < 4:
        return _full_range(number_format)
    half = 1 << (number_format.bits - 2)
    if not number_format.signed:
        return 0, 2 * half - 1
    return -half, half if number_format.bits in (8, 16) else half - 1


def _steps(number_format: NumberFormat) -> float:
    return number_format.quant_max - number_format.quant_min


def _torch_zero_point(number_format: NumberFormat, low: Floats, high: Floats, scale: Floats) -> Floats:
    zero_point: Floats = number_format.quant_min - np.rint(low / scale)
    return zero_point.clip(number_format.quant_min, number_format.quant_max)


def _pytorch_middle(number_format: NumberFormat) -> float:
    # 128 is written there; in a range of one's own, the middle is rounded down.
    if number_format.signed:
        return 0.0
    return 1 << (number_format.bits - 1) if number_format.bits in (8, 16) else number_format.quant_max // 2


def _middle_rounded_up(number_format: NumberFormat) -> float:
    return (number_format.quant_min + number_format.quant_max + 1) // 2


def _tflite_codes(number_format: NumberFormat, symmetric: bool) -> tuple[int, int]:
    narrow = symmetric and number_format.bits >= 8
    return -number_format.quant_max if narrow else number_format.quant_min, number_format.quant_max


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
            scale_formula="S = (max − min) / (qmax − qmin), with min ≤ 0 ≤ max",
            symmetric_scale_formula="S = 2 · absmax / steps",
            zero_point_formula="Z = round(qmin − min / S)",
            code_formula="Q = clip(round(R / S) + Z, qmin, qmax)",
            zero_point_before_rounding=False,
        ),
        Convention(
            name="onnxruntime_reduce_range",
            label="ONNX Runtime, reduce_range",
            summary="The scale is chosen for 7 of 8 bits (int8 −64…64, uint8 0…127), so that older processors do not "
            "overflow when they add products up. Codes beyond that are still clipped at the full type.",
            range_includes_zero=True,
            symmetric_steps=lambda f: _onnxruntime_reduced_range(f)[1] - _onnxruntime_reduced_range(f)[0],
            symmetric_zero_point=lambda f: float(np.rint(sum(_onnxruntime_reduced_range(f)) / 2)) + 0.0,
            zero_point=lambda f, low, high, scale: np.rint(_onnxruntime_reduced_range(f)[0] - low / scale),
            scale_range=_onnxruntime_reduced_range,
            scale_formula="S = (max − min) / (last − first), with min ≤ 0 ≤ max",
            symmetric_scale_formula="S = 2 · absmax / steps",
            zero_point_formula="Z = round(first − min / S)",
            code_formula="Q = clip(round(R / S) + Z, qmin, qmax)",
            zero_point_before_rounding=False,
        ),
        Convention(
            name="onnxruntime_dynamic",
            label="ONNX Runtime, dynamic",
            summary="DynamicQuantizeLinear, for activations: unsigned and asymmetric, with scale and zero point "
            "computed in float32 whenever a tensor arrives.",
            range_includes_zero=True,
            symmetric_steps=_steps,  # never asked
            symmetric_zero_point=_middle_rounded_up,  # never asked
            zero_point=lambda f, low, high, scale: np.rint(
                np.clip(f.quant_min - low / scale, f.quant_min, f.quant_max)
            ),
            scale_formula="S = (max − min) / (qmax − qmin), with min ≤ 0 ≤ max",
            symmetric_scale_formula="S = (max − min) / (qmax − qmin)",
            zero_point_formula="Z = round(clip(qmin − min / S, qmin, qmax))",
            code_formula="Q = clip(round(R / S) + Z, qmin, qmax)",
            zero_point_before_rounding=False,
            single_precision=True,
            asymmetric_only=True,
            unsigned_only=True,
        ),
        Convention(
            name="pytorch",
            label="PyTorch",
            summary="Observers of torch.ao.quantization: all in float32, a scale of at least 1.19e-7, symmetric int8 "
            "in 255 steps (absmax / 127.5), and values times 1 / S instead of divided by S, "
            "which moves a few codes by one.",
            range_includes_zero=True,
            symmetric_steps=_steps,
            symmetric_zero_point=_pytorch_middle,
            zero_point=_torch_zero_point,
            scale_formula="S = max((max − min) / (qmax − qmin), 1.19e-7), with min ≤ 0 ≤ max",
            symmetric_scale_formula="S = max(absmax / ((qmax − qmin) / 2), 1.19e-7)",
            zero_point_formula="Z = clip(qmin − round(min / S), qmin, qmax)",
            code_formula="Q = clip(round(R · (1 / S)) + Z, qmin, qmax)",
            zero_point_before_rounding=False,
            multiplies_by_reciprocal=True,
            single_precision=True,
            smallest_scale=float(np.finfo(np.float32).eps),
        ),
        Convention(
            name="torchao",
            label="torchao",
            summary="choose_qparams_affine and quantize_affine: as PyTorch's observers, but scales may be as small as "
            "1.18e-38, and the zero point of symmetric unsigned codes is the middle rounded up (uint4: 8, not 7).",
            range_includes_zero=True,
            symmetric_steps=_steps,
            symmetric_zero_point=_middle_rounded_up,
            zero_point=_torch_zero_point,
            scale_formula="S = max((max − min) / (qmax − qmin), 1.18e-38), with min ≤ 0 ≤ max",
            symmetric_scale_formula="S = max(absmax / ((qmax − qmin) / 2), 1.18e-38)",
            zero_point_formula="Z = clip(qmin − round(min / S), qmin, qmax)",
            code_formula="Q = clip(round(R · (1 / S)) + Z, qmin, qmax)",
            zero_point_before_rounding=False,
            multiplies_by_reciprocal=True,
            single_precision=True,
            smallest_scale=float(np.finfo(np.float32).tiny),
        ),
        Convention(
            name="paddle",
            label="Paddle",
            summary="Symmetric and signed only. Weights are divided by the threshold T = absmax and then multiplied "
            "by 127, not divided by S = T / 127; codes are clipped to −128…127.",
            range_includes_zero=True,
            symmetric_steps=lambda f: 2 * f.quant_max,
            symmetric_zero_point=lambda f: 0.0,
            zero_point=_torch_zero_point,  # never asked
            scale_formula="S = absmax / qmax",
            symmetric_scale_formula="S = absmax / qmax",
            zero_point_formula="Z = 0",
            code_formula="Q = clip(round(R / T · qmax), qmin, qmax)",
            zero_point_before_rounding=False,
            divides_by_threshold=True,
            symmetric_only=True,
            signed_only=True,
        ),
        Convention(
            name="tensorrt",
            label="TensorRT",
            summary="Symmetric and signed only: S = absmax / 127, no zero point, and codes clipped to −128…127. "
            "By its documentation: it needs a graphics card, so that it was not asked.",
            range_includes_zero=True,
            symmetric_steps=lambda f: 2 * f.quant_max,
            symmetric_zero_point=lambda f: 0.0,
            zero_point=_torch_zero_point,  # never asked
            scale_formula="S = absmax / qmax",
            symmetric_scale_formula="S = absmax / qmax",
            zero_point_formula="Z = 0",
            code_formula="Q = clip(round(R / S), qmin, qmax)",
            zero_point_before_rounding=False,
            symmetric_only=True,
            signed_only=True,
        ),
        Convention(
            name="tflite",
            label="TFLite",
            summary="LiteRT, formerly TensorFlow Lite: signed only, all in float32. Symmetric from 8 bits on (weights) "
            "never uses the smallest code: −127…127. Asymmetric (activations) has a whole zero point.",
            range_includes_zero=True,
            symmetric_steps=lambda f: 2 * f.quant_max,
            symmetric_zero_point=lambda f: 0.0,
            zero_point=lambda f, low, high, scale: np.rint(f.quant_min - low / scale),
            code_range=_tflite_codes,
            scale_formula="S = max(max − min, 1e-9) / (qmax − qmin), with min ≤ 0 ≤ max",
            symmetric_scale_formula="S = max(absmax, 1e-9) / qmax",
            zero_point_formula="Z = round(qmin − min / S)",
            code_formula="Q = clip(round(R / S + Z), qmin, qmax)",
            zero_point_before_rounding=True,
            single_precision=True,
            smallest_range=1e-9,
            signed_only=True,
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
