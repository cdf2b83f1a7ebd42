"""Do blocks get the same scales compiled as in NumPy, to the last bit?"""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import Codebook, FloatFormat, IntFormat, PerBlock, Scheme, Tensor, choose_qparams, compiler, work
from qviz.core.arithmetic import scaling
from qviz.core.formats.table import NumberFormat
from qviz.core.runtimes import block_scales
from tests.every import every

pytestmark = [
    pytest.mark.skipif(not compiler.available(), reason="numba knows no such Python yet"),
    pytest.mark.usefixtures("kernels"),
]

FORMATS: dict[str, NumberFormat] = {
    "MXFP4": FloatFormat("e2m1fn"),
    "MXFP6": FloatFormat("e3m2fn"),
    "MXFP8": FloatFormat("e5m2"),
    "MXINT8": IntFormat(8),
}
RULES = ("mx_floor", "mx_ceil", "mx_even")
SIZES = (1.0, 3e-39, 1e-44, 1e-30, 1e37)


def hard_blocks(size: float) -> np.ndarray:
    """Blocks of all magnitudes, of powers of two and what lies beside them, and of zeros."""
    rng = np.random.default_rng(11)
    x = rng.standard_normal((41, 32)) * np.exp2(rng.integers(-9, 3, (41, 1)))
    x[:8] = np.exp2(rng.integers(-9, 3, (8, 32)))
    x[8:16] = np.nextafter(np.float32(x[:8]), np.float32(rng.choice([-9, 9], (8, 32))))
    x[16] = 0
    x[17] = -np.abs(x[17])
    return np.float32(x * size)


def both_ways(x: np.ndarray, scheme: Scheme) -> None:
    """Asked with kernels and without, by one thread and by two."""
    tensor = Tensor(x)
    ours = choose_qparams(tensor, scheme)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "THREADS", 2)
        patch.setattr(block_scales, "SHARED_FROM", 1)
        shared = choose_qparams(tensor, scheme)
    with pytest.MonkeyPatch.context() as patch:
        for each in (block_scales.fill_spans, block_scales.fill_powers, block_scales.fill_fp8):
            patch.setattr(each, "compiled", None)
        theirs = choose_qparams(tensor, scheme)
    for name in ("scale", "divisor", "zero_point", "low", "high", "scale_ends", "divisor_ends"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)
        np.testing.assert_array_equal(getattr(shared, name), getattr(ours, name), err_msg=name)


@every("size", SIZES)
@every("name", FORMATS)
@every("rule", RULES)
def test_powers_of_two_are_the_same(rule: str, name: str, size: float) -> None:
    both_ways(hard_blocks(size), Scheme(FORMATS[name], True, PerBlock(-1, 32), convention=rule))


SPANS = {
    "textbook": Scheme(IntFormat(4), True, PerBlock(-1, 32), convention="textbook"),
    "ONNX Runtime": Scheme(IntFormat(4), True, PerBlock(-1, 32)),
    "ONNX Runtime, unsigned": Scheme(IntFormat(8, signed=False), True, PerBlock(-1, 32)),
    "PyTorch": Scheme(IntFormat(8), True, PerBlock(-1, 32), convention="pytorch"),
    "TensorRT": Scheme(IntFormat(8), True, PerBlock(-1, 32), convention="tensorrt"),
    "NF4": Scheme(Codebook("nf4"), True, PerBlock(-1, 32), convention="textbook"),
    "E4M3": Scheme(FloatFormat("e4m3fn"), True, PerBlock(-1, 32)),
    "MatMulNBits": Scheme(IntFormat(4, signed=False), True, PerBlock(-1, 32), convention="onnxruntime_matmulnbits"),
}


@every("size", SIZES)
@every("scheme", SPANS.values(), ids=SPANS)
def test_spans_are_the_same(scheme: Scheme, size: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "TOGETHER", 16)
    x = hard_blocks(size)
    both_ways(x[:16], scheme)
    both_ways(np.concatenate([x[:16], -x[:16]]), scheme)
    both_ways(x[:32], scheme)
    both_ways(np.abs(x[:16]), scheme)


@every("size", SIZES)
def test_fp8_shares_are_the_same(size: float) -> None:
    scheme = Scheme(FloatFormat("e2m1fn"), True, PerBlock(-1, 16), convention="nvfp4")
    both_ways(hard_blocks(size), scheme)
    both_ways(hard_blocks(size) * np.exp2(np.arange(-40, 1, dtype=np.float32))[:, None], scheme)
    both_ways(np.zeros((3, 64), np.float32), scheme)
