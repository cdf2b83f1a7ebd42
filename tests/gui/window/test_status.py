"""The status bar says when there is no compiler, and only then."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QStatusBar
from pytestqt.qtbot import QtBot

from qviz.core import compiler
from qviz.gui.window.status import StatusLine
from qviz.session.state import Session


@pytest.mark.parametrize("there", [True, False])
def test_a_word_tells_that_numpy_works_alone(there: bool, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "available", lambda: there)
    bar = QStatusBar()
    qtbot.addWidget(bar)
    status = StatusLine(bar, Session())
    bar.show()
    assert status.plain.isVisibleTo(bar) is not there
    assert status.plain.text() == "NumPy alone"
    assert "numba" in status.plain.toolTip()
