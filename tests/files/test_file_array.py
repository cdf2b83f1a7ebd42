"""Is a file that changes under an open tensor an error, and never a signal or a mixture?"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qviz.core import PerAxis, Scheme, Tensor, analyze
from qviz.core.tensors import counting
from qviz.files import file_array
from qviz.files.file_array import FileArray, array_in
from qviz.files.problems import FileProblem
from qviz.files.readers import list_tensors
from qviz.files.stamp import ChangedFile, Stamp
from tests.every import every
from tests.stamps import put_back

F = np.float32
rng = np.random.default_rng(3)
X = rng.standard_normal((300, 1000)).astype(F)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file counts as large."""
    monkeypatch.setattr(file_array, "KEPT_BYTES", 1000)
    monkeypatch.setattr(counting, "COPIED_BYTES", 1000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "x.npy"
    np.save(path, X)
    return path


def load(path: Path) -> Any:
    return list_tensors(path)[0].load()


# --- what is read ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("large")
def test_a_large_array_stays_in_its_file(path: Path) -> None:
    array = load(path)
    assert isinstance(array, FileArray)
    assert (array.shape, array.dtype, array.size) == (X.shape, X.dtype, X.size)
    for where in (slice(5, 9), slice(0, X.size), slice(4000, 12_000), np.array([7, 299_999, 7])):
        np.testing.assert_array_equal(array[where], X.reshape(-1)[where], strict=True)
    np.testing.assert_array_equal(np.asarray(array), X, strict=True)


def test_small_reads_are_served_from_pieces_that_are_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_array, "PIECES", 4)
    array = FileArray(path, X.dtype, 128, X.shape)
    opened = []
    open_it = os.open
    monkeypatch.setattr(os, "open", lambda path, *how: opened.append(path) or open_it(path, *how))
    flat = X.reshape(-1)
    for start in (0, 100, 4090, 50, 299_990, 120_000, 200_000, 299_999):
        np.testing.assert_array_equal(array[start : start + 10], flat[start : start + 10])
    assert len(opened) == 5  # two pieces for the one that crosses from the first to the second
    assert len(array._pieces) == 4


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("name", ["w.npz", "w.safetensors"])
def test_every_reader_gives_one(tmp_path: Path, name: str) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / name
    np.savez(path, w=X) if path.suffix == ".npz" else save_file({"w": X}, path)
    array = load(path)
    assert isinstance(array, FileArray)
    np.testing.assert_array_equal(np.asarray(array), X, strict=True)


@pytest.mark.usefixtures("large")
@every("shape", [(6, 50_000), (50_000, 6), (30, 20, 500)])
def test_fortran_order_is_copied(tmp_path: Path, shape: tuple[int, ...]) -> None:
    original = np.asfortranarray(X.reshape(-1).reshape(shape))
    np.save(tmp_path / "f.npy", original)
    array = load(tmp_path / "f.npy")
    assert type(array) is np.ndarray
    np.testing.assert_array_equal(array, original, strict=True)


@pytest.mark.usefixtures("large")
def test_fields_of_records_and_types_that_numpy_has_not_are_copied(tmp_path: Path) -> None:
    records = np.zeros(3000, [("a", "f4"), ("b", "V2"), ("c", [("d", "i2", (2,))])])
    records["a"], records["c"]["d"] = np.arange(3000), np.arange(6000).reshape(3000, 2)
    np.save(tmp_path / "r.npy", records)
    a, b, d = (entry.load() for entry in list_tensors(tmp_path / "r.npy"))
    np.testing.assert_array_equal(a, records["a"], strict=True)
    np.testing.assert_array_equal(b, np.zeros(3000, F), strict=True)
    np.testing.assert_array_equal(d, records["c"]["d"], strict=True)


def test_cancelling_stops_a_copy(path: Path) -> None:
    from qviz.core.work import Cancelled

    with pytest.raises(Cancelled):
        array_in(path, X.dtype, 128, X.shape, cancelled=lambda: True)


# --- what changes ----------------------------------------------------------------------------------


def longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def rewritten(path: Path) -> None:
    """Other values, as many, in the same place."""
    with path.open("r+b") as file:
        file.seek(5000)
        file.write(bytes(4000))
    later(path)


def replaced(path: Path) -> None:
    """Another file of the same size and time takes the name."""
    status = path.stat()
    other = path.with_name("other")
    np.save(other.with_suffix(".npy"), X * 2)
    os.utime(other.with_suffix(".npy"), ns=(status.st_atime_ns, status.st_mtime_ns))
    other.with_suffix(".npy").replace(path)


def touched(path: Path) -> None:
    """Other values, as many, in the same place, and its time of writing is put back."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(5000)
        file.write(bytes(4000))
    put_back(path, before)


def later(path: Path) -> None:
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


CHANGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: os.truncate(path, 6000),
    "emptied": lambda path: os.truncate(path, 0),
    "appended to": longer,
    "rewritten": rewritten,
    "saved shorter": lambda path: np.save(path, X[:3]),
    "rewritten, its time put back": touched,
    "replaced": replaced,
    "deleted": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_large_file_that_changes_gives_no_values_any_more(path: Path, change: Callable[[Path], object]) -> None:
    array = load(path)
    tensor = Tensor(array)
    piece = array[:100]
    change(path)
    for read in (
        lambda: array[:100],
        lambda: array[:],
        lambda: array[[5, 200_000]],
        lambda: array.box(X.shape, (slice(None), slice(3, 4))),
        array.check_unchanged,
        tensor.check_unchanged,
        lambda: analyze(tensor, Scheme()),
        lambda: analyze(tensor, Scheme(granularity=PerAxis(0))),
    ):
        with pytest.raises(ChangedFile) as caught:
            read()
        gone = change is CHANGES["deleted"]
        assert str(caught.value) == (
            "x.npy is gone: it was moved or deleted since it was opened. Put it back, or open another one."
            if gone
            else "x.npy has changed since it was opened. Open it again."
        )
    np.testing.assert_array_equal(piece, X.reshape(-1)[:100])


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_small_file_that_changes_is_answered_from_its_copy(path: Path, change: Callable[[Path], object]) -> None:
    tensor = Tensor(load(path))
    expected = {axis: analyze(X, Scheme(granularity=PerAxis(axis))).to_dict() for axis in (0, 1)}
    change(path)
    tensor.check_unchanged()
    for axis, answer in expected.items():
        assert analyze(tensor, Scheme(granularity=PerAxis(axis))).to_dict() == answer


@pytest.mark.usefixtures("large")
def test_a_file_that_may_not_be_read_any_more_is_a_problem(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = load(path)

    def refuse(path: Path, *how: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)  # root may read whatever its mode says
    with pytest.raises(FileProblem, match=r"x\.npy can't be read: permission denied"):
        array[:]


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("change", [rewritten, touched, longer, lambda path: os.truncate(path, 6000)])
def test_what_is_written_while_it_is_read_is_no_answer(path: Path, change: Callable[[Path], object]) -> None:
    """Of a pass over all elements half is the old file, half the new."""
    tensor = Tensor(load(path), counted=False)
    told = []

    def progress(fraction: float) -> None:
        if not told and fraction >= 0.3:
            told.append(fraction)
            change(path)

    with pytest.raises(ChangedFile):
        tensor.count(progress=progress)
    assert told


@pytest.mark.usefixtures("large")
def test_stretches_are_read_in_the_same_memory_of_the_file_as_it_was(path: Path) -> None:
    array, room = load(path), np.empty(1000, F)
    starts = range(0, X.size, 1000)
    read = [piece.copy() for piece in array.stretches(starts, room)]
    np.testing.assert_array_equal(np.concatenate(read), X.reshape(-1))
    assert all(np.shares_memory(piece, room) for piece in array.stretches([0, X.size - 3], room))
    for change in (rewritten, lambda path: os.truncate(path, 6000)):
        array = load(path)
        stretches = array.stretches(starts, room)
        next(stretches)
        change(path)
        with pytest.raises(ChangedFile):
            list(stretches)


@pytest.mark.parametrize("large", [False, True])
def test_nor_is_one_that_changes_while_it_is_opened(path: Path, large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if large:
        monkeypatch.setattr(file_array, "KEPT_BYTES", 1000)
    (entry,) = list_tensors(path)

    def progress(fraction: float) -> None:
        if fraction == 1:
            rewritten(path)

    with pytest.raises(ChangedFile):
        entry.load(progress=progress)


@pytest.mark.parametrize("size", [1, 40], ids=["small", "large"])
def test_truncation_is_never_a_signal(tmp_path: Path, size: int) -> None:
    """As it was found: ``numpy.save`` of something shorter under an open tensor, in a process of its own."""
    script = """
        import sys
        from pathlib import Path
        import numpy as np
        from qviz.core import PerAxis, PerTensor, Problem, Scheme, Tensor, analyze
        from qviz.files.readers import list_tensors

        path, rows = Path(sys.argv[1]), int(sys.argv[2])
        x = np.random.default_rng(0).standard_normal((rows, 1 << 19)).astype(np.float32)
        expected = {g: analyze(x, Scheme(granularity=g)).mse for g in (PerTensor(), PerAxis(0))}
        for suffix in (".npy", ".npz", ".safetensors"):
            file = path / f"x{suffix}"
            if suffix == ".npy":
                np.save(file, x)
            elif suffix == ".npz":
                np.savez(file, x=x)
            else:
                from safetensors.numpy import save_file
                save_file({"x": x}, file)
            tensor = Tensor(list_tensors(file)[0].load(), counted=False)
            np.save(file.with_suffix(".npy"), x[:1, :5]) if suffix == ".npy" else file.write_bytes(b"short")
            for granularity, mse in expected.items():
                try:
                    found = analyze(tensor, Scheme(granularity=granularity)).mse
                    assert found == mse, (found, mse)
                    print("the copy")
                except Problem as problem:
                    print(problem)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path), str(size)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert len(lines) == 6
    if size == 1:
        assert set(lines) == {"the copy"}
    else:
        assert all("has changed since it was opened" in line for line in lines)


