"""Which elements came together? A tensor seen as calibration batches, and several tensors as the batches of one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.problems import Problem
from qviz.core.tensors.layout import BLOCK, BlockLayout, Layout, TileLayout
from qviz.core.tensors.mapped_values import FlatValues
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled, check, never


class Batch:
    """The values of one group in one batch, read a stretch at a time.

    Attributes
    ----------
    size : int
    rows : int
        Samples: the length of the batch's own first axis, 1 where that axis tells the groups apart.
        Row ``i`` is the ``i``-th of ``rows`` equal stretches.
    """

    def __init__(self, values: FloatArray | FlatValues, start: int, size: int, rows: int, *, clean: bool) -> None:
        self._values, self._start, self._clean = values, start, clean
        self.size, self.rows = size, rows

    def read(self, start: int, stop: int) -> FloatArray:
        """Float32, NaN where not finite; not to be written to."""
        return self._values[self._start + start : self._start + min(stop, self.size)]

    def pieces(self, *, cancelled: IsCancelled = never) -> Iterator[FloatArray]:
        """Its finite values, in order, none of them empty."""
        for start in range(0, self.size, BLOCK):
            check(cancelled)
            piece = self.read(start, start + BLOCK)
            finite = piece if self._clean else piece[~np.isnan(piece)]
            if finite.size:
                yield finite

    def finite(self, *, cancelled: IsCancelled = never) -> Batch:
        """What is left of it without NaN: itself where all is finite, else a copy of one row; it may be empty."""
        if self._clean:
            return self
        values = np.concatenate([*self.pieces(cancelled=cancelled), np.empty(0, np.float32)])
        return Batch(values, 0, values.size, 1, clean=True)

    def extremes(self, *, cancelled: IsCancelled = never) -> tuple[np.float32, np.float32] | None:
        """The smallest and the largest finite value; None where there is none."""
        ends = [(piece.min(), piece.max()) for piece in self.pieces(cancelled=cancelled)]
        return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else None

    def row_magnitudes(self, *, cancelled: IsCancelled = never) -> FloatArray:
        """The largest magnitude of each row that has a finite value, float32."""
        length = self.size // self.rows
        largest = np.full(self.rows, -np.inf, np.float32)
        together = max(1, BLOCK // length)
        for first in range(0, self.rows, together):
            check(cancelled)
            last = min(first + together, self.rows)
            for start in range(0, length, BLOCK):  # a row longer than a block stands alone
                stop = min(start + BLOCK, length)
                rows = np.abs(self.read(first * length + start, (last - 1) * length + stop)).reshape(last - first, -1)
                largest[first:last] = np.fmax(largest[first:last], np.fmax.reduce(rows, axis=1))
        return largest[largest >= 0]


def check_batches(layout: Layout, shape: tuple[int, ...], batch_axis: int | None) -> None:
    """Nothing, where each group of a tensor of that shape has its part of every batch.

    Raises
    ------
    Problem
        When the tensor has no such axis, or it is the one that tells the groups apart.
    """
    if layout.groups > 1:
        _outer_of_batches(layout, shape, batch_axis)
    else:
        _around(shape, batch_axis)


def _outer_of_batches(layout: Layout, shape: tuple[int, ...], batch_axis: int | None) -> tuple[int, int]:
    """How many parts before the batches lie outside of the groups, and how many rows of a batch do."""
    before, count, after = _around(shape, batch_axis)
    if count == 1:
        return 1, layout.outer
    if layout.outer % (before * count) == 0:
        return before, layout.outer // count
    if layout.inner % (count * after) == 0 and not isinstance(layout, BlockLayout | TileLayout):
        return before // layout.groups, layout.outer
    raise Problem(
        "Axis {batch_axis} of a tensor of shape {shape} cannot tell both batches and scales apart: "
        "choose another batch axis, or one scale for the whole tensor.",
        batch_axis=batch_axis,
        shape=shape,
    )


def batches_of(
    tensor: Tensor, layout: Layout, batch_axis: int | None, *, cancelled: IsCancelled = never
) -> Iterator[tuple[int, Iterator[Batch]]]:
    """Each group's number and its batches, in order.

    Where there is one group, batches along the first axis are read where they lie, and those along
    another axis are copied out one after the other. Several groups are copied out a few at a time.

    Parameters
    ----------
    tensor : Tensor
    layout : Layout
        The groups.
    batch_axis : int or None
        The axis whose indices are batches; None: the whole tensor is one. A batch has the shape of
        the tensor without that axis.

    Raises
    ------
    Problem
        When the tensor has no such axis, or it is the one that tells the groups apart.
    """
    shape, clean = tensor.shape, tensor.all_finite and not layout.ragged
    before, count, after = _around(shape, batch_axis)
    axes = list(shape)
    if batch_axis is not None:
        del axes[batch_axis]
    rows = axes[0] if axes else 1
    size = layout.outer * layout.inner // count
    if layout.groups == 1:
        if before == 1:
            yield 0, (Batch(tensor.values, i * size, size, rows, clean=clean) for i in range(count))
        else:
            each = Layout(before, count, after)
            copied = (tensor.gather(each, i, i + 1).reshape(-1) for i in range(count))
            yield 0, (Batch(values, 0, size, rows, clean=clean) for values in copied)
        return
    before, outer = _outer_of_batches(layout, shape, batch_axis)
    rows = rows if outer > 1 else 1
    together = max(1, BLOCK // (size * count))
    for first in range(0, layout.groups, together):
        check(cancelled)
        part = tensor.gather(layout, first, min(first + together, layout.groups)).swapaxes(0, 1)
        by_batch = part.reshape(part.shape[0], before, count, -1).swapaxes(1, 2)
        flat = np.ascontiguousarray(by_batch).reshape(-1)
        for group in range(part.shape[0]):
            yield first + group, _cut(flat[group * count * size :], count, size, rows, clean)


def _cut(flat: FloatArray, count: int, size: int, rows: int, clean: bool) -> Iterator[Batch]:
    """The batches that lie one after the other, of what is there now: others may be asked for before these are read."""
    return (Batch(flat, i * size, size, rows, clean=clean) for i in range(count))


def _around(shape: tuple[int, ...], axis: int | None) -> tuple[int, int, int]:
    """The elements before the axis, along it, and behind it."""
    if axis is None:
        return 1, 1, math.prod(shape)
    if not -len(shape) <= axis < len(shape):
        raise Problem(
            "There is no batch axis {axis} in a tensor of shape {shape}: choose one from {first} to {last}, "
            "or none for a single batch.",
            axis=axis,
            shape=shape,
            first=-len(shape),
            last=len(shape) - 1,
        )
    axis %= len(shape)
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


def stack(tensors: Sequence[Tensor], name: str = "batches") -> Tensor:
    """Several tensors of one shape as one of shape ``(batches, …)``, for range rules with ``batch_axis=0``.

    It is a float32 copy: four bytes an element of all of them together.

    Parameters
    ----------
    tensors : sequence of Tensor
        One or more.
    name : str
        What the new one is called.

    Raises
    ------
    Problem
        When there is none, or when their shapes differ.
    """
    if not tensors:
        raise Problem("There are no batches: choose at least one tensor.")
    first = tensors[0]
    for other in tensors[1:]:
        if other.shape != first.shape:
            raise Problem(
                "Batches of unequal shape: {first} is {first_shape} and {other} is {other_shape}; choose "
                "tensors of one shape.",
                first=first.name,
                first_shape=first.shape,
                other=other.name,
                other_shape=other.shape,
            )
    together = np.empty((len(tensors), first.elements), np.float32)
    for row, tensor in zip(together, tensors, strict=True):
        for start in range(0, tensor.elements, BLOCK):
            row[start : start + BLOCK] = tensor.values[start : start + BLOCK]
    return Tensor(together.reshape(len(tensors), *first.shape), name)
