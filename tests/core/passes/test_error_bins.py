"""Do the bins hold every error, of values that lie half-way between two levels of a group like any others?"""

from __future__ import annotations

import numpy as np

from qviz.core import CONVENTIONS, PerBlock, Problem, Scheme, analyze
from qviz.core.formats.codebooks import CODEBOOKS, Codebook
from qviz.core.formats.floats import FloatFormat
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
