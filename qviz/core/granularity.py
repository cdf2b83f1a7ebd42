"""Which elements share a scale? Every answer is a block shape."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from qviz.core.problems import Problem


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

    def blocks(self, elements: int) -> Iterator[tuple[slice, slice, slice]]:
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


class Granularity(Protocol):
    """What the rest of qviz asks of a granularity."""

    kind: ClassVar[str]

    def block_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the blocks that share a scale (torchao's ``block_size``)."""
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
        if not -len(shape) <= self.axis < len(shape):
            raise Problem(
                f"There is no axis {self.axis} in a tensor of shape {shape}: "
                f"choose an axis from {-len(shape)} to {len(shape) - 1}, or per tensor."
            )
        return self.axis % len(shape)

    def block_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """1 along the axis, everything along the others."""
        axis = self.resolve(shape)
        return tuple(1 if i == axis else n for i, n in enumerate(shape))

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """The axes before, the axis, the axes behind."""
        axis = self.resolve(shape)
        return Layout(math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"kind": self.kind, "axis": self.axis}


GRANULARITIES: dict[str, type[PerTensor] | type[PerAxis]] = {
    PerTensor.kind: PerTensor,
    PerAxis.kind: PerAxis,
}
"""Every granularity by its ``kind``; a new one is a class and a row."""
