"""The scales of many groups are found some at a time, in two threads, and are the same."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import (
    CONVENTIONS,
    Codebook,
    FloatFormat,
    IntFormat,
    Manual,
    PerBlock,
    Scheme,
    Tensor,
    choose_qparams,
    measure,
    quantize,
)
from qviz.core.arithmetic import scaling
from qviz.core.passes import error_bins
from qviz.core.passes.error_bins import error_edges
from qviz.core.runtimes import nvfp4
from tests.every import every
from tests.schemes import FREE_CONVENTIONS

PARAMETERS = ("scale", "zero_point", "low", "high", "divisor")


@every("bits", [4, 8])
@every("stored", ["float32", "bfloat16", "float16"])
@every("symmetric", [True, False], ids=["symmetric", "asymmetric"])
def test_groups_that_are_taken_together_change_nothing(symmetric, stored, bits, monkeypatch):
    x = np.random.default_rng(0).normal(0.3, 1, (7, 64)).astype(np.float32)
    x[2] = 0  # groups without a range
    x[5, :32] = 1e-42
    tensor, granularity = Tensor(x, dtype=stored), PerBlock(-1, 32)
    layout = granularity.layout(x.shape)
    offering = [name for name in FREE_CONVENTIONS if CONVENTIONS[name].offers(IntFormat(bits), symmetric, granularity)]
    assert offering
    for convention in offering:
        scheme = Scheme(IntFormat(bits), symmetric, granularity, convention=convention)
        whole = choose_qparams(tensor, scheme)
        edges = error_edges(tensor, whole, layout)
        with monkeypatch.context() as patch:
            patch.setattr(scaling, "TOGETHER", 3)
            patch.setattr(error_bins, "TOGETHER", 3)
            some = choose_qparams(tensor, scheme)
            np.testing.assert_array_equal(error_edges(tensor, some, layout)[0], edges[0])
        for name in PARAMETERS:
            np.testing.assert_array_equal(getattr(some, name), getattr(whole, name))
            assert getattr(some, name).shape == getattr(whole, name).shape


FP4 = FloatFormat("e2m1fn")
FORMATS = [
    *((IntFormat(4), 32), (IntFormat(8), 32), (IntFormat(4, False), 32), (FP4, 32), (FP4, 16)),
    *((Codebook("nf4"), 64), (Codebook("fp4_bnb"), 64)),
]


@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "asymmetric"])
def test_blocks_that_a_recipe_is_given_together_change_nothing(symmetric, monkeypatch):
    x = np.random.default_rng(0).normal(0.3, 1, (7, 128)).astype(np.float32)
    x[2] = 0
    x[5, :32] = 1e-42
    seen = set()
    for name, convention in CONVENTIONS.items():
        for number_format, size in FORMATS:
            granularity = PerBlock(-1, size)
            if convention.recipe is None or not convention.offers(number_format, symmetric, granularity):
                continue
            seen.add(name)
            scheme = Scheme(number_format, symmetric, granularity, convention=name)
            whole = choose_qparams(x, scheme)
            with monkeypatch.context() as patch:
                patch.setattr(scaling, "TOGETHER", 3)
                patch.setattr(nvfp4, "TOGETHER", 3)
                some = choose_qparams(x, scheme)
            for each in ("scale", "zero_point", "low", "high", "own_divisor", "shift", "offset"):
                np.testing.assert_array_equal(getattr(some, each), getattr(whole, each), err_msg=f"{name} {each}")
    assert symmetric <= ({"nvfp4", "mx_floor", "gguf", "bitsandbytes", "bitsandbytes_double"} <= seen)


@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "asymmetric"])
def test_groups_that_have_one_range_share_their_parameters_and_get_the_same_ones(symmetric):
    x = np.random.default_rng(0).normal(0.3, 1, (7, 64)).astype(np.float32)
    for name, convention in CONVENTIONS.items():
        for number_format, size in FORMATS:
            granularity = PerBlock(-1, size)
            if convention.of_elements or not convention.offers(number_format, symmetric, granularity):
                continue
            scheme = Scheme(number_format, symmetric, granularity, Manual(-1.5, 1.25), convention=name)
            q = choose_qparams(x, scheme)
            shape = granularity.scale_shape(x.shape)
            ends = np.full(shape, -1.5, np.float32), np.full(shape, 1.25, np.float32)
            apart = scaling.qparams_from_range(*ends, scheme)
            for each in ("scale", "zero_point", "low", "high", "divisor"):
                np.testing.assert_array_equal(getattr(q, each), getattr(apart, each), err_msg=f"{name} {each}")
                assert getattr(q, each).shape == shape
            np.testing.assert_array_equal(quantize(x, q), quantize(x, apart))
            assert measure(x, scheme, qparams=q).mse == pytest.approx(measure(x, scheme, qparams=apart).mse, rel=1e-12)


def test_the_ranges_of_all_groups_reach_from_the_lowest_to_the_highest_end():
    x = np.array([[-1, 2], [-3, 1]], np.float32)
    scheme = Scheme(IntFormat(8, signed=False), False, PerBlock(-1, 2))
    assert choose_qparams(x, scheme).outermost == (-3, 2)
    assert choose_qparams(x, Scheme(IntFormat(8), False, PerBlock(-1, 2), Manual(-0.5, 4))).outermost == (-0.5, 4)


def test_the_furthest_end_is_chosen_by_its_bits_as_by_comparing():
    ends = np.array([0.0, -0.0, 1, -1, 2, -2, 1e-45, -1e-45, 3e38, -3e38, np.inf, -np.inf], np.float32)
    low, high = (each.reshape(-1) for each in np.meshgrid(ends, ends))
    for dtype in (np.float32, np.float64):
        expected = np.where(-low >= high, low, high).astype(dtype)
        found = scaling.furthest(low.astype(dtype), high.astype(dtype))
        np.testing.assert_array_equal(found.view(np.uint8), expected.view(np.uint8))
