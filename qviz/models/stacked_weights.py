"""How are many small weights quantized at once? Those whose rows are about equally long lie one above the other.

Where each row has a scale of its own, the rows of other weights change nothing, nor does one of its elements a second
time; asking about each weight alone takes longer than computing it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from qviz.core.arithmetic.quantize import fake_quantize
from qviz.core.arrays import FloatArray
from qviz.core.questions.calibration import choose_qparams
from qviz.core.ranges.rules import MinMax
from qviz.core.runtimes.table import convention_named
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import PerAxis
from qviz.core.tensors.tensor import Tensor
from qviz.models.weights import Weight, fitted_scheme

SMALL = 1 << 16
"""Elements of a weight that takes longer to be computed than to be asked about."""

FILLED = 1 << 15
"""Elements behind shorter rows that are computed in less time than is taken by asking once more."""


def stackable(scheme: Scheme) -> bool:
    """Whether a row's codes depend on that row alone, whatever lies above it."""
    convention = convention_named(scheme.convention)
    by_row = isinstance(scheme.granularity, PerAxis) and isinstance(scheme.range_rule, MinMax)
    return by_row and not convention.of_whole_tensor and not convention.of_elements


@dataclass(frozen=True, eq=False)
class _Stack:
    """Weights above each other, and the rows of each."""

    tensor: Tensor
    weights: tuple[Weight, ...]
    rows: tuple[slice, ...]


class StackedWeights:
    """The small weights of a network, to be quantized together.

    Parameters
    ----------
    weights : iterable of Weight
    values : mapping of str to float32 array
        By names of weights.
    """

    def __init__(self, weights: Iterable[Weight], values: Mapping[str, FloatArray]) -> None:
        self._values = values
        self._small = {
            each.name: each
            for each in weights
            if each.elements <= SMALL
            and np.isfinite(values[each.name]).all()  # which one is spoilt is said of it alone
        }
        self._stacks: dict[tuple[str, ...], list[_Stack]] = {}

    def quantized(self, schemes: Mapping[str, Scheme]) -> dict[str, FloatArray]:
        """x̂ of those weights that lie together with others, each in its own shape.

        Parameters
        ----------
        schemes : mapping of str to Scheme
            What is wanted, by names of weights.
        """
        together: dict[Scheme, list[str]] = {}
        for scheme, names in _by_scheme(schemes):
            if stackable(scheme):
                together.setdefault(scheme, []).extend(name for name in names if name in self._small)
        found: dict[str, FloatArray] = {}
        stacks: dict[tuple[str, ...], list[_Stack]] = {}
        for scheme, names in together.items():
            key = tuple(names)
            if key not in stacks:
                known = self._stacks.get(key)
                stacks[key] = self._laid(names) if known is None else known
            for stack in stacks[key]:
                x_hat = fake_quantize(
                    stack.tensor, choose_qparams(stack.tensor, fitted_scheme(scheme, stack.weights[0]))
                )
                for weight, rows in zip(stack.weights, stack.rows, strict=True):
                    found[weight.name] = weight.restored(x_hat[rows, : weight.matrix_shape[1]])
        self._stacks = stacks
        return found

    def _laid(self, names: Iterable[str]) -> list[_Stack]:
        """Those of these weights that lie above others."""
        alike = _alike(self._small[name] for name in names)
        return [self._stacked(stack) for stack in alike if len(stack) > 1]

    def _stacked(self, stack: list[Weight]) -> _Stack:
        """The matrices, whose shorter rows go on with their first element."""
        columns = max(weight.matrix_shape[1] for weight in stack)
        matrices = [weight.matrix(self._values[weight.name]) for weight in stack]
        filled = [np.concatenate([m, np.repeat(m[:, :1], columns - m.shape[1], axis=1)], axis=1) for m in matrices]
        ends = accumulate((len(matrix) for matrix in matrices), initial=0)
        rows = tuple(slice(first, end) for first, end in pairwise(ends))
        return _Stack(Tensor(np.concatenate(filled), stack[0].name), tuple(stack), rows)


def _by_scheme(schemes: Mapping[str, Scheme]) -> Iterator[tuple[Scheme, list[str]]]:
    """Names with the scheme that they have, one object at a time: a scheme is slow to be looked up."""
    found: dict[int, tuple[Scheme, list[str]]] = {}
    for name, scheme in schemes.items():
        found.setdefault(id(scheme), (scheme, []))[1].append(name)
    yield from found.values()


def _alike(weights: Iterable[Weight]) -> list[list[Weight]]:
    """Weights that lie together: the longest rows first, and others as long as little has to be filled up."""
    stacks: list[list[Weight]] = []
    columns = filled = 0
    for weight in sorted(weights, key=lambda each: -each.matrix_shape[1]):
        rows, length = weight.matrix_shape
        filled += rows * (columns - length)
        if not stacks or filled > FILLED:
            stacks.append([])
            columns, filled = length, 0
        stacks[-1].append(weight)
    return stacks
