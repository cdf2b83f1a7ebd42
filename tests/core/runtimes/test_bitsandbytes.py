"""How does bitsandbytes store the scales of its blocks?"""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import Codebook, PerBlock, Scheme, analyze, choose_qparams, dequantize, quantize
from qviz.core.runtimes.bitsandbytes import dynamic_map

F = np.float32
X = (np.random.default_rng(5).standard_normal((20, 1024)) * np.linspace(0.1, 2, 20)[:, None]).astype(F)


def scheme(name: str) -> Scheme:
    return Scheme(Codebook("nf4"), True, PerBlock(-1, 64), convention=name)


def test_its_levels_have_seven_decades_and_both_ends() -> None:
    levels = dynamic_map()
    assert levels.shape == (256,)
    assert (np.diff(levels) > 0).all()
    # create_dynamic_map() of bitsandbytes 0.50.2.
    told = F([5.500000384017767e-07, 3.250000190746505e-06, 7.749999895168003e-06, 2.1249998098937795e-05])
    np.testing.assert_array_equal(levels[128:132], told)
    np.testing.assert_array_equal(levels[[0, 127, 254, 255]], F([-0.992968738079071, 0, 0.992968738079071, 1]))


def test_codes_are_those_of_whole_scales_and_values_are_not() -> None:
    plain, double = (choose_qparams(X, scheme(name)) for name in ("bitsandbytes", "bitsandbytes_double"))
    codes = quantize(X, plain)
    np.testing.assert_array_equal(quantize(X, double), codes)
    np.testing.assert_allclose(double.scale, plain.scale, atol=0.02 * plain.scale.max())
    assert (dequantize(codes, double) != dequantize(codes, plain)).any()


def test_scales_take_a_byte_each_and_a_float_for_256_of_them() -> None:
    storage = analyze(X, scheme("bitsandbytes_double")).storage
    assert storage.scale_bytes == 320 + 2 * 4 + 4  # and their mean
    assert analyze(X, scheme("bitsandbytes")).storage.scale_bytes == 320 * 4


@pytest.mark.parametrize(("codebook", "last"), [("nf4", 15), ("fp4_bnb", 14)])
def test_nan_gets_the_last_level_as_a_search_among_middles_gives_it(codebook: str, last: int) -> None:
    x = X.copy()
    x[0, :3] = np.nan, np.inf, -np.inf
    q = choose_qparams(x, Scheme(Codebook(codebook), True, PerBlock(-1, 64), convention="bitsandbytes"))
    assert quantize(x, q)[0, :3].tolist() == [last, last, 0]
    small = x[:1, :64]
    assert quantize(small, choose_qparams(small, q.scheme))[0, :3].tolist() == [last, last, 0]


def test_a_block_of_zeros_stays_zero_though_its_scale_is_none() -> None:
    x = X.copy()
    x[0, :64] = 0
    q = choose_qparams(x, scheme("bitsandbytes_double"))
    assert q.scale[0, 0] != 0
    np.testing.assert_array_equal(dequantize(quantize(x, q), q)[0, :64], 0)


SIX = (-0.84809637, -0.6106329, -0.33967942, -0.2346074, 0.50166345, 0.86147845)


def test_six_quotients_get_another_level_than_from_middles_that_were_rounded() -> None:
    """Those that the table of exceptions names (tests/oracles): bitsandbytes compares with middles in float32."""
    levels, thresholds = Codebook("nf4").values, Codebook("nf4").thresholds[1:-1]
    above_rounded = np.nextafter((levels[:-1] + levels[1:]) / np.float32(2), np.float32(np.inf))
    other = thresholds[thresholds != above_rounded]
    assert other.tolist() == np.float32(SIX).tolist()
    np.testing.assert_array_equal(np.nextafter(other, np.float32(np.inf)), above_rounded[thresholds != above_rounded])
