"""What lies over a chart is all seen, though only rows that have words in them are kept as pictures."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication

from qviz.gui.charts.base import Chart
from qviz.gui.charts.drawing import Brush
from tests.gui.charts.test_charts import normal
from tests.gui.conftest import Gallery

SIDES = ("left", "right", "top", "bottom")
CLEAR = 32
"""Steps of a colour that letters on a picture of glass may differ by; what is missing differs by far more."""

SIZES = {"large": (640, 400), "small": (240, 150), "lower than its words": (300, 116), "narrow": (170, 300)}


@pytest.fixture
def gallery_of_any_size(gallery: Gallery) -> Iterator[Gallery]:
    yield gallery
    for chart in gallery.charts.values():
        chart.resize(640, 400)
        chart.show_chips({})


def picture(chart: Chart) -> np.ndarray:
    QApplication.processEvents()
    image = chart.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    return np.array(image.constBits()).reshape(image.height(), image.width(), 4)[..., :3].astype(int)


def paint_all(chart: Chart, patch: pytest.MonkeyPatch) -> np.ndarray:
    """The same with nothing kept: what is asked for in two pieces is painted whole, once a painting."""
    painters: list[object] = []
    keep = Brush.keep

    def paint_anew(brush: Brush, name: str, of: Any, paint: Any, rows: Any = None) -> None:
        if name not in ("words", "head", "foot"):
            keep(brush, name, of, paint, rows)
        elif brush.painter not in painters:
            painters.append(brush.painter)
            paint(brush)

    with patch.context() as within:
        within.setattr(Brush, "keep", paint_anew)
        return picture(chart)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("name", ["values", "error", "channels"])
def test_every_chip_is_seen_wherever_it_is(
    gallery_of_any_size: Gallery, name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery_of_any_size.present(normal(40, 50))
    chart = gallery_of_any_size[name]
    chart.resize(*size)
    bare = picture(chart)
    for count in range(len(SIDES) + 1):
        for sides in itertools.combinations(SIDES, count):
            chart.show_chips({side: f"{side}: 12 beyond" for side in sides})
            found = picture(chart)
            differs = np.abs(found - paint_all(chart, monkeypatch)).max()
            assert differs < CLEAR, sides
            assert set(chart.view.chips) == set(sides)
            assert bool(sides) == bool(np.abs(found - bare).max() > 2 * CLEAR)


def test_another_legend_takes_the_place_of_the_one_before(
    gallery_of_any_size: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery_of_any_size.present(normal(40, 50))
    chart = gallery_of_any_size["error"]
    before, legend = picture(chart), chart.ornaments.legend
    try:
        for names in ({"original": "another"}, {"original": "another", "bound": "and one more"}, legend):
            chart.add_legend(names)
            chart._over.renew()
            assert np.abs(picture(chart) - paint_all(chart, monkeypatch)).max() < CLEAR, names
            assert bool(names != legend) == bool(np.abs(picture(chart) - before).max() > 2 * CLEAR)
    finally:
        chart.add_legend(legend)
