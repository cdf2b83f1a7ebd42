"""Which elements share a scale? Every answer is a block shape."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from qviz.core.problems import Problem
from qviz.core.tensors.envelope import FloatArray
from qviz.core.tensors.mapped_values import FlatValues, as_float32

Array = np.ndarray[Any, Any]
Flat = FloatArray | FlatValues
Block = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Layout:
    """A C-ordered tensor seen as ``(outer, groups, inner)``: one scale a group.

    ``PerTensor`` is ``(1, 1, n)``; ``PerAxis(k)`` is the axes before ``k``, the axis,
    and the axes behind it.
    """

    outer: int
    groups: int
    inner: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.outer, self.groups, self.inner

    @property
    def ragged(self) -> bool:
        """Whether some groups are shorter than the others, so that what is taken ends in NaN."""
        return False

    def blocks(self, elements: int) -> Iterator[Block]:
        """Consecutive pieces of about ``elements`` elements, each contiguous in memory.

        Walking them in order visits the flat tensor from its first element to its last.
        """
        if self.inner >= elements:
            for o in range(self.outer):
                for g in range(self.groups):
                    for i in range(0, self.inner, elements):
                        yield slice(o, o + 1), slice(g, g + 1), slice(i, min(i + elements, self.inner))
        elif self.groups * self.inner >= elements:
            step = max(1, elements // self.inner)
            for o in range(self.outer):
                for g in range(0, self.groups, step):
                    yield slice(o, o + 1), slice(g, min(g + step, self.groups)), slice(0, self.inner)
        else:
            step = max(1, elements // (self.groups * self.inner))
            for o in range(0, self.outer, step):
                yield slice(o, min(o + step, self.outer)), slice(0, self.groups), slice(0, self.inner)

    def take(self, values: Flat, block: Block) -> FloatArray:
        """One of the `blocks` as an array of three axes; not to be written to."""
        outer, groups, inner = block
        start = (outer.start * self.groups + groups.start) * self.inner + inner.start
        shape = tuple(part.stop - part.start for part in block)
        return values[start : start + math.prod(shape)].reshape(shape)

    def runs(self, block: Block, taken: FloatArray) -> Iterator[tuple[int, FloatArray]]:
        """What was taken, as it lies in memory: flat pieces and where each starts."""
        outer, groups, inner = block
        yield (outer.start * self.groups + groups.start) * self.inner + inner.start, taken.reshape(-1)

    def group_of(self, index: Any) -> Any:
        """The group that the elements at flat ``index`` belong to."""
        return np.asarray(index) // self.inner % self.groups

    def gather(self, source: Array, first: int, last: int) -> FloatArray:
        """Some neighbouring groups of a flat array of any real type, shape (outer, last - first, inner)."""
        return as_float32(np.ascontiguousarray(source.reshape(self.shape)[:, first:last]))


@dataclass(frozen=True)
class BlockLayout(Layout):
    """Blocks of ``inner`` neighbours along one axis that do not lie in one piece: one scale a block.

    The tensor is ``(before, length, after)``; its blocks are numbered as an array of shape
    ``(before, ceil(length / inner), after)`` in C order. What is taken of the last block of a
    ragged axis is filled up with NaN.
    """

    before: int
    length: int
    after: int

    @property
    def ragged(self) -> bool:
        return bool(self.length % self.inner)

    @property
    def _along(self) -> int:
        return -(-self.length // self.inner)

    def blocks(self, elements: int) -> Iterator[Block]:
        """Pieces of about ``elements`` elements: rows of the tensor, or blocks of one row, or a part of them."""
        whole = self._along * self.after
        if whole * self.inner <= elements:
            step = whole * (elements // (whole * self.inner))
        elif self.after * self.inner <= elements:
            step = self.after * (elements // (self.after * self.inner))
        else:
            step = max(1, elements // self.inner)
        limit = self.groups if step >= whole else whole if step >= self.after else self.after
        for row in range(0, self.groups, limit):
            for start in range(row, row + limit, step):
                yield slice(0, 1), slice(start, min(start + step, row + limit)), slice(0, self.inner)

    def take(self, values: Flat, block: Block) -> FloatArray:
        parts = [values[start:stop] for start, stop in self._pieces(block[1])]
        rows, columns = self._rows(block[1])
        flat = parts[0] if len(parts) == 1 else np.concatenate(parts)
        piece = flat.reshape(rows, -1, columns)
        along = -(-piece.shape[1] // self.inner)
        missing = along * self.inner - piece.shape[1]
        if missing:
            piece = np.concatenate((piece, np.full((rows, missing, columns), np.nan, np.float32)), axis=1)
        taken = piece.reshape(rows, along, self.inner, columns).swapaxes(2, 3)
        return np.ascontiguousarray(taken).reshape(1, -1, self.inner)

    def runs(self, block: Block, taken: FloatArray) -> Iterator[tuple[int, FloatArray]]:
        pieces = self._pieces(block[1])
        rows, columns = self._rows(block[1])
        whole = taken.reshape(rows, -1, columns, self.inner).swapaxes(2, 3).reshape(rows, -1, columns)
        elements = sum(stop - start for start, stop in pieces)
        flat = np.ascontiguousarray(whole[:, : elements // (rows * columns)]).reshape(-1)
        done = 0
        for start, stop in pieces:
            yield start, flat[done : done + stop - start]
            done += stop - start

    def _rows(self, groups: slice) -> tuple[int, int]:
        """How many rows of the tensor a piece covers, and how many columns of them."""
        whole, some = self._along * self.after, groups.stop - groups.start
        return max(1, some // whole), min(self.after, some)

    def _pieces(self, groups: slice) -> list[tuple[int, int]]:
        """The stretches of memory that one of the `blocks` lies in."""
        row, rest = divmod(groups.start, self._along * self.after)
        block, column = divmod(rest, self.after)
        rows, columns = self._rows(groups)
        start = (row * self.length + block * self.inner) * self.after
        if rows > 1 or groups.stop - groups.start == self._along * self.after:
            return [(start, start + rows * self.length * self.after)]
        along = -(-(groups.stop - groups.start) // self.after)
        length = min(along * self.inner, self.length - block * self.inner)
        if columns == self.after:
            return [(start, start + length * self.after)]
        return [(start + i * self.after + column, start + i * self.after + column + columns) for i in range(length)]

    def group_of(self, index: Any) -> Any:
        where = np.asarray(index)
        row, rest = np.divmod(where, self.length * self.after)
        along, column = np.divmod(rest, self.after)
        return (row * self._along + along // self.inner) * self.after + column

    def gather(self, source: Array, first: int, last: int) -> FloatArray:
        row, rest = np.divmod(np.arange(first, last), self._along * self.after)
        block, column = np.divmod(rest, self.after)
        along = block[:, None] * self.inner + np.arange(self.inner)
        inside = along < self.length
        where = (row[:, None] * self.length + np.where(inside, along, 0)) * self.after + column[:, None]
        return np.where(inside, as_float32(source[where]), np.float32(np.nan))[None]


class Granularity(Protocol):
    """What the rest of qviz asks of a granularity."""

    kind: ClassVar[str]

    def block_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the blocks that share a scale (torchao's ``block_size``)."""
        ...

    def scale_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the array of scales."""
        ...

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """The tensor as ``(outer, groups, inner)``."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        ...


