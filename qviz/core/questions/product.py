"""What does a layer's output lose when its activation and its weight are quantized?

Runtimes that quantize dynamically multiply integers: ``Σ (Qx − Zx)·(Qw − Zw)`` is added up without any rounding and
scaled once, by Sx·Sw; once for each block of features, where each of them has a scale. So does this module; the loss is
told apart into what the weight alone, the activation alone, and both together do to the output.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.arrays import Array, Counts, FloatArray, Floats
from qviz.core.frozen import frozen
from qviz.core.plain import finite_only
from qviz.core.questions.pair_sums import PairSaturation
from qviz.core.questions.product_blocks import Multiplied, output_blocks
from qviz.core.questions.product_operands import operand_pair
from qviz.core.questions.product_sums import SOURCES, AxisTotals, Bins, Errors, Loss, OutputTotals, PerIndexLoss
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled, Progress, ignore, never

SAMPLE = 1 << 12
"""Outputs that are kept to be drawn one by one."""


@frozen(eq=False)
class Sample:
    """Some outputs from all over: ``row``, ``column``, the float64 product ``exact`` and the scaled integer one."""

    row: Counts
    column: Counts
    exact: Floats
    quantized: Floats


@frozen(eq=False)
class Product:
    """A float product and the integer one that stands for it.

    Attributes
    ----------
    activation : Tensor
        Flattened to (rows, features).
    weight : Tensor
    transposed : bool
        The weight is (outputs, features), as PyTorch's Linear has it, not (features, outputs).
    activation_qparams, weight_qparams : QParams
    shape : (int, int)
        Rows and columns of the output.
    losses : dict of str to Loss
        By what is quantized: the `SOURCES`.
    rows, columns : PerIndexLoss
    errors : Errors
    sample : Sample
    largest_sum : int
        The largest |Σ (Qx − Zx)·(Qw − Zw)|.
    pairs : PairSaturation or None
        What kernels do that add up in pairs; None for codes that there are no such kernels for.
    seconds : float
    """

    activation: Tensor
    weight: Tensor
    transposed: bool
    activation_qparams: QParams
    weight_qparams: QParams
    shape: tuple[int, int]
    losses: dict[str, Loss]
    rows: PerIndexLoss
    columns: PerIndexLoss
    errors: Errors
    sample: Sample
    largest_sum: int
    pairs: PairSaturation | None
    seconds: float

    @property
    def loss(self) -> Loss:
        """With both operands quantized."""
        return self.losses["both"]

    @property
    def row_scales(self) -> FloatArray:
        """The scale of each row of the activation, shape (rows,)."""
        return np.broadcast_to(self.activation_qparams.scale.reshape(-1), (self.shape[0],))

    @property
    def column_scales(self) -> FloatArray:
        """The largest scale of each column of the weight, shape (outputs,)."""
        scale, columns = self.weight_qparams.scale, self.shape[1]
        if scale.size == 1:
            return np.broadcast_to(scale.reshape(-1), (columns,))
        grid: FloatArray = scale.reshape(columns, -1).T if self.transposed else scale.reshape(-1, columns)
        return np.asarray(grid.max(axis=0))

    @property
    def fits_int32(self) -> bool:
        """Whether no sum leaves the 32 bits that runtimes add up in."""
        return self.largest_sum < 1 << 31

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the keys of ``qviz product --json``; None for what is not finite."""
        found: dict[str, Any] = finite_only(self.listed())
        return found

    def listed(self) -> dict[str, Any]:
        """The same with every number as it is."""
        figures = {source: _figures(loss) for source, loss in self.losses.items()}
        pairs = self.pairs and {
            "saturating": self.pairs.pairs,
            "outputs_changed": self.pairs.outputs,
            "largest_change": self.pairs.largest_change,
            **_figures(self.pairs.loss),
        }
        return {
            "rows": self.shape[0],
            "features": self.activation.shape[1],
            "outputs": self.shape[1],
            **figures["both"],
            "activation_alone": figures["activation"],
            "weight_alone": figures["weight"],
            "worst_row": int(self.rows.worst_first[0]),
            "worst_output": int(self.columns.worst_first[0]),
            "largest_sum": self.largest_sum,
            "fits_int32": self.fits_int32,
            "int16_pairs": pairs,
        }


def _figures(loss: Loss) -> dict[str, float]:
    return {
        "mse": loss.mse,
        "sqnr_db": loss.sqnr_db,
        "max_abs_error": loss.max_abs_error,
        "cosine": loss.cosine,
    }


