"""What does a file say of one of its tensors, before it is read?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from qviz.core.problems import Phrase, Problem
from qviz.core.tensors.stored import Stored

Loaded = np.ndarray[Any, Any] | Stored
"""What a file gives: an array, or what reads like a flat one where it is too large to be copied."""


@dataclass(frozen=True)
class Note:
    """What was recognized of a tensor's file; `is_plain` where nothing was left out and nothing assumed."""

    phrase: Phrase
    is_plain: bool = False


def no_note() -> None:
    """Nothing had to be guessed."""


@dataclass(frozen=True)
class TensorEntry:
    """One tensor of a file, as its header describes it.

    ``shape`` and ``dtype`` are None when only reading the whole file tells, as with text.
    ``key`` is the tensor's name inside a file that holds several, else None.
    ``load(progress=ignore, cancelled=never)`` gives the array, in the type of the file; a large one is
    read when its values are asked for, as long as the file stays as it is. It raises ``FileProblem``
    when the file has no such tensor (any more), and ``Cancelled``.
    ``note()`` is what a person should hear of how it is read, such as the columns of a table that are
    left out; None where nothing had to be guessed. It looks at the file, too, and raises as ``load`` does.
    ``refused`` is why ``load`` will raise, where the header already tells. ``nbytes`` is what the tensor takes
    in the file, where shape and type do not tell. ``written`` is of what a person may say more: how a table, or
    bare numbers, are written.
    """

    name: str
    path: Path
    key: str | None
    shape: tuple[int, ...] | None
    dtype: str | None
    load: Callable[..., Loaded]
    note: Callable[[], Note | None] = no_note
    refused: Problem | None = None
    nbytes: int | None = None
    written: Literal["", "table", "raw"] = ""


def refused_entry(name: str, path: Path, key: str | None, problem: Problem) -> TensorEntry:
    """An entry that can be listed beside others, and says why it can't be read when it is chosen."""

    def load(**_: object) -> np.ndarray[Any, Any]:
        raise problem

    return TensorEntry(name, path, key, None, None, load, refused=problem)
