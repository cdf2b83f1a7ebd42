"""Axes are laid out once for a range: what is kept is what would be laid out anew."""

from __future__ import annotations

import pytest
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QApplication

from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import PerBlock
from qviz.gui.charts.axes import MOST_LAYOUTS, ChartAxis
from tests.gui.charts.test_charts import normal
from tests.gui.conftest import Gallery

RANGES = ((0.0, 2.0), (0.0, 1e6), (-3.5, 40.0), (0.0, 2.0))


def anew(axis: ChartAxis) -> object:
    """As nobody had laid it out before."""
    axis.picture = None
    return axis.ticks()


@pytest.mark.parametrize("side", ["left", "bottom"])
def test_a_range_that_comes_back_is_laid_out_as_before(gallery: Gallery, side: str) -> None:
    gallery.present(normal(40, 50))
    axis = gallery["error"].plot.getAxis(side)
    kept = []
    for low, high in RANGES:
        axis.setRange(low, high)
        kept.append(axis.ticks())
    assert kept[0] is kept[-1]
    for found, (low, high) in zip(kept, RANGES, strict=True):
        axis.setRange(low, high)
        assert anew(axis) == found
    assert len({tuple(text for _, text in found.texts) for found in kept}) == 3


def test_what_is_kept_is_dropped_with_what_it_was_made_of(gallery: Gallery) -> None:
    gallery.present(normal(40, 50))
    axis = gallery["error"].plot.getAxis("left")
    axis.setRange(0.0, 50.0)
    plain = axis.ticks()
    axis.logarithmic = True
    assert axis.ticks() != plain
    axis.logarithmic = False
    assert axis.ticks() == plain
    axis.setStyle(tickFont=QFont(gallery["error"].font().family(), 30))
    assert axis.ticks() != plain

    gallery.present(normal(64, 64), Scheme(granularity=PerBlock(-1, 4)))
    axis = gallery["heat_map"].plot.getAxis("bottom")
    axis.setRange(0.0, 9.0)
    plain = axis.ticks()
    axis.each = 7
    assert [text for _, text in axis.ticks().texts] != [text for _, text in plain.texts]


def test_no_more_are_kept_than_a_slider_comes_back_to(gallery: Gallery) -> None:
    gallery.present(normal(40, 50))
    axis = gallery["error"].plot.getAxis("left")
    for high in range(1, 5 * MOST_LAYOUTS):
        axis.setRange(0.0, float(high))
        axis.ticks()
        assert len(axis._laid_out) <= MOST_LAYOUTS + 1


def test_an_axis_is_as_wide_as_its_texts_when_a_range_comes_back(gallery: Gallery) -> None:
    gallery.present(normal(40, 50))
    axis = gallery["transfer"].plot.getAxis("left")
    widths = []
    for low, high in ((0.0, 1.0), (0.0, 3e8), (0.0, 1.0), (0.0, 3e8)):
        for _ in range(3):  # an axis that grew is laid out again
            axis.setRange(low, high)
            axis.ticks()
            QApplication.processEvents()
        widths.append(axis._needed)
    assert widths[:2] == widths[2:]
    assert widths[0] < widths[1]
