"""Files become samples, and what does not fit is one sentence."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qviz.core import Problem
from qviz.files.stamp import ChangedFile
from qviz.models import data
from qviz.models.activations import spans
from qviz.models.data import checks, open_samples, random_samples
from qviz.models.data_settings import DataSettings, PictureSettings
from qviz.models.pictures import looks_wrong
from qviz.models.preparation import prepare_network
from tests.models.made import classifier, network, transformer
from tests.stamps import put_back


@pytest.fixture(scope="module")
def net():
    return prepare_network(network(classifier())).network


def save(path, array):
    np.save(path, array)
    return path


@pytest.mark.parametrize("shape", [(5, 3, 12, 12), (5, 1, 3, 12, 12)])
def test_an_array_of_samples(net, tmp_path, shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    samples = open_samples(net, [save(tmp_path / "x.npy", x)])
    assert len(samples) == 5
    np.testing.assert_array_equal(samples[3]["x"].reshape(3, 12, 12), x[3].reshape(3, 12, 12))


@pytest.mark.parametrize("shape", [(1, 3, 12, 12), (3, 12, 12)])
def test_a_single_one(net, tmp_path, shape):
    x = np.ones(shape)
    samples = open_samples(net, [save(tmp_path / "x.npy", x)])
    assert len(samples) == 1
    assert samples[0]["x"].shape == (1, 3, 12, 12)
    assert samples[0]["x"].dtype == np.float32


def test_fortran_order(net, tmp_path):
    x = np.asfortranarray(np.random.default_rng(0).standard_normal((4, 3, 12, 12)).astype(np.float32))
    samples = open_samples(net, [save(tmp_path / "x.npy", x)])
    np.testing.assert_array_equal(samples[2]["x"][0], x[2])


def test_inputs_by_their_names(tmp_path):
    net = prepare_network(network(transformer())).network
    ids = np.arange(21).reshape(3, 7)
    np.savez(tmp_path / "s.npz", ids=ids)
    samples = open_samples(net, [tmp_path / "s.npz"])
    assert [s["ids"].tolist() for s in samples] == [[row] for row in ids.tolist()]
    assert samples[0]["ids"].dtype == np.int64


def test_no_folder_is_passed_over_because_it_must_not_be_read(net, tmp_path, monkeypatch):
    """Neither the one that was given, nor one within it: figures would be of fewer samples than there are."""
    (tmp_path / "data" / "more").mkdir(parents=True)
    save(tmp_path / "data" / "x.npy", np.zeros((1, 3, 12, 12), np.float32))
    save(tmp_path / "data" / "more" / "y.npy", np.zeros((1, 3, 12, 12), np.float32))
    assert len(open_samples(net, [tmp_path / "data"])) == 2
    listed = os.scandir
    for name in ("more", "data"):

        def refuse(path, name=name):
            if Path(path).name == name:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return listed(path)

        monkeypatch.setattr(os, "scandir", refuse)
        with pytest.raises(Problem, match=f"^{name} can't be read: permission denied"):
            open_samples(net, [tmp_path / "data"])


def test_a_folder_in_natural_order(net, tmp_path):
    for i in (10, 2, 1):
        save(tmp_path / f"s{i}.npy", np.full((1, 3, 12, 12), i, np.float32))
    (tmp_path / "notes.md").write_text("not data")
    samples = open_samples(net, [tmp_path])
    assert [float(s["x"][0, 0, 0, 0]) for s in samples] == [1, 2, 10]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (PictureSettings(), [200 / 255, 100 / 255, 0]),
        (PictureSettings(colours="BGR", scale=1), [0, 100, 200]),
        (PictureSettings(mean=(0.5,), deviation=(0.25,)), [(200 / 255 - 0.5) / 0.25, (100 / 255 - 0.5) / 0.25, -2]),
    ],
)
def test_pictures(net, tmp_path, settings, expected):
    Image.new("RGB", (40, 30), (200, 100, 0)).save(tmp_path / "p.png")
    (sample,) = open_samples(net, [tmp_path / "p.png"], DataSettings(settings))
    assert sample["x"].shape == (1, 3, 12, 12)
    np.testing.assert_allclose(sample["x"][0, :, 5, 5], expected, rtol=1e-5, atol=1e-6)


def test_a_picture_that_keeps_its_shape_has_grey_beside_it(net, tmp_path):
    Image.new("RGB", (40, 20), (255, 255, 255)).save(tmp_path / "p.png")
    (sample,) = open_samples(net, [tmp_path / "p.png"], DataSettings(PictureSettings(keep_aspect=True)))
    assert sample["x"][0, 0, 0, 0] == pytest.approx(114 / 255)
    assert sample["x"][0, 0, 6, 6] == pytest.approx(1)


def test_what_does_not_fit_is_said(net, tmp_path):
    cases = {
        "shape.npy": (np.zeros((4, 5)), "takes 1 × 3 × 12 × 12"),
        "words.npy": (np.array([["a"]]), "shape|holds"),
    }
    for name, (array, said) in cases.items():
        with pytest.raises(Problem, match=said):
            list(open_samples(net, [save(tmp_path / name, array)]))
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(Problem, match="is no picture"):
        list(open_samples(net, [tmp_path / "broken.png"]))
    (tmp_path / "x.dat").write_bytes(b"x")
    with pytest.raises(Problem, match="is no data"):
        open_samples(net, [tmp_path / "x.dat"])
    (tmp_path / "t.txt").write_text("one\ntwo\n")
    with pytest.raises(Problem, match="tokenizer"):
        open_samples(net, [tmp_path / "t.txt"])
    with pytest.raises(Problem, match="does not exist"):
        open_samples(net, [tmp_path / "none.npy"])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(Problem, match="no data"):
        open_samples(net, [empty])


def test_an_archive_is_read_by_the_names_of_inputs_alone(net, tmp_path):
    """Of one array as of several, whatever fits: what stands under another name may be something else."""
    path, right = tmp_path / "other.npz", np.zeros((2, 3, 12, 12), np.float32)
    said = {}
    for names in (["a"], ["arr_0"], ["X"], ["a", "b"], ["a", "b", "c", "d"], []):
        np.savez(path, **dict.fromkeys(names, right))
        with pytest.raises(Problem) as caught:
            open_samples(net, [path])
        said[", ".join(names)] = str(caught.value)
    for names, sentence in said.items():
        listed = {"": "nothing", "a, b, c, d": "a, b, c, …"}.get(names, names)
        there = f"other.npz has no array called x, which the network asks for, but {listed}."
        assert sentence == f"{there} Save every input under its name."
    np.savez(path, a=right + 1, x=right)
    assert [float(sample["x"].max()) for sample in open_samples(net, [path])] == [0, 0]


def test_a_file_that_became_shorter(net, tmp_path):
    path = save(tmp_path / "x.npy", np.zeros((4, 3, 12, 12), np.float32))
    samples = open_samples(net, [path])
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(Problem, match="become shorter"):
        samples[3]
    with pytest.raises(Problem, match="shorter than its header"):
        open_samples(net, [path])


def test_of_what_was_rewritten_no_sample_is_given(net, tmp_path, monkeypatch):
    """Half of the samples would be the old ones, in figures that are said to be exact."""
    first, other = (np.full((4, 3, 12, 12), n, np.float32) for n in (1, 2))
    text, tokenizer = tmp_path / "t.txt", tmp_path / "tokenizer.json"
    text.write_text("a\nb\n")
    tokenizer.write_text("{}")
    monkeypatch.setattr(data, "_tokens", lambda line, network, settings: {"x": settings.tokenizer.read_bytes()})

    def picture(path, grey):
        Image.new("RGB", (12, 12), (grey, grey, grey)).save(path)

    kinds = {
        "rows.npy": np.save,
        "columns.npy": lambda path, array: np.save(path, np.asfortranarray(array)),
        "several.npz": lambda path, array: np.savez(path, x=array),
        "picture.png": lambda path, array: picture(path, int(array.flat[0]) + 10),
        "tokenizer.json": lambda path, array: path.write_text(json.dumps(array.flat[0].item())),
    }
    unnoticed = []
    for name, write in kinds.items():
        path = tmp_path / name
        write(path, first)
        opened = open_samples(net, [text if path == tokenizer else path], DataSettings(tokenizer=tokenizer))
        opened[0]
        before = path.stat()
        write(path, other)
        put_back(path, before)
        try:
            opened[-1]
            unnoticed.append(name)
        except ChangedFile as problem:
            assert str(problem) == f"{name} has changed since it was opened. Open it again."
    assert not unnoticed


def test_another_shape_where_samples_lay_is_no_bug(net, tmp_path):
    path = tmp_path / "several.npz"
    np.savez(path, x=np.zeros((4, 3, 12, 12), np.float32))
    samples = open_samples(net, [path])
    np.savez(path, x=np.zeros((2, 3, 12, 12), np.float32))
    with pytest.raises(ChangedFile):
        samples[3]


def test_objects_are_never_read(net, tmp_path):
    np.save(tmp_path / "o.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(Problem, match="Python objects"):
        open_samples(net, [tmp_path / "o.npy"])


def test_some_are_held_out(net):
    samples = random_samples(net, 10)
    first, second = samples.split()
    assert len(first) == len(second) == 5
    assert not {id(r) for r in first.readers} & {id(r) for r in second.readers}
    assert first.random
    assert len(samples[:1].split()[0]) == 1


def test_checks_say_what_looks_wrong(net):
    samples = random_samples(net, 2)
    said = [str(each) for each in checks(samples, spans(net, samples), net)]
    assert said[0].startswith("This is random data")
    port = net.inputs[0]
    assert looks_wrong(port, PictureSettings("NHWC"), np.zeros(1, np.float32)) is not None
    assert looks_wrong(port, PictureSettings(), np.zeros(1, np.float32)) is None
