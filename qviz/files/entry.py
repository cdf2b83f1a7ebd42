"""What does a file say of one of its tensors, before it is read?"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from qviz.core.frozen import frozen
from qviz.core.problems import N_, Phrase, Problem
from qviz.core.tensors.stored import Stored
from qviz.core.tensors.value_counts import ValueCounts

Loaded = np.ndarray[Any, Any] | Stored
"""What a file gives: an array, or what reads like a flat one where it is too large to be copied."""


@frozen
class Note:
    """What was recognized of a tensor's file; `is_plain` where nothing was left out and nothing assumed."""

    phrase: Phrase
    is_plain: bool = False


def no_note() -> None:
    """Nothing had to be guessed."""


@frozen
class Encoding:
    """How a weight is kept.

    Attributes
    ----------
    name : str
        The library or the format: ``"GPTQ"``.
    codes : str
        The type of a code: ``"int4"``, ``"float8_e4m3fn"``.
    group : int or None
        Neighbours along the last axis that share a scale; None for a whole row, or for blocks of another kind.
    parts : tuple of TensorEntry
        What the file has: codes, scales, zero points.
    """

    name: str
    codes: str
    group: int | None
    parts: tuple[TensorEntry, ...]

    @property
    def note(self) -> Note:
        """What a person hears of it."""
        if self.group is None:
            return Note(Phrase(N_("Decoded from {codes} of {name}."), codes=self.codes, name=self.name), is_plain=True)
        said = N_("Decoded from {codes} of {name}, {group} to a scale.")
        return Note(Phrase(said, codes=self.codes, name=self.name, group=self.group), is_plain=True)


@frozen
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
    bare numbers, are written. ``encoding`` is how a checkpoint keeps a weight that was quantized: ``load`` gives what
    its codes stand for. ``outputs_first``: a layer's weight is (outputs, features), as PyTorch stores it, or
    (features, outputs), as a MatMul of ONNX has it; None where nobody can tell. ``identity`` is alike where two
    names are of one tensor (tied weights), as far as the file tells.
    ``counted(threads=…, cancelled=never)`` gives the counts of 16-bit values without making float32 of them, where it
    can; in so many threads at most. ``bits()`` gives the numbers as they lie in the file, those of bfloat16 as uint16,
    for those who look at one part after the other.
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
    encoding: Encoding | None = None
    outputs_first: bool | None = None
    identity: Hashable = None
    counted: Callable[..., ValueCounts] | None = None
    bits: Callable[[], Stored] | None = None


def with_changes(entry: TensorEntry, **changes: Any) -> TensorEntry:
    """The entry with other values in some fields: ``dataclasses.replace`` takes seconds for 90,000 of them."""
    changed = object.__new__(TensorEntry)
    changed.__dict__.update(entry.__dict__, **changes)
    return changed


def refused_entry(name: str, path: Path, key: str | None, problem: Problem) -> TensorEntry:
    """An entry that can be listed beside others, and says why it can't be read when it is chosen."""

    def load(**_: object) -> np.ndarray[Any, Any]:
        raise problem

    return TensorEntry(name, path, key, None, None, load, refused=problem)
