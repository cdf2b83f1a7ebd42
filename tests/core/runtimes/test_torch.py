"""What PyTorch's default qconfigs and torchao's Int8 configs do otherwise than their observers and primitives."""

from __future__ import annotations

import numpy as np

from qviz.core import IntFormat, PerAxis, PerBlock, Scheme, Tensor, analyze, choose_qparams, quantize
from tests.every import every

F = np.float32


def test_activations_under_x86_have_seven_bits() -> None:
    x = F([0, 1, 4.1])
    q = choose_qparams(x, Scheme(IntFormat(8, False), False, convention="pytorch_reduce_range"))
    assert (q.quant_min, q.quant_max) == (0, 127)
    assert q.scale == F(4.1) / F(127)
    assert quantize(x, q).tolist() == [0, 31, 127]
    signed = choose_qparams(F([-1, 3]), Scheme(IntFormat(8), False, convention="pytorch_reduce_range"))
    assert (signed.quant_min, signed.quant_max, float(signed.zero_point)) == (-64, 63, -32)


@every("dtype", ["float32", "bfloat16", "float16"])
def test_a_scale_of_the_int8_configs_is_at_least_float32s_epsilon(dtype: str) -> None:
    x = Tensor(F([[1e-6, -2e-6], [1, -1]]), dtype=dtype)
    q = choose_qparams(x, Scheme(granularity=PerAxis(0), convention="torchao_int8"))
    assert q.scale[0] == np.finfo(F).eps
    assert (
        choose_qparams(x.reshaped((2, 2)), Scheme(granularity=PerAxis(0), convention="pytorch")).scale[0] == q.scale[0]
    )


@every(("symmetric", "group", "bits"), [(True, 128, 4.125), (True, 32, 4.5), (False, 32, 4.625)])
def test_scales_of_int4_groups_are_stored_in_16_bits(symmetric: bool, group: int, bits: float) -> None:
    x = np.random.default_rng(0).standard_normal((64, 512)).astype(F)
    number_format = IntFormat(4, symmetric)
    scheme = Scheme(number_format, symmetric, PerBlock(-1, group), convention="torchao")
    assert analyze(x, scheme).storage.bits_per_element == bits


@every(
    ("low", "high", "signed", "unsigned"),
    [
        (-2.15625, 3.15625, -25, 103),
        (-3.1875, 2.4375, 17, 144),
        (-848.0, 784.0, 5, 132),
        (-0.734375, 0.859375, -11, 117),
        (-0.010009765625, 0.010498046875, -4, 124),
        (-156.0, 204.0, -18, 110),
    ],
)
def test_a_half_zero_point_of_qat_follows_from_the_end_with_the_smaller_sum(
    low: float, high: float, signed: int, unsigned: int
) -> None:
    # Asked of FusedMovingAvgObsFakeQuantize of torch 2.13.0, whose header has a difference where its library adds.
    for number_format, zero_point in ((IntFormat(8), signed), (IntFormat(8, False), unsigned)):
        q = choose_qparams(F([low, high]), Scheme(number_format, False, convention="pytorch_qat"))
        assert q.zero_point == zero_point
