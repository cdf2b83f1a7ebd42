"""Which answers about a tensor are remembered? The last ones, as many as take little beside it."""

from __future__ import annotations

import threading
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

MOST_ANSWERS = 64
"""Of more, those go that were found longest ago."""

SHARE, LEAST_BYTES = 4, 1 << 20
"""All together take a quarter of the tensor's own bytes at most; of a small tensor, a mebibyte."""

FEW_BYTES = 256
"""What is taken for anything but an array."""


class Latest(dict[Any, Any]):
    """Answers by what was asked; the oldest go when there are too many, or they take too much.

    Parameters
    ----------
    tensor_bytes : int
        Of the tensor that is asked about.
    """

    def __init__(self, tensor_bytes: int) -> None:
        super().__init__()
        self._most = max(LEAST_BYTES, tensor_bytes // SHARE)
        self._bytes: dict[Any, int] = {}
        self._lock = threading.Lock()

    def __setitem__(self, question: Any, answer: Any) -> None:
        with self._lock:
            self.pop(question, None)
            super().__setitem__(question, answer)
            self._bytes[question] = bytes_of(answer)
            # The newest stays, however large it is: somebody is about to look at it.
            while len(self) > 1 and (len(self) > MOST_ANSWERS or sum(self._bytes.values()) > self._most):
                oldest = next(iter(self))
                del self[oldest], self._bytes[oldest]


def bytes_of(answer: Any) -> int:
    """About what an answer takes: its arrays, and those in what it holds."""
    if isinstance(answer, np.ndarray):
        return answer.nbytes
    if isinstance(answer, tuple | list):
        return FEW_BYTES + sum(map(bytes_of, answer))
    if is_dataclass(answer):
        return FEW_BYTES + sum(bytes_of(getattr(answer, each.name)) for each in fields(answer))
    return FEW_BYTES
