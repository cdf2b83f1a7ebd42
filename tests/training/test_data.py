"""Data are the same for the same seed, split without overlap, and a bad file is one clear sentence."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import Problem
from qviz.training import KINDS, Data
from qviz.training.data_files import read_table
from qviz.training.digits import GLYPHS, SIDE, digits
from tests.every import every


@every("kind", KINDS)
def test_every_kind_is_drawn_split_and_repeatable(kind):
    first, again, other = (Data(kind, 600, seed=s).load() for s in (3, 3, 4))
    assert first.x_test.shape == (200, first.features)
    assert first.x_train.shape == (400, first.features)
    assert first.x_train.dtype == np.float32
    assert set(np.unique(first.y_train)) == set(range(first.classes))
    np.testing.assert_array_equal(first.x_train, again.x_train)
    np.testing.assert_array_equal(first.y_test, again.y_test)
    assert not np.array_equal(first.x_train, other.x_train)
    together = np.concatenate((first.x_train, first.x_test))
    assert len(np.unique(together, axis=0)) == 600
    if first.image_shape is None:
        assert np.abs(together).max() < 2.5


def test_noise_is_what_was_asked_for():
    calm, loud = (Data("circles", 2000, noise=n).load() for n in (0.0, 0.3))
    radius = np.hypot(*calm.x_train.T)
    np.testing.assert_allclose(radius, np.where(calm.y_train == 0, 0.9, 0.45), atol=1e-6)
    assert np.hypot(*loud.x_train.T).std() > 2 * radius.std() / 2


def test_digits_look_like_their_glyphs():
    x, y = digits(2000, 0.0, np.random.default_rng(0))
    assert x.shape == (2000, SIDE * SIDE)
    assert x.min() >= 0 and x.max() <= 1
    means = np.array([x[y == d].mean(axis=0) for d in range(len(GLYPHS))])
    nearest = ((x[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == y).mean() > 0.8
    assert len(np.unique(x, axis=0)) == 2000


@every(
    ("changes", "said"),
    [
        ({"kind": "donuts"}, "no data “donuts”: choose one of moons, "),
        ({"samples": 3}, "3 samples cannot be drawn"),
        ({"noise": -1.0}, "noise of -1"),
        ({"noise": float("nan")}, "noise of nan"),
        ({"test_share": 0.99}, "test set of 99 %"),
        ({"seed": -1}, "seed of -1"),
        ({"kind": "file"}, "no file"),
    ],
)
def test_what_makes_no_data_is_a_problem(changes, said):
    with pytest.raises(Problem, match=said):
        Data(**changes)


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(3, 5, (60, 3)), np.arange(60) % 3 * 10


def test_an_archive_is_learned_from(tmp_path, rows):
    x, y = rows
    np.savez(tmp_path / "d.npz", x=x.reshape(60, 3, 1), y=y)
    data = Data("file", path=str(tmp_path / "d.npz")).load()
    assert data.class_names == ("0", "10", "20")
    assert data.x_train.shape == (40, 3)
    np.testing.assert_allclose(data.x_train.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(data.x_train.std(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize(("column", "order"), [(-1, (0, 1, 2, 3)), (0, (3, 0, 1, 2)), (1, (0, 3, 1, 2))])
def test_a_table_is_learned_from_whichever_column_the_labels_are_in(tmp_path, rows, column, order):
    x, y = rows
    table = np.column_stack((x, y))[:, order]
    np.savetxt(tmp_path / "d.csv", table, delimiter=",", header="some,words,for,each", comments="")
    found, labels, names = read_table(tmp_path / "d.csv", column)
    np.testing.assert_allclose(found, x, rtol=1e-6)
    np.testing.assert_array_equal(labels, y // 10)
    assert names == ("0", "10", "20")


@every(
    ("arrays", "said"),
    [
        ({"x": np.zeros((20, 2))}, "has no array “y”"),
        ({"x": np.zeros((20, 2)), "y": np.zeros(19)}, "do not belong together"),
        ({"x": np.zeros(20), "y": np.zeros(20)}, "do not belong together"),
        ({"x": np.zeros((20, 2)), "y": np.zeros(20)}, "has 1 class. Give it 2 to 100"),
        ({"x": np.zeros((200, 2)), "y": np.arange(200)}, "has 200 classes"),
        ({"x": np.full((20, 2), np.nan), "y": np.arange(20) % 2}, "missing, infinite or beyond float32"),
        ({"x": np.full((20, 2), 1e300), "y": np.arange(20) % 2}, "missing, infinite or beyond float32"),
        ({"x": np.zeros((20, 2)), "y": np.arange(20) / 2}, "has the label 0.5"),
        ({"x": np.zeros((20, 2)), "y": np.where(np.arange(20) < 3, np.nan, 1)}, "has the label nan"),
        ({"x": np.zeros((5, 2)), "y": np.arange(5) % 2}, "has 5 rows"),
        ({"x": np.zeros((20, 5000)), "y": np.arange(20) % 2}, "has 5,000 numbers in a row"),
    ],
)
def test_an_archive_that_cannot_be_learned_from_is_one_sentence(tmp_path, arrays, said):
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(Problem, match=said) as problem:
        Data("file", path=str(tmp_path / "d.npz")).load()
    assert "\n" not in str(problem.value)
    assert str(problem.value).startswith("d.npz ")


@every(
    ("text", "column", "said"),
    [
        ("1\n2\n3\n", -1, "no column of labels"),
        ("1,2\n" * 20, 5, "no column 5 for the labels. Choose one from -2 to 1"),
        ("1,2\nfoo,1\n", -1, "'foo' in line 2"),
        ("", -1, "is empty"),
    ],
)
def test_a_table_that_cannot_be_learned_from_is_one_sentence(tmp_path, text, column, said):
    (tmp_path / "d.csv").write_text(text)
    with pytest.raises(Problem, match=said):
        read_table(tmp_path / "d.csv", column)


def test_an_archive_that_would_fill_the_memory_is_refused_by_its_header(tmp_path, monkeypatch):
    from qviz.training import data_files

    monkeypatch.setattr(data_files, "MOST_ROWS", 1)
    monkeypatch.setattr(data_files, "MOST_FEATURES", 10)
    np.savez(tmp_path / "d.npz", x=np.zeros((20, 2)), y=np.zeros(20))
    with pytest.raises(Problem, match="too large to learn from"):
        read_table(tmp_path / "d.npz")


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(Problem, match="does not exist"):
        Data("file", path=str(tmp_path / "d.npz")).load()


def test_pickles_are_never_opened(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.array([{}] * 20, object), y=np.zeros(20))
    with pytest.raises(Problem):
        read_table(tmp_path / "d.npz")
