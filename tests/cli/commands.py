"""What the tests of all commands share: how a command ended, and the tensors that it is given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core import (
    MSE,
    Entropy,
)

ARTICLE_OPTIONS = ("--unsigned", "--asymmetric", "--runtime", "textbook")


X = np.random.default_rng(6).normal(0, 1, (4, 6)).astype(np.float32)


SEARCHES = {"mse": MSE(), "entropy": Entropy()}


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The object that was printed, read as the standard has it."""

        def refuse(token: str) -> None:
            raise AssertionError(f"{token} is no JSON")

        notes = [line for line in self.err.splitlines() if "Left out: " not in line and "breaks here: " not in line]
        assert (self.code, notes) == (0, [])
        assert self.out.count("\n") == 1
        read: dict[str, Any] = json.loads(self.out, parse_constant=refuse)
        return read

    @property
    def problem(self) -> str:
        """The one line on stderr of a command that could not be done."""
        assert (self.code, self.out) == (2, "")
        assert self.err.startswith("qviz: ")
        assert self.err.endswith("\n")
        assert len(self.err.splitlines()) == 1
        return self.err.removeprefix("qviz: ").rstrip("\n")


Run = Callable[..., Said]


def saved(path: Path, array: Any) -> Path:
    with path.open("wb") as file:
        np.save(file, np.asarray(array))
    return path


def without_display(*arguments: object) -> Said:
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    env = {key: value for key, value in os.environ.items() if key not in hidden}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=env,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    return Said(done.returncode, done.stdout, done.stderr)


def written(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
