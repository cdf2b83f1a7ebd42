"""Generated tensors: equal specs give equal numbers, and each kind has the shape it is named for."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qviz.core.problems import Problem
from qviz.core.tensors import generators
from qviz.core.tensors.generators import ARTICLE_VALUES, GENERATORS, GeneratorSpec, generate
from qviz.core.work import Cancelled
from tests.every import every

SHAPE = (100, 2000)


def draw(kind: str, shape: tuple[int, ...] = SHAPE, **parameters: float) -> np.ndarray[Any, Any]:
    return generate(GeneratorSpec(kind, shape, seed=1, parameters=tuple(parameters.items())))


@pytest.mark.parametrize("kind", GENERATORS)
@given(shape=st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple), seed=st.integers(0, 2**64))
def test_equal_specs_give_equal_numbers_in_plain_float32(kind: str, shape: tuple[int, ...], seed: int) -> None:
    array = generate(GeneratorSpec(kind, shape, seed))
    assert array.shape == shape
    assert array.dtype == np.float32
    assert array.flags.c_contiguous
    assert np.isfinite(array).all()
    assert array.tobytes() == generate(GeneratorSpec(kind, shape, seed)).tobytes()


@every("kind", GENERATORS)
def test_another_seed_gives_other_numbers(kind: str) -> None:
    assert (generate(GeneratorSpec(kind, seed=1)) != generate(GeneratorSpec(kind, seed=2))).any()


def test_the_default_is_a_normal_matrix() -> None:
    assert generate(GeneratorSpec()).shape == (64, 256)


@every("generator", GENERATORS.values(), ids=GENERATORS)
def test_every_row_of_the_table_is_sound(generator: generators.Generator) -> None:
    assert GENERATORS[generator.key] is generator
    assert generator.label
    assert generator.description.endswith(".")
    for parameter in generator.parameters:
        assert parameter.minimum <= parameter.default <= parameter.maximum
        assert parameter.step > 0
        assert parameter.label
        assert parameter.description.endswith(".")


@every("generator", GENERATORS.values(), ids=GENERATORS)
def test_the_ends_of_every_parameter_are_usable(generator: generators.Generator) -> None:
    for parameter in generator.parameters:
        for value in (parameter.minimum, parameter.maximum):
            ends = {"low": -100.0, "high": 100.0} if generator.key == "uniform" else {}
            array = draw(generator.key, (8, 16), **(ends | {parameter.name: value}))
            assert np.isfinite(array).all(), parameter.name


def test_normal_has_its_mean_and_deviation() -> None:
    x = draw("normal", mean=3.0, std=2.0)
    assert x.mean() == pytest.approx(3.0, abs=0.03)
    assert x.std() == pytest.approx(2.0, rel=0.01)
    assert np.mean(np.abs(x - 3.0) < 2.0) == pytest.approx(0.6827, abs=0.005)


def test_normal_without_deviation_is_constant() -> None:
    assert (draw("normal", mean=0.25, std=0.0) == 0.25).all()


def test_uniform_fills_its_range_evenly() -> None:
    x = draw("uniform", low=-1.0, high=3.0)
    assert -1.0 <= x.min() < -0.99
    assert 2.99 < x.max() <= 3.0
    counts, _ = np.histogram(x, 8, (-1.0, 3.0))
    np.testing.assert_allclose(counts, x.size / 8, rtol=0.03)


def test_laplace_has_its_peak_and_scale() -> None:
    x = draw("laplace", loc=1.0, scale=0.5)
    assert np.median(x) == pytest.approx(1.0, abs=0.01)
    assert np.abs(x - 1.0).mean() == pytest.approx(0.5, rel=0.01)
    assert x.var() == pytest.approx(2 * 0.5**2, rel=0.03)


def test_student_t_has_heavy_tails_that_grow_as_degrees_fall() -> None:
    light, heavy = (draw("student_t", degrees=degrees, scale=2.0) for degrees in (100.0, 3.0))
    assert np.median(heavy) == pytest.approx(0.0, abs=0.03)
    # A quarter of t with three degrees of freedom lies above 0.7649.
    assert np.mean(heavy > 2 * 0.7649) == pytest.approx(0.25, abs=0.005)
    assert np.abs(heavy).max() / np.abs(heavy).mean() > 3 * np.abs(light).max() / np.abs(light).mean()


def test_bimodal_has_two_peaks_and_a_gap() -> None:
    x = draw("bimodal", separation=4.0, std=0.25)
    assert np.mean(x > 0) == pytest.approx(0.5, abs=0.005)
    assert x[x > 0].mean() == pytest.approx(2.0, abs=0.01)
    assert x[x < 0].mean() == pytest.approx(-2.0, abs=0.01)
    assert x[x > 0].std() == pytest.approx(0.25, rel=0.02)
    assert not (np.abs(x) < 0.5).any()


def test_relu_is_half_zero_and_half_a_bell() -> None:
    x = draw("relu", std=2.0)
    assert x.min() == 0.0
    assert np.mean(x == 0.0) == pytest.approx(0.5, abs=0.005)
    assert math.sqrt(np.mean(x[x > 0].astype(np.float64) ** 2)) == pytest.approx(2.0, rel=0.01)


def test_channel_outliers_are_whole_channels_of_axis_0() -> None:
    deviations = draw("channel_outliers", std=0.5, channels=3, factor=40.0).std(axis=1)
    np.testing.assert_allclose(np.sort(deviations)[:-3], 0.5, rtol=0.1)
    np.testing.assert_allclose(np.sort(deviations)[-3:], 20.0, rtol=0.1)


def test_channel_outliers_do_not_depend_on_where_blocks_end(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = draw("channel_outliers", (7, 300), channels=3)
    monkeypatch.setattr(generators, "BLOCK", 250)
    np.testing.assert_array_equal(draw("channel_outliers", (7, 300), channels=3), whole)


def test_no_more_channels_are_outliers_than_there_are() -> None:
    assert draw("channel_outliers", (4, 1000), channels=256, factor=100.0).std(axis=1).min() > 50
    assert draw("channel_outliers", (4, 1000), channels=0, factor=100.0).std(axis=1).max() < 2


@every("kind", GENERATORS)
def test_drawing_goes_block_by_block_and_can_be_cancelled(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generators, "BLOCK", 1000)
    spec = GeneratorSpec(kind, (5, 900))
    fractions: list[float] = []
    generate(spec, progress=fractions.append)
    assert fractions == pytest.approx([1000 / 4500, 2000 / 4500, 3000 / 4500, 4000 / 4500, 1])

    fractions.clear()
    with pytest.raises(Cancelled):
        generate(spec, progress=fractions.append, cancelled=lambda: len(fractions) == 2)
    assert len(fractions) == 2


@every(
    ("changes", "message"),
    [
        ({"kind": "cauchy"}, "There is no generator 'cauchy': choose one of normal, uniform"),
        ({"shape": (4, 0)}, r"The shape \(4, 0\) has no elements"),
        ({"shape": (4, -1)}, r"The shape \(4, -1\) has no elements"),
        ({"shape": ()}, r"The shape \(\) has no elements"),
        ({"shape": (1,) * 65}, "1 to 64 axes"),
        ({"shape": (2**16, 2**16)}, "has 4,294,967,296 elements: choose one of at most 2,147,483,648"),
        ({"seed": -1}, "The seed -1 is negative"),
        ({"parameters": (("sigma", 1.0),)}, "has no parameter 'sigma': it has mean, std"),
        ({"parameters": (("std", -0.1),)}, "'std' of the generator 'normal' is -0.1: choose 0 to 100"),
        ({"parameters": (("std", 101.0),)}, "is 101: choose 0 to 100"),
        ({"parameters": (("mean", math.nan),)}, "'mean' of the generator 'normal' is nan"),
        ({"parameters": (("mean", math.inf),)}, "is inf"),
        ({"kind": "uniform", "parameters": (("low", 2.0),)}, "low 2 above high 1: swap them"),
    ],
)
def test_a_bad_spec_is_a_problem_in_one_sentence(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(Problem, match=message):
        generate(dataclasses.replace(GeneratorSpec(), **changes))


def test_memory_that_runs_out_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise MemoryError

    monkeypatch.setattr(np, "empty", refuse)
    with pytest.raises(Problem, match="16,384 elements do not fit in memory"):
        generate(GeneratorSpec())


def test_the_values_of_the_article_are_ten_and_read_only() -> None:
    assert ARTICLE_VALUES.shape == (10,)
    assert ARTICLE_VALUES.dtype == np.float32
    assert (ARTICLE_VALUES.min(), ARTICLE_VALUES.max()) == (np.float32(-1.0697421), np.float32(0.8608386))
    with pytest.raises(ValueError, match="read-only"):
        ARTICLE_VALUES[0] = 0
