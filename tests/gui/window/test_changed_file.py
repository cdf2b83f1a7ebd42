"""What does a person see, and do, when a file changes under what is shown?"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtWidgets import QApplication

from qviz.core.tensors import counting
from qviz.files import file_array
from qviz.files.stamp import changed
from qviz.gui.window.crash import CrashReporter
from tests.gui.conftest import PATIENCE, Desk

pytestmark = pytest.mark.unpainted

F = np.float32
X = np.random.default_rng(0).standard_normal((300, 1000)).astype(F)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "x.npy"
    np.save(path, X)
    return path


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file counts as large."""
    monkeypatch.setattr(file_array, "KEPT_BYTES", 1000)
    monkeypatch.setattr(counting, "COPIED_BYTES", 1000)


def rewrite(path: Path, values: np.ndarray) -> None:
    before = path.stat().st_mtime_ns
    np.save(path, values)
    os.utime(path, ns=(before + 1, before + 1))


def look(desk: Desk) -> None:
    desk.app.watch.look()
    desk.rest()


def test_open_again_is_offered_and_shows_what_the_file_holds_now(desk: Desk, path: Path) -> None:
    desk.open(path)
    rewrite(path, X[:2] * 5)
    look(desk)
    assert desk.banner.text == "x.npy has changed since it was opened. What you see is what was in it then."
    toast = desk.banner.latest
    assert toast is not None
    assert toast.offer_button.text() == "Open again"
    desk.click(toast.offer_button)
    desk.rest()
    frame = desk.settle()
    np.testing.assert_array_equal(frame.tensor.values, X[:2].ravel() * 5)
    look(desk)
    assert desk.banner.text == ""


def test_of_a_file_that_is_gone_nothing_is_offered(desk: Desk, path: Path) -> None:
    desk.open(path)
    path.unlink()
    look(desk)
    assert desk.banner.text == "x.npy was moved or deleted. What you see is what was in it."
    toast = desk.banner.latest
    assert toast is not None
    assert toast.offer_button.isHidden()
    desk.show(X[:3])
    assert desk.banner.text == ""


@pytest.mark.usefixtures("large")
def test_a_refused_answer_says_so_and_offers_the_way_out(desk: Desk, path: Path) -> None:
    desk.open(path)
    frame = desk.settle()
    assert frame.whole.exact
    os.truncate(path, 5000)
    desk.session.update(bits=3)
    desk.bot.waitUntil(lambda: bool(desk.banner.text), timeout=PATIENCE)
    desk.rest()
    assert [toast.text for toast in desk.banner.all] == ["x.npy has changed since it was opened. Open it again."]
    rewrite(path, X * 2)
    toast = desk.banner.latest
    assert toast is not None
    desk.click(toast.offer_button)
    desk.rest()
    frame = desk.settle()
    assert frame.scheme.number_format.bits == 3
    assert frame.tensor.maximum == 2 * X.max()
    assert desk.banner.text == ""


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize(
    "hand",
    [
        lambda desk: desk.page.values.view.setXRange(1000, 1100),
        lambda desk: desk.session.update(selected=200_000),
        lambda desk: desk.page.table.model.data(desk.page.table.model.index(0, 1)),
        lambda desk: desk.window.resize(1300, 800),
    ],
    ids=["zoom", "select", "table", "resize"],
)
def test_drawing_from_a_file_that_has_changed_is_no_crash(
    desk: Desk, path: Path, hand: Callable[[Desk], object]
) -> None:
    reporter = desk.app.crashes
    reporter.install()
    try:
        desk.open(path)
        desk.settle()
        os.truncate(path, 5000)
        hand(desk)
        QApplication.processEvents()
        desk.rest()
        assert desk.app.crash_dialog is None or desk.app.crash_dialog.isHidden()
        look(desk)
        assert [toast.text for toast in desk.banner.all] == ["x.npy has changed since it was opened. Open it again."]
    finally:
        reporter.uninstall()


def test_a_changed_file_is_told_and_is_no_bug(desk: Desk, path: Path) -> None:
    reporter, heard, crashes = CrashReporter(), [], []
    reporter.stale.connect(heard.append)
    reporter.crashed.connect(crashes.append)
    problem = changed(path)
    reporter.report(type(problem), problem, None)
    QApplication.processEvents()
    assert (heard, crashes) == ([problem], [])


def test_the_menu_reads_again_and_follows(desk: Desk, path: Path) -> None:
    assert not desk.window.actions_by_key["open_again"].isEnabled()
    desk.open(path)
    rewrite(path, X[:5])
    desk.do("open_again")
    desk.rest()
    assert desk.settle().tensor.shape == (5, 1000)
    desk.do("reload_changed")
    try:
        assert desk.app.settings.get("reload_changed") is True
        rewrite(path, X[:6])
        look(desk)
        look(desk)
        assert desk.settle().tensor.shape == (6, 1000)
        assert desk.banner.text == ""
    finally:
        desk.do("reload_changed")
    assert desk.app.settings.get("reload_changed") is False
