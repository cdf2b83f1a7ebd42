"""Which schemes have a name, and what becomes of one under a tensor that it was not made for?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qviz.core import (
    CONVENTIONS,
    Codebook,
    Entropy,
    FloatFormat,
    IntFormat,
    MinMax,
    MovingAverage,
    PerAxis,
    PerBlock,
    PerTensor,
    PerToken,
    Scheme,
    analyze,
    fake_quantize,
)
from qviz.core.schemes.fitting import FALLBACK_RUNTIME, fitted
from qviz.core.schemes.presets import PRESETS
from tests.every import every

F = np.float32
X = np.random.default_rng(7).standard_normal((64, 512)).astype(F)
BY_NAME = {preset.name: preset for preset in PRESETS}

TERNARY = ("GGUF TQ1_0", "GGUF TQ2_0")

each = every("preset", PRESETS, ids=lambda preset: preset.name)


@each
def test_every_preset_quantizes_the_first_tensor(preset):
    analysis = analyze(X, preset.scheme)
    error = fake_quantize(X, analysis.qparams).astype(np.float64) - X
    assert analysis.mse == pytest.approx(np.mean(error * error), rel=1e-9)
    if preset.name in TERNARY:  # for weights that were trained with three values: others lose nearly everything
        assert analysis.sqnr_db < 3
        assert analyze(np.sign(X), preset.scheme).mse == 0
    else:
        assert analysis.sqnr_db > 10
    assert analysis.occupancy.sum() == X.size


@each
def test_every_preset_comes_back_from_plain_values(preset):
    assert Scheme.from_dict(preset.scheme.to_dict()) == preset.scheme


def test_names_and_schemes_are_told_apart():
    assert len(BY_NAME) == len(PRESETS)
    assert all(preset.name.strip() == preset.name != "" and str(preset.about).endswith(".") for preset in PRESETS)
    schemes = [preset.scheme for preset in PRESETS]
    double = {a.name for i, a in enumerate(PRESETS) if a.scheme in schemes[:i]}
    assert double == set()


def test_a_group_stands_together():
    groups = [preset.group for preset in PRESETS]
    assert groups == sorted(groups, key=groups.index)
    assert groups[0] == "The lesson"


def test_the_four_rows_of_the_lesson():
    lesson = {preset.name: preset.scheme for preset in PRESETS if preset.group == "The lesson"}
    assert list(lesson) == ["Symmetric", "Asymmetric", "Static with KL divergence", "Dynamic"]
    symmetric, asymmetric, static, dynamic = lesson.values()
    assert (symmetric.symmetric, symmetric.number_format, symmetric.range_rule) == (True, IntFormat(8), MinMax())
    assert (asymmetric.symmetric, asymmetric.number_format) == (False, IntFormat(8, False))
    assert isinstance(static.range_rule, Entropy)
    assert static.symmetric
    assert dynamic.convention == "onnxruntime_dynamic"
    assert not dynamic.symmetric


@every(
    ("name", "bits"),
    [("GGUF Q4_0", 4.5), ("GGUF Q4_1", 5), ("GGUF Q5_0", 5.5), ("GGUF Q5_1", 6), ("GGUF Q8_0", 8.5)],
)
def test_gguf_takes_the_bits_it_says(name, bits):
    assert analyze(X, BY_NAME[name].scheme).storage.bits_per_element == bits
    assert f"{bits} bits" in str(BY_NAME[name].about)


@every(
    ("name", "bits"),
    [("MXFP8 E4M3", 8.25), ("MXFP6 E2M3", 6.25), ("MXFP4", 4.25), ("MXINT8", 8.25), ("NVFP4", 4.5 + 32 / X.size)],
)
def test_microscaling_takes_a_byte_for_each_block(name, bits):
    assert analyze(X, BY_NAME[name].scheme).storage.bits_per_element == pytest.approx(bits, rel=1e-12)


# --- fitting ---------------------------------------------------------------------------------------


@every("preset", [p for p in PRESETS if p.scheme.granularity in (PerTensor(), PerToken())])
def test_what_fits_stays(preset):
    assert fitted(preset.scheme, (3,)) is preset.scheme


@every(
    ("granularity", "shape"),
    [(PerAxis(2), (4, 5)), (PerBlock(-1, 32), (4, 5)), (PerBlock(1, 2), (40,)), (PerAxis(-3), (4, 5))],
)
def test_an_axis_or_a_block_that_is_not_there_gives_way(granularity, shape):
    scheme = Scheme(IntFormat(4), False, granularity)
    assert fitted(scheme, shape) == Scheme(IntFormat(4), False)
    scheme = Scheme(Codebook("nf4"), True, granularity, convention="textbook")
    assert fitted(scheme, shape) == Scheme(Codebook("nf4"), True, convention="textbook")


@pytest.mark.parametrize("rule", [MovingAverage(batch_axis=1), Entropy(batch_axis=1)])
def test_an_axis_of_batches_that_is_not_there_gives_way_to_one_batch(rule):
    scheme = Scheme(IntFormat(8), range_rule=rule)
    assert fitted(scheme, (3, 4)) is scheme
    assert fitted(scheme, (500,)).range_rule == replace(rule, batch_axis=None)


@every("preset", [p for p in PRESETS if CONVENTIONS[p.scheme.convention].block_size], ids=str)
def test_a_runtime_of_blocks_alone_gives_way_with_them(preset):
    new = fitted(preset.scheme, (4, 5))
    assert (new.convention, new.granularity) == (FALLBACK_RUNTIME, PerTensor())
    assert new.range_rule == preset.scheme.range_rule
    old = preset.scheme.number_format
    if isinstance(old, IntFormat):
        assert new.number_format == old
    analyze(np.ones((4, 5), F), new)
    assert fitted(preset.scheme, (4, 256)) is preset.scheme
    assert fitted(new, (4, 5)) is new


def test_a_format_that_the_free_runtime_has_stays():
    scheme = Scheme(FloatFormat("e4m3fn"), True, PerBlock(-1, 32), convention="mx_floor")
    assert fitted(scheme, (3,)).number_format == FloatFormat("e4m3fn")
