"""What do PyTorch, torchao, Paddle, LiteRT and ONNX Runtime's reduce_range themselves answer?

``python -m tests.golden.record_conventions NAME`` asks the library of one convention, which must be
installed, and writes ``convention_NAME.npz`` and ``convention_NAME.json`` beside this file. NAME is
``pytorch``, ``torchao`` (package torchao), ``paddle`` (paddlepaddle), ``tflite`` (ai-edge-quantizer)
or ``onnxruntime_reduce_range``. TensorRT is not among them: it answers on a graphics card alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core import IntFormat, Manual, MinMax, PerAxis, PerTensor, Scheme
from qviz.core.tensors.generators import ARTICLE_VALUES
from tests.golden.record_onnxruntime import hard_tensors, library_answer

Array = np.ndarray[Any, Any]
Answer = dict[str, Array]

FOLDER = Path(__file__).parent

INT8, UINT8, INT4, UINT4, INT16 = (IntFormat(8), IntFormat(8, False), IntFormat(4), IntFormat(4, False), IntFormat(16))
BOTH = (True, False)

RANGES = ((-1.0, 1.0), (-0.5, 2.0), (0.5, 2.0), (-3.0, -1.0), (-1e-3, 1e3), (-7.3, 7.3), (-1e-12, 1e-9))
"""Ranges given by hand, which clip."""


def recorded_tensors() -> dict[str, Array]:
    """Small float32 tensors: those of the ONNX Runtime vectors and some more."""
    rng = np.random.default_rng(20260101)
    tensors = hard_tensors()
    # The width of these leaves float32: PyTorch's scale is infinite, and all its values NaN.
    for name in ("huge", "the largest floats"):
        del tensors[name]
    half = np.arange(-127, 127) + 0.5
    tensors |= {
        "ten values": np.array(ARTICLE_VALUES),
        "matrix": rng.standard_normal((8, 60)) * np.logspace(-2, 1, 8)[:, None],
        "student": rng.standard_t(2, (4, 80)),
        "one outlier among many": np.append(rng.standard_normal(399), 80.0).reshape(4, 100),
        "about the smallest scales": np.outer([1e-10, 1e-9, 3e-7, 3e-5, 1e-4], rng.standard_normal(12)),
        # Next to the ties of 127.5 and of 127 steps, and of 255 over an asymmetric range.
        "near ties of 255 steps": np.concatenate([[7.3, -7.3], half * np.float32(7.3 / 127.5)]),
        "near ties of 254 steps": np.concatenate([[7.3, -7.3], half * np.float32(7.3 / 127)]),
        "near ties, asymmetric": np.concatenate([[-1.1, 3.7], np.clip(half * np.float32(4.8 / 255), -1.1, 3.7)]),
    }
    return {name: np.asarray(x, np.float32) for name, x in tensors.items()}


def axes_of(x: Array) -> tuple[int | None, ...]:
    """Per tensor, and per each of the first two axes: Paddle knows no others."""
    return (None,) if x.ndim < 2 else (None, 0, 1)


@dataclass(frozen=True, eq=False)
class Case:
    """One question: all but the values is in the scheme."""

    name: str
    x: Array
    scheme: Scheme

    @property
    def axis(self) -> int | None:
        return self.scheme.granularity.axis if isinstance(self.scheme.granularity, PerAxis) else None

    @property
    def ends(self) -> tuple[Array, Array]:
        """The smallest and the largest value of each group, or the range given by hand."""
        rule = self.scheme.range_rule
        if isinstance(rule, Manual):
            return np.float32(rule.low), np.float32(rule.high)
        if self.axis is None:
            return self.x.min(), self.x.max()
        others = tuple(i for i in range(self.x.ndim) if i != self.axis)
        return self.x.min(axis=others), self.x.max(axis=others)

    def spread(self, values: Array) -> Array:
        """One number a group, shaped to broadcast against x."""
        return values.reshape([-1 if i == self.axis else 1 for i in range(self.x.ndim)])

    def __str__(self) -> str:
        s = self.scheme
        symmetric = "symmetric" if s.symmetric else "asymmetric"
        return f"{self.name}, {s.number_format.name} {symmetric}, {s.granularity}, {s.range_rule}"


def cases(convention: str, tensors: dict[str, Array]) -> Iterator[Case]:
    """Every question to one library, in the order of its recorded answers."""
    for name, x in tensors.items():
        for number_format, symmetric in LIBRARIES[convention].schemes:
            for axis in axes_of(x):
                granularity = PerTensor() if axis is None else PerAxis(axis)
                yield Case(name, x, Scheme(number_format, symmetric, granularity, MinMax(), convention))
            if name == "student":
                for low, high in RANGES:
                    yield Case(name, x, Scheme(number_format, symmetric, PerTensor(), Manual(low, high), convention))


EAGER = {"codes": 0, "differing": 0}
"""What became of the question whether the eager functions give the codes of the operators."""


def pytorch_answer(case: Case) -> Answer:
    """Observers choose, and the operators of exported programs quantize; fake quantization must agree with them.

    ``torch.quantize_per_tensor`` and ``…_per_channel`` may differ: their vectorized loops add the zero point
    before they round, in one rounding with the product. How often is noted beside the vectors.
    """
    import torch
    from torch.ao.quantization import MinMaxObserver, PerChannelMinMaxObserver
    from torch.ao.quantization.fx import _decomposed  # noqa: F401  (registers the operators)

    f, axis = case.scheme.number_format, case.axis
    low, high = f.quant_min, f.quant_max
    stored = torch.qint8 if f.signed else torch.quint8
    if f.bits > 8:
        stored = torch.int16
    form = f"per_{'tensor' if axis is None else 'channel'}_{'symmetric' if case.scheme.symmetric else 'affine'}"
    options = {"dtype": stored, "qscheme": getattr(torch, form)}
    if f.bits != 8:
        options |= {"quant_min": low, "quant_max": high}
    observer = MinMaxObserver(**options) if axis is None else PerChannelMinMaxObserver(ch_axis=axis, **options)
    x = torch.from_numpy(case.x)
    observer(x if isinstance(case.scheme.range_rule, MinMax) else torch.tensor(np.stack(case.ends)))
    scale, zero_point = observer.calculate_qparams()
    plain = torch.int32
    decomposed = torch.ops.quantized_decomposed
    if axis is None:
        scale, zero_point = scale[0], zero_point[0]
        codes = decomposed.quantize_per_tensor.tensor(x, scale, zero_point, low, high, plain)
        fake = torch.fake_quantize_per_tensor_affine(x, float(scale), int(zero_point), low, high)
        if f.bits == 8:
            quantized = torch.quantize_per_tensor(x, float(scale), int(zero_point), stored)
    else:
        codes = decomposed.quantize_per_channel(x, scale, zero_point, axis, low, high, plain)
        fake = torch.fake_quantize_per_channel_affine(x, scale, zero_point.to(torch.int32), axis, low, high)
        if f.bits == 8:
            quantized = torch.quantize_per_channel(x, scale, zero_point, axis, stored)
    x_hat = (codes.numpy() - case.spread(zero_point.numpy())) * case.spread(scale.numpy())
    assert np.array_equal(x_hat.astype(np.float32), fake.numpy()), case
    if f.bits == 8:
        difference = np.abs(quantized.int_repr().numpy().astype(int) - codes.numpy())
        assert difference.max() <= (1 if zero_point.any() else 0), case
        EAGER["codes"] += difference.size
        EAGER["differing"] += int(difference.sum())
    return {
        "scale": scale.numpy(),
        "zero_point": zero_point.numpy(),
        "codes": codes.numpy(),
        "dequantized": fake.numpy(),
    }


def torchao_answer(case: Case) -> Answer:
    """The primitives of ``torchao.quantization.quant_primitives``."""
    import torch
    from torchao.quantization.quant_primitives import (
        MappingType,
        choose_qparams_affine,
        choose_qparams_affine_with_min_max,
        dequantize_affine,
        quantize_affine,
    )

    f = case.scheme.number_format
    x = torch.from_numpy(case.x)
    block = tuple(1 if i == case.axis else n for i, n in enumerate(case.x.shape))
    dtype = getattr(torch, f"{'' if f.signed else 'u'}int{max(f.bits, 8)}")
    ends = (f.quant_min, f.quant_max)
    mapping = MappingType.SYMMETRIC if case.scheme.symmetric else MappingType.ASYMMETRIC
    if isinstance(case.scheme.range_rule, MinMax):
        scale, zero_point = choose_qparams_affine(x, mapping, block, dtype, *ends)
    else:
        low, high = (torch.tensor(end) for end in case.ends)
        smallest = torch.finfo(torch.float32).smallest_normal
        scale, zero_point = choose_qparams_affine_with_min_max(
            low, high, mapping, block, dtype, *ends, eps=smallest, scale_dtype=torch.float32
        )
    codes = quantize_affine(x, block, scale, zero_point, dtype, *ends)
    dequantized = dequantize_affine(codes, block, scale, zero_point, dtype, *ends)
    shape = () if case.axis is None else (-1,)
    return {
        "scale": scale.numpy().reshape(shape),
        "zero_point": zero_point.numpy().reshape(shape),
        "codes": codes.numpy(),
        "dequantized": dequantized.numpy(),
    }


def paddle_answer(case: Case) -> Answer:
    """Weights as ``paddle.static.quantization`` stores them; its "scale" is the threshold."""
    from paddle.static.quantization.utils import quant_tensor

    threshold = np.maximum(*(np.abs(end) for end in case.ends))
    bits, quant_max = case.scheme.number_format.bits, np.float32(case.scheme.number_format.quant_max)
    given = float(threshold) if case.axis is None else [float(t) for t in threshold]
    codes = quant_tensor(case.x.copy(), given, case.axis or 0, bits, onnx_format=True)
    step = (threshold / quant_max).astype(np.float32)
    return {
        # No scale where it would be denormal: codes of such a tensor are not asked for.
        "scale": np.where(step < np.finfo(np.float32).tiny, np.float32(1), step),
        "zero_point": np.zeros(step.shape, np.int32),
        "codes": codes.astype(np.int32),
    }


def tflite_answer(case: Case) -> Answer:
    """The quantizer of LiteRT, formerly TensorFlow Lite."""
    from ai_edge_quantizer.algorithms.uniform_quantize import uniform_quantize_tensor as library
    from ai_edge_quantizer.qtyping import QuantGranularity, UniformQuantParams

    bits, symmetric = case.scheme.number_format.bits, case.scheme.symmetric
    low, high = (case.spread(np.asarray(end)) for end in case.ends)
    granularity = QuantGranularity.TENSORWISE if case.axis is None else QuantGranularity.CHANNELWISE
    zero_point, scale = library.tensor_zp_scale_from_min_max(low, high, bits, symmetric, granularity)
    given = UniformQuantParams(bits, case.axis, scale, zero_point, symmetric)
    codes = library.uniform_quantize(case.x, given).astype(np.int32)
    shape = () if case.axis is None else (-1,)
    return {
        "scale": scale.reshape(shape),
        "zero_point": zero_point.astype(np.int32).reshape(shape),
        "codes": codes,
        "dequantized": library.uniform_dequantize(codes, given).astype(np.float32),
    }


def reduced_answer(case: Case) -> Answer:
    """``quantize_data`` of ``onnxruntime.quantization`` with ``reduce_range``."""
    rule, s = case.scheme.range_rule, case.scheme
    given = {"rmin_override": rule.low, "rmax_override": rule.high} if isinstance(rule, Manual) else {}
    return library_answer(case.x, s.number_format, s.symmetric, case.axis, reduce_range=True, **given)


@dataclass(frozen=True)
class Library:
    """Who is asked what."""

    packages: tuple[str, ...]
    schemes: tuple[tuple[IntFormat, bool], ...]
    answer: Callable[[Case], Answer]
    without: tuple[str, ...] = ()
    """Tensors that are not asked about."""


def _each(*formats: IntFormat, symmetric: tuple[bool, ...] = BOTH) -> tuple[tuple[IntFormat, bool], ...]:
    return tuple((f, s) for f in formats for s in symmetric)


LIBRARIES = {
    "pytorch": Library(("torch",), _each(INT8, UINT8, INT4, UINT4, INT16), pytorch_answer),
    "torchao": Library(("torchao", "torch"), _each(INT8, UINT8, INT4, UINT4, INT16), torchao_answer),
    "paddle": Library(
        ("paddlepaddle",),
        _each(INT8, INT4, INT16, symmetric=(True,)),
        paddle_answer,
        without=("denormal", "scales about the smallest normal"),
    ),
    "tflite": Library(("ai-edge-quantizer",), _each(INT8, INT4, INT16), tflite_answer),
    "onnxruntime_reduce_range": Library(
        ("onnxruntime",), _each(INT8, UINT8, INT4, UINT4, INT16, IntFormat(16, False)), reduced_answer
    ),
}


def files(convention: str) -> tuple[Path, Path]:
    """The vectors of a convention, and what is said about them."""
    return FOLDER / f"convention_{convention}.npz", FOLDER / f"convention_{convention}.json"


def load(convention: str) -> Iterator[tuple[Case, Answer]]:
    """Every recorded question with its answer."""
    recorded = dict(np.load(files(convention)[0]))
    tensors = {key.removeprefix("x/"): value for key, value in recorded.items() if key.startswith("x/")}
    at = dict.fromkeys(recorded, 0)
    for case in cases(convention, tensors):
        answer = {}
        groups = () if case.axis is None else (case.x.shape[case.axis],)
        for key, shape in (
            ("scale", groups),
            ("zero_point", groups),
            ("codes", case.x.shape),
            ("dequantized", case.x.shape),
        ):
            if key in recorded:
                size = int(np.prod(shape))
                answer[key] = recorded[key][at[key] : at[key] + size].reshape(shape)
                at[key] += size
        yield case, answer


def record(convention: str) -> None:
    """Ask the library of one convention."""
    library = LIBRARIES[convention]
    tensors = {name: x for name, x in recorded_tensors().items() if name not in library.without}
    parts: dict[str, list[Array]] = {}
    for case in cases(convention, tensors):
        with np.errstate(all="ignore"):
            answer = library.answer(case)
        for key, value in answer.items():
            parts.setdefault(key, []).append(np.ravel(value if value.dtype == np.float32 else value.astype(np.int32)))
    vectors, about = files(convention)
    np.savez_compressed(
        vectors,
        **{f"x/{name}": x for name, x in tensors.items()},
        **{key: np.concatenate(values) for key, values in parts.items()},
    )
    told = {
        "recorded_with": {name: version(name) for name in (*library.packages, "numpy")},
        "schemes": [{"type": f.name, "symmetric": symmetric} for f, symmetric in library.schemes],
        "ranges": RANGES,
    }
    if EAGER["codes"]:
        told["torch.quantize_per_tensor and torch.quantize_per_channel"] = EAGER
    about.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record(*sys.argv[1:])
