"""Each runtime's arithmetic, as one frozen record in one table."""

from __future__ import annotations

import numpy as np

from qviz.core.arrays import Floats
from qviz.core.formats.codebooks import CODEBOOKS
from qviz.core.formats.floats import FLOATS
from qviz.core.formats.integers import IntFormat
from qviz.core.problems import Problem
from qviz.core.runtimes.microscaling import BLOCK_CONVENTIONS
from qviz.core.runtimes.record import Convention

SIXTEEN_BITS = frozenset({"bfloat16", "float16"})
FP8 = frozenset({"e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz"})


def _full_range(number_format: IntFormat) -> tuple[int, int]:
    return number_format.quant_min, number_format.quant_max


def _textbook_middle(number_format: IntFormat) -> float:
    return 0.0 if number_format.signed else (number_format.quant_max + 1) / 2


def _onnxruntime_symmetric_range(number_format: IntFormat) -> tuple[int, int]:
    # ONNX_INT_TYPE_SYMMETRIC_RANGE of onnxruntime.quantization: int8 and int16 alone leave out
    # their smallest code when the scale is chosen.
    if number_format.signed and number_format.bits in (8, 16):
        return -number_format.quant_max, number_format.quant_max
    return number_format.quant_min, number_format.quant_max


def _onnxruntime_steps(number_format: IntFormat) -> float:
    low, high = _onnxruntime_symmetric_range(number_format)
    return high - low


def _onnxruntime_middle(number_format: IntFormat) -> float:
    return float(np.rint(sum(_onnxruntime_symmetric_range(number_format)) / 2))


def _onnxruntime_reduced_range(number_format: IntFormat) -> tuple[int, int]:
    # ONNX_INT_TYPE_REDUCED_RANGE of onnxruntime.quantization, which knows 4, 8 and 16 bits; with 2 or 3 there is
    # nothing to spare.
    if number_format.bits < 4:
        return _full_range(number_format)
    half = 1 << (number_format.bits - 2)
    if not number_format.signed:
        return 0, 2 * half - 1
    return -half, half if number_format.bits in (8, 16) else half - 1


def _steps(number_format: IntFormat) -> float:
    return number_format.quant_max - number_format.quant_min


def _torch_zero_point(number_format: IntFormat, low: Floats, high: Floats, scale: Floats) -> Floats:
    zero_point: Floats = number_format.quant_min - np.rint(low / scale)
    return zero_point.clip(number_format.quant_min, number_format.quant_max)


def _pytorch_middle(number_format: IntFormat) -> float:
    # 128 is written there; in a range of one's own, the middle is rounded down.
    if number_format.signed:
        return 0.0
    return 1 << (number_format.bits - 1) if number_format.bits in (8, 16) else number_format.quant_max // 2


def _middle_rounded_up(number_format: IntFormat) -> float:
    return (number_format.quant_min + number_format.quant_max + 1) // 2


def _tflite_codes(number_format: IntFormat, symmetric: bool) -> tuple[int, int]:
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
            others=frozenset(FLOATS) | frozenset(CODEBOOKS),
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
            others=FP8 | SIXTEEN_BITS | {"e2m1fn"},
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
        ),
        Convention(
            name="onnxruntime_dynamic",
            label="ONNX Runtime, dynamic",
            summary="DynamicQuantizeLinear, for activations: unsigned and asymmetric, with scale and zero point "
            "computed in float32 whenever a tensor arrives.",
            range_includes_zero=True,
            zero_point=lambda f, low, high, scale: np.rint(
                np.clip(f.quant_min - low / scale, f.quant_min, f.quant_max)
            ),
            scale_formula="S = (max − min) / (qmax − qmin), with min ≤ 0 ≤ max",
            symmetric_scale_formula="S = (max − min) / (qmax − qmin)",
            zero_point_formula="Z = round(clip(qmin − min / S, qmin, qmax))",
            code_formula="Q = clip(round(R / S) + Z, qmin, qmax)",
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
            multiplies_by_reciprocal=True,
            single_precision=True,
            smallest_scale=float(np.finfo(np.float32).eps),
            others=SIXTEEN_BITS,
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
            multiplies_by_reciprocal=True,
            single_precision=True,
            smallest_scale=float(np.finfo(np.float32).tiny),
            others=FP8 | SIXTEEN_BITS,
        ),
        Convention(
            name="paddle",
            label="Paddle",
            summary="Symmetric and signed only. Weights are divided by the threshold T = absmax and then multiplied "
            "by 127, not divided by S = T / 127; codes are clipped to −128…127.",
            range_includes_zero=True,
            scale_formula="S = absmax / qmax",
            symmetric_scale_formula="S = absmax / qmax",
            zero_point_formula="Z = 0",
            code_formula="Q = clip(round(R / T · qmax), qmin, qmax)",
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
            scale_formula="S = absmax / qmax",
            symmetric_scale_formula="S = absmax / qmax",
            zero_point_formula="Z = 0",
            code_formula="Q = clip(round(R / S), qmin, qmax)",
            symmetric_only=True,
            signed_only=True,
        ),
        Convention(
            name="tflite",
            label="TFLite",
            summary="LiteRT, formerly TensorFlow Lite: signed only, all in float32. Symmetric from 8 bits on (weights) "
            "never uses the smallest code: −127…127. Asymmetric (activations) has a whole zero point.",
            range_includes_zero=True,
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
        *BLOCK_CONVENTIONS,
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
