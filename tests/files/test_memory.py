"""A tensor is unpacked only where there is room for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from qviz.files import memory
from qviz.files.memory import check_room, free_memory
from qviz.files.problems import FileProblem


def test_free_memory_is_unknown_where_no_file_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*args: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert free_memory() is None
    monkeypatch.setattr(Path, "read_text", lambda self: "MemTotal: 8 kB\nMemAvailable: 3 kB\n")
    assert free_memory() == 3072


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 1024)
    check_room(Path("m.npz"), "w", 1024, "Choose a smaller one.")
    with pytest.raises(FileProblem) as caught:
        check_room(Path("m.npz"), "w", 1025, "Choose a smaller one.")
    assert str(caught.value) == (
        "m.npz holds 'w', which takes 1 KB unpacked while 1 KB are free. Choose a smaller one."
    )


def test_where_nobody_knows_everything_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: None)
    check_room(Path("m.npz"), "w", 1 << 60, "")
