"""How is an output computed as floats and as integers, one block after the other?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.arithmetic.quantize import quantize
from qviz.core.arrays import Array, FloatArray, Floats
from qviz.core.frozen import frozen
from qviz.core.questions.pair_sums import Codes, as_unsigned, lost_in_pairs
from qviz.core.questions.product_operands import OPERAND_NAMES, OperandProblem, Pair
from qviz.core.tensors.granularity import PerTensor
from qviz.core.work import IsCancelled, Progress, check

EXACT_SINGLE, EXACT_DOUBLE = 1 << 24, 1 << 53
"""Below these every whole number is a float32, or a float64, of its own: sums of such numbers are not rounded."""


BLOCK = 1 << 19
"""Elements of one operand, or of the output, that are looked at together."""


OF_GROUPS = ("scale", "zero_point", "low", "high", "own_divisor")
"""What `QParams` has for each row or column."""


def integer_product(a: Array, b: Array) -> np.ndarray[Any, np.dtype[np.int64]]:
    """``a @ b`` of whole numbers, exactly.

    The floating-point matrix product does it, a stretch of the features at a time, as long as no partial sum can reach
    the first whole number that its type does not have: 2²⁴ of float32, 2⁵³ of float64.

    Parameters
    ----------
    a : array of whole numbers, shape (rows, features)
    b : array of whole numbers, shape (features, outputs)

    Returns
    -------
    int64 array, shape (rows, outputs)
    """
    features = a.shape[1]
    largest = max(1, int(np.abs(a).max(initial=0)) * int(np.abs(b).max(initial=0)))
    dtype: Any = np.float32 if largest * features < EXACT_SINGLE else np.float64
    stretch = max(1, min(features, (EXACT_DOUBLE - 1) // largest))
    total = np.zeros((a.shape[0], b.shape[1]), np.int64)
    for first in range(0, features, stretch):
        part = slice(first, first + stretch)
        total += (a[:, part].astype(dtype, copy=False) @ b[part].astype(dtype, copy=False)).astype(np.int64)
    return total


@frozen(eq=False)
class OutputBlock:
    """Some rows and columns of the output as float64, and its product of integers."""

    rows: slice
    columns: slice
    exact: Floats
    weight_alone: Floats
    activation_alone: Floats
    product: Multiplied


@frozen(eq=False)
class Multiplied:
    """The scaled sums of a block as float32, and what saturating pairs make of them.

    ``changed`` says of which outputs a sum is another one; where none is, ``saturated`` is the product itself.
    """

    quantized: FloatArray
    largest_sum: int
    saturated: FloatArray
    changed: np.ndarray[Any, np.dtype[np.bool_]]
    pairs: int


def output_blocks(pair: Pair, progress: Progress, cancelled: IsCancelled) -> Iterator[OutputBlock]:
    """The output piece by piece, from its first column to its last."""
    rows, columns = pair.shape
    wide = min(columns, max(1, BLOCK // pair.features))
    high = min(rows, max(1, BLOCK // max(pair.features, wide)))
    done = 0
    for first in range(0, columns, wide):
        across = slice(first, min(first + wide, columns))
        w = _columns(pair, across)
        for top in range(0, rows, high):
            check(cancelled)
            down = slice(top, min(top + high, rows))
            x = _rows(pair, down)
            exact = x.values @ w.values
            check(cancelled)
            product = _multiplied(x, w, pair.stretches, cancelled)
            yield OutputBlock(
                rows=down,
                columns=across,
                exact=exact,
                weight_alone=x.values @ w.dequantized,
                activation_alone=x.dequantized @ w.values,
                product=product,
            )
            done += exact.size
            progress(done / (rows * columns))


@frozen(eq=False)
class _Operand:
    """A part of one: values, codes minus zero points, and x̂, all exactly as float64; scales that broadcast.

    ``plain`` are the codes as kernels that add up in pairs take them; None where there are none.
    """

    values: Floats
    codes: Floats
    dequantized: Floats
    scale: FloatArray
    plain: Codes | None

    @property
    def turned(self) -> _Operand:
        plain = None if self.plain is None else self.plain.T
        return _Operand(self.values.T, self.codes.T, self.dequantized.T, self.scale.T, plain)


def _multiplied(x: _Operand, w: _Operand, stretches: tuple[slice, ...], cancelled: IsCancelled) -> Multiplied:
    """The integer product, scaled."""
    shape = x.codes.shape[0], w.codes.shape[1]
    output, changed, largest, pairs = np.zeros(shape, np.float32), np.zeros(shape, np.bool_), 0, 0
    saturated: FloatArray | None = None
    for part in stretches:
        sums = integer_product(x.codes[:, part], w.codes[part])
        scale = w.scale if w.scale.shape[0] == 1 else w.scale[part.start : part.start + 1]
        changed_sums, count = sums, 0
        if x.plain is not None and w.plain is not None:
            changes, count = lost_in_pairs(x.plain[:, part], w.plain[part], cancelled=cancelled)
            changed_sums = sums + changes if count else sums
        if count and saturated is None:
            saturated = output.copy()
        with np.errstate(over="ignore", invalid="ignore"):  # seen below
            added = sums.astype(np.float32) * (x.scale * scale)
            output += added
            if saturated is not None:
                saturated += changed_sums.astype(np.float32) * (x.scale * scale)
        if count:
            changed |= changed_sums != sums
        pairs += count
        largest = max(largest, int(np.abs(sums).max()))
    if not np.isfinite(output).all():
        raise OperandProblem(
            "The product goes beyond float32, in which runtimes add it up: divide the weight by a constant.", "weight"
        )
    return Multiplied(output, largest, output if saturated is None else saturated, changed, pairs)


def _rows(pair: Pair, part: slice) -> _Operand:
    """Some rows of the activation."""
    features, tensor = pair.features, pair.activation
    x = np.asarray(tensor.values[part.start * features : part.stop * features]).reshape(-1, features)
    q = _of_groups(pair.activation_qparams, (pair.shape[0], -1), part, 0)
    return _operand("activation", x, q, pair.in_pairs, as_unsigned)


def _columns(pair: Pair, part: slice) -> _Operand:
    """Some columns of the weight, (features, outputs) whichever way it lies."""
    features, columns, values = pair.features, pair.shape[1], pair.weight.values
    if pair.transposed:
        w = np.asarray(values[part.start * features : part.stop * features]).reshape(-1, features)
        return _operand("weight", w, _of_groups(pair.weight_qparams, (columns, -1), part, 0), pair.in_pairs).turned
    step = max(1, BLOCK // columns)
    pieces = [
        np.asarray(values[a * columns : min(a + step, features) * columns]).reshape(-1, columns)[:, part]
        for a in range(0, features, step)
    ]
    q = _of_groups(pair.weight_qparams, (-1, columns), part, 1)
    return _operand("weight", np.concatenate(pieces), q, pair.in_pairs)


def _of_groups(qparams: QParams, grid: tuple[int, int], part: slice, axis: int) -> QParams:
    """The parameters of some rows or columns alone, of a tensor whose groups lie in a grid."""
    if isinstance(qparams.scheme.granularity, PerTensor):
        return qparams
    at = (part, slice(None)) if axis == 0 else (slice(None), part)
    return replace(
        qparams,
        **{
            name: getattr(qparams, name).reshape(grid)[at].reshape(-1)
            for name in OF_GROUPS
            if getattr(qparams, name) is not None
        },
    )


def _operand(
    operand: str,
    values: Array,
    qparams: QParams,
    in_pairs: bool,
    taken: Callable[[Codes, QParams], Codes] = lambda codes, _: codes,
) -> _Operand:
    quantizer = qparams.spread(values.shape)
    stored = quantize(values, qparams)
    codes = stored - quantizer.zero_point.astype(np.float64)
    try:
        with np.errstate(over="raise"):
            dequantized = (codes.astype(np.float32) * quantizer.scale).astype(np.float64)
    except FloatingPointError:
        raise OperandProblem(
            "Values of the {what} go beyond float32 when they are dequantized: divide it by a constant.",
            operand,
            what=OPERAND_NAMES[operand],
        ) from None
    scale = quantizer.scale.reshape(1, 1) if quantizer.scale.ndim == 0 else quantizer.scale
    plain = taken(stored.astype(np.int32), qparams) if in_pairs else None
    return _Operand(values.astype(np.float64), codes, dequantized, scale, plain)
