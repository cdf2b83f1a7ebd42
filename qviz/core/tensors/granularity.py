"""Which elements share a scale? Every answer is a block shape."""

from __future__ import annotations

import math
from copy import copy
from typing import ClassVar, Protocol

from qviz.core.frozen import frozen
from qviz.core.plain import Tagged
from qviz.core.problems import Problem
from qviz.core.tensors.layout import BlockLayout, Layout, TileLayout

LONGEST_FILLED = 1 << 16
"""No block that a runtime fills up with zeros is longer."""


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


@frozen
class PerTensor(Tagged):
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


@frozen
class PerAxis(Tagged):
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


@frozen
class PerBlock(Tagged):
    """One scale for each ``block_size`` neighbours along ``axis`` (group-wise); the last block may be shorter.

    A scheme whose runtime fills blocks up (``Convention.fills_blocks``) has `fills_up`: there the only block of an axis
    may be shorter, too.

    Raises
    ------
    Problem
        When a block has no element.
    """

    kind: ClassVar[str] = "block"
    fills_up: ClassVar[bool] = False
    axis: int = -1
    block_size: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.block_size < 1:
            raise Problem(
                "A block of {block_size} has no element: choose a block size of 1 or more.", block_size=self.block_size
            )

    def reaches_beyond(self, shape: tuple[int, ...]) -> bool:
        """Whether a block is longer than its axis, so that somebody has to fill it up.

        Raises
        ------
        Problem
            When the tensor has no such axis.
        """
        return self.block_size > shape[_resolve(self.axis, shape)]

    def resolve(self, shape: tuple[int, ...]) -> int:
        """``axis`` as a non-negative number.

        Raises
        ------
        Problem
            When the tensor has no such axis, or the axis is shorter than a block that nobody fills up.
        """
        axis = _resolve(self.axis, shape)
        if self.reaches_beyond(shape) and not (self.fills_up and self.block_size <= LONGEST_FILLED):
            raise Problem(
                "A block of {block_size:,} is longer than axis {axis} of a tensor of shape {shape}: choose a "
                "block size up to {length:,}, or another axis.",
                block_size=self.block_size,
                axis=self.axis,
                shape=shape,
                length=shape[axis],
            )
        return axis

    def block_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """``block_size`` along the axis, or all of it where that is shorter; 1 along the others."""
        axis = self.resolve(shape)
        return tuple(min(self.block_size, n) if i == axis else 1 for i, n in enumerate(shape))

    def scale_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The tensor's own, with the number of blocks along the axis (ONNX's blocked quantization)."""
        axis = self.resolve(shape)
        return tuple(-(-n // self.block_size) if i == axis else n for i, n in enumerate(shape))

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """The blocks, one behind the other."""
        axis = self.resolve(shape)
        before, length, after = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
        size = min(self.block_size, length)
        blocks = before * -(-length // size) * after
        if after == 1 and length % size == 0:
            return Layout(1, blocks, size)
        return BlockLayout(1, blocks, size, before, length, after)

    def of_runtime(self, fills_blocks: bool) -> PerBlock:
        """The same under a runtime that fills blocks up, or does not."""
        if fills_blocks == self.fills_up:
            return self
        other = copy(self)
        object.__setattr__(other, "fills_up", fills_blocks)
        return other

    def within(self, length: int) -> int:
        """The size of the blocks that an axis of so many elements can have instead."""
        return min(self.block_size, max(length, LONGEST_FILLED) if self.fills_up else length)


def PerGroup(group_size: int = 32) -> PerBlock:  # noqa: N802 (a granularity by the name torchao gives it)
    """One scale for each ``group_size`` neighbours of the last axis: `PerBlock` as torchao calls it."""
    return PerBlock(-1, group_size)


@frozen
class PerTile(Tagged):
    """One scale for each rectangle of the last two axes (DeepSeek's FP8 weights: 128 × 128); those at the edges may
    be smaller.

    Raises
    ------
    Problem
        When a tile has no element.
    """

    kind: ClassVar[str] = "tile"
    rows: int = 128
    columns: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rows < 1 or self.columns < 1:
            raise Problem(
                "A tile of {rows} × {columns} has no element: choose sides of 1 or more.",
                rows=self.rows,
                columns=self.columns,
            )

    def block_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The tile on the last two axes, 1 along the others.

        Raises
        ------
        Problem
            When the tensor has a single axis.
        """
        if len(shape) < 2:
            raise Problem(
                "Tiles lie over two axes, but a tensor of shape {shape} has one: choose per block, or per tensor.",
                shape=shape,
            )
        return (*(1 for _ in shape[:-2]), min(self.rows, shape[-2]), min(self.columns, shape[-1]))

    def scale_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The tensor's own, with the number of tiles along the last two axes."""
        return tuple(-(-n // block) for n, block in zip(shape, self.block_shape(shape), strict=True))

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """The rectangles, row by row."""
        *_, tall, wide = self.block_shape(shape)
        groups = math.prod(self.scale_shape(shape))
        return TileLayout(1, groups, tall * wide, math.prod(shape[:-2]), shape[-2], shape[-1], tall, wide)


@frozen
class PerToken(Tagged):
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


def _resolve(axis: int, shape: tuple[int, ...]) -> int:
    if not -len(shape) <= axis < len(shape):
        raise Problem(
            "There is no axis {axis} in a tensor of shape {shape}: choose an axis from {first} to {last}, "
            "or per tensor.",
            axis=axis,
            shape=shape,
            first=-len(shape),
            last=len(shape) - 1,
        )
    return axis % len(shape)


GRANULARITIES: dict[str, type[PerTensor] | type[PerAxis] | type[PerBlock] | type[PerToken] | type[PerTile]] = {
    each.kind: each for each in (PerTensor, PerAxis, PerBlock, PerToken, PerTile)
}
"""Every granularity by its ``kind``; a new one is a class and a row."""
