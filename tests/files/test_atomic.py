"""A file that is written is the old one or the whole new one, whatever happens in between."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from qviz.core.work import Cancelled
from qviz.files.atomic import atomic_write, check_writable
from qviz.files.problems import FileProblem
from tests.every import every


def write(path: Path, text: str = "new") -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text)


def problem_of(path: Path) -> str:
    with pytest.raises(FileProblem) as caught:
        write(path)
    return str(caught.value)


def test_the_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.npz"
    with atomic_write(path) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".npz"
        np.savez(temporary, w=np.arange(3.0))
        assert not path.exists()
    assert np.load(path)["w"].tolist() == [0, 1, 2]
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_is_replaced_and_its_permissions_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    path.chmod(0o640)
    write(path)
    assert path.read_text() == "new"
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o640


def test_a_new_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    write(tmp_path / "out.csv")
    (tmp_path / "other.csv").touch()
    assert (tmp_path / "out.csv").stat().st_mode == (tmp_path / "other.csv").stat().st_mode


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "real.csv").write_text("old")
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "there" / "real.csv")
    write(link)
    assert link.is_symlink()
    assert (tmp_path / "there" / "real.csv").read_text() == "new"


def test_a_library_may_put_a_file_of_its_own_in_the_place(tmp_path: Path) -> None:
    with atomic_write(str(tmp_path / "out.csv")) as temporary:
        temporary.unlink()
        temporary.write_text("mine")
    assert (tmp_path / "out.csv").read_text() == "mine"


@every("error", [RuntimeError, Cancelled, KeyboardInterrupt])
def test_when_the_writer_fails_the_old_file_is_untouched(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path) as temporary:
        temporary.write_text("ne")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@every(
    ("code", "what"),
    [
        (errno.ENOSPC, "the disk is full. Free some space"),
        (errno.EDQUOT, "the disk is full. Free some space"),
        (errno.EROFS, "the disk is read-only. Choose another folder"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
@every("function", ["fsync", "replace"])
def test_a_disk_that_fails_at_the_end_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, what: str, function: str
) -> None:
    def fail(*args: object) -> None:
        raise OSError(code, os.strerror(code))

    path = tmp_path / "out.csv"
    path.write_text("old")
    monkeypatch.setattr(os, function, fail)
    assert f"out.csv can't be written: {what}" in problem_of(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_is_full_while_writing(tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match="the disk is full"), atomic_write(tmp_path / "out.csv"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_the_first_error_is_told_even_if_nothing_can_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "unlink", fail)
    with pytest.raises(RuntimeError, match="the first"), atomic_write(tmp_path / "out.csv"):
        raise RuntimeError("the first")


def test_memory_that_runs_out_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match="memory has run out"), atomic_write(tmp_path / "out.csv"):
        raise MemoryError


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    message = problem_of(tmp_path / "missing" / "out.csv")
    folder = tmp_path / "missing"
    assert message == (f"out.csv can't be written: there is no folder {folder}. Create it, or choose another one.")


def test_a_folder_that_takes_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, mode: int = 0, exist_ok: bool = True) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")  # as /proc says

    monkeypatch.setattr(Path, "touch", refuse)
    assert problem_of(tmp_path / "out.csv") == (
        "out.csv can't be written: its folder takes no files. Choose another folder."
    )


def test_a_folder_that_must_not_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, mode: int = 0, exist_ok: bool = True) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "touch", refuse)
    assert "permission denied. Choose another folder" in problem_of(tmp_path / "out.csv")


def test_what_cannot_be_written_is_told_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same words as afterwards; nothing is tried out."""
    for path in (tmp_path / "missing" / "out.csv", tmp_path, Path(os.devnull)):
        with pytest.raises(FileProblem) as before:
            check_writable(path)
        assert str(before.value) == problem_of(path)
    (tmp_path / "there.csv").write_text("old")
    for path in (tmp_path / "out.csv", tmp_path / "there.csv"):
        check_writable(path)
    assert [each.name for each in tmp_path.iterdir()] == ["there.csv"]
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(FileProblem, match="permission denied"):
        check_writable(tmp_path / "out.csv")


def test_a_read_only_file_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "permission denied" in problem_of(path)
    assert path.read_text() == "old"


def test_a_folder_given_as_a_file(tmp_path: Path) -> None:
    assert "it is a folder. Add a file name to it" in problem_of(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_device_or_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "it is a device or a pipe" in problem_of(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()
