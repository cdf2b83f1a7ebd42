"""Is it told, once, that a file is another under the tensor that is shown, and is it read anew on wish?"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from qviz.core import PerAxis, PerTensor, Scheme, Tensor, analyze
from qviz.core.questions.effort import Limits
from qviz.core.tensors import counting
from qviz.files import file_array
from qviz.files.stamp import Stamp, changed
from qviz.session.analyst import Analyst
from qviz.session.library import Library
from qviz.session.memory import Memory
from qviz.session.preparer import Preparer
from qviz.session.state import Session
from qviz.session.watch import Change, Watch
from tests.session.conftest import HandTimers, Heard, settle, until
from tests.stamps import put_back

F = np.float32
X = np.random.default_rng(0).standard_normal((300, 1000)).astype(F)


class Desk:
    """A library, those who answer, and a watch whose looks a test decides."""

    def __init__(self, bot: QtBot, folder: Path) -> None:
        self.bot, self.folder, self.wanted = bot, folder, False
        self.timers, looks = HandTimers(), HandTimers()
        self.session = Session(timers=self.timers, limits=Limits())
        self.memory = Memory(lambda: 1 << 30)
        self.library = Library(self.session, self.memory)
        self.analyst = Analyst(self.session)
        self.preparer = Preparer(self.session, self.memory)
        self.session.timers = looks
        self.watch = Watch(self.session, self.memory.stamps, lambda: self.wanted)
        self.session.timers = self.timers
        (self.timer,) = looks.all
        self.heard = Heard(self.watch, "changed", "settled", "reload")
        self.said = Heard(self.library, "problem", "notice")
        self.refused = Heard(self.analyst, "answered", "problem", "stale")
        self.watch.reload.connect(self.library.open_again)

    @property
    def workers(self) -> tuple[Library, Analyst, Preparer]:
        return self.library, self.analyst, self.preparer

    def open(self, *paths: Path) -> None:
        self.library.open(paths)
        self.settle()

    def again(self) -> None:
        assert self.session.state.current is not None
        self.library.open_again(self.session.state.current)
        self.settle()

    def settle(self) -> None:
        library = self.library
        until(self.bot, lambda: not (library.busy or library._to_open))
        self.timers.settle(self.bot, *self.workers, library._opener)
        settle(self.bot, *self.workers)

    @property
    def told(self) -> list[Change]:
        return self.heard.of("changed")

    @property
    def names(self) -> list[str]:
        return [item.name for item in self.session.state.items]

    @property
    def tensor(self) -> Tensor:
        assert self.session.state.tensor is not None
        return self.session.state.tensor

    def close(self) -> None:
        self.watch.close()
        for worker in self.workers:
            worker.close()


@pytest.fixture
def desk(qtbot: QtBot, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(qtbot, tmp_path)
    yield made
    made.close()


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


def rewrite(path: Path, values: np.ndarray = X * 3) -> None:
    before = path.stat().st_mtime_ns
    np.save(path, values)
    os.utime(path, ns=(before + 1, before + 1))


def touch(path: Path) -> None:
    """Rewritten in place, with its time put back."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(5000)
        file.write(bytes(4000))
    put_back(path, before)


CHANGES: dict[str, Callable[[Path], object]] = {
    "rewritten": rewrite,
    "rewritten, its time put back": touch,
    "truncated": lambda path: os.truncate(path, 6000),
    "appended to": lambda path: path.write_bytes(path.read_bytes() + b"more"),
    "replaced": lambda path: (np.save(path.with_name("other.npy"), X * 3), path.with_name("other.npy").replace(path)),
    "deleted": lambda path: path.unlink(),
}


# --- what is told ----------------------------------------------------------------------------------


@pytest.mark.parametrize("change", CHANGES, ids=CHANGES)
def test_a_change_is_told_once(desk: Desk, path: Path, change: str) -> None:
    desk.open(path)
    desk.timer.fire()
    assert not desk.heard.all
    CHANGES[change](path)
    for _ in range(3):
        desk.timer.fire()
    gone = change == "deleted"
    assert desk.told == [
        Change("x.npy was moved or deleted. What you see is what was in it.")
        if gone
        else Change("x.npy has changed since it was opened. What you see is what was in it then.", (path,))
    ]
    assert desk.heard.names == ["changed"]