def test_another_process_may_see_a_shared_disk_under_another_number(path: Path) -> None:
    stamp = Stamp.of(path)
    sent = pickle.loads(pickle.dumps(stamp))  # noqa: S301
    assert sent == stamp
    assert sent.number is None
    other = path.with_name("other.npy")
    other.write_bytes(path.read_bytes()[:-4])
    assert Stamp.of(other) != sent


def test_what_was_only_listed_may_be_renamed_before_it_is_read(tmp_path: Path) -> None:
    """Nothing of it was shown yet, and everything lies where it lay."""
    from safetensors.numpy import save_file

    paths = [tmp_path / f"w{suffix}" for suffix in (".npy", ".npz", ".safetensors")]
    np.save(paths[0], X)
    np.savez(paths[1], w=X)
    save_file({"w": X}, paths[2])
    for path in paths:
        (entry,) = list_tensors(path)
        before = path.stat()
        path.rename(path.with_name("elsewhere")).rename(path)
        put_back(path, before)
        np.testing.assert_array_equal(np.asarray(entry.load()), X)


def test_a_small_file_that_was_renamed_is_told_from_one_that_was_written(path: Path) -> None:
    stamp, before = Stamp.with_content(path), path.stat()
    path.rename(path.with_name("elsewhere")).rename(path)
    put_back(path, before)
    now = Stamp.of(path)
    assert now != stamp
    assert stamp.is_content_of(path, now)
    touched(path)
    assert not stamp.is_content_of(path, Stamp.of(path))
    later(path)
    assert not stamp.is_content_of(path, Stamp.of(path))


def test_of_a_large_file_the_content_is_not_asked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qviz.files.stamp.SUMMED_BYTES", 1000)
    stamp = Stamp.with_content(path)
    assert stamp.content is None
    put_back(path, path.stat())
    assert not stamp.is_content_of(path, Stamp.of(path))
