"""A tensor is unpacked only where there is room for it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from qviz.files import memory
from qviz.files.memory import check_room, free_memory, machine_memory
from qviz.files.problems import FileProblem


def test_the_machine_has_more_than_is_free() -> None:
    assert machine_memory() > free_memory() > 1 << 20


def test_both_are_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=8 << 30, available=3 << 30))
    assert (machine_memory(), free_memory()) == (8 << 30, 3 << 30)


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 1024)
    check_room(Path("m.npz"), "w", 1024, "Choose a smaller one.")
    with pytest.raises(FileProblem) as caught:
        check_room(Path("m.npz"), "w", 1025, "Choose a smaller one.")
    assert str(caught.value) == (
        "m.npz holds 'w', which takes 1.001 KiB unpacked while 1 KiB are free. Choose a smaller one."
    )
