"""The chart of losses draws what each threshold loses, where it is least, and clips where it is clicked."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from qviz.core import MSE, Entropy, IntFormat, PerAxis, Percentile, Scheme, Tensor, analyze, prepare
from qviz.core.questions.analysis import Analysis
from qviz.core.questions.loss_curves import Losses, compare_ranges
from qviz.files.writers import EXPORT_FORMATS
from qviz.gui.charts.axes import PowerAxis
from qviz.gui.charts.base import LinkedCursor
from qviz.gui.charts.export import export_chart
from qviz.gui.kit.theme import load_theme
from qviz.gui.tensor.loss_chart import LossChart
from tests.gui.conftest import mouse_over, spot
from tests.pairs import pairs
from tests.session.ladder import FEW, large, small_samples

X = np.random.default_rng(2).normal(0.5, 1, 5000).astype(np.float32)
SYMMETRIC, ASYMMETRIC = Scheme(IntFormat(4)), Scheme(IntFormat(4), symmetric=False)


@cache
def of_the_usual(scheme: Scheme, rule: Any) -> tuple[Analysis, Losses]:
    """The answer and the curves of X, which nobody changes: found once."""
    tensor = Tensor(X)
    return analyze(tensor, scheme), compare_ranges(prepare(tensor), scheme, rule)


class Easel:
    """One chart of losses, and what it asks for."""

    def __init__(self) -> None:
        self.link = LinkedCursor()
        self.chart = LossChart(self.link)
        self.chart.resize(640, 400)
        self.chart.apply_theme(load_theme("light"))
        self.chart.show()
        self.clips: list[tuple[float, float]] = []
        self.said: list[str] = []
        self.chart.clip_moved.connect(lambda low, high: self.clips.append((low, high)))
        self.chart.read_out.connect(self.said.append)

    def present(self, x: Any = X, scheme: Scheme = SYMMETRIC, rule: Any = None) -> Losses:
        """An answer and its curves, painted."""
        if x is X:
            analysis, losses = of_the_usual(scheme, rule or MSE())
        else:
            tensor = x if isinstance(x, Tensor) else Tensor(x)
            analysis, losses = analyze(tensor, scheme), compare_ranges(prepare(tensor), scheme, rule or MSE())
        self.chart.present(analysis)
        self.chart.show_losses(losses)
        QApplication.processEvents()
        return losses

    def click(self, x: float) -> None:
        mouse_over(self.chart).click(spot(self.chart, x))

    @property
    def curves(self) -> list[tuple[np.ndarray, np.ndarray]]:
        return [curve.getData() for curve in self.chart._curves if curve.isVisible()]

    @property
    def dots(self) -> tuple[list[float], list[float]]:
        x, y = self.chart._best.getData()
        return x.tolist(), y.tolist()

    def lines(self, key: str) -> list[float]:
        return [line.value() for line in self.chart._rivals[key] if line.isVisible()]

    @property
    def is_empty(self) -> bool:
        return not (self.curves or self.chart._best.isVisible() or self.lines("minmax") or self.lines("percentile"))

    @property
    def clip(self) -> list[float]:
        return [line.value() for line in self.chart._clip if line.isVisible()]

    def tidy(self) -> None:
        """As it was before the first answer."""
        chart = self.chart
        chart.forget()
        chart._analysis = None
        chart.canvas.hide()
        for line in chart._clip:
            line.hide()
        chart.apply_theme(load_theme("light"))
        chart.resize(640, 400)
        chart._follows = False
        self.clips.clear()
        self.said.clear()


@pytest.fixture(scope="module")
def standing(qapp: QApplication) -> Iterator[Easel]:
    """One for all tests: a chart costs more to build and to take down than to use."""
    made = Easel()
    yield made
    made.chart.close()
    made.chart.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


@pytest.fixture
def easel(standing: Easel, qtbot: QtBot) -> Iterator[Easel]:
    standing.tidy()
    yield standing
    standing.tidy()


# --- what is drawn ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [MSE(), Entropy()], ids=["mse", "entropy"])
def test_a_symmetric_curve_is_drawn_on_both_sides(easel: Easel, rule: Any) -> None:
    losses = easel.present(rule=rule)
    (curve,) = losses.curves
    (right, up), (left, down) = easel.curves
    np.testing.assert_array_equal(right, curve.threshold)
    np.testing.assert_array_equal(left, -curve.threshold[::-1])
    np.testing.assert_allclose(up, np.log10(curve.value))
    np.testing.assert_array_equal(down, up[::-1])


def test_an_asymmetric_one_is_a_curve_for_each_end(easel: Easel) -> None:
    losses = easel.present(scheme=ASYMMETRIC)
    assert [curve.side for curve in losses.curves] == ["low", "high"]
    for (x, y), curve in zip(easel.curves, losses.curves, strict=True):
        np.testing.assert_array_equal(x, curve.threshold)
        np.testing.assert_allclose(y, np.log10(curve.value))


@pytest.mark.parametrize("scheme", [SYMMETRIC, ASYMMETRIC], ids=["symmetric", "asymmetric"])
def test_the_dot_lies_at_the_least_loss(easel: Easel, scheme: Scheme) -> None:
    losses = easel.present(scheme=scheme)
    x, y = easel.dots
    best = analyze(X, Scheme(scheme.number_format, scheme.symmetric, range_rule=MSE()))
    assert x == pytest.approx([float(best.qparams.low), float(best.qparams.high)])
    assert y == pytest.approx([math.log10(best.mse)] * 2, abs=1e-6)
    least = min(float(curve.value.min()) for curve in losses.curves)
    assert best.mse == pytest.approx(least, rel=1e-6)
    shown = easel.chart.view.viewRange()
    assert shown[0][0] < x[0] < x[1] < shown[0][1]
    assert shown[1][0] < y[0] < shown[1][1]


def test_the_dot_of_entropy_lies_on_its_curve(easel: Easel) -> None:
    losses = easel.present(rule=Entropy())
    x, y = easel.dots
    assert x[1] == pytest.approx(losses.ranges["best"][1])
    assert y[1] == pytest.approx(math.log10(losses.curves[0].value.min()), abs=0.2)


def test_the_other_estimators_are_marked(easel: Easel) -> None:
    easel.present(scheme=Scheme(IntFormat(4), symmetric=False, range_rule=Percentile(90.0)))
    assert easel.lines("minmax") == [X.min(), X.max()]
    percentile = analyze(X, Scheme(symmetric=False, range_rule=Percentile(90.0))).qparams
    assert easel.lines("percentile") == [float(percentile.low), float(percentile.high)]
    assert easel.clip == easel.lines("percentile")


def test_the_clip_lines_are_those_of_the_scheme(easel: Easel) -> None:
    easel.present()
    assert easel.clip == [-np.abs(X).max(), np.abs(X).max()]
    easel.chart.present(analyze(X, ASYMMETRIC))
    assert easel.clip == [X.min(), X.max()]


def test_it_says_where_the_least_is_and_whether_it_is_an_estimate(
    easel: Easel, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_samples(monkeypatch)
    losses = easel.present()
    low, high = losses.ranges["best"]
    assert easel.chart.note == f"least at −{abs(low):.4g} … {high:.4g}"
    easel.chart.show_losses(compare_ranges(large(), SYMMETRIC, MSE(), limits=FEW))
    assert easel.chart.note.startswith("estimate, least at −")


def test_the_axis_names_the_loss(easel: Easel) -> None:
    for rule, name in ((MSE(), "mean squared error"), (Entropy(), "KL divergence, nats")):
        easel.present(rule=rule)
        assert easel.chart.plot.getAxis("left").labelText == name


def test_tables_are_the_thresholds_and_their_losses(easel: Easel) -> None:
    assert easel.chart.tables() == {}
    losses = easel.present()
    (table,) = easel.chart.tables().values()
    np.testing.assert_array_equal(table.columns["threshold"], losses.curves[0].threshold)
    np.testing.assert_array_equal(table.columns["mse"], losses.curves[0].value)
    losses = easel.present(scheme=ASYMMETRIC)
    tables = easel.chart.tables()
    assert list(tables) == ["low", "high"]
    for table, curve in zip(tables.values(), losses.curves, strict=True):
        np.testing.assert_array_equal(table.columns["threshold"], curve.threshold)
    easel.present(rule=Entropy())
    (table,) = easel.chart.tables().values()
    assert list(table.columns) == ["threshold", "entropy"]


# --- when there is nothing --------------------------------------------------------------------------


def test_before_the_first_curve_nothing_is_marked(easel: Easel) -> None:
    easel.chart.present(analyze(X, SYMMETRIC))
    assert easel.is_empty
    assert easel.clip
    easel.chart.reset_view()
    easel.click(0.5)
    assert easel.clips == []
    mouse_over(easel.chart).move(spot(easel.chart, 0.5))
    assert not any(easel.said)


def test_channels_empty_it_and_say_why(easel: Easel) -> None:
    easel.present()
    x = X.reshape(5, 1000)
    easel.chart.present(analyze(x, Scheme(granularity=PerAxis(0))))
    assert easel.is_empty
    assert easel.clip == []
    assert easel.chart.tables() == {}
    assert easel.chart.hint.text() == "Each channel has its own range: click one in Channels."
    assert easel.chart.hint.isVisible()
    assert not easel.chart.canvas.isVisible()  # axes without a curve would tell something that is not so
    easel.chart.present(analyze(X, SYMMETRIC))
    assert easel.chart.canvas.isVisible()
    assert not easel.chart.hint.isVisible()
    assert easel.is_empty
    easel.present()
    assert not easel.is_empty


def test_forgetting_leaves_the_clip_lines(easel: Easel) -> None:
    easel.present()
    easel.chart.forget()
    assert easel.is_empty
    assert (easel.chart.tables(), easel.chart.note) == ({}, "")
    assert easel.clip


SPECIAL = {
    "zeros": np.zeros(100),
    "ones": np.ones(100),
    "negative": np.full(100, -3.5),
    "one element": np.array([0.7]),
    "one zero": np.array([0.0]),
    "two values": np.array([-1.0, 2.0] * 50),
    "positive": np.random.default_rng(0).uniform(2, 3, 500),
    "negative ones": np.random.default_rng(0).uniform(-3, -2, 500),
    "mostly zero": np.where(np.arange(1000) % 100 == 0, 1.0, 0.0),
    "tiny": np.array([1e-45, -1e-45, 0, 1e-44]),
    "huge": np.array([1e38, -1e38, 1.0, 0.0]),
    "with gaps": np.array([np.nan, 1.0, np.inf, -2.0, 0.5]),
    "an outlier": np.append(np.random.default_rng(0).normal(0, 1, 999), 1e6),
}


def named(each: Any) -> str:
    if isinstance(each, Scheme):
        return "symmetric" if each.symmetric else "asymmetric"
    return str(getattr(each, "kind", each))


@pytest.mark.parametrize(
    ("name", "scheme", "rule", "ending"),
    pairs(tuple(SPECIAL), (SYMMETRIC, ASYMMETRIC), (MSE(), Entropy()), EXPORT_FORMATS),
    ids=named,
)
def test_every_tensor_can_be_shown(
    easel: Easel, tmp_path: Path, name: str, scheme: Scheme, rule: Any, ending: str
) -> None:
    """Each tensor under each scheme, with each curve, and in each format; any two of these together."""
    easel.present(SPECIAL[name].astype(np.float32), scheme, rule)
    chart = easel.chart
    for x in (-1.0, 0.0, 0.5):
        mouse_over(chart).move(spot(chart, x))
        easel.click(x)
    chart.reset_view()
    QApplication.processEvents()
    assert all(math.isfinite(end) for ends in chart.view.viewRange() for end in ends)
    assert all(low < high for low, high in easel.clips)
    if chart.tables():
        assert export_chart(chart, tmp_path / f"loss.{ending}")
    easel.present()  # and back to an ordinary one
    assert len(easel.curves) == 2


# --- the pointer ------------------------------------------------------------------------------------


@pytest.mark.parametrize("x", [1.25, -1.25])
def test_a_click_on_a_symmetric_curve_moves_both_ends(easel: Easel, x: float) -> None:
    easel.present()
    easel.click(x)
    ((low, high),) = easel.clips
    assert high == -low == pytest.approx(1.25, abs=0.02)


def test_a_click_on_an_asymmetric_one_moves_the_nearer_end(easel: Easel) -> None:
    easel.present(scheme=ASYMMETRIC)
    low, high = easel.clip
    for x in (low + 0.5, high - 0.5):
        easel.click(x)
    (first, second) = easel.clips
    assert first == (pytest.approx(low + 0.5, abs=0.02), high)
    assert second == (low, pytest.approx(high - 0.5, abs=0.02))


def test_a_double_click_or_one_beside_the_curves_clips_nothing(easel: Easel) -> None:
    easel.present()
    mouse_over(easel.chart).click(easel.chart.canvas.rect().topLeft())
    assert easel.clips == []
    x, _ = easel.chart.view.viewRange()
    easel.chart.view.setXRange(0, 0.1, padding=0)
    clicks = len(easel.clips)
    mouse_over(easel.chart).double_click(spot(easel.chart, 0.05))
    assert easel.chart.view.viewRange()[0] == pytest.approx(x)
    assert len(easel.clips) <= clicks + 1


def test_a_click_at_zero_leaves_the_range_alone(easel: Easel) -> None:
    easel.present()
    easel.chart.view.setXRange(-1, 1, padding=0)
    middle = spot(easel.chart, 0.0)
    easel.chart._on_clicked(_Click(easel.chart, middle))
    assert all(low < high for low, high in easel.clips)


class _Click:
    """A click exactly at 0, which no pixel is."""

    def __init__(self, chart: LossChart, position: Any) -> None:
        self._position = chart.view.mapViewToScene(chart.view.mapSceneToView(chart.canvas.mapToScene(position)))

    def isAccepted(self) -> bool:
        return False

    def double(self) -> bool:
        return False

    def button(self) -> Any:
        from PySide6.QtCore import Qt

        return Qt.MouseButton.LeftButton

    def scenePos(self) -> Any:
        return self._position


def test_hovering_reads_threshold_and_loss(easel: Easel) -> None:
    losses = easel.present()
    told: list[Any] = []
    easel.link.moved.connect(lambda source, value: told.append(value))
    mouse_over(easel.chart).move(spot(easel.chart, 1.5))
    (value, loss) = easel.said[-1].removeprefix("clip at ").split(": ")
    assert float(value) == pytest.approx(1.5, abs=0.02)
    curve = losses.curves[0]
    assert float(loss) == pytest.approx(np.interp(1.5, curve.threshold, curve.value), rel=0.05)
    assert told[-1] == pytest.approx(1.5, abs=0.02)


def test_beyond_the_curve_nothing_is_read(easel: Easel) -> None:
    easel.present()
    easel.chart.view.setXRange(-20, 20, padding=0)
    mouse_over(easel.chart).move(spot(easel.chart, 15))
    assert easel.said[-1] == ""


# --- the view ---------------------------------------------------------------------------------------


def test_a_new_scheme_leaves_the_zoom_and_a_new_tensor_does_not(easel: Easel) -> None:
    tensor = Tensor(X)
    easel.present(tensor)
    easel.chart.view.setXRange(0.5, 1.0, padding=0)
    easel.present(tensor, Scheme(IntFormat(3)))
    assert easel.chart.view.viewRange()[0] == pytest.approx([0.5, 1.0])
    easel.present(3 * X)
    assert easel.chart.view.viewRange()[0][1] > 3


def test_what_loses_far_more_is_out_of_sight_at_first(easel: Easel) -> None:
    easel.present(SPECIAL["an outlier"].astype(np.float32))
    low, high = easel.chart.view.viewRange()[1]
    assert high - low < 8


def test_it_follows_the_axis_of_another_chart(easel: Easel) -> None:
    other = LossChart(LinkedCursor())
    try:
        easel.chart.follow(other.view)
        easel.present()
        other.view.setXRange(-7, 7, padding=0)
        assert easel.chart.view.viewRange()[0] == pytest.approx([-7, 7], rel=0.1)
        easel.chart.reset_view()
        assert easel.chart.view.viewRange()[0] == pytest.approx([-7, 7], rel=0.1)
    finally:
        other.deleteLater()


@pytest.mark.parametrize(
    ("ends", "size", "expected"),
    [
        ((-3, 0), 300, ["0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]),
        ((-3, 0), 160, ["0.001", "0.003", "0.01", "0.03", "0.1", "0.3", "1"]),
        ((-3, 0), 100, ["0.001", "0.01", "0.1", "1"]),
        ((-1.1, -1.05), 200, ["0.0818", "0.0841", "0.0866"]),
        ((-300, 300), 200, None),
    ],
)
def test_losses_are_written_as_powers_of_ten(
    dressed: QApplication, ends: tuple[float, float], size: float, expected: list[str] | None
) -> None:
    axis = PowerAxis("left")
    ((_, values),) = axis.tickValues(*ends, size)
    texts = axis.tickStrings(sorted(values), 1, 1)
    assert len(texts) <= size / 22
    if expected is not None:
        assert texts == expected


def test_the_view_stays_where_floats_are(easel: Easel) -> None:
    easel.present()
    easel.chart.view.setYRange(-1e9, 1e9, padding=0)
    QApplication.processEvents()
    low, high = easel.chart.view.viewRange()[1]
    assert -330 <= low < high <= 308


# --- away -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", EXPORT_FORMATS)
@pytest.mark.parametrize("scheme", [SYMMETRIC, ASYMMETRIC], ids=["symmetric", "asymmetric"])
def test_it_is_exported(easel: Easel, tmp_path: Path, ending: str, scheme: Scheme) -> None:
    losses = easel.present(scheme=scheme)
    paths = export_chart(easel.chart, tmp_path / f"loss.{ending}")
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF-", "csv": b"threshold,mse"}[ending]
    assert all(path.read_bytes().startswith(start) for path in paths)
    if ending == "csv":
        assert len(paths) == len(losses.curves)
        for path, curve in zip(paths, losses.curves, strict=True):
            _, *rows = csv.reader(path.read_text().splitlines())
            np.testing.assert_array_equal(np.array(rows, float), np.column_stack((curve.threshold, curve.value)))


@pytest.mark.parametrize("name", ["dark", "light"])
def test_a_theme_changes_every_colour(easel: Easel, name: str) -> None:
    easel.present()
    theme = load_theme(name)
    easel.chart.apply_theme(theme)
    chart = easel.chart
    assert chart._curves[0].opts["pen"].color() == theme.color("original")
    assert chart._rivals["minmax"][0].pen.color() == theme.color("unused")
    assert chart._rivals["percentile"][1].pen.color() == theme.color("bound")
    assert chart._clip[0].pen.color() == theme.color("clipping")
    assert chart._best.opts["brush"].color() == theme.color("dequantized")
    QApplication.processEvents()
