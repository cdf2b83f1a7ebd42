"""The kernels find small floats and their blocks as NumPy does, level for level."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import (
    CONVENTIONS,
    Codebook,
    FloatFormat,
    IntFormat,
    Manual,
    MinMax,
    PerAxis,
    PerBlock,
    Percentile,
    PerTensor,
    PerTile,
    PerToken,
    Problem,
    Scheme,
)
from qviz.core.arithmetic import spreading
from qviz.core.formats.floats import FLOATS
from qviz.core.passes import direct_pass
from tests.core.passes.test_direct_pass import ask, brute_force
from tests.core.passes.test_kernels import compare, pytestmark  # noqa: F401
from tests.core.questions.test_analysis import noisy
from tests.every import every

F = np.float32
SMALL = [name for name in FLOATS if FloatFormat(name).scaled]


def around(number_format):
    """Every level, every tie, their neighbours, and what is clipped."""
    values = number_format.values.astype(np.float64)
    points = np.concatenate([values, (values[:-1] + values[1:]) / 2, values * 1.3]).astype(F)
    near = [np.nextafter(points, F(end)) for end in (-np.inf, np.inf)]
    return np.concatenate([points, *near, np.array([0.0, -0.0, 1e-45, -1e-45, 1e-39, 3e37, -3e37], F)])


@every("name", SMALL)
def test_every_level_and_tie_is_found_as_numpy_finds_it(name):
    number_format = FloatFormat(name)
    largest = number_format.quant_max
    for reach in (1.0, 0.37, 1e-20, 1e20):
        scheme = Scheme(number_format, range_rule=Manual(-largest * reach, largest * reach), convention="textbook")
        with np.errstate(over="ignore"):
            x = around(number_format) * F(reach)
        x = x[np.isfinite(x)]
        compare(x, scheme)
        brute_force(x, scheme, ask(x, scheme))


@every("nan", [False, True], ids=["finite", "with NaN and inf"])
@every("name", ["e4m3fn", "e2m1fn"])
@every("shape", [(3, 4, 9), (40, 2, 9), (5, 30, 1), (2, 3, 70)], ids=str)
def test_every_sum_of_a_float_equals_brute_force_and_numpy(shape, name, nan):
    x = noisy(shape, nan)
    last = min(4, shape[-1])
    granularities = [PerTensor(), PerToken(), PerBlock(-1, last), PerBlock(0, 2), PerTile(2, 16), PerTile(3, 5)]
    for granularity in (*granularities, *(PerAxis(axis) for axis in range(len(shape)))):
        scheme = Scheme(FloatFormat(name), True, granularity, Percentile(97.0), "textbook")
        brute_force(x, scheme, ask(x, scheme))
        compare(x, scheme)


@every("nan", [False, True], ids=["finite", "with NaN and inf"])
@every("convention", ["mx_floor", "mx_ceil", "mx_rceil", "nvfp4"])
def test_blocks_of_microscaling(convention, nan):
    size = CONVENTIONS[convention].block_size
    for columns in (2 * size, 3 * size if CONVENTIONS[convention].whole_blocks else 2 * size + 5):
        x = noisy((4, columns), nan)
        for number_format in (FloatFormat("e2m1fn"), FloatFormat("e4m3fn"), IntFormat(8)):
            if CONVENTIONS[convention].knows(number_format):
                scheme = Scheme(number_format, True, PerBlock(-1, size), convention=convention)
                brute_force(x, scheme, ask(x, scheme))
                compare(x, scheme)


@every("granularity", [PerBlock(-1, 7), PerBlock(1, 3), PerBlock(0, 2), PerToken(), PerTile(2, 3)], ids=str)
def test_blocks_of_integers(granularity):
    for nan in (False, True):
        x = noisy((3, 5, 30), nan)
        for symmetric in (True, False):
            scheme = Scheme(IntFormat(4), symmetric, granularity, Percentile(95.0))
            brute_force(x, scheme, ask(x, scheme))
            compare(x, scheme)


@every("nan", [False, True], ids=["finite", "with NaN and inf"])
@every(
    "granularity",
    [PerTensor(), PerToken(), PerBlock(-1, 64), PerAxis(1), PerBlock(0, 3), PerTile(2, 32)],
    ids=str,
)
@every("number_format", [Codebook("nf4"), FloatFormat("bfloat16"), FloatFormat("float16")], ids=str)
def test_codebooks_and_floats_without_a_scale(number_format, granularity, nan):
    scheme = Scheme(number_format, True, granularity, Percentile(97.0), "textbook")
    x = noisy((9, 300), nan)
    brute_force(x, scheme, ask(x, scheme))
    compare(x, scheme)


@every("scale", [1.0, 1e-40, 1e-6, 1e4], ids=str)
@every("nan", [False, True], ids=["finite", "with NaN and inf"])
@every("number_format", [IntFormat(4, False), IntFormat(5, False), IntFormat(8)], ids=str)
def test_blocks_of_gguf(number_format, nan, scale):
    for symmetric in (True, False):
        if CONVENTIONS["gguf"].offers(number_format, symmetric, PerBlock(-1, 32)):
            scheme = Scheme(number_format, symmetric, PerBlock(-1, 32), convention="gguf")
            for columns in (64, 96):
                compare(noisy((4, columns), nan) * F(scale), scheme)


def test_a_scale_that_is_not_what_is_divided_by():
    compare(noisy((4, 64)) * F(1e-40), Scheme(FloatFormat("e2m1fn"), True, PerBlock(-1, 32), convention="mx_floor"))


def test_ties_of_a_codebook():
    levels = Codebook("nf4").values.astype(np.float64)
    middles = ((levels[:-1] + levels[1:]) / 2).astype(F)
    x = np.concatenate([np.nextafter(middles, F(-2)), middles, np.nextafter(middles, F(2)), levels.astype(F), [-3, 3]])
    compare(x.astype(F), Scheme(Codebook("nf4"), range_rule=Manual(-1, 1), convention="textbook"))


FORMATS = [*(IntFormat(bits, signed) for bits in (2, 4, 5, 8, 13) for signed in (True, False)), Codebook("nf4")]
FORMATS += [FloatFormat(name) for name in FLOATS]
SHAPES = [(1,), (700,), (3, 4, 9), (40, 6, 9), (5, 300, 3), (300, 70), (4, 33, 300), (7, 1500), (64, 150), (10, 64, 32)]


def any_values(rng, shape):
    """Normal, tied, tiny, huge or in blocks of very different sizes; some with NaN."""
    x = rng.standard_normal(shape)
    kind = rng.integers(5)
    if kind == 1:
        x = np.rint(4 * x) / 4
    elif kind == 2:
        x *= 10.0 ** rng.integers(-40, 30)
    elif kind == 3:
        x *= 10.0 ** rng.integers(-6, 6, (*shape[:-1], 1))
    elif kind == 4:
        x[rng.random(shape) < 0.5] = 0
    if rng.random() < 0.4 and x.size > 1:
        x[rng.random(shape) < 0.02] = np.nan
        x.reshape(-1)[0] = 1
    return x.astype(F)


@pytest.mark.parametrize("seed", range(24))
def test_any_values_under_any_scheme(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(spreading, "PIECE", 1 << 11)
    monkeypatch.setattr(direct_pass, "THREADED", 0)
    monkeypatch.setattr(direct_pass, "THREADS", 2)
    tried = 0
    while tried < 12:
        shape, number_format = SHAPES[rng.integers(len(SHAPES))], FORMATS[rng.integers(len(FORMATS))]
        axis = int(rng.integers(len(shape)))
        block = int(rng.choice([1, 2, 7, 16, 32, 48]))
        granularity = [PerTensor(), PerToken(), PerAxis(axis), PerBlock(axis, block), PerTile(axis + 2, block)][
            rng.integers(5)
        ]
        name = list(CONVENTIONS)[rng.integers(len(CONVENTIONS))]
        if (size := CONVENTIONS[name].default_block) is not None:
            granularity = PerBlock(-1, size)
        try:
            rule = MinMax() if rng.random() < 0.5 else Percentile(95.0)
            scheme = Scheme(number_format, bool(rng.random() < 0.5), granularity, rule, name)
            with np.errstate(all="ignore"):
                compare(any_values(rng, shape), scheme)
        except Problem:
            continue  # no such scheme, or not for this shape
        tried += 1