@dataclass(frozen=True)
class PerTensor:
    """One scale for the whole tensor."""

    kind: ClassVar[str] = "tensor"

    def block_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The whole tensor is one block."""
        return shape

    def scale_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """One number."""
        return ()

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """``(1, 1, n)``."""
        return Layout(1, 1, math.prod(shape))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"kind": self.kind}


@dataclass(frozen=True)
class PerAxis:
    """One scale for each index along ``axis`` (per channel); negative axes count from the end."""

    kind: ClassVar[str] = "axis"
    axis: int = 0

    def resolve(self, shape: tuple[int, ...]) -> int:
        """``axis`` as a non-negative number.

        Raises
        ------
        Problem
            When the tensor has no such axis.
        """
        return _resolve(self.axis, shape)

    def block_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """1 along the axis, everything along the others."""
        axis = self.resolve(shape)
        return tuple(1 if i == axis else n for i, n in enumerate(shape))

    def scale_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """One for each index along the axis."""
        return (shape[self.resolve(shape)],)

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """The axes before, the axis, the axes behind."""
        axis = self.resolve(shape)
        return Layout(math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"kind": self.kind, "axis": self.axis}


@dataclass(frozen=True)
class PerBlock:
    """One scale for each ``block_size`` neighbours along ``axis`` (group-wise); the last block may be shorter.

    Raises
    ------
    Problem
        When a block has no element.
    """

    kind: ClassVar[str] = "block"
    axis: int = -1
    block_size: int = 32

    def __post_init__(self) -> None:
        if self.block_size < 1:
            raise Problem(f"A block of {self.block_size} has no element: choose a block size of 1 or more.")

    def resolve(self, shape: tuple[int, ...]) -> int:
        """``axis`` as a non-negative number.

        Raises
        ------
        Problem
            When the tensor has no such axis, or the axis is shorter than a block.
        """
        axis = _resolve(self.axis, shape)
        if self.block_size > shape[axis]:
            raise Problem(
                f"A block of {self.block_size:,} is longer than axis {self.axis} of a tensor of shape {shape}: "
                f"choose a block size up to {shape[axis]:,}, or another axis."
            )
        return axis

    def block_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """``block_size`` along the axis, 1 along the others."""
        axis = self.resolve(shape)
        return tuple(self.block_size if i == axis else 1 for i in range(len(shape)))

    def scale_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The tensor's own, with the number of blocks along the axis (ONNX's blocked quantization)."""
        axis = self.resolve(shape)
        return tuple(-(-n // self.block_size) if i == axis else n for i, n in enumerate(shape))

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """The blocks, one behind the other."""
        axis = self.resolve(shape)
        before, length, after = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
        blocks = before * -(-length // self.block_size) * after
        if after == 1 and length % self.block_size == 0:
            return Layout(1, blocks, self.block_size)
        return BlockLayout(1, blocks, self.block_size, before, length, after)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"kind": self.kind, "axis": self.axis, "block_size": self.block_size}


@dataclass(frozen=True)
class PerToken:
    """One scale for each row of features, the last axis: how activations are quantized as they come."""

    kind: ClassVar[str] = "token"

    def block_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Everything along the last axis, 1 along the others."""
        return (*(1 for _ in shape[:-1]), shape[-1])

    def scale_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The tensor's own, with 1 in the place of the features."""
        return (*shape[:-1], 1)

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """The rows."""
        return Layout(1, math.prod(shape[:-1]), shape[-1])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"kind": self.kind}


def _resolve(axis: int, shape: tuple[int, ...]) -> int:
    if not -len(shape) <= axis < len(shape):
        raise Problem(
            f"There is no axis {axis} in a tensor of shape {shape}: "
            f"choose an axis from {-len(shape)} to {len(shape) - 1}, or per tensor."
        )
    return axis % len(shape)


GRANULARITIES: dict[str, type[PerTensor] | type[PerAxis] | type[PerBlock] | type[PerToken]] = {
    each.kind: each for each in (PerTensor, PerAxis, PerBlock, PerToken)
}
"""Every granularity by its ``kind``; a new one is a class and a row."""
