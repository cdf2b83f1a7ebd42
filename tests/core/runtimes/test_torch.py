"""What PyTorch's default qconfigs and torchao's Int8 configs do otherwise than their observers and primitives."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import IntFormat, PerAxis, PerBlock, Scheme, Tensor, analyze, choose_qparams, quantize

F = np.float32


def test_activations_under_x86_have_seven_bits() -> None:
    x = F([0, 1, 4.1])
    q = choose_qparams(x, Scheme(IntFormat(8, False), False, convention="pytorch_reduce_range"))
    assert (q.quant_min, q.quant_max) == (0, 127)
    assert q.scale == F(4.1) / F(127)
    assert quantize(x, q).tolist() == [0, 31, 127]
    signed = choose_qparams(F([-1, 3]), Scheme(IntFormat(8), False, convention="pytorch_reduce_range"))
    assert (signed.quant_min, signed.quant_max, float(signed.zero_point)) == (-64, 63, -32)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_scale_of_the_int8_configs_is_at_least_float32s_epsilon(dtype: str) -> None:
    x = Tensor(F([[1e-6, -2e-6], [1, -1]]), dtype=dtype)
    q = choose_qparams(x, Scheme(granularity=PerAxis(0), convention="torchao_int8"))
    assert q.scale[0] == np.finfo(F).eps
    assert (
        choose_qparams(x.reshaped((2, 2)), Scheme(granularity=PerAxis(0), convention="pytorch")).scale[0] == q.scale[0]
    )


@pytest.mark.parametrize(("symmetric", "group", "bits"), [(True, 128, 4.125), (True, 32, 4.5), (False, 32, 4.625)])
def test_scales_of_int4_groups_are_stored_in_16_bits(symmetric: bool, group: int, bits: float) -> None:
    x = np.random.default_rng(0).standard_normal((64, 512)).astype(F)
    number_format = IntFormat(4, symmetric)
    scheme = Scheme(number_format, symmetric, PerBlock(-1, group), convention="torchao")
    assert analyze(x, scheme).storage.bits_per_element == bits
