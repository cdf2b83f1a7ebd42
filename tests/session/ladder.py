"""The ladder with small tensors: what takes gigabytes and seconds in earnest takes a few thousand elements here."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest

from qviz.core import Tensor
from qviz.core.questions.effort import Limits
from qviz.core.tensors import sample as sample_module
from qviz.core.tensors.sorted_tensor import SortedTensor, prepare
from qviz.core.work import IsCancelled, Progress, check, never
from qviz.session import preparer as preparer_module
from qviz.session.state import Item
from tests.session.conftest import PATIENCE

SMALL = 64
"""Up to so many elements everything is direct; an estimate is made from as many."""

FEW = Limits(direct_up_to=SMALL, estimated_above=SMALL, counted_up_to=SMALL)
"""The rungs of the ladder, within the reach of a test."""

LARGE = 2048
SHAPE = (8, 256)
OUTLIER = 12.5


def small_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample of a few thousand elements is not all of them."""
    monkeypatch.setattr(sample_module, "SAMPLED_BLOCKS", 4)
    monkeypatch.setattr(sample_module, "SAMPLED_BLOCK", SMALL // 4)


def values(seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Many, with one far out that no sample holds."""
    x = np.random.default_rng(seed).normal(0, 1, LARGE).astype(np.float32)
    x[5] = OUTLIER
    assert Tensor(x, counted=False).maximum < OUTLIER
    return x.reshape(SHAPE)


def large(name: str = "large", seed: int = 0) -> Tensor:
    """One that is not counted yet."""
    made = Tensor(values(seed), name, counted=False)
    assert not made.counted
    return made


def item(name: str, tensor: Tensor) -> Item:
    """Something that is read by handing it over."""
    return Item(name, "a test", tensor.shape, tensor.dtype, lambda progress, cancelled: tensor)


class Gate:
    """In the place of `prepare`: sorts when it is let go; a deaf one does not hear that it was cancelled."""

    def __init__(self, *, held: bool = False) -> None:
        self.sorted: list[str] = []
        self.began, self.let_go = threading.Event(), threading.Event()
        self.deaf = False
        self.error: Exception | None = None
        if not held:
            self.let_go.set()

    def hold(self) -> None:
        self.began.clear()
        self.let_go.clear()

    def __call__(self, tensor: Tensor, progress: Progress, cancelled: IsCancelled) -> SortedTensor:
        self.sorted.append(tensor.name)
        self.began.set()
        progress(0.25)
        self.wait(cancelled)
        if self.error is not None:
            raise self.error
        return prepare(tensor, progress=progress, cancelled=never if self.deaf else cancelled)

    def wait(self, cancelled: IsCancelled) -> None:
        """Until it is opened."""
        until = time.monotonic() + PATIENCE
        while not self.let_go.wait(0.001):
            assert time.monotonic() < until
            if not self.deaf:
                check(cancelled)


def held_gate(monkeypatch: pytest.MonkeyPatch, *, held: bool = False) -> Gate:
    """Put a gate where tensors are put in order."""
    gate = Gate(held=held)
    monkeypatch.setattr(preparer_module, "prepare", gate)
    return gate
