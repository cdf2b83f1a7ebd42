"""Compiled, values become the codes and values that NumPy makes of them, bit for bit."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from qviz.core import (
    CONVENTIONS,
    Codebook,
    FloatFormat,
    IntFormat,
    MinMax,
    PerAxis,
    PerBlock,
    Percentile,
    PerTensor,
    PerTile,
    PerToken,
    Problem,
    Scheme,
    choose_qparams,
    compiler,
    dequantize,
    fake_quantize,
    quantize,
    work,
)
from qviz.core.arithmetic import conversion, spreading
from qviz.core.arithmetic import quantize as arithmetic_of_codes
from qviz.core.formats.codebooks import CODEBOOKS
from qviz.core.formats.floats import FLOATS
from qviz.core.schemes.fitting import check_fits
from tests.every import every
from tests.pairs import pairs

F = np.float32
FORMATS = [
    *(IntFormat(bits, signed) for bits in (2, 4, 5, 8, 12, 16) for signed in (True, False)),
    *(FloatFormat(name) for name in FLOATS),
    *(Codebook(name) for name in CODEBOOKS),
]
GRANULARITIES = [
    PerTensor(),
    PerToken(),
    PerBlock(-1, 32),
    PerBlock(-1, 16),
    PerBlock(-1, 7),
    PerBlock(0, 2),
    PerTile(3, 16),
    PerTile(2, 7),
]
SHAPES = ((37, 64), (3, 5, 70), (2, 40, 300), (1500,))
HARD = np.array([np.nan, -np.nan, np.inf, -np.inf, 0, -0.0, 1e-45, -1e-40, 1e-38, 3e38, -3e38], F)

pytestmark = [
    pytest.mark.skipif(not compiler.available(), reason="numba knows no such Python yet"),
    pytest.mark.usefixtures("kernels"),
]


@functools.cache
def schemes(number_format):
    """Any two of a shape, a convention that has such codes, a granularity that fits, and a symmetry: for each shape."""

    @functools.cache
    def fits(shape, name, granularity, symmetric):
        if not CONVENTIONS[name].offers(number_format, symmetric, granularity):
            return False
        try:
            check_fits(Scheme(number_format, symmetric, granularity, convention=name), shape)
        except Problem:
            return False
        return True

    axes = tuple(PerAxis(axis) for axis in range(max(map(len, SHAPES))))
    rows = pairs(SHAPES, tuple(CONVENTIONS), (*GRANULARITIES, *axes), (True, False), where=fits)
    found = {shape: [] for shape in SHAPES}
    for shape, name, granularity, symmetric in rows:
        rule = MinMax() if CONVENTIONS[name].of_elements else Percentile(97.0)
        found[shape].append(Scheme(number_format, symmetric, granularity, rule, name))
    return found


def by_numpy(work):
    """Without the kernel."""
    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        patch.setattr(conversion.convert, "compiled", None)
        return work()


def values_with_ties(shape, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape).astype(F)
    flat = x.reshape(-1)
    flat[rng.integers(0, x.size, x.size // 4)] = np.rint(4 * flat[rng.integers(0, x.size, x.size // 4)]) / 4
    return x


@every("shape", SHAPES, ids=str)
@every("number_format", FORMATS, ids=lambda f: f.name)
def test_codes_and_values_are_numpys_to_the_last_bit(number_format, shape, monkeypatch):
    monkeypatch.setattr(conversion, "WORTH", 1)
    x = values_with_ties(shape, len(shape))
    hard = x.copy()
    hard.reshape(-1)[:: x.size // 50] = np.resize(HARD, hard.reshape(-1)[:: x.size // 50].size)
    tried = 0
    for scheme in schemes(number_format)[shape]:
        try:
            q = choose_qparams(x, scheme)
        except Problem:
            continue  # the granularity does not fit this shape
        codes = quantize(hard, q)
        np.testing.assert_array_equal(codes, by_numpy(lambda q=q: quantize(hard, q)), strict=True)
        back, theirs = dequantize(codes, q), by_numpy(lambda q=q, codes=codes: dequantize(codes, q))
        np.testing.assert_array_equal(back, theirs, strict=True)
        np.testing.assert_array_equal(fake_quantize(hard, q), by_numpy(lambda q=q: fake_quantize(hard, q)), strict=True)
        tried += 1
    assert tried


@every("granularity", [PerTensor(), PerAxis(0), PerAxis(1), PerBlock(-1, 32), PerBlock(0, 3)], ids=str)
def test_two_threads_and_many_pieces_give_the_same(granularity, monkeypatch):
    monkeypatch.setattr(conversion, "THREADED", 0)
    monkeypatch.setattr(work, "THREADS", 2)
    monkeypatch.setattr(spreading, "PIECE", 1 << 12)
    x = values_with_ties((70, 611), 0)
    q = choose_qparams(x, Scheme(IntFormat(4), True, granularity))
    np.testing.assert_array_equal(quantize(x, q), by_numpy(lambda: quantize(x, q)))
    np.testing.assert_array_equal(fake_quantize(x, q), by_numpy(lambda: fake_quantize(x, q)))


@every("compiled", [True, False])
@every("number_format", [IntFormat(8), FloatFormat("e4m3fn"), Codebook("nf4")], ids=lambda f: f.name)
def test_answers_go_where_they_are_wanted(number_format, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(conversion.convert, "compiled", None)
    x = values_with_ties((40, 64), 1)
    q = choose_qparams(x, Scheme(number_format, True, PerAxis(0), convention="textbook"))
    codes, values = np.empty(x.shape, number_format.dtype), np.empty_like(x)
    assert quantize(x, q, out=codes) is codes
    np.testing.assert_array_equal(codes, quantize(x, q))
    assert dequantize(codes, q, out=values) is values
    np.testing.assert_array_equal(values, fake_quantize(x, q))
    every_other = np.empty((40, 128), F)[:, ::2]
    assert fake_quantize(x, q, out=every_other) is every_other
    np.testing.assert_array_equal(every_other, values)
    same = x.copy()
    np.testing.assert_array_equal(fake_quantize(same, q, out=same), values)
    for wrong in (np.empty((40, 63), F), np.empty(x.shape, np.float64)):
        with pytest.raises(ValueError, match="but the answer is"):
            fake_quantize(x, q, out=wrong)


def test_codes_that_may_not_be_written_to_and_those_of_other_types():
    x = values_with_ties((40, 64), 2)
    q = choose_qparams(x, Scheme(IntFormat(8), True, PerAxis(0)))
    codes = quantize(x, q)
    codes.flags.writeable = False
    np.testing.assert_array_equal(dequantize(codes, q), fake_quantize(x, q))
    np.testing.assert_array_equal(dequantize(codes.astype(np.int64), q), fake_quantize(x, q))
    np.testing.assert_array_equal(quantize(np.asfortranarray(x), q), codes)


def test_a_code_that_no_codebook_has_is_told():
    q = choose_qparams(np.ones(2000, F), Scheme(Codebook("nf4"), convention="textbook"))
    with pytest.raises(IndexError):
        dequantize(np.full(2000, 200, np.uint8), q)


def test_parameters_of_another_shape_are_told():
    q = choose_qparams(np.ones((40, 64), F), Scheme(IntFormat(8), True, PerAxis(0)))
    for ask in (lambda: quantize(np.ones((41, 64), F), q), lambda: fake_quantize(np.ones((41, 64), F), q)):
        with pytest.raises(Problem, match="choose the parameters for this shape"):
            ask()


def test_numpy_gives_the_same_block_by_block(monkeypatch):
    rng, failed = np.random.default_rng(5), []
    x = rng.standard_normal((6, 40, 10)).astype(np.float32)
    x[0, 0, :3] = np.nan, np.inf, -0.0
    monkeypatch.setattr(conversion.convert, "compiled", None)
    formats = [IntFormat(8), IntFormat(4, False), FloatFormat("e4m3fn"), Codebook("nf4")]
    granularities = [PerTensor(), PerAxis(0), PerAxis(1), PerAxis(-1), PerToken(), PerBlock(-1, 8)]
    for number_format in formats:
        for granularity in granularities:
            scheme = Scheme(number_format, not isinstance(number_format, IntFormat), granularity, convention="textbook")
            q = choose_qparams(x, scheme)
            whole = fake_quantize(x, q)
            with monkeypatch.context() as patch:
                patch.setattr(arithmetic_of_codes, "BY_BLOCKS", 0)
                patch.setattr(arithmetic_of_codes, "BLOCK", 64)
                into, itself = np.empty_like(x), x.copy()
                answers = fake_quantize(x, q), fake_quantize(x, q, out=into), fake_quantize(itself, q, out=itself)
            if not all(np.array_equal(whole, each, equal_nan=True) for each in (*answers, into, itself)):
                failed.append(scheme)
    assert not failed
