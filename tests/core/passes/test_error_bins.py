"""Do the bins hold every error, of values that lie half-way between two levels of a group like any others?"""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import (
    CONVENTIONS,
    IntFormat,
    PerBlock,
    Percentile,
    Problem,
    Scheme,
    Tensor,
    analyze,
    choose_qparams,
    compiler,
    fake_quantize,
    work,
)
from qviz.core.formats.codebooks import CODEBOOKS, Codebook
from qviz.core.formats.floats import FloatFormat
from qviz.core.passes import group_reach
from qviz.core.passes.error_bins import error_edges
from qviz.core.passes.group_reach import reach_of
from tests.every import every

ROWS, ROW = 24, 512
SIZES = (1.0, 3e-39, 1e-30, 1e30)


def half_way(values: np.ndarray, rng: np.random.Generator, size: float) -> np.ndarray:
    """Rows of middles between neighbouring levels, and the ends, each row with a scale of its own."""
    levels = np.unique(values[np.isfinite(values)].astype(np.float64))
    middles = np.concatenate(((levels[1:] + levels[:-1]) / 2, levels[[0, -1]])) / np.abs(levels).max()
    rows = middles[rng.integers(middles.size, size=(ROWS, ROW))]
    rows[:, ::32] = 1  # so that each block has its end
    return np.float32(rows * rng.uniform(0.5, 1, (ROWS, 1)) * size)


@every("name", [name for name, row in CONVENTIONS.items() if row.others])
def test_each_error_is_in_a_bin(name: str) -> None:
    """Runtimes that divide by one number and multiply by another err by more than half a step."""
    asked = 0
    for each in sorted(CONVENTIONS[name].others):
        number_format = Codebook(each) if each in CODEBOOKS else FloatFormat(each)
        for block in (16, 32, 64, 256):
            for seed, size in enumerate(SIZES):
                x = half_way(number_format.values, np.random.default_rng(seed), size)
                try:
                    found = analyze(x, Scheme(number_format, True, PerBlock(-1, block), convention=name))
                except Problem:
                    continue
                asked += 1
                in_bins = int(found.error_histogram.rounding.sum()) + found.saturated
                assert in_bins == x.size or not np.isfinite(found.mse), (each, block, size)
    assert asked or CONVENTIONS[name].superblock


def test_so_is_each_where_scales_are_denormal_and_quantized_themselves() -> None:
    scheme = Scheme(Codebook("nf4"), True, PerBlock(-1, 64), convention="bitsandbytes_double")
    for seed in range(48):
        x = (np.random.default_rng(seed).standard_normal((4, ROW)) * 3e-39).astype(np.float32)
        found = analyze(x, scheme)
        assert int(found.error_histogram.rounding.sum()) + found.saturated == x.size, seed


REACHED = {
    "int4": Scheme(IntFormat(4), True, PerBlock(-1, 32), Percentile(95)),
    "MXFP4": Scheme(FloatFormat("e2m1fn"), True, PerBlock(-1, 32), convention="mx_floor"),
    "NVFP4": Scheme(FloatFormat("e2m1fn"), True, PerBlock(-1, 16), convention="nvfp4"),
    "NF4": Scheme(Codebook("nf4"), True, PerBlock(-1, 64), Percentile(90), convention="textbook"),
    "Q8_0": Scheme(IntFormat(8), True, PerBlock(-1, 32), convention="gguf"),
}


@pytest.mark.skipif(not compiler.available(), reason="numba knows no such Python yet")
@pytest.mark.usefixtures("kernels")
@every("scheme", REACHED.values(), ids=REACHED)
def test_groups_reach_as_far_as_what_is_clipped(scheme: Scheme) -> None:
    """Compiled, by one thread and by two, in NumPy, and as every element says."""
    tensor = Tensor(np.random.default_rng(3).standard_normal((37, 448), dtype=np.float32))
    qparams, layout = choose_qparams(tensor, scheme), scheme.granularity.layout(tensor.shape)
    extremes = tensor.extremes(layout)
    found = reach_of(extremes, qparams, with_divisors=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(group_reach.look_at_groups, "compiled", None)
        assert reach_of(extremes, qparams, with_divisors=True) == found
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "THREADS", 2)
        patch.setattr(group_reach, "SHARED_FROM", 1)
        assert reach_of(extremes, qparams, with_divisors=True) == found
    assert found is not None
    low, high = qparams.clip_range()
    assert found.lowest == min(0, (high - extremes[1].ravel()).min())
    assert found.highest == max(0, (low - extremes[0].ravel()).max())
    errors = fake_quantize(tensor, qparams).astype(np.float64) - tensor.values.reshape(tensor.shape)
    edges, _ = error_edges(tensor, qparams, layout)
    assert edges[0] <= min(found.lowest, errors.min())
    assert edges[-1] >= max(found.highest, errors.max())
