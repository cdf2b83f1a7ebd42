"""Ranges that ONNX Runtime, PyTorch and Paddle chose, and what qviz makes of them."""

from __future__ import annotations

import json

import numpy as np
import pytest

import qviz.core
from qviz.core import (
    IntFormat,
    MinMax,
    Percentile,
    Scheme,
    analyze,
    choose_qparams,
    fake_quantize,
    qparams_from_values,
)
from qviz.core.ranges.paddle import PaddleKL
from tests.every import every
from tests.golden.record_ranges import (
    ANSWERS,
    ENTROPIES,
    ONNXRUNTIME_RULES,
    PADDLE_FORMATS,
    PERCENTILES,
    SCHEMES,
    TORCH_RULES,
    VECTORS,
    load,
    tensors,
)

RECORDED = load()

each_tensor = every("name", list(RECORDED))
each_scheme = every(
    ("number_format", "symmetric"),
    SCHEMES,
    ids=[f"{f.name} {'symmetric' if symmetric else 'asymmetric'}" for f, symmetric in SCHEMES],
)
needs_mse = pytest.mark.skipif(not hasattr(qviz.core, "MSE"), reason="there is no MSE range yet")
needs_entropy = pytest.mark.skipif(not hasattr(qviz.core, "Entropy"), reason="there is no entropy range yet")


def range_of(name, rule, symmetric):
    """What a rule chooses, not widened to 0."""
    qparams = choose_qparams(RECORDED[name].x, Scheme(IntFormat(8), symmetric, range_rule=rule, convention="textbook"))
    return float(qparams.low), float(qparams.high)


def squared_error(x, dequantized):
    return np.mean((dequantized.astype(np.float64) - x) ** 2)


def test_every_tensor_was_recorded():
    # Their random values may change with NumPy's version; the recorded ones are kept beside the answers.
    assert {name: v.x.shape for name, v in RECORDED.items()} == {name: x.shape for name, x in tensors().items()}


def test_the_rows_are_the_rules_that_were_recorded_and_name_their_libraries():
    recorded = json.loads(ANSWERS.read_text(encoding="utf-8"))
    assert recorded["schemes"] == [{"type": f.name, "symmetric": symmetric} for f, symmetric in SCHEMES]
    assert recorded["onnxruntime_rules"] == list(ONNXRUNTIME_RULES)
    assert recorded["torch_rules"] == list(TORCH_RULES)
    assert recorded["paddle_types"] == [f.name for f in PADDLE_FORMATS]
    assert {library: set(versions) for library, versions in recorded["recorded_with"].items()} == {
        "onnxruntime": {"onnxruntime", "onnx", "numpy"},
        "torch": {"torch", "numpy"},
        "paddle": {"paddle", "numpy"},
    }


def test_the_files_are_small():
    assert VECTORS.stat().st_size + ANSWERS.stat().st_size < 1_000_000


@each_tensor
@each_scheme
def test_the_ranges_of_onnxruntime_become_its_scale_its_zero_point_and_its_error(name, number_format, symmetric):
    vector = RECORDED[name]
    for choice in vector.of(number_format, symmetric):
        if choice.library != "onnxruntime":
            continue
        answer = analyze(vector.x, Scheme(number_format, symmetric, range_rule=choice.manual))
        assert float(answer.qparams.scale) == choice.scale, choice
        assert int(answer.qparams.zero_point) == choice.zero_point, choice
        assert answer.mse == pytest.approx(choice.mse, rel=1e-12, abs=0), choice


@each_tensor
@each_scheme
def test_the_scale_and_zero_point_of_torch_give_its_error(name, number_format, symmetric):
    # torch multiplies by 1 / scale: a tie may fall to the other side, as far from the value as before.
    vector = RECORDED[name]
    qparams = choose_qparams(vector.x, Scheme(number_format, symmetric))
    for choice in vector.of(number_format, symmetric):
        if choice.library == "torch":
            theirs = qparams_from_values(choice.scale, choice.zero_point, qparams.scheme)
            error = squared_error(vector.x, fake_quantize(vector.x, theirs))
            assert error == pytest.approx(choice.mse, rel=1e-6, abs=0), choice


@each_tensor
def test_minmax_is_the_range_of_both_libraries(name):
    for choice in RECORDED[name].choices:
        if choice.rule == "minmax":
            assert range_of(name, MinMax(), symmetric=False) == (choice.low, choice.high)
        elif choice.rule == "minmax symmetric":
            assert range_of(name, MinMax(), symmetric=True) == (choice.low, choice.high)


@each_tensor
@every("rule", list(PERCENTILES))
def test_percentiles_are_those_of_onnxruntime_to_one_bin_and_one_element(name, rule):
    # ONNX Runtime answers with the lower edge of the bin that holds the element, ours lies between two elements.
    vector = RECORDED[name]
    percentile, symmetric = PERCENTILES[rule]
    choice = next(c for c in vector.choices if c.rule == rule)
    low, high = range_of(name, Percentile(percentile), symmetric)
    values = np.sort(np.ravel(np.abs(vector.x) if symmetric else vector.x)).astype(np.float64)
    widest = values[-1] - values[0] if symmetric else 2 * np.abs(values).max()
    width = widest / 2048 * (1 + 1e-3)
    upper = percentile / 100 if symmetric else (1 + percentile / 100) / 2
    assert_between(values, upper, high, choice.high, width, clamp=vector.x.max())
    if not symmetric:
        assert_between(values, 1 - upper, low, choice.low, width)


