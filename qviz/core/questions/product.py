"""What does a layer's output lose when its activation and its weight are quantized?

Runtimes that quantize dynamically multiply integers: ``Σ (Qx − Zx)·(Qw − Zw)`` is added up without any rounding and
scaled once, by Sx·Sw; once for each block of features, where each of them has a scale. So does this module; the loss is
told apart into what the weight alone, the activation alone, and both together do to the output.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.arithmetic.quantize import quantize
from qviz.core.arrays import Array, Counts, FloatArray, Floats
from qviz.core.formats.integers import IntFormat
from qviz.core.problems import Phrase, Problem
from qviz.core.questions.calibration import choose_qparams
from qviz.core.questions.product_sums import SOURCES, AxisTotals, Bins, Errors, Loss, OutputTotals, PerIndexLoss
from qviz.core.runtimes.table import convention_named
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import PerTensor
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled, Progress, check, ignore, never

EXACT_SINGLE, EXACT_DOUBLE = 1 << 24, 1 << 53
"""Below these every whole number is a float32, or a float64, of its own: sums of such numbers are not rounded."""

BLOCK = 1 << 19
"""Elements of one operand, or of the output, that are looked at together."""

SAMPLE = 1 << 12
"""Outputs that are kept to be drawn one by one."""

OF_GROUPS = ("scale", "zero_point", "low", "high", "own_divisor")
"""What `QParams` has for each row or column."""


_OPERAND_NAMES = {"activation": Phrase("activation"), "weight": Phrase("weight")}


class OperandProblem(Problem):
    """What is wrong with one operand; ``operand`` is ``"activation"`` or ``"weight"``."""

    def __init__(self, template: str, operand: str, /, **values: object) -> None:
        super().__init__(template, **values)
        self.args = (template, operand)
        self.operand = operand

    @classmethod
    def of(cls, operand: str, problem: Problem) -> OperandProblem:
        """The same problem, of which it is known that it lies with `operand`."""
        return cls("{problem}.", operand, problem=problem)


@dataclass(frozen=True, eq=False)
class Sample:
    """Some outputs from all over: ``row``, ``column``, the float64 product ``exact`` and the scaled integer one."""

    row: Counts
    column: Counts
    exact: Floats
    quantized: Floats


@dataclass(frozen=True, eq=False)
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
        figures = {
            source: {
                key: value if math.isfinite(value) else None
                for key, value in (
                    ("mse", loss.mse),
                    ("sqnr_db", loss.sqnr_db),
                    ("max_abs_error", loss.max_abs_error),
                    ("cosine", loss.cosine),
                )
            }
            for source, loss in self.losses.items()
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
        }


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


def fits(activation: tuple[int, ...], weight: tuple[int, ...], transposed: bool) -> bool:
    """Whether tensors of such shapes can be multiplied."""
    return len(weight) == 2 and activation[-1] == weight[1 if transposed else 0]


def lies_transposed(
    activation: tuple[int, ...], weight: tuple[int, ...], stored: bool | None, otherwise: bool = False
) -> bool:
    """Which way round a weight is taken: the only way that fits, or else as its file has it.

    Parameters
    ----------
    activation, weight : tuple of int
        Shapes.
    stored : bool or None
        Whether files of its kind store (outputs, features); None where nobody can tell.
    otherwise : bool
        What is returned then.
    """
    fitting = [way for way in (False, True) if fits(activation, weight, way)]
    if len(fitting) == 1:
        return fitting[0]
    return otherwise if stored is None or not fitting else stored


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
    pair = _pair(activation, weight, activation_scheme, weight_scheme, transposed, cancelled)
    rows, columns = pair.shape
    sums = {source: OutputTotals() for source in SOURCES}
    along = [AxisTotals(rows), AxisTotals(columns)]
    bins = Bins()
    picked = np.sort(np.random.default_rng(0).choice(rows * columns, min(SAMPLE, rows * columns), replace=False))
    sample = Sample(picked // columns, picked % columns, np.zeros(picked.size), np.zeros(picked.size))
    largest = 0
    for block in _blocks(pair, progress, cancelled):
        y = block.exact
        outputs = {"weight": block.weight_alone, "activation": block.activation_alone, "both": block.quantized}
        errors = {source: output - y for source, output in outputs.items()}
        for source, output in outputs.items():
            sums[source].add(y, output, errors[source])
        for axis, part in enumerate((block.rows, block.columns)):
            along[axis].add(part, y, errors["both"], 1 - axis)
        bins.add(errors)
        here = np.flatnonzero(_within(sample.row, block.rows) & _within(sample.column, block.columns))
        at = sample.row[here] - block.rows.start, sample.column[here] - block.columns.start
        sample.exact[here], sample.quantized[here] = y[at], outputs["both"][at]
        largest = max(largest, block.largest_sum)
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
    pair = _pair(activation, weight, activation_scheme, weight_scheme, transposed, cancelled)
    output = np.zeros(pair.shape, np.float32)
    for block in _blocks(pair, ignore, cancelled):
        output[block.rows, block.columns] = block.quantized
    return output


@dataclass(frozen=True, eq=False)
class _Pair:
    """Two operands that fit each other, their parameters, and the stretches of features that share a scale."""

    activation: Tensor
    weight: Tensor
    transposed: bool
    activation_qparams: QParams
    weight_qparams: QParams
    features: int
    shape: tuple[int, int]
    stretches: tuple[slice, ...]


def _checked(tensor: Tensor, scheme: Scheme, operand: str) -> tuple[int, ...]:
    """The block that shares a scale, of codes that can be multiplied."""
    convention = convention_named(scheme.convention)
    if not isinstance(scheme.number_format, IntFormat) or convention.block_size is not None:
        raise OperandProblem(
            "Codes of {number_format} under “{runtime}” are no plain integers: choose an integer format, "
            "and a runtime without blocks.",
            operand,
            number_format=scheme.number_format.name,
            runtime=convention.label,
        )
    try:
        return scheme.granularity.block_shape(tensor.shape)
    except Problem as problem:
        raise OperandProblem.of(operand, problem) from None


def _pair(
    activation: object,
    weight: object,
    activation_scheme: Scheme,
    weight_scheme: Scheme,
    transposed: bool,
    cancelled: IsCancelled,
) -> _Pair:
    x, w = _finite(activation, "activation", cancelled), _finite(weight, "weight", cancelled)
    if not fits(x.shape, w.shape, transposed):
        raise _misfit(x.shape, w.shape, transposed)
    features = x.shape[-1]
    x = x.reshaped((x.elements // features, features))
    across = 0 if transposed else 1
    checked = _checked(x, activation_scheme, "activation"), _checked(w, weight_scheme, "weight")
    if checked[0] not in (x.shape, (1, features)):
        raise OperandProblem(
            "Scales of an activation that differ along the features cannot be taken out of the sum: choose "
            "per tensor or per token.",
            "activation",
        )
    if checked[1] != w.shape and checked[1][across] != 1:
        raise OperandProblem(
            "Scales of a weight that many outputs share, but not all features, cannot be taken out of the "
            "sum: choose per tensor, per output channel, or per block along the features.",
            "weight",
        )
    stretch = checked[1][1 - across]
    stretches = tuple(slice(a, min(a + stretch, features)) for a in range(0, features, stretch))
    qx = choose_qparams(x, activation_scheme, cancelled=cancelled)
    qw = choose_qparams(w, weight_scheme, cancelled=cancelled)
    for q, operand in ((qx, "activation"), (qw, "weight")):
        if q.breaks:
            raise OperandProblem(
                "{count:,} of the {what}'s {groups:,} scales are {scale:g} under “{runtime}”, which makes NaN of what "
                "they scale: multiply the {what} by a constant that brings them into range.",
                operand,
                count=int(q.broken.sum()),
                what=_OPERAND_NAMES[operand],
                groups=q.groups,
                scale=float(q.scale[q.broken][0]),
                runtime=q.convention.label,
            )
        if not np.array_equal(q.zero_point, np.rint(q.zero_point)):
            raise OperandProblem(
                "Under “{runtime}” the zero point is not a whole number, so that integers cannot be multiplied: "
                "choose symmetric, or another runtime.",
                operand,
                runtime=q.convention.label,
            )
    return _Pair(x, w, transposed, qx, qw, features, (x.shape[0], w.shape[across]), stretches)


def _finite(operand: object, what: str, cancelled: IsCancelled) -> Tensor:
    tensor = operand.count(cancelled=cancelled) if isinstance(operand, Tensor) else Tensor(operand, what)
    if not tensor.all_finite:
        missing = tensor.elements - tensor.finite
        raise OperandProblem(
            "{missing:,} of the {what}'s {elements:,} elements are not finite, which spoils every output "
            "they go into: choose a tensor without.",
            what,
            missing=missing,
            what=_OPERAND_NAMES[what],
            elements=tensor.elements,
        )
    return tensor


def _misfit(activation: tuple[int, ...], weight: tuple[int, ...], transposed: bool) -> OperandProblem:
    if len(weight) != 2:
        return OperandProblem(
            "The weight has shape {weight}: choose one with two axes, features and outputs.", "weight", weight=weight
        )
    if fits(activation, weight, not transposed):
        return OperandProblem(
            "An activation of shape {activation} does not fit a weight of shape {weight}: "
            "choose the weight's layout {order}.",
            "weight",
            activation=activation,
            weight=weight,
            order=Phrase("features × outputs") if transposed else Phrase("outputs × features"),
        )
    return OperandProblem(
        "An activation of shape {activation} does not fit a weight of shape {weight}: choose an activation whose "
        "last axis has {wanted:,} features, or a weight whose {axis} axis has {features:,}.",
        "weight",
        activation=activation,
        weight=weight,
        wanted=weight[1 if transposed else 0],
        axis=Phrase("last") if transposed else Phrase("first"),
        features=activation[-1],
    )


@dataclass(frozen=True, eq=False)
class _Block:
    """Some rows and columns of the output: float64, but ``quantized``, which is float32."""

    rows: slice
    columns: slice
    exact: Floats
    weight_alone: Floats
    activation_alone: Floats
    quantized: Array
    largest_sum: int


def _blocks(pair: _Pair, progress: Progress, cancelled: IsCancelled) -> Iterator[_Block]:
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
            quantized, largest_sum = _multiplied(x, w, pair.stretches)
            yield _Block(
                rows=down,
                columns=across,
                exact=exact,
                weight_alone=x.values @ w.dequantized,
                activation_alone=x.dequantized @ w.values,
                quantized=quantized,
                largest_sum=largest_sum,
            )
            done += exact.size
            progress(done / (rows * columns))


@dataclass(frozen=True, eq=False)
class _Operand:
    """A part of one: values, codes minus zero points, and x̂, all exactly as float64; scales that broadcast."""

    values: Floats
    codes: Floats
    dequantized: Floats
    scale: FloatArray

    @property
    def turned(self) -> _Operand:
        return _Operand(self.values.T, self.codes.T, self.dequantized.T, self.scale.T)


def _multiplied(x: _Operand, w: _Operand, stretches: tuple[slice, ...]) -> tuple[FloatArray, int]:
    """The integer product, scaled; and the largest of its sums."""
    output, largest = np.zeros((x.codes.shape[0], w.codes.shape[1]), np.float32), 0
    for part in stretches:
        sums = integer_product(x.codes[:, part], w.codes[part])
        scale = w.scale if w.scale.shape[0] == 1 else w.scale[part.start : part.start + 1]
        with np.errstate(over="ignore", invalid="ignore"):  # seen below
            output += sums.astype(np.float32) * (x.scale * scale)
        largest = max(largest, int(np.abs(sums).max()))
    if not np.isfinite(output).all():
        raise OperandProblem(
            "The product goes beyond float32, in which runtimes add it up: divide the weight by a constant.", "weight"
        )
    return output, largest


def _rows(pair: _Pair, part: slice) -> _Operand:
    """Some rows of the activation."""
    features, tensor = pair.features, pair.activation
    x = np.asarray(tensor.values[part.start * features : part.stop * features]).reshape(-1, features)
    return _operand(x, _of_groups(pair.activation_qparams, (pair.shape[0], -1), part, 0))


def _columns(pair: _Pair, part: slice) -> _Operand:
    """Some columns of the weight, (features, outputs) whichever way it lies."""
    features, columns, values = pair.features, pair.shape[1], pair.weight.values
    if pair.transposed:
        w = np.asarray(values[part.start * features : part.stop * features]).reshape(-1, features)
        return _operand(w, _of_groups(pair.weight_qparams, (columns, -1), part, 0)).turned
    step = max(1, BLOCK // columns)
    pieces = [
        np.asarray(values[a * columns : min(a + step, features) * columns]).reshape(-1, columns)[:, part]
        for a in range(0, features, step)
    ]
    return _operand(np.concatenate(pieces), _of_groups(pair.weight_qparams, (-1, columns), part, 1))


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


def _operand(values: Array, qparams: QParams) -> _Operand:
    quantizer = qparams.spread(values.shape)
    codes = quantize(values, qparams) - quantizer.zero_point.astype(np.float64)
    dequantized = (codes.astype(np.float32) * quantizer.scale).astype(np.float64)
    scale = quantizer.scale.reshape(1, 1) if quantizer.scale.ndim == 0 else quantizer.scale
    return _Operand(values.astype(np.float64), codes, dequantized, scale)


def _within(places: Counts, part: slice) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.asarray((places >= part.start) & (places < part.stop))
