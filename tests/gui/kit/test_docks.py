"""A double click on a title gives one dock the page for itself, and gives the page back."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QPoint
from PySide6.QtWidgets import QApplication

from qviz.core.tensors.granularity import PerAxis, PerToken
from tests.gui.conftest import Desk, Mouse

TITLE = QPoint(10, 10)


def visible(desk: Desk) -> set[str]:
    return {key for key, dock in desk.page.docks.items() if not dock.isHidden()}


def double_click(desk: Desk, key: str) -> None:
    Mouse(desk.page.docks[key].title).double_click(TITLE)
    QApplication.processEvents()


@pytest.mark.parametrize("back", ["double click", "button", "menu"])
def test_a_double_click_on_a_title_makes_the_dock_as_large_as_the_page_and_back(desk: Desk, back: str) -> None:
    dock, before = desk.page.docks["values"], visible(desk)
    place = dock.geometry()
    double_click(desk, "values")
    assert not dock.isFloating()
    assert visible(desk) == {"values"}
    assert dock.width() > 0.95 * desk.page.width()
    assert dock.height() > 0.95 * desk.page.height()
    if back == "double click":
        double_click(desk, "values")
    elif back == "button":
        desk.click(dock.title.restore_button)
    else:
        desk.do("reset_layout")
    QApplication.processEvents()
    assert visible(desk) == before
    assert dock.title.restore_button.isHidden()
    if back != "menu":
        assert dock.geometry() == place


def test_what_a_scheme_has_docks_for_is_there_when_the_page_comes_back(desk: Desk) -> None:
    double_click(desk, "values")
    desk.gesture(lambda: desk.session.update(granularity=PerAxis(0)))
    double_click(desk, "values")
    assert {"channels", "heat_map", "worst"} <= visible(desk)
    double_click(desk, "values")
    desk.gesture(lambda: desk.do("default_scheme"))
    double_click(desk, "values")
    assert not {"channels", "heat_map", "worst"} & visible(desk)


def test_a_dock_that_is_called_otherwise_closes_under_its_new_name(desk: Desk) -> None:
    desk.gesture(lambda: desk.session.update(granularity=PerToken()))
    for key in ("channels", "worst"):
        dock = desk.page.docks[key]
        assert dock.windowTitle() == dock.title.name.text()
        assert dock.title.close_button.toolTip() == f"Close {dock.windowTitle()}"
    assert desk.page.docks["channels"].windowTitle() == "Tokens"


def test_the_next_start_is_not_as_large_as_one_dock(desks, tmp_path: Path) -> None:
    first = desks(tmp_path / "kept.ini")
    before = visible(first)
    double_click(first, "error")
    first.window.close()
    assert visible(first) == before
