"""Files and recipes become the tensor that is shown; what fails leaves everything as it was."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication
from pytestqt.qtbot import QtBot
from safetensors.numpy import save_file

from qviz.core import (
    IntFormat,
    MovingAverage,
    PerAxis,
    PerBlock,
    PerTensor,
    PerToken,
    Problem,
    Scheme,
    Tensor,
    choose_qparams,
)
from qviz.core.tensors.generators import ARTICLE_VALUES, GeneratorSpec, generate
from qviz.core.tensors.sorted_tensor import prepare
from qviz.core.work import Cancelled
from qviz.files.readers import expand
from qviz.session import opener as opener_module
from qviz.session.library import ARTICLE_SCHEME, FIRST_SPEC, Library
from qviz.session.memory import Kept, Memory
from qviz.session.opener import Opened
from qviz.session.state import Item, Session
from tests.session.conftest import Heard, Work, settle, until

KEPT = 3
SMALL = GeneratorSpec("normal", (4, 5), 1)


def _kept_bytes() -> int:
    """What one of the items below takes, in order."""
    tensor = Tensor(np.ones(3, np.float32))
    return Kept(tensor, prepare(tensor)).nbytes


class Shelf:
    """A library, its session, and everything that was said."""

    def __init__(self, qtbot: QtBot, folder: Path) -> None:
        self.bot, self.folder = qtbot, folder
        self.session = Session()
        self.memory = Memory(lambda: KEPT * _kept_bytes())
        self.library = Library(self.session, self.memory)
        names = ("problem", "notice", "opened", "refused", "began", "advanced", "ended")
        self.heard = Heard(self.library, *names)
        self.works: list[Work] = []

    def file(self, name: str, content: Any = (1.0, 2.0)) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, dict):
            np.savez(path, **content)
        else:
            np.save(path, np.asarray(content))
        return path

    def open(self, *paths: Path) -> None:
        self.library.open(paths)
        self.settle()

    def settle(self) -> None:
        library = self.library
        until(self.bot, lambda: not (library.busy or library._to_open))
        settle(self.bot, library, library._opener)

    def item(self, name: str, *, listed: bool = True, **work: Any) -> tuple[Item, Work]:
        """An item of the list whose reading a test can hold."""
        job = Work(Tensor(np.ones(3, np.float32), name), **work)
        self.works.append(job)
        made = Item(name, "a test", (3,), "float32", job)
        if listed:
            self.session.update(items=(*self.session.state.items, made))
        return made, job

    def choose(self, item: Item) -> None:
        self.library.choose(item)
        self.settle()

    @property
    def names(self) -> list[str]:
        return [item.name for item in self.session.state.items]

    @property
    def shown(self) -> str:
        """The name of the current item, once its tensor is known to be there too."""
        state = self.session.state
        assert state.current is not None
        assert state.tensor is not None
        assert state.tensor.name == state.current.name
        return state.current.name

    @property
    def values(self) -> list[float]:
        assert self.session.state.tensor is not None
        return self.session.state.tensor.values.tolist()


@pytest.fixture
def shelf(qtbot: QtBot, tmp_path: Path) -> Iterator[Shelf]:
    made = Shelf(qtbot, tmp_path)
    yield made
    for work in made.works:
        work.let_go.set()
    made.library.close()


# --- opening ----------------------------------------------------------------------------------------


def test_a_file_is_listed_and_shown(shelf: Shelf) -> None:
    path = shelf.file("w.npy", [[1, 2.5], [3, 4]])
    shelf.open(path)
    item = shelf.session.state.current
    assert shelf.shown == "w.npy"
    assert item is not None
    assert (item.origin, item.shape, item.dtype) == (str(path), (2, 2), "float64")
    assert shelf.values == [1, 2.5, 3, 4]
    assert shelf.session.state.tensor.shape == (2, 2)
    assert shelf.heard.of("opened") == [[path]]
    assert "problem" not in shelf.heard.names
    assert "notice" not in shelf.heard.names


def test_of_several_files_all_are_listed_and_the_first_is_shown(shelf: Shelf) -> None:
    paths = [shelf.file(name) for name in ("b.npy", "a.npy", "c.npy")]
    shelf.open(*paths)
    assert shelf.names == ["b.npy", "a.npy", "c.npy"]
    assert shelf.shown == "b.npy"
    assert shelf.heard.of("opened") == [paths]


def test_every_tensor_of_an_archive_is_listed(shelf: Shelf) -> None:
    path = shelf.file("net.npz", {"w": np.ones(2), "b": np.zeros(3)})
    shelf.open(path)
    assert shelf.names == ["net/w", "net/b"]
    assert shelf.shown == "net/w"
    assert shelf.heard.of("opened") == [[path]]


def test_a_folder_is_the_files_in_it_in_natural_order(shelf: Shelf) -> None:
    for name in ("w10.npy", "w2.npy", "notes.md"):
        shelf.file(f"net/{name}", b"no numbers" if name == "notes.md" else (1.0,))
    shelf.open(shelf.folder / "net")
    assert shelf.names == ["w2.npy", "w10.npy"]
    assert shelf.shown == "w2.npy"


def test_what_is_opened_later_is_listed_below(shelf: Shelf) -> None:
    shelf.open(shelf.file("a.npy"))
    shelf.open(shelf.file("b.npy"))
    assert shelf.names == ["a.npy", "b.npy"]
    assert shelf.shown == "b.npy"


def test_a_bad_file_among_good_ones_is_named_and_left_out(shelf: Shelf) -> None:
    paths = [shelf.file("bad.npy", b"hello"), shelf.file("good.npy"), shelf.folder / "missing.npy"]
    shelf.open(*paths)
    assert shelf.names == ["good.npy"]
    assert shelf.shown == "good.npy"
    assert shelf.heard.of("opened") == [[paths[1]]]
    (problem,) = shelf.heard.of("problem")
    first, second = problem.splitlines()
    assert first.startswith("bad.npy is not a NumPy array file")
    assert second.startswith("missing.npy does not exist.")


def test_hundreds_of_bad_files_make_one_line(shelf: Shelf) -> None:
    for number in range(300):
        shelf.file(f"net/w_{number}.npy", b"version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 1\n")
    good = shelf.file("net/w_300.npy")
    shelf.open(shelf.folder / "net")
    assert shelf.shown == good.name
    (problem,) = shelf.heard.of("problem")
    assert problem == (
        "300 files can't be opened. The first of them: w_0.npy is a Git LFS pointer, not the file itself."
        " Run git lfs pull in its folder, or download the file itself."
    )


def test_a_part_of_a_model_without_tensors_is_no_fault_of_its_folder(shelf: Shelf) -> None:
    shelf.file("net/empty.npy", np.zeros((0, 3)))
    shelf.file("net/w.npy")
    shelf.file("net/merges.txt", b"#version: 0.2\nh e\nl o\n")
    shelf.open(shelf.folder / "net")
    assert shelf.names == ["w.npy"]
    assert not shelf.heard.of("problem")
    shelf.open(shelf.folder / "net" / "empty.npy")
    assert "has no elements" in shelf.heard.of("problem")[0]


def test_what_cannot_be_read_is_listed_and_says_why_when_it_is_chosen(shelf: Shelf) -> None:
    path = shelf.file("net.npz", {"w": np.ones(2)})
    whole = path.read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bad.npy", b"hello")
        archive.writestr("w.npy", zipfile.ZipFile(io.BytesIO(whole)).read("w.npy"))
    shelf.open(path)
    assert (shelf.names, shelf.shown) == (["net/bad", "net/w"], "net/w")
    assert not shelf.heard.of("problem")
    shelf.choose(shelf.session.state.items[0])
    assert shelf.heard.of("problem")[0].startswith("net.npz holds 'bad', which is not a NumPy array file")
    assert shelf.shown == "net/w"


def test_what_was_recognized_of_a_table_is_said(shelf: Shelf) -> None:
    shelf.open(shelf.file("w.csv", b",a,b\n0,1.5,2.5\n1,2.5,3.5\n"))
    assert shelf.values == [1.5, 2.5, 2.5, 3.5]
    assert shelf.heard.of("notice") == [
        "Recognized: comma-separated, header in line 1, first column is an index and left out."
    ]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("bad.npy", b"hello", "bad.npy is not a NumPy array file"),
        ("empty.npy", b"", "empty.npy is empty."),
        ("text.csv", b"1,2\n3,four\n", "text.csv has 'four' in line 2"),
        ("picture.png", b"\x89PNG", "picture.png is of no format that qviz knows."),
        ("nan.npy", [np.nan, np.nan], "nan.npy has no finite value"),
        ("words.npy", ["a", "b"], "words.npy is made of text"),
    ],
)
def test_what_fails_leaves_what_was_open(shelf: Shelf, name: str, content: Any, said: str) -> None:
    shelf.open(shelf.file("good.npy"))
    before = shelf.session.state
    shelf.open(shelf.file(name, content) if not name.endswith("png") else shelf.file("picture.png", content))
    (problem,) = shelf.heard.of("problem")
    assert problem.startswith(said)
    assert shelf.shown == "good.npy"
    assert (shelf.session.state.tensor, shelf.session.state.scheme) == (before.tensor, before.scheme)


def test_the_type_that_a_tensor_is_stored_in_is_kept(shelf: Shelf) -> None:
    path = shelf.folder / "w.safetensors"
    save_file({"w": np.ones((2, 3), ml_dtypes.bfloat16)}, path)
    shelf.open(path)
    assert shelf.session.state.tensor is not None
    assert shelf.session.state.tensor.dtype == shelf.session.state.items[0].dtype == "bfloat16"


def test_an_empty_folder_is_a_problem(shelf: Shelf) -> None:
    (shelf.folder / "empty").mkdir()
    shelf.open(shelf.folder / "empty")
    assert shelf.heard.of("problem")[0].startswith("empty has no file that qviz reads.")
    assert shelf.heard.of("opened") == []
    assert shelf.session.state.items == ()


def test_opening_again_reads_the_file_again(shelf: Shelf) -> None:
    path, other = shelf.file("w.npy", [1.0, 2.0]), shelf.file("other.npy")
    shelf.open(path, other)
    shelf.file("w.npy", [3.0, 4.0, 5.0])
    shelf.open(path)
    assert shelf.names == ["other.npy", "w.npy"]
    assert shelf.values == [3, 4, 5]
    assert shelf.session.state.current in shelf.session.state.items


def test_what_is_opened_while_something_opens_is_not_forgotten(shelf: Shelf) -> None:
    for name in ("a.npy", "b.npy", "c.npy"):
        shelf.library.open([shelf.file(name)])
    shelf.settle()
    assert shelf.names == ["a.npy", "b.npy", "c.npy"]


def test_nothing_to_open_is_nothing(shelf: Shelf) -> None:
    shelf.open()
    assert shelf.heard.all == []


def test_a_bug_in_listing_is_not_hidden_and_the_next_file_opens(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    path, other = shelf.file("a.npy"), shelf.file("b.npy")
    honest = opener_module._list

    def listing(paths: tuple[Path, ...], *rest: Any) -> Opened:
        if paths == (path,):
            raise KeyError("bug")
        return honest(paths, *rest)

    monkeypatch.setattr(opener_module, "_list", listing)
    with shelf.bot.capture_exceptions() as caught:
        shelf.library.open([path])
        shelf.library.open([other])
        shelf.settle()
    assert [error for error, *_ in caught] == [KeyError]
    assert shelf.shown == "b.npy"


# --- choosing ---------------------------------------------------------------------------------------


def test_another_item_is_shown_when_it_is_chosen(shelf: Shelf) -> None:
    shelf.open(shelf.file("a.npy", [1.0]), shelf.file("b.npy", [2.0]))
    shelf.choose(shelf.session.state.items[1])
    assert (shelf.shown, shelf.values) == ("b.npy", [2])


def test_choosing_while_another_is_read_shows_the_last_one(shelf: Shelf) -> None:
    (a, slow), (b, _) = shelf.item("a", held=True), shelf.item("b")
    shelf.library.choose(a)
    until(shelf.bot, slow.began.is_set)
    shelf.library.choose(b)
    slow.let_go.set()
    shelf.settle()
    assert shelf.shown == "b"
    assert not slow.ended
    assert shelf.heard.names[-3:] == ["refused", "began", "ended"]


def test_one_that_is_read_too_late_does_not_take_the_place_of_the_chosen_one(shelf: Shelf) -> None:
    (a, _), (b, deaf) = shelf.item("a"), shelf.item("b", held=True, deaf=True)
    shelf.choose(a)
    shelf.library.choose(b)
    until(shelf.bot, deaf.began.is_set)
    shelf.library.choose(a)
    deaf.let_go.set()
    shelf.settle()
    assert deaf.ended
    assert shelf.shown == "a"


def test_the_last_shown_tensors_are_kept(shelf: Shelf) -> None:
    items, works = zip(*[shelf.item(f"{i}") for i in range(KEPT + 1)], strict=True)
    for item in items:
        shelf.choose(item)
    for item in items[1:]:
        shelf.choose(item)
        assert shelf.shown == item.name
    assert [work.calls for work in works] == [1] * (KEPT + 1)
    shelf.choose(items[0])
    assert shelf.shown == "0"
    assert works[0].calls == 2


def test_the_one_that_was_not_shown_for_longest_is_given_up_first(shelf: Shelf) -> None:
    items, works = zip(*[shelf.item(f"{i}") for i in range(KEPT + 1)], strict=True)
    for i in (*range(KEPT), 0, KEPT, 0):
        shelf.choose(items[i])
    assert [work.calls for work in works] == [1] * (KEPT + 1)
    shelf.choose(items[1])
    assert works[1].calls == 2


def test_the_one_that_is_shown_is_not_read_again(shelf: Shelf) -> None:
    item, work = shelf.item("a")
    shelf.choose(item)
    before = shelf.session.state
    shelf.choose(item)
    assert work.calls == 1
    assert shelf.session.state is before


def test_a_file_that_vanishes_between_listing_and_choosing(shelf: Shelf) -> None:
    shelf.open(shelf.file("a.npy"), shelf.file("b.npy"))
    (shelf.folder / "b.npy").unlink()
    before = shelf.session.state
    shelf.choose(before.items[1])
    assert shelf.heard.of("problem") == ["b.npy does not exist. Check its name and its folder."]
    assert shelf.heard.names[-3:] == ["ended", "refused", "problem"]
    assert shelf.session.state is before


def test_no_memory_is_a_problem(shelf: Shelf) -> None:
    item, work = shelf.item("a")
    work.answer = MemoryError()
    shelf.choose(item)
    assert shelf.heard.of("problem") == [
        "There is not enough memory for this tensor: close other programs and try again."
    ]


def test_a_bug_in_reading_is_not_hidden(shelf: Shelf) -> None:
    item, work = shelf.item("a")
    work.answer = KeyError("bug")
    with shelf.bot.capture_exceptions() as caught:
        shelf.choose(item)
    assert [error for error, *_ in caught] == [KeyError]
    assert "problem" not in shelf.heard.names
    assert shelf.heard.names[-1] == "refused"


# --- progress and the way out -----------------------------------------------------------------------


def test_reading_tells_how_far_it_is(shelf: Shelf) -> None:
    shelf.open(shelf.file("w.npy", np.ones((4, 5))))
    assert shelf.heard.of("began") == ["Reading w.npy"]
    advanced = shelf.heard.of("advanced")
    assert advanced == sorted(advanced)
    assert advanced[-1] == 1
    assert shelf.heard.names[-1] == "ended"


def test_listing_tells_how_far_it_is(shelf: Shelf) -> None:
    heard = Heard(shelf.library.opener, "began", "advanced", "ended")
    shelf.open(*(shelf.file(f"{number}.npy") for number in range(5)))
    assert heard.names[0] == "began"
    assert heard.names[-1] == "ended"
    advanced = heard.of("advanced")
    assert advanced
    assert advanced == sorted(advanced)
    assert all(0 <= share <= 1 for share in advanced)


def test_a_folder_is_given_up_between_two_of_its_files(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [shelf.file(f"folder/{number}.npy") for number in range(5)]
    shelf.choose(shelf.item("before")[0])
    before, listed = shelf.session.state, []
    real = opener_module.list_tensors

    def list_and_stop(path: Path, *args: Any) -> Any:
        listed.append(path)
        shelf.library.opener.cancel()
        return real(path, *args)

    monkeypatch.setattr(opener_module, "list_tensors", list_and_stop)
    shelf.open(shelf.folder / "folder")
    assert listed == paths[:1]
    assert shelf.session.state is before
    monkeypatch.undo()
    shelf.open(paths[3])
    assert shelf.shown == "3.npy"


class Ticks:
    """A clock that is a second later at every look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def told_in_parts(shelf: Shelf) -> list[tuple[str, ...]]:
    """As if listing took long: the names in every state of the list from now on."""
    shelf.library.opener._clock = Ticks()
    states: list[tuple[str, ...]] = []
    shelf.session.changed.connect(lambda old, new: states.append(tuple(item.name for item in new.items)))
    return states


