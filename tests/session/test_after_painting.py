"""All that is due is on the screen when it is said to be painted."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from qviz.session.after_painting import TURNS, AfterPainting
from tests.session.conftest import until


@pytest.mark.parametrize("held_back", [0, 1, TURNS, 4 * TURNS])
def test_what_a_window_holds_back_is_waited_for(qtbot: QtBot, held_back: int) -> None:
    looks: list[int] = []

    def due() -> bool:
        looks.append(len(looks))
        return len(looks) <= held_back

    painting = AfterPainting(due=due)
    told: list[int] = []
    painting.painted.connect(lambda: told.append(len(looks)))
    painting.wait()
    until(qtbot, lambda: bool(told))
    assert told == [held_back + 1], "told once, when nothing is due any more"


def test_who_waits_again_is_told_once(qtbot: QtBot) -> None:
    painting = AfterPainting()
    told: list[bool] = []
    painting.painted.connect(lambda: told.append(True))
    for _ in range(3):
        painting.wait()
    until(qtbot, lambda: bool(told))
    assert told == [True]