class _Saturated:
    """What saturating pairs come to, block by block."""

    def __init__(self) -> None:
        self.totals = OutputTotals()
        self.pairs = self.outputs = 0
        self.largest = 0.0

    def add(self, exact: Floats, product: Multiplied) -> None:
        self.totals.add(exact, product.saturated, product.saturated - exact)
        self.pairs += product.pairs
        self.outputs += int(np.count_nonzero(product.changed))
        if product.pairs:
            change = np.abs(product.saturated.astype(np.float64) - product.quantized)
            self.largest = max(self.largest, float(change.max()))

    def found(self, size: int) -> PairSaturation:
        return PairSaturation(self.pairs, self.outputs, size, self.largest, self.totals.loss(size))


def multiply(
    activation: object,
    weight: object,
    activation_scheme: Scheme,
    weight_scheme: Scheme,
    *,
    transposed: bool = False,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Product:
    """Multiply as floats and as integers, and compare every output.

    The float product is float64, of the float32 values. The integer product is scaled in float32, Σ · (Sx·Sw), as ONNX
    Runtime does behind MatMulInteger. Memory is bounded: some blocks of `BLOCK` elements.

    Parameters
    ----------
    activation : array_like or Tensor, shape (…, tokens, features)
        All axes but the last are taken as rows.
    weight : array_like or Tensor, shape (features, outputs), or (outputs, features) if ``transposed``
    activation_scheme : Scheme
        Per tensor or per token.
    weight_scheme : Scheme
        Per tensor, of a scale for each output channel, or for each block of its features (group-wise).

    Raises
    ------
    OperandProblem
        A `Problem`: the shapes do not fit, a value is not finite, or scales or zero points cannot be taken out of
        the sum.
    Cancelled
        When asked to stop.
    """
    started = time.perf_counter()
    pair = operand_pair(activation, weight, activation_scheme, weight_scheme, transposed, cancelled)
    rows, columns = pair.shape
    sums = {source: OutputTotals() for source in SOURCES}
    along = [AxisTotals(rows), AxisTotals(columns)]
    bins = Bins()
    picked = np.sort(np.random.default_rng(0).choice(rows * columns, min(SAMPLE, rows * columns), replace=False))
    sample = Sample(picked // columns, picked % columns, np.zeros(picked.size), np.zeros(picked.size))
    largest = 0
    saturated = _Saturated()
    for block in output_blocks(pair, progress, cancelled):
        y = block.exact
        outputs: dict[str, Array] = {
            "weight": block.weight_alone,
            "activation": block.activation_alone,
            "both": block.product.quantized,
        }
        errors = {source: output - y for source, output in outputs.items()}
        for source, output in outputs.items():
            sums[source].add(y, output, errors[source])
        for axis, part in enumerate((block.rows, block.columns)):
            along[axis].add(part, y, errors["both"], 1 - axis)
        bins.add(errors)
        here = np.flatnonzero(_within(sample.row, block.rows) & _within(sample.column, block.columns))
        at = sample.row[here] - block.rows.start, sample.column[here] - block.columns.start
        sample.exact[here], sample.quantized[here] = y[at], outputs["both"][at]
        largest = max(largest, block.product.largest_sum)
        if pair.in_pairs:
            saturated.add(y, block.product)
    return Product(
        activation=pair.activation,
        weight=pair.weight,
        transposed=transposed,
        activation_qparams=pair.activation_qparams,
        weight_qparams=pair.weight_qparams,
        shape=pair.shape,
        losses={source: total.loss(rows * columns) for source, total in sums.items()},
        rows=along[0].lines(columns),
        columns=along[1].lines(rows),
        errors=bins.errors(),
        sample=sample,
        largest_sum=largest,
        pairs=saturated.found(rows * columns) if pair.in_pairs else None,
        seconds=time.perf_counter() - started,
    )


def quantized_product(
    activation: object,
    weight: object,
    activation_scheme: Scheme,
    weight_scheme: Scheme,
    *,
    transposed: bool = False,
    cancelled: IsCancelled = never,
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The output that `multiply` compares: float32, shape (rows, outputs).

    Raises
    ------
    Problem, Cancelled
        As `multiply` does.
    """
    pair = operand_pair(activation, weight, activation_scheme, weight_scheme, transposed, cancelled)
    output = np.zeros(pair.shape, np.float32)
    for block in output_blocks(replace(pair, in_pairs=False), ignore, cancelled):
        output[block.rows, block.columns] = block.product.quantized
    return output


def _within(places: Counts, part: slice) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.asarray((places >= part.start) & (places < part.stop))