def test_a_long_list_grows_while_it_is_found(shelf: Shelf) -> None:
    paths = [shelf.file(f"folder/{number}.npy") for number in range(4)]
    states = told_in_parts(shelf)
    opened = Heard(shelf.library, "opened")
    shelf.open(shelf.folder / "folder")
    assert list(dict.fromkeys(states)) == [tuple(p.name for p in paths[:count]) for count in (1, 2, 3, 4)]
    assert shelf.shown == "0.npy"
    assert opened.of("opened") == [paths]
    shelf.open(shelf.folder / "folder")
    assert sorted(shelf.names) == [path.name for path in paths], "what is opened again is listed once"


def test_the_batches_of_a_long_list_stand_before_it(shelf: Shelf) -> None:
    shelf.file("folder/a.npy")
    for number in range(3):
        shelf.file(f"folder/batch_{number}.npy", [1.0, number])
    told_in_parts(shelf)
    shelf.choose(shelf.item("before")[0])
    shelf.open(shelf.folder / "folder")
    assert shelf.names[:3] == ["before", "batch_* (3 batches)", "a.npy"]
    assert len(shelf.names) == 6
    assert shelf.shown == "a.npy", "what is looked at while the rest is found stays"


def test_a_long_list_that_is_given_up_keeps_what_was_found(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        shelf.file(f"folder/{number}.npy")
    told_in_parts(shelf)
    real, listed = opener_module.list_tensors, []

    def list_and_stop(path: Path, *args: Any) -> Any:
        listed.append(path)
        if len(listed) == 3:
            shelf.library.opener.cancel()
        return real(path, *args)

    monkeypatch.setattr(opener_module, "list_tensors", list_and_stop)
    shelf.open(shelf.folder / "folder")
    assert shelf.names == ["0.npy", "1.npy", "2.npy"]
    assert shelf.shown == "0.npy"


def test_a_folder_is_given_up_while_its_files_are_looked_for(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.npy").touch()
    asked: list[None] = []

    def cancelled() -> bool:
        asked.append(None)
        return len(asked) == 3

    with pytest.raises(Cancelled):
        expand([tmp_path], cancelled=cancelled)


def test_opening_again_waits_for_all(shelf: Shelf) -> None:
    path = shelf.file("two.npz", {"a": np.ones(2), "b": np.zeros(2)})
    shelf.open(path)
    states = told_in_parts(shelf)
    shelf.library.open_again(shelf.session.state.items[0])
    shelf.settle()
    assert {len(state) for state in states} == {2}


def test_cancelling_leaves_what_was_shown(shelf: Shelf) -> None:
    (a, _), (b, slow) = shelf.item("a"), shelf.item("b", held=True)
    shelf.choose(a)
    before = shelf.session.state
    shelf.library.choose(b)
    until(shelf.bot, slow.began.is_set)
    shelf.library.cancel()
    slow.let_go.set()
    shelf.settle()
    assert shelf.session.state is before
    assert shelf.heard.names[-3:] == ["began", "ended", "refused"]


def test_what_only_waits_ends_too_when_it_is_cancelled(shelf: Shelf) -> None:
    a, slow = shelf.item("a", held=True)
    shelf.library.choose(a)
    until(shelf.bot, slow.began.is_set)
    shelf.library.generate(SMALL)
    shelf.session.changed.connect(lambda old, new: shelf.library.cancel())
    slow.let_go.set()
    shelf.settle()
    assert shelf.shown == "a"
    assert shelf.heard.names == ["began", "ended", "refused"]


def test_nothing_happens_after_closing(shelf: Shelf) -> None:
    item, work = shelf.item("a", held=True, deaf=True)
    shelf.library.choose(item)
    until(shelf.bot, work.began.is_set)
    work.let_go.set()
    shelf.library.close()
    shelf.library.open([shelf.file("w.npy")])
    QCoreApplication.processEvents()
    assert shelf.heard.names == ["began"]
    assert shelf.session.state.tensor is None


# --- closing an item --------------------------------------------------------------------------------


@pytest.mark.parametrize(("closed", "then"), [(0, "b"), (1, "c"), (2, "b")])
def test_closing_what_is_shown_shows_its_neighbour(shelf: Shelf, closed: int, then: str) -> None:
    items = [shelf.item(name)[0] for name in "abc"]
    shelf.choose(items[closed])
    shelf.library.close_item(items[closed])
    shelf.settle()
    assert shelf.shown == then
    assert items[closed] not in shelf.session.state.items


def test_closing_another_one_leaves_what_is_shown(shelf: Shelf) -> None:
    (a, _), (b, _) = shelf.item("a"), shelf.item("b")
    shelf.choose(a)
    tensor = shelf.session.state.tensor
    shelf.library.close_item(b)
    shelf.settle()
    assert (shelf.names, shelf.shown) == (["a"], "a")
    assert shelf.session.state.tensor is tensor


def test_closing_the_last_one_generates(shelf: Shelf) -> None:
    item, _ = shelf.item("a")
    shelf.choose(item)
    shelf.library.close_item(item)
    shelf.settle()
    assert len(shelf.session.state.items) == 1
    assert shelf.session.state.current is shelf.session.state.items[0]
    assert shelf.session.state.current.spec == FIRST_SPEC


def test_one_that_is_closed_while_it_is_read_is_not_shown(shelf: Shelf) -> None:
    (a, _), (b, slow) = shelf.item("a"), shelf.item("b", held=True)
    shelf.choose(a)
    shelf.library.close_item(a)
    until(shelf.bot, slow.began.is_set)
    shelf.library.close_item(b)
    slow.let_go.set()
    shelf.settle()
    assert shelf.session.state.current is a
    assert shelf.session.state.items == ()


def test_closing_what_is_not_listed_does_nothing(shelf: Shelf) -> None:
    (a, _), (b, _) = shelf.item("a"), shelf.item("b", listed=False)
    shelf.choose(a)
    before = shelf.session.state
    shelf.library.close_item(b)
    assert shelf.session.state is before


# --- what needs no file -----------------------------------------------------------------------------


def test_the_article_comes_with_its_scheme(shelf: Shelf) -> None:
    shelf.library.open_article()
    shelf.settle()
    assert shelf.shown == "Ten values (worked example)"
    assert shelf.values == ARTICLE_VALUES.tolist()
    assert shelf.session.scheme == ARTICLE_SCHEME
    assert shelf.session.scheme == Scheme(IntFormat(8, False), symmetric=False, convention="textbook")
    shelf.session.undo()
    assert shelf.session.scheme == Scheme()


def test_the_article_is_listed_once(shelf: Shelf) -> None:
    shelf.library.open_article()
    shelf.settle()
    shelf.open(shelf.file("a.npy"))
    shelf.library.open_article()
    shelf.settle()
    assert shelf.names == ["Ten values (worked example)", "a.npy"]
    assert shelf.shown == "Ten values (worked example)"


def test_a_recipe_is_drawn_and_listed_first(shelf: Shelf) -> None:
    shelf.open(shelf.file("a.npy"))
    shelf.library.generate(SMALL)
    shelf.settle()
    assert shelf.names == ["Normal (generated)", "a.npy"]
    assert shelf.shown == "Normal (generated)"
    np.testing.assert_array_equal(shelf.values, generate(SMALL).ravel())


def test_another_recipe_takes_the_place_of_the_first(shelf: Shelf) -> None:
    for spec in (SMALL, GeneratorSpec("uniform", (3,), 2)):
        shelf.library.generate(spec)
        shelf.settle()
    assert shelf.names == ["Uniform (generated)"]
    assert len(shelf.values) == 3


def test_while_a_slider_moves_only_the_last_recipe_is_drawn_at_the_end(shelf: Shelf) -> None:
    for seed in range(20):
        shelf.library.generate(GeneratorSpec("normal", (4, 5), seed))
    shelf.settle()
    np.testing.assert_array_equal(shelf.values, generate(GeneratorSpec("normal", (4, 5), 19)).ravel())
    assert len(shelf.heard.of("began")) == 2


def test_a_recipe_that_does_not_work_leaves_what_was_shown(shelf: Shelf) -> None:
    shelf.library.generate(SMALL)
    shelf.settle()
    before = shelf.session.state
    for spec in (GeneratorSpec("none"), GeneratorSpec("normal", (0,)), GeneratorSpec(parameters=(("std", -1.0),))):
        shelf.library.generate(spec)
        shelf.settle()
    assert len(shelf.heard.of("problem")) == 3
    assert shelf.session.state is before


# --- what a person is told of a tensor --------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "notice"),
    [
        (np.array([1, 2], np.int8), "w.npy holds int8 values, taken as float32."),
        (np.array([1, 2], np.uint16), "w.npy holds uint16 values, taken as float32."),
        (np.array([True, False]), "w.npy holds bool values, taken as float32."),
        (np.array([1, np.nan, 2]), "1 of w.npy's 3 elements is left out: 1 NaN."),
        (np.array([1, np.inf, -np.inf], np.float16), "2 of w.npy's 3 elements are left out: 2 infinite."),
        (np.array([1, 1e300]), "1 of w.npy's 2 elements is left out: 1 beyond float32."),
        (
            np.array([1, np.nan, np.inf, -1e300, np.nan]),
            "4 of w.npy's 5 elements are left out: 2 NaN, 1 infinite, 1 beyond float32.",
        ),
    ],
)
def test_what_is_particular_about_a_tensor_is_said(shelf: Shelf, values: Any, notice: str) -> None:
    shelf.open(shelf.file("w.npy", values))
    assert shelf.heard.of("notice") == [notice]


def test_large_counts_are_grouped(shelf: Shelf) -> None:
    shelf.open(shelf.file("w.npy", np.repeat([1.0, np.nan], 1500)))
    assert shelf.heard.of("notice") == ["1,500 of w.npy's 3,000 elements are left out: 1,500 NaN."]


@pytest.mark.parametrize("axis", [1, -2])
def test_a_scheme_per_axis_that_does_not_fit_falls_back(shelf: Shelf, axis: int) -> None:
    shelf.session.update(granularity=PerAxis(axis))
    changes = Heard(shelf.session, "changed")
    shelf.open(shelf.file("w.npy", [1.0, 2.0]))
    assert shelf.session.scheme.granularity == PerTensor()
    assert shelf.heard.of("notice") == [f"w.npy has no axis {axis}: shown per tensor."]
    told = [new for _, (_, new) in changes.all if new.tensor is not None]
    assert len(told) == 1  # never with the scheme that does not fit


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_a_scheme_per_axis_that_fits_stays(shelf: Shelf, axis: int) -> None:
    shelf.session.update(granularity=PerAxis(axis))
    shelf.open(shelf.file("w.npy", [[1.0, 2.0]]))
    assert shelf.session.scheme.granularity == PerAxis(axis)
    assert "notice" not in shelf.heard.names


def test_two_things_worth_saying_are_said_at_once(shelf: Shelf) -> None:
    shelf.session.update(granularity=PerAxis(1))
    shelf.open(shelf.file("w.npy", np.array([1, 2], np.int8)))
    assert shelf.heard.of("notice") == [
        "w.npy holds int8 values, taken as float32. w.npy has no axis 1: shown per tensor."
    ]


def test_a_problem_is_one_for_a_person(shelf: Shelf) -> None:
    item, work = shelf.item("a")
    work.answer = Problem("What is wrong, and what to do.")
    shelf.choose(item)
    assert shelf.heard.of("problem") == ["What is wrong, and what to do."]


# --- blocks -----------------------------------------------------------------------------------------


def test_blocks_that_do_not_fit_fall_back(shelf: Shelf) -> None:
    shelf.open(shelf.file("wide.npy", np.ones((4, 64))))
    shelf.session.update(scheme=Scheme(IntFormat(4), granularity=PerBlock(-1, 32), convention="textbook"))
    shelf.open(shelf.file("narrow.npy", np.ones((4, 5))))
    assert shelf.session.scheme == Scheme(IntFormat(4), convention="textbook")
    assert shelf.heard.of("notice") == ["narrow.npy is too small for such blocks: shown per tensor."]


def test_blocks_that_the_runtime_fills_up_stay(shelf: Shelf) -> None:
    shelf.open(shelf.file("wide.npy", np.ones((4, 64))))
    scheme = Scheme(IntFormat(4), granularity=PerBlock(-1, 32), convention="onnxruntime")
    shelf.session.update(scheme=scheme)
    shelf.open(shelf.file("narrow.npy", np.ones((4, 5))))
    assert shelf.session.scheme == scheme
    assert shelf.heard.of("notice") == []


def test_a_runtime_of_blocks_alone_gives_way_to_one_that_is_free(shelf: Shelf) -> None:
    shelf.open(shelf.file("wide.npy", np.ones((4, 64))))
    shelf.session.update(scheme=Scheme(IntFormat(8), granularity=PerBlock(-1, 32), convention="mx_floor"))
    shelf.open(shelf.file("narrow.npy", np.ones((4, 5))))
    assert shelf.session.scheme == Scheme(IntFormat(8))
    (said,) = shelf.heard.of("notice")
    assert said.startswith("narrow.npy is too small for MX, scale rounded down: shown per tensor, as ONNX Runtime")
    shelf.session.undo()
    assert shelf.session.scheme == Scheme(IntFormat(8))  # the tensor of today has no such blocks
    shelf.choose(shelf.session.state.items[0])
    assert shelf.session.scheme.convention == "mx_floor"  # what was chosen is back where it fits
    shelf.choose(shelf.session.state.items[1])
    shelf.session.update(bits=4)
    shelf.choose(shelf.session.state.items[0])
    assert shelf.session.scheme == Scheme(IntFormat(4))  # but not over a later choice


def test_blocks_and_tokens_that_fit_stay(shelf: Shelf) -> None:
    for granularity in (PerBlock(-1, 16), PerBlock(0, 4), PerToken()):
        shelf.open(shelf.file("a.npy", np.ones((4, 64))))
        shelf.session.update(scheme=Scheme(granularity=granularity))
        shelf.open(shelf.file("b.npy", np.ones((5, 20))))
        assert shelf.session.scheme.granularity == granularity
    assert shelf.heard.of("notice") == []


# --- batches ----------------------------------------------------------------------------------------


def test_numbered_files_are_the_batches_of_one_tensor(shelf: Shelf) -> None:
    parts = [np.full((2, 3), i, np.float32) for i in range(3)]
    shelf.open(*(shelf.file(f"batch_{i}.npy", part) for i, part in enumerate(parts)))
    assert shelf.names == ["batch_* (3 batches)", "batch_0.npy", "batch_1.npy", "batch_2.npy"]
    assert shelf.shown == "batch_* (3 batches)"
    item, tensor = shelf.session.state.current, shelf.session.state.tensor
    assert item is not None
    assert tensor is not None
    assert item.shape == tensor.shape == (3, 2, 3)
    assert shelf.values == np.stack(parts).ravel().tolist()
    shelf.session.update(range_rule=MovingAverage(batch_axis=0))
    assert choose_qparams(tensor, shelf.session.scheme).high > 0


def test_families_are_told_apart_by_name_and_folder(shelf: Shelf) -> None:
    files = ["x_batch1.npy", "y_batch1.npy", "a/x_batch1.npy", "a/x_batch22.npy", "a/batch.npy", "a/w.npy"]
    files += ["a/Batch1 of 2.npy", "a/Batch2 of 2.npy", "b/w1.npy", "b/w2.npy", "b/batch.npy"]
    shelf.open(*(shelf.file(name, [1.0, 2.0]) for name in files))
    stacked = {item.name for item in shelf.session.state.items if item.shape == (2, 2)}
    assert stacked == {"x_batch* (2 batches)", "Batch* of * (2 batches)"}
    assert len(shelf.names) == len(files) + 2


def test_archives_and_single_files_are_no_batches(shelf: Shelf) -> None:
    shelf.open(
        shelf.file("batch1.npz", {"x": np.ones(2)}),
        shelf.file("batch2.npz", {"x": np.ones(2)}),
        shelf.file("batch1.npy"),
    )
    shelf.open(shelf.file("batch2.npy"))
    assert not any("batches)" in name for name in shelf.names)


def test_batches_of_unequal_shape_are_one_sentence_and_the_first_file_is_shown(shelf: Shelf) -> None:
    shelf.open(shelf.file("batch_0.npy", np.ones((2, 3))), shelf.file("batch_1.npy", np.ones((3, 2))))
    (said,) = shelf.heard.of("problem")
    assert "batch_0.npy is (2, 3) and batch_1.npy is (3, 2)" in said
    assert said.endswith("choose tensors of one shape.")
    assert "\n" not in said
    assert shelf.shown == "batch_0.npy"
    item = shelf.session.state.items[0]
    assert (item.name, item.shape) == ("batch_* (2 batches)", None)
    shelf.choose(item)
    assert len(shelf.heard.of("problem")) == 2
    assert shelf.shown == "batch_0.npy"


def test_batches_are_dropped_again_without_being_doubled(shelf: Shelf) -> None:
    files = [shelf.file(f"batch_{i}.npy", [1.0, i]) for i in range(2)]
    shelf.open(*files)
    shelf.open(*files)
    assert shelf.names == ["batch_* (2 batches)", "batch_0.npy", "batch_1.npy"]


def test_whole_numbers_are_stacked_too(shelf: Shelf) -> None:
    shelf.open(*(shelf.file(f"q_batch{i}.npy", np.array([i, 100], np.int8)) for i in range(2)))
    assert shelf.values == [0, 100, 1, 100]


def test_a_batch_that_vanished_is_one_sentence(shelf: Shelf) -> None:
    files = [shelf.file(f"batch_{i}.npy", [1.0, i]) for i in range(2)]
    shelf.open(shelf.file("other.npy"))
    shelf.open(*files)
    item = next(i for i in shelf.session.state.items if "batches" in i.name)
    shelf.choose(shelf.session.state.items[0])
    shelf.memory.forget(item)
    files[1].unlink()
    shelf.choose(item)
    assert len(shelf.heard.of("problem")) == 1
    assert shelf.shown == "other.npy"


def test_an_array_that_was_made_here_is_shown_and_taken_anew(shelf: Shelf) -> None:
    shelf.library.show_array("layer1", np.ones((2, 3), np.float32))
    shelf.settle()
    assert shelf.session.state.tensor.shape == (2, 3)
    shelf.library.show_array("layer1", np.ones((5, 4), np.float32))
    shelf.settle()
    assert shelf.session.state.tensor.shape == (5, 4)
    assert [item.name for item in shelf.session.state.items].count("layer1") == 1
