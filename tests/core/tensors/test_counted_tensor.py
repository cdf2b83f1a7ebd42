"""Counts of 16-bit values answer what a sorted tensor answers, for pages, searches and cards alike."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from qviz.core.formats.floats import FloatFormat
from qviz.core.formats.integers import IntFormat
from qviz.core.problems import Problem
from qviz.core.questions.analysis import analyze, measure
from qviz.core.questions.calibration import choose_qparams
from qviz.core.questions.effort import Limits
from qviz.core.ranges.entropy import Entropy
from qviz.core.ranges.mse import MSE
from qviz.core.ranges.rules import Percentile
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors import value_counts
from qviz.core.tensors.counted_tensor import CountedOnly, CountedTensor
from qviz.core.tensors.granularity import PerBlock
from qviz.core.tensors.sorted_tensor import SortedTensor, prepare
from qviz.core.tensors.tensor import Tensor
from qviz.core.tensors.value_counts import counted_bits, counted_values
from tests.every import every

SCHEMES = [
    Scheme(IntFormat(8)),
    Scheme(IntFormat(4), False),
    Scheme(IntFormat(8, signed=False), False, range_rule=Percentile(99.9)),
    Scheme(IntFormat(4), range_rule=MSE()),
    Scheme(IntFormat(8), range_rule=Entropy()),
    Scheme(FloatFormat("e4m3fn"), convention="torchao"),
    Scheme(IntFormat(16)),
]


def tensor_of(kind: str, case: str = "normal", size: int = 150_000) -> Tensor:
    rng = np.random.default_rng(3)
    values = {
        "normal": lambda: rng.standard_normal(size),
        "heavy": lambda: rng.standard_t(2, size) * 1e-3,
        "few": lambda: rng.choice([-1.5, -0.0, 0.0, 2.0, 3.0], size),
        "one": lambda: np.full(size, 0.75),
        "holes": lambda: np.where(rng.random(size) < 0.1, np.nan, rng.standard_normal(size)),
        "tiny": lambda: rng.standard_normal(size) * 1e-7,
    }[case]().astype(np.float32)
    dtype = ml_dtypes.bfloat16 if kind == "bfloat16" else np.float16
    return Tensor(values.astype(dtype).astype(np.float32).reshape(-1, 10), "w", dtype=kind)


CASES = [
    *(("bfloat16", case) for case in ("normal", "heavy", "few", "one", "holes", "tiny")),
    ("float16", "normal"),
    ("float16", "tiny"),
]


@pytest.fixture(scope="module", params=CASES, ids=" ".join)
def both(request: Any) -> tuple[CountedTensor, SortedTensor]:
    """A tensor in both forms."""
    tensor = tensor_of(*request.param)
    counted = prepare(tensor)
    assert isinstance(counted, CountedTensor)
    return counted, SortedTensor(tensor)


def test_elements_in_order_are_those_of_the_sorted_tensor(both: tuple[CountedTensor, SortedTensor]) -> None:
    counted, ordered = both
    assert counted.values.size == ordered.values.size
    places = np.random.default_rng(0).integers(0, ordered.values.size, 2000)
    np.testing.assert_array_equal(counted.values[places], ordered.values[places])
    assert counted.values[-1] == ordered.values[-1]
    keys = np.sort(np.random.default_rng(1).standard_normal(500).astype(np.float32))
    np.testing.assert_array_equal(counted.count_below(keys), ordered.count_below(keys))
    assert counted.magnitude_statistic(777) == ordered.magnitude_statistic(777)
    assert counted.sum == pytest.approx(ordered.sum, rel=1e-12, abs=1e-9 * float(np.abs(ordered.values).max()))
    assert counted.squared_sum == pytest.approx(ordered.squared_sum, rel=1e-12)
    np.testing.assert_array_equal(counted.histogram().counts, ordered.histogram().counts)


@every("scheme", SCHEMES, ids=str)
def test_every_scheme_of_one_scale_is_answered_as_from_the_sorted_tensor(
    both: tuple[CountedTensor, SortedTensor], scheme: Scheme
) -> None:
    counted, ordered = both
    parameters = choose_qparams(ordered, scheme)
    found = choose_qparams(counted, scheme)
    np.testing.assert_array_equal(found.scale, parameters.scale)
    np.testing.assert_array_equal(found.zero_point, parameters.zero_point)
    one, two = (analyze(each, scheme, qparams=parameters) for each in (counted, ordered))
    np.testing.assert_array_equal(one.occupancy, two.occupancy)
    assert (one.saturated, one.levels_used) == (two.saturated, two.levels_used)
    np.testing.assert_equal(one.max_abs_error, two.max_abs_error)
    np.testing.assert_array_equal(one.error_histogram.rounding, two.error_histogram.rounding)
    np.testing.assert_array_equal(one.error_histogram.clipping, two.error_histogram.clipping)
    loose = 1e-9 if isinstance(scheme.number_format, IntFormat) and scheme.number_format.bits == 16 else 1e-12
    for name in ("mse", "mae", "clipping_mse", "cosine"):
        assert getattr(one, name) == pytest.approx(getattr(two, name), rel=loose, abs=1e-30, nan_ok=True), name


def test_what_is_no_value_of_16_bits_is_sorted() -> None:
    values = np.random.default_rng(0).standard_normal(150_000).astype(np.float32)
    assert type(prepare(Tensor(values, dtype="bfloat16"))) is SortedTensor
    assert type(prepare(Tensor(values, dtype="float16"))) is SortedTensor
    assert type(prepare(Tensor(values))) is SortedTensor


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_every_bit_pattern_is_its_value_and_counts_add_up(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bits = np.arange(1 << 16, dtype=np.uint16)
    dtype = ml_dtypes.bfloat16 if kind == "bfloat16" else np.float16
    values = bits.view(dtype).astype(np.float32)
    found = counted_bits([bits, bits[:300], bits[:5]], kind)
    finite = np.unique(values[np.isfinite(values)])
    np.testing.assert_array_equal(found.values, finite)
    assert found.nan == np.isnan(values).sum()
    assert found.inf == 2
    assert found.elements == (1 << 16) + 305
    parts = counted_bits([bits], kind) + counted_bits([bits[:300]], kind) + counted_bits([bits[:5]], kind)
    np.testing.assert_array_equal(parts.counts, found.counts)
    again = counted_bits([bits, bits[:300], bits[:5]], kind)  # in tables that were used before
    np.testing.assert_array_equal(again.counts, found.counts)
    monkeypatch.setattr(value_counts.count_patterns, "compiled", None)
    plain = counted_bits([bits, bits[:300], bits[:5]], kind)
    np.testing.assert_array_equal(plain.counts, found.counts)


def test_counts_alone_answer_for_one_scale_and_say_what_they_can_not() -> None:
    tensor = tensor_of("bfloat16")
    counts = counted_values(tensor)
    assert counts is not None
    only = CountedTensor(CountedOnly("w", tensor.shape, "bfloat16", counts), counts)
    for scheme in SCHEMES:
        everything = analyze(prepare(tensor), scheme)
        alone = measure(only, scheme, limits=Limits(direct_up_to=0))
        assert alone.sqnr_db == everything.sqnr_db
        assert alone.storage == everything.storage
    with pytest.raises(Problem, match="only the counts of its values are known"):
        measure(only, Scheme(IntFormat(4), granularity=PerBlock(-1, 10)))
