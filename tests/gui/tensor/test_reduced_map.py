"""The picture of the heat map is made beside the window, and is the one that the window would make."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from qviz.core import Analysis, analyze
from qviz.core.tensors.granularity import PerBlock
from qviz.gui.tensor import heat_map_image
from tests.gui.conftest import Desk

X = np.random.default_rng(0).standard_t(4, (96, 128)).astype(np.float32)


def picture(desk: Desk) -> Any:
    return desk.page.heat_map._picture.copy()


def test_the_picture_of_an_answer_comes_with_it_and_is_the_same(desk: Desk, monkeypatch) -> None:
    desk.show(X, granularity=PerBlock(-1, 32))
    desk.page.docks["heat_map"].raise_()
    desk.bot.waitUntil(lambda: "heat_map" in desk.page._in_sight)
    desk.session.update(bits=4)
    desk.settle()
    made: list[Any] = []
    real = heat_map_image.GroupImage.seen
    monkeypatch.setattr(
        heat_map_image.GroupImage, "seen", lambda image, sight: made.append(sight) or real(image, sight)
    )
    desk.session.update(bits=3)
    frame = desk.settle()
    assert len(made) == 1, "by the worker alone"
    assert frame.reduced["heat_map"].analysis is frame.whole
    before = picture(desk)
    desk.page.heat_map.present(frame.whole)
    assert len(made) == 2
    assert picture(desk) == before


def test_what_is_drawn_of_the_values_is_read_beside_the_window(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large tensor lies in a file, which may take long to tell."""
    chart, threads = desk.page.values, []
    desk.show(X)
    real = Analysis.views
    monkeypatch.setattr(Analysis, "views", lambda *about: threads.append(threading.get_ident()) or real(*about))

    def drawn_elsewhere() -> bool:
        here = [thread for thread in threads if thread == threading.get_ident()]
        threads.clear()
        return not here

    desk.session.update(bits=3)
    desk.settle()
    assert drawn_elsewhere()
    desk.show(X[:50])  # another tensor is shown as a whole, as this one was
    assert drawn_elsewhere()
    chart.view.setXRange(100, 200, padding=0)
    assert not drawn_elsewhere()
    desk.session.update(bits=4)
    frame = desk.settle()
    assert drawn_elsewhere()
    drawn = chart.tables()[""].columns
    chart.present(analyze(frame.tensor, frame.scheme))
    assert not drawn_elsewhere()
    for name, column in chart.tables()[""].columns.items():
        np.testing.assert_array_equal(column, drawn[name])


def test_a_picture_of_another_quantity_or_part_is_not_shown(desk: Desk) -> None:
    desk.show(X, granularity=PerBlock(-1, 32))
    frame = desk.settle()
    chart = desk.page.heat_map
    chart.choose_quantity("sqnr")
    old = chart.sight()(frame.whole)
    chart.choose_quantity("max")
    shown = picture(desk)
    chart.foresee(old)
    chart.present(frame.whole)
    assert picture(desk) == shown
    assert chart._image.sight.quantity == "max"