def assert_between(values, share, ours, theirs, width, clamp=np.inf):
    """Both within an element of their place in sorted ``values``, theirs a bin below at most."""
    last = values.size - 1
    place = share * last
    below = values[max(int(np.floor(place)) - 1, 0)]
    above = values[min(int(np.ceil(place)) + 1, last)]
    assert np.float32(below) <= ours <= np.float32(above)
    assert min(below, clamp) - width <= theirs <= above


@each_tensor
@every("rule", list(ENTROPIES))
def test_what_was_recorded_of_an_entropy_calibration_hangs_together(name, rule):
    vector = RECORDED[name]
    recorded = vector.entropies[rule]
    half, middle = recorded.targets // 2, recorded.bins // 2
    absmax = np.abs(vector.x).max()
    assert recorded.counts.sum() == vector.x.size
    assert (-recorded.edges[0], recorded.edges[-1]) == (absmax, absmax)
    assert recorded.divergence.size == middle - half + 1
    reach = half + int(np.argmin(recorded.divergence))  # of equal candidates the narrowest
    start, end = middle - reach, min(middle + reach + 1, recorded.bins)
    assert recorded.low == max(recorded.edges[start], vector.x.min())
    assert recorded.high == min(recorded.edges[end], vector.x.max())


@each_tensor
def test_the_search_of_torch_ends_at_the_first_step_that_makes_it_worse(name):
    vector = RECORDED[name]
    search = vector.search
    bins = search.counts.size
    loss = search.loss
    # Where the cubes of denormal bins leave float32 the loss is not a number, and no step is ever worse.
    stopped = bool(loss.size) and bool(np.any(loss[1:] > loss[:-1]))
    kept = loss.size - stopped
    assert not np.any(loss[1:kept] > loss[: max(kept - 1, 0)])
    start, end = (int(search.start[kept - 1]), int(search.end[kept - 1])) if kept else (0, bins - 1)
    width = (search.high - search.low) / np.float32(bins)
    choice = next(c for c in vector.choices if c.rule == "histogram")
    spacing = 4 * float(np.spacing(np.abs(vector.x).max()))
    assert choice.low == pytest.approx(float(search.low + width * np.float32(start)), abs=spacing)
    assert choice.high == pytest.approx(float(search.low + width * np.float32(end + 1)), abs=spacing)


def range_rule_choices(name, number_format, symmetric):
    """All recorded choices for a scheme, each with the error it makes under the ONNX Runtime convention."""
    vector = RECORDED[name]
    for choice in vector.of(number_format, symmetric):
        if choice.manual is not None:
            scheme = Scheme(number_format, symmetric, range_rule=choice.manual, convention="onnxruntime")
            yield choice, analyze(vector.x, scheme).mse


@needs_mse
@each_tensor
@each_scheme
def test_no_library_has_a_range_with_less_error_than_ours(name, number_format, symmetric):
    x = RECORDED[name].x
    scheme = Scheme(number_format, symmetric, range_rule=qviz.core.MSE(), convention="onnxruntime")
    allowed = 1 + 1e-12
    ours = analyze(x, scheme).mse
    better = {
        str(choice): theirs / ours
        for choice, theirs in range_rule_choices(name, number_format, symmetric)
        if ours > theirs * allowed
    }
    # uint4 symmetric: torch has 7 in the middle, ONNX Runtime 8, so that torch's own figure is no bound.
    if (number_format, symmetric) != (IntFormat(4, False), True):
        better |= {
            f"{choice}, by its own arithmetic": choice.mse / ours
            for choice in RECORDED[name].of(number_format, symmetric)
            if choice.mse is not None and ours > choice.mse * allowed
        }
    assert not better, f"error of theirs / ours: {better}"


@each_tensor
@pytest.mark.parametrize("number_format", PADDLE_FORMATS, ids=str)
def test_kl_is_exactly_the_threshold_of_paddle(name, number_format):
    (choice,) = (c for c in RECORDED[name].of(number_format, True) if c.library == "paddle")
    scheme = Scheme(number_format, range_rule=PaddleKL(), convention="paddle")
    assert float(choose_qparams(RECORDED[name].x, scheme).high) == np.float32(abs(choice.high))


@needs_entropy
@each_tensor
@every("rule", [rule for rule, (_, targets) in ENTROPIES.items() if targets == 128])
def test_entropy_is_exactly_the_threshold_of_onnxruntime(name, rule):
    vector = RECORDED[name]
    bins, _ = ENTROPIES[rule]
    recorded = vector.entropies[rule]
    scheme = Scheme(IntFormat(8), symmetric=True, range_rule=qviz.core.Entropy(bins=bins), convention="onnxruntime")
    qparams = choose_qparams(vector.x, scheme)
    threshold = max(-recorded.low, recorded.high)
    off = (float(qparams.high) - float(threshold)) / recorded.bin_width
    assert float(qparams.high) == float(threshold), f"{off:.3g} bins apart"


@needs_entropy
@each_tensor
@every("rule", [rule for rule, (bins, targets) in ENTROPIES.items() if bins > targets])
def test_the_curve_of_the_divergence_is_that_of_onnxruntime(name, rule):
    # Both are float32; how zeros and counts are added may round a last bit otherwise.
    vector = RECORDED[name]
    recorded = vector.entropies[rule]
    ours = qviz.core.Entropy(recorded.bins, recorded.targets)
    (curve,) = qviz.core.loss_curves(vector.x, Scheme(IntFormat(8), symmetric=True), ours)
    np.testing.assert_allclose(curve.value, recorded.divergence, rtol=1e-5, atol=1e-7)
