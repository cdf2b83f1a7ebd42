"""Which scales, minima and codes does ggml give to blocks of 256? (Its bytes: `tests/golden/test_ggml_vectors.py`.)"""

from __future__ import annotations

import gguf
import numpy as np
import pytest

from qviz.core.problems import Problem
from qviz.core.ranges import ggml, ggml_direct
from qviz.core.ranges.ggml_lanes import BOUNDS
from qviz.core.ranges.ggml_search import IQ4_NL, half_bits, half_value, nearest
from qviz.core.ranges.ggml_types import TYPES
from qviz.core.work import Cancelled
from qviz.files.ggml_blocks import encoded_bytes, packed
from tests.every import every
from tests.golden.record_ggml import importances, weights

HALVES = np.arange(1 << 16, dtype=np.uint16)


@every("name", TYPES)
@every("weighted", [False, True])
def test_the_values_are_those_that_a_reader_decodes(name: str, weighted: bool) -> None:
    blocks = ggml.encode(weights(1), name, importances() if weighted else None)

    kind = gguf.GGMLQuantizationType[name]
    decoded = gguf.dequantize(packed(blocks), kind)
    assert blocks.values().tobytes() == decoded.reshape(blocks.codes.shape).tobytes()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_vectors_mean_in_numpy_what_they_mean_compiled(weighted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    x = weights(4)[10:12, :]
    given = importances() if weighted else None
    compiled = {name: encoded_bytes(x, name, given) for name in TYPES}
    monkeypatch.setattr(ggml, "search", ggml.search.plain)
    monkeypatch.setattr(ggml, "demand", lambda kernel: True)

    assert [name for name in TYPES if not np.array_equal(encoded_bytes(x, name, given), compiled[name])] == []


@pytest.mark.parametrize("weighted", [False, True])
def test_no_block_looks_at_those_beside_which_it_is_searched(weighted: bool) -> None:
    x, given = weights(5)[:6], importances() if weighted else None
    some = (slice(0, 1), slice(0, 3), slice(2, 5))
    together = {name: encoded_bytes(x, name, given) for name in TYPES}
    narrow = x[:, :160]  # five blocks a row, which sixteen do not divide
    parts = [
        encoded_bytes(narrow[:, i : i + 32], "IQ4_NL", given if given is None else given[i : i + 32])
        for i in range(0, 160, 32)
    ]

    assert [
        (name, rows)
        for name in TYPES
        for rows in some
        if not np.array_equal(encoded_bytes(x[rows], name, given), together[name][rows])
    ] == []
    assert np.array_equal(
        encoded_bytes(narrow, "IQ4_NL", given if given is None else given[:160]), np.concatenate(parts, axis=1)
    )


def test_levels_change_where_float32_has_the_next_one_nearer() -> None:
    low, high = IQ4_NL[:-1], IQ4_NL[1:]
    below = np.nextafter(BOUNDS, np.float32(-np.inf))

    assert not np.any(BOUNDS - low < high - BOUNDS)
    assert np.all(below - low < high - below)


def test_threads_change_nothing() -> None:
    alone, together = (encoded_bytes(np.tile(weights(2), (4, 1)), "Q4_K", threads=n) for n in (1, 2))

    assert np.array_equal(alone, together)


@every("name", ["Q4_K", "IQ4_NL", "TQ2_0", "MXFP4", "NVFP4"])
def test_rows_that_do_not_divide_are_refused(name: str) -> None:
    with pytest.raises(Problem, match="rows of a multiple of"):
        encoded_bytes(np.zeros((2, 40), np.float32), name)


@pytest.mark.filterwarnings("ignore:overflow encountered")
@every("name", ggml_direct.KINDS)
def test_compiled_loops_have_the_bytes_that_numpy_has(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ladder = np.array([0, 0.4999, 0.5, 0.74, 1, 1.5, 2.5, 3.5, 5, 7, 9.99, 10, 12, -0.5, -1.5, -7], np.float32)
    exponents = 2.0 ** np.concatenate([np.arange(-149, 124), [-126.0, -10, -9, 8, 33]])
    hard = (np.outer(exponents, np.tile(ladder, 16)) * np.float32(1 - 2**-24)).astype(np.float32)
    x = np.concatenate([weights(3), hard])
    compiled = ggml_direct.encoded(x, name)
    monkeypatch.setattr(ggml_direct, "demand", lambda kernel: False)

    assert compiled is not None
    assert np.array_equal(compiled.reshape(len(x), -1), encoded_bytes(x, name))


def test_a_type_without_an_encoder_is_refused() -> None:
    with pytest.raises(Problem, match="no encoder of IQ1_S"):
        encoded_bytes(np.zeros((2, 256), np.float32), "IQ1_S")


def test_it_can_be_cancelled() -> None:
    with pytest.raises(Cancelled):
        ggml.encode(weights(0), "Q6_K", cancelled=lambda: True)


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_halves_are_those_of_numpy() -> None:
    with np.errstate(all="ignore"):
        values = HALVES[::7].view(np.float16).astype(np.float32)
        finite = values[np.isfinite(values)]
        between = np.concatenate([finite, np.nextafter(finite, np.float32(np.inf)), finite * np.float32(1.0002)])
        expected = between.astype(np.float16).view(np.uint16)

        assert [int(half_bits(value)) for value in between[::11]] == expected[::11].tolist()
        assert [float(half_value(bits)) for bits in HALVES[::7][np.isfinite(values)]] == finite.tolist()


def test_the_nearest_whole_number_is_even_in_the_middle() -> None:
    assert [int(nearest(np.float32(v))) for v in (0.5, 1.5, 2.5, -0.5, -1.5, 2.25)] == [0, 2, 2, 0, -2, 2]
