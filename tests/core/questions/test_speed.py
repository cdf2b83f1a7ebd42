"""How much quicker codes are added than floats: what is measured, and how it is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qviz.core.questions import speed as speed_module
from qviz.core.questions.speed import NO_GAIN, RUNS, Speed, measure_addition
from qviz.core.work import Cancelled
from tests.every import every

INT8 = np.dtype(np.int8)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_module, "RUN_SECONDS", 0.0)


@pytest.fixture
def clockwork(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """A computer that needs a nanosecond a byte, and what it was given: type, size, repeats."""
    asked: list[tuple[str, int, int]] = []

    def spend(total: np.ndarray[Any, Any], step: np.ndarray[Any, Any], repeats: int) -> float:
        assert (total.dtype, total.shape) == (step.dtype, step.shape)
        asked.append((str(total.dtype), total.size, repeats))
        return 1e-9 * total.nbytes * repeats

    monkeypatch.setattr(speed_module, "_time", spend)
    return asked


@every("dtype", ["int8", "uint8", "int16", "uint16"])
def test_a_measurement_says_what_it_measured(dtype: str) -> None:
    measured = measure_addition(1000, np.dtype(dtype))
    assert (measured.elements, measured.code_dtype) == (1000, dtype)
    assert measured.float32_seconds > 0
    assert measured.code_seconds > 0


def test_it_really_adds() -> None:
    total, step = np.zeros(3, np.int8), np.ones(3, np.int8)
    assert speed_module._time(total, step, 5) > 0
    assert total.tolist() == [5, 5, 5]


def test_one_element_is_enough() -> None:
    assert measure_addition(1, INT8).elements == 1


@pytest.mark.parametrize(("dtype", "ratio"), [("int8", 4), ("uint16", 2)])
def test_seconds_are_those_of_one_addition(clockwork: list[Any], dtype: str, ratio: float) -> None:
    measured = measure_addition(1000, np.dtype(dtype))
    assert measured.float32_seconds == pytest.approx(4e-6)
    assert measured.code_seconds == pytest.approx(4e-6 / ratio)
    assert measured.ratio == pytest.approx(ratio)


def test_quick_additions_are_repeated(clockwork: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_module, "RUN_SECONDS", 4.005e-4)
    measured = measure_addition(1000, INT8)
    assert clockwork[-2:] == [("float32", 1000, 100), ("int8", 1000, 400)]
    assert measured.float32_seconds == pytest.approx(4e-6)


def test_both_types_are_measured_in_turn(clockwork: list[Any]) -> None:
    measure_addition(10, INT8)
    assert [dtype for dtype, _, _ in clockwork[-2 * RUNS :]] == ["float32", "int8"] * RUNS


def test_the_median_leaves_a_slow_moment_out(clockwork: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    spend = speed_module._time
    monkeypatch.setattr(
        speed_module, "_time", lambda *given: spend(*given) * (1000 if len(clockwork) % (2 * RUNS) < 4 else 1)
    )
    assert measure_addition(1000, INT8).ratio == pytest.approx(4)


def test_of_a_long_tensor_a_piece_is_measured(clockwork: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_module, "MAX_ELEMENTS", 100)
    measured = measure_addition(2**33, INT8)
    assert {size for _, size, _ in clockwork} == {100}
    assert measured.elements == 2**33
    assert measured.float32_seconds == pytest.approx(4e-9 * 2**33)
    assert measured.ratio == pytest.approx(4)


def test_progress_ends_at_one(clockwork: list[Any]) -> None:
    told: list[float] = []
    measure_addition(10, INT8, progress=told.append)
    assert told == pytest.approx([run / RUNS for run in range(1, RUNS + 1)])


def test_it_stops_between_runs(clockwork: list[Any]) -> None:
    told: list[float] = []
    with pytest.raises(Cancelled):
        measure_addition(10, INT8, progress=told.append, cancelled=lambda: len(told) == 2)
    assert len(told) == 2
    with pytest.raises(Cancelled):
        measure_addition(10, INT8, progress=told.append, cancelled=lambda: True)
    assert len(told) == 2


@every(
    ("float32", "code", "ratio", "gains"),
    [(4.0, 1.0, 4.0, True), (1.0, 2.0, 0.5, False), (1.0, 1.0, 1.0, False), (NO_GAIN, 1.0, NO_GAIN, True)],
)
def test_a_gain_is_a_ratio_worth_the_name(float32: float, code: float, ratio: float, gains: bool) -> None:
    speed = Speed(10, "int8", float32, code)
    assert speed.ratio == ratio
    assert speed.gains is gains
