"""The brush fills whole pixels of a screen, and exactly what it is told on paper."""

from __future__ import annotations

import itertools

import numpy as np
import pyqtgraph as pg
import pytest
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtWidgets import QApplication

from qviz.gui.charts import drawing
from qviz.gui.charts.drawing import Brush

RED = QColor(255, 0, 0)


def filled(grain: float, x: float, y: float, width: float, height: float) -> QImage:
    """A white picture of 8 × 8 with one rectangle."""
    image = QImage(8, 8, QImage.Format.Format_RGB32)
    image.fill("white")
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    Brush(painter, pg.ViewBox(), grain, {}).rect(x, y, width, height, RED)
    painter.end()
    return image


def colours(image: QImage) -> set[str]:
    return {image.pixelColor(x, y).name() for x in range(8) for y in range(8)}


def test_on_a_screen_it_fills_whole_pixels(dressed: QApplication) -> None:
    image = filled(1.0, 1.6, 2.4, 3.0, 2.0)
    assert colours(image) == {"#ffffff", "#ff0000"}
    red = {(x, y) for x in range(8) for y in range(8) if image.pixelColor(x, y) == RED}
    assert red == {(x, y) for x in (2, 3, 4) for y in (2, 3)}


@pytest.mark.parametrize("grain", [0.0, 1.5, 2.0])
def test_on_paper_and_on_finer_screens_it_fills_exactly_what_it_is_told(dressed: QApplication, grain: float) -> None:
    image = filled(grain, 1.5, 2.0, 3.0, 2.0)
    assert image.pixelColor(2, 2) == RED
    assert image.pixelColor(1, 2).green() == image.pixelColor(4, 3).green() == pytest.approx(128, abs=3)
    assert image.pixelColor(5, 2).name() == "#ffffff"


@pytest.mark.parametrize("grain", [0.0, 1.0])
def test_dots_lie_around_their_places_and_those_out_of_sight_nowhere(dressed: QApplication, grain: float) -> None:
    image = QImage(12, 12, QImage.Format.Format_RGB32)
    image.fill("white")
    view = pg.ViewBox(enableMenu=False)
    view.resize(12, 12)
    view.setRange(xRange=(0, 12), yRange=(0, 12), padding=0)
    painter = QPainter(image)
    Brush(painter, view, grain, {}).dots(np.array([3.5, 12.5, 6.0]), np.array([8.5, 6.0, 99.0]), 3, RED)
    painter.end()
    red = {(x, y) for x in range(12) for y in range(12) if image.pixelColor(x, y) == RED}
    assert (3, 3) in red
    assert red <= {(x, y) for x in range(2, 6) for y in range(2, 6)}
    assert 4 <= len(red) <= 9


def test_an_area_in_slices_has_the_same_dots_as_in_one(dressed: QApplication, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)

    def area(steps: int, color: QColor, scale: float) -> list[QImage]:
        edges = np.sort(rng.uniform(2, 150, steps + 1))
        high = rng.uniform(5, 60, steps)
        low = high + rng.uniform(0, 50, steps) * rng.integers(0, 2, steps)
        high[rng.integers(0, steps, 3)] = np.nan  # without a value there is nothing
        images, left = [], rng.choice([0.0, 1 / 3, 1.7])
        for corners in (1, 4, steps):
            monkeypatch.setattr(drawing, "CORNERS", corners)
            image = QImage(round(160 * scale), round(120 * scale), QImage.Format.Format_ARGB32_Premultiplied)
            image.setDevicePixelRatio(scale)
            image.fill("beige")
            painter = QPainter(image)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.translate(left, 2.9)
            Brush(painter, pg.ViewBox(), 0.0, {}).area(edges, low, high, color)
            painter.end()
            images.append(image)
        return images

    colors = QColor(0, 114, 178), QColor(0, 114, 178, 110)
    drawn = [area(*each) for each in itertools.product((12, 40, 300), colors, (1.0, 3.125))]
    assert [n for n, (one, several, whole) in enumerate(drawn) if one != whole or several != whole] == []
    assert drawn[0][0] != drawn[1][0]