def test_each_change_is_told_and_its_end_too(desk: Desk, path: Path) -> None:
    desk.open(path)
    for values in (X * 2, X * 3):
        rewrite(path, values)
        desk.timer.fire()
        desk.timer.fire()
    path.unlink()
    desk.timer.fire()
    rewritten = path.with_name("y.npy")
    np.save(rewritten, X)
    rewritten.rename(path)
    desk.timer.fire()
    desk.again()
    assert desk.heard.names == ["changed"] * 4 + ["settled"]
    desk.timer.fire()
    assert desk.heard.names == ["changed"] * 4 + ["settled"]


def test_what_comes_back_as_it_was_is_settled(desk: Desk, path: Path) -> None:
    desk.open(path)
    elsewhere = path.rename(path.with_name("y.npy"))
    desk.timer.fire()
    elsewhere.rename(path)
    desk.timer.fire()
    assert desk.heard.names == ["changed", "settled"]


def test_what_is_touched_alone_is_looked_into_once(desk: Desk, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rights, a link, or an attribute that a backup leaves."""
    desk.open(path)
    read, original = [], Stamp.with_content
    monkeypatch.setattr(Stamp, "with_content", lambda path: read.append(path) or original(path))
    put_back(path, path.stat())
    for _ in range(3):
        desk.timer.fire()
    assert not desk.heard.all
    assert read == [path]
    touch(path)
    for _ in range(3):
        desk.timer.fire()
    assert desk.heard.names == ["changed"]
    assert read == [path, path]


@pytest.mark.usefixtures("large")
def test_of_a_large_file_that_is_touched_nothing_is_said_to_be_exact(desk: Desk, path: Path) -> None:
    """Whether it was written or renamed cannot be told without reading all of it."""
    desk.open(path)
    put_back(path, path.stat())
    desk.timer.fire()
    assert [change.text for change in desk.told] == ["x.npy has changed since it was opened. Open it again."]
    desk.again()
    assert desk.heard.names == ["changed", "settled"]


def test_what_is_shown_is_watched_and_nothing_else(desk: Desk, path: Path) -> None:
    other = path.with_name("other.npy")
    np.save(other, X[:2])
    desk.open(path, other)
    rewrite(other, X[:3])
    desk.timer.fire()
    assert not desk.heard.all
    rewrite(path)
    desk.timer.fire()
    desk.library.open_article()
    desk.settle()
    assert desk.heard.names == ["changed", "settled"]
    assert not desk.timer.active  # nothing to look at


def test_of_batches_every_file_is_watched(desk: Desk, tmp_path: Path) -> None:
    paths = [tmp_path / f"batch_{i}.npy" for i in range(3)]
    for path in paths:
        np.save(path, X[:5])
    desk.open(tmp_path)
    assert desk.names[0] == "batch_* (3 batches)"
    rewrite(paths[1], X[5:10])
    desk.timer.fire()
    (change,) = desk.told
    assert change.text.startswith("batch_1.npy has changed")
    desk.again()
    assert desk.names == ["batch_* (3 batches)", "batch_0.npy", "batch_1.npy", "batch_2.npy"]
    np.testing.assert_array_equal(desk.tensor.values.reshape(3, 5, -1)[1], X[5:10])


# --- what is answered ------------------------------------------------------------------------------


SCHEMES = {
    "per tensor": Scheme(granularity=PerTensor()),
    "per block": Scheme(granularity=PerAxis(0)),
}


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
@pytest.mark.parametrize("change", CHANGES, ids=CHANGES)
def test_figures_of_a_small_file_stay_those_of_what_was_read(
    desk: Desk, path: Path, change: str, scheme: Scheme
) -> None:
    desk.open(path)
    CHANGES[change](path)
    desk.session.update(scheme=scheme, bits=3)
    desk.settle()
    assert not desk.refused.of("problem")
    assert desk.analyst.last is not None
    found, truth = desk.analyst.last.whole, analyze(X, desk.session.scheme)
    assert found.exact
    assert (found.mse, found.max_abs_error) == pytest.approx((truth.mse, truth.max_abs_error), rel=1e-9)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
@pytest.mark.parametrize("change", CHANGES, ids=CHANGES)
def test_about_a_large_file_that_has_changed_nothing_is_answered(
    desk: Desk, path: Path, change: str, scheme: Scheme
) -> None:
    """Not even by what was put in order before: charts draw from the file, too."""
    desk.refused.all.clear()
    desk.open(path)
    assert desk.session.state.prepared is not None
    desk.refused.all.clear()
    CHANGES[change](path)
    desk.session.update(scheme=scheme, bits=3)
    desk.settle()
    assert set(desk.refused.names) == {"problem", "stale"}
    (problem,) = set(map(str, desk.refused.of("stale")))
    gone = change == "deleted"
    assert problem.startswith("x.npy is gone" if gone else "x.npy has changed since it was opened. Open it again.")
    desk.watch.refuse(desk.refused.of("stale")[0])
    assert [change.text for change in desk.told] == [problem]
    assert desk.told[0].paths == (() if gone else (path,))


@pytest.mark.usefixtures("large")
def test_a_change_while_the_order_is_made_leaves_no_order(
    desk: Desk, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qviz.session import preparer

    desk.session.limits = Limits(counted_up_to=1000)
    original = preparer.prepare

    def prepare(*arguments: object, **options: object) -> object:
        found = original(*arguments, **options)
        rewrite(path)
        return found

    monkeypatch.setattr(preparer, "prepare", prepare)
    heard = Heard(desk.preparer, "stale")
    desk.open(path)
    assert desk.session.state.prepared is None
    assert len(heard.all) == 1


def test_a_refusal_about_another_file_is_told_too(desk: Desk, path: Path) -> None:
    desk.open(path)
    other = path.with_name("weight.npy")
    desk.watch.refuse(changed(other))
    assert desk.told == [Change("weight.npy has changed since it was opened. Open it again.", (other,))]


# --- opening again ---------------------------------------------------------------------------------


def test_opened_again_it_stands_where_it_stood(desk: Desk, path: Path) -> None:
    archive = path.with_name("model.npz")
    np.savez(archive, a=X[:2], b=X[:3], c=X[:4])
    desk.open(path, archive)
    desk.library.choose(desk.session.state.items[2])
    desk.settle()
    assert desk.names == ["x.npy", "model/a", "model/b", "model/c"]
    np.savez(archive, d=X[:1], b=X[:3] * 2, a=X[:2])
    desk.again()
    assert desk.names == ["x.npy", "model/a", "model/b", "model/d"]
    assert desk.session.state.current is desk.session.state.items[2]
    np.testing.assert_array_equal(desk.tensor.values, X[:3].ravel() * 2)


def test_a_scheme_survives_and_so_does_what_was_shown_when_the_file_is_unfit(desk: Desk, path: Path) -> None:
    desk.open(path)
    desk.session.update(bits=3)
    before = desk.session.state
    for content in (b"nothing", b""):
        path.write_bytes(content)
        desk.again()
        assert desk.session.state.current is before.current
        assert desk.names == ["x.npy"]
    rewrite(path, np.full((2, 2), np.nan, F))
    desk.again()
    assert desk.session.state.current is before.current
    assert desk.names == ["x.npy"]
    assert len(desk.said.of("problem")) == 3
    rewrite(path, X[:10])
    desk.again()
    assert desk.session.state.scheme == before.scheme
    assert desk.tensor.shape == (10, 1000)


def test_on_wish_it_is_read_when_it_is_at_rest(desk: Desk, path: Path) -> None:
    desk.wanted = True
    desk.open(path)
    path.write_bytes(path.read_bytes()[:5000])  # half of it is there
    desk.timer.fire()
    rewrite(path, X * 2)
    desk.timer.fire()
    assert not desk.heard.all
    desk.timer.fire()
    desk.settle()
    assert desk.heard.names == ["reload"]
    np.testing.assert_array_equal(desk.tensor.values, X.ravel() * 2)
    desk.timer.fire()
    assert desk.heard.names == ["reload"]
    assert not desk.said.of("problem")


def test_what_cannot_be_read_is_tried_once(desk: Desk, path: Path) -> None:
    desk.wanted = True
    desk.open(path)
    path.write_bytes(b"nothing")
    for _ in range(4):
        desk.timer.fire()
        desk.settle()
    assert desk.heard.names == ["reload"]
    assert len(desk.said.of("problem")) == 1
    path.unlink()
    desk.timer.fire()
    desk.timer.fire()
    assert desk.heard.names == ["reload", "changed"]
