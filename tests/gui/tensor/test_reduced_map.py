"""The picture of the heat map is made beside the window, and is the one that the window would make."""

from __future__ import annotations

from typing import Any

import numpy as np

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
