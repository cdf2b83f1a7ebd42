"""How are many small weights quantized at once? Their rows are cut into short blocks, which lie one above the other.

Where each row has a scale of its own, the rows of other weights change nothing: all blocks of a row get its range, and
its last one is filled up with an element that is there already. Asking about each weight alone takes longer than
computing it, and blocks of whole chunks are what the compiled loops are quickest at, however long rows are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import accumulate, pairwise

import numpy as np

from qviz.core.arithmetic.quantize import fake_quantize
from qviz.core.arithmetic.scaling import qparams_from_range
from qviz.core.arithmetic.spreading import CHUNK
from qviz.core.arrays import FloatArray
from qviz.core.frozen import frozen
from qviz.core.ranges.rules import MinMax
from qviz.core.runtimes.precision import compute_dtype
from qviz.core.runtimes.table import convention_named
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import PerAxis
from qviz.core.tensors.tensor import Tensor
from qviz.models.weights import Weight, fitted_scheme

SMALL = 1 << 16
"""Elements of a weight that takes longer to be computed than to be asked about."""


def stackable(scheme: Scheme) -> bool:
    """Whether a row's codes depend on that row alone, whatever lies above it."""
    convention = convention_named(scheme.convention)
    by_row = isinstance(scheme.granularity, PerAxis) and isinstance(scheme.range_rule, MinMax)
    of_others = convention.of_whole_tensor or convention.of_elements
    return by_row and not of_others and not convention.signed_extreme(scheme.number_format, scheme.symmetric)


@frozen(eq=False)
class _Stack:
    """Weights as blocks above each other, the blocks of each, and the range of each block's row."""

    tensor: Tensor
    weights: tuple[Weight, ...]
    blocks: tuple[slice, ...]
    low: FloatArray
    high: FloatArray

    @classmethod
    def of(cls, weights: Iterable[Weight], values: Mapping[str, FloatArray]) -> _Stack:
        """The matrices, whose rows go on with their first element up to a whole number of blocks."""
        weights = tuple(weights)
        matrices = [weight.matrix(values[weight.name]) for weight in weights]
        filled = [np.concatenate([m, np.repeat(m[:, :1], -m.shape[1] % CHUNK, axis=1)], axis=1) for m in matrices]
        counts = [matrix.size // CHUNK for matrix in filled]
        ends = accumulate(counts, initial=0)
        # A block beside its row's range: as many rows as the row has blocks.
        low, high = (
            np.concatenate(
                [np.repeat(end(m, axis=1), f.shape[1] // CHUNK) for m, f in zip(matrices, filled, strict=True)]
            )
            for end in (np.min, np.max)
        )
        return cls(
            Tensor(np.concatenate([matrix.reshape(-1, CHUNK) for matrix in filled]), weights[0].name),
            weights,
            tuple(slice(first, end) for first, end in pairwise(ends)),
            low[:, None],
            high[:, None],
        )

    @cached_property
    def _lying(self) -> list[tuple[Weight, slice, tuple[int, int]]]:
        return [(each, blocks, each.matrix_shape) for each, blocks in zip(self.weights, self.blocks, strict=True)]

    def quantized(self, scheme: Scheme) -> Iterator[tuple[str, FloatArray]]:
        """The name of each weight, and its x̂ in its own shape."""
        compute = compute_dtype(self.tensor.dtype, scheme.compute_dtype)
        x_hat = fake_quantize(self.tensor, qparams_from_range(self.low, self.high, scheme, compute))
        for weight, blocks, (rows, columns) in self._lying:
            yield weight.name, weight.restored(x_hat[blocks].reshape(rows, -1)[:, :columns])


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
        self._stacks: dict[tuple[str, ...], _Stack] = {}

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
        stacks: dict[tuple[str, ...], _Stack] = {}
        for scheme, names in together.items():
            if len(names) < 2:
                continue
            key = tuple(names)
            if key not in stacks:
                known = self._stacks.get(key)
                stacks[key] = known or _Stack.of((self._small[name] for name in names), self._values)
            found.update(stacks[key].quantized(fitted_scheme(scheme, stacks[key].weights[0])))
        self._stacks = stacks
        return found


def _by_scheme(schemes: Mapping[str, Scheme]) -> Iterator[tuple[Scheme, list[str]]]:
    """Names with the scheme that they have, one object at a time: a scheme is slow to be looked up."""
    found: dict[int, tuple[Scheme, list[str]]] = {}
    for name, scheme in schemes.items():
        found.setdefault(id(scheme), (scheme, []))[1].append(name)
    yield from found.values()
