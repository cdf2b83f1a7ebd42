"""What does a file say of one of its tensors, before it is read?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class TensorEntry:
    """One tensor of a file, as its header describes it.

    ``shape`` and ``dtype`` are None when only reading the whole file tells, as with text.
    ``key`` is the tensor's name inside a file that holds several, else None.
    ``load(progress=ignore, cancelled=never)`` gives the array, in the type of the file. It raises
    ``FileProblem`` when the file has no such tensor (any more), and ``Cancelled``.
    """

    name: str
    path: Path
    key: str | None
    shape: tuple[int, ...] | None
    dtype: str | None
    load: Callable[..., np.ndarray[Any, Any]]
