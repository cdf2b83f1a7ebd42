"""Large results are written one after the other, without holding up the window."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication
from pytestqt.qtbot import QtBot

from qviz.core import PerAxis, Scheme, Tensor, analyze, quantize
from qviz.files import results, writers
from qviz.session.saver import Saver
from tests.session.conftest import PATIENCE, Heard, settle, until

X = np.random.default_rng(1).normal(0, 1, (4, 5)).astype(np.float32)


class Desk:
    def __init__(self, qtbot: QtBot) -> None:
        self.bot = qtbot
        self.saver = Saver()
        self.heard = Heard(self.saver, "saved", "problem")

    def settle(self) -> None:
        until(self.bot, lambda: not self.saver._waiting)
        settle(self.bot, self.saver)


@pytest.fixture
def desk(qtbot: QtBot) -> Iterator[Desk]:
    made = Desk(qtbot)
    yield made
    made.saver.close()


def test_a_quantized_tensor_is_written_elsewhere_and_told_here(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    honest = results.quantize

    def spying(x: object, q: results.Analysis) -> object:
        threads.append(threading.get_ident())
        return honest(x, q)

    monkeypatch.setattr(results, "quantize", spying)
    analysis = analyze(X, Scheme(granularity=PerAxis(1)))
    desk.saver.save_quantized(tmp_path / "q.npz", analysis)
    desk.settle()
    with np.load(tmp_path / "q.npz") as saved:
        np.testing.assert_array_equal(saved["codes"], quantize(X, analysis.qparams))
    assert desk.heard.all == [("saved", ("Saved q.npz.",))]
    assert threads != [threading.get_ident()] == list(desk.heard.threads)


def test_a_tensor_is_written_in_its_shape(desk: Desk, tmp_path: Path) -> None:
    desk.saver.save_tensor(tmp_path / "x.npy", Tensor(X))
    desk.settle()
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), X, strict=True)
    assert desk.heard.of("saved") == ["Saved x.npy."]


def test_everything_asked_for_is_written_in_order(desk: Desk, tmp_path: Path) -> None:
    names = [f"{i}.npy" for i in range(6)]
    for i, name in enumerate(names):
        desk.saver.save_tensor(tmp_path / name, Tensor(X + np.float32(i)))
    desk.settle()
    assert desk.heard.of("saved") == [f"Saved {name}." for name in names]
    assert [np.load(tmp_path / name)[0, 0] - X[0, 0] for name in names] == pytest.approx(range(6), abs=1e-6)


def test_a_problem_is_told_and_the_rest_is_written(desk: Desk, tmp_path: Path) -> None:
    desk.saver.save_tensor(tmp_path / "none" / "a.npy", Tensor(X))
    desk.saver.save_tensor(tmp_path / "b.npy", Tensor(X))
    desk.settle()
    assert desk.heard.names == ["problem", "saved"]
    assert desk.heard.of("problem")[0].startswith("a.npy can't be written: there is no folder")
    assert (tmp_path / "b.npy").exists()


def test_a_tensor_replaces_the_file_it_is_mapped_from(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, X)
    mapped = Tensor(np.load(path, mmap_mode="r"))
    desk.saver.save_tensor(path, mapped)
    desk.settle()
    np.testing.assert_array_equal(np.load(path), X)
    np.testing.assert_array_equal(mapped.values, X.ravel())


def test_a_bug_is_not_hidden_and_the_rest_is_written(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*arguments: object) -> None:
        raise KeyError("bug")

    monkeypatch.setattr(writers, "save_as", bug)
    with desk.bot.capture_exceptions() as caught:
        desk.saver.save_quantized(tmp_path / "a.npz", analyze(X, Scheme()))
        desk.saver.save_tensor(tmp_path / "b.npy", Tensor(X))
        desk.settle()
    assert [error for error, *_ in caught] == [KeyError]
    assert desk.heard.of("saved") == ["Saved b.npy."]


def test_closing_writes_every_file_that_was_asked_for(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = threading.Event()
    honest = np.save

    def slow(*arguments: object, **options: object) -> None:
        began.set()
        while not desk.saver._runner._closed:
            began.wait(0.001)
        honest(*arguments, **options)

    monkeypatch.setattr(np, "save", slow)
    for name in ("x.npy", "waiting.npy"):
        desk.saver.save_tensor(tmp_path / name, Tensor(X))
    assert began.wait(PATIENCE)
    desk.saver.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["waiting.npy", "x.npy"]
    for path in tmp_path.iterdir():
        np.testing.assert_array_equal(np.load(path), X)
    QCoreApplication.processEvents()
    assert desk.heard.all == []
