"""What does quantization do to every tensor of a checkpoint? Tensor by tensor, each as soon as it is known."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qviz.core.problems import N_, Phrase, Problem
from qviz.core.questions.analysis import measure
from qviz.core.questions.figures import Figures
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import PerBlock
from qviz.core.tensors.sorted_tensor import SortedTensor, prepare
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.problems import FileProblem
from qviz.models.checkpoint import Weight
from qviz.models.moments import Moments, moments

MANY = 4
"""From so many schemes of one scale on, a tensor is put in order first."""

WHOLE_NUMBERS = Phrase(N_("whole numbers"))
QUANTIZED = Phrase(N_("quantized already"))
ONE_AXIS = Phrase(N_("one axis"))


@dataclass(frozen=True)
class Row:
    """What one scheme does to one tensor; or why it is left as it is.

    Attributes
    ----------
    weight : Weight
    scheme : Scheme
    figures : Figures or None
        None where it is left in float.
    left : Phrase or Problem or None
        Why it is: it has one axis, or whole numbers, is quantized already, or the scheme does not fit its shape.
    problem : Problem or None
        Why it can't be read.
    moments : Moments or None
        How heavy its tails are, where that was asked for.
    """

    weight: Weight
    scheme: Scheme
    figures: Figures | None = None
    left: Phrase | Problem | None = None
    problem: Problem | None = None
    moments: Moments | None = None

    @property
    def key(self) -> tuple[str, Scheme]:
        """What tells it from the other rows."""
        return self.weight.name, self.scheme

    @property
    def sqnr_db(self) -> float:
        """In dB, higher is better; infinite without error, NaN where it was not measured."""
        return math.nan if self.figures is None else self.figures.sqnr_db

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, and for a line of CSV; None for what is not known or not finite."""
        figures, shape = self.figures, self.weight.shape
        found: dict[str, Any] = {
            "name": self.weight.name,
            "shape": None if shape is None else list(shape),
            "dtype": self.weight.entry.dtype,
            "bytes": self.weight.nbytes,
            "left_in_float": None if self.left is None else str(self.left),
            "problem": None if self.problem is None else str(self.problem),
        }
        for name in FIGURES:
            value = None if figures is None else getattr(figures, name)
            found[name] = value if value is None or math.isfinite(value) else None
        storage = None if figures is None else figures.storage
        found["bits_per_element"] = None if storage is None else storage.bits_per_element
        found["quantized_bytes"] = None if storage is None else storage.quantized_bytes
        found["worst_group"] = None if figures is None or figures.worst_group is None else figures.worst_group.index
        return found


FIGURES = ("sqnr_db", "mse", "mae", "max_abs_error", "relative_rmse", "cosine", "clipping_mse", "saturated")
"""The figures that a table of rows has."""


def left_in_float(weight: Weight, *, one_axis: bool = False) -> Phrase | None:
    """Why a tensor is not quantized, as far as its header tells; None where it is.

    Parameters
    ----------
    weight : Weight
    one_axis : bool
        Whether tensors with a single axis (biases, scales of norms) are quantized, too.
    """
    if weight.entry.encoding is not None:
        return QUANTIZED
    if not weight.is_float:
        return WHOLE_NUMBERS
    if not one_axis and weight.axes is not None and weight.axes < 2:
        return ONE_AXIS
    return None


def audit(
    weights: Sequence[Weight],
    schemes: Sequence[Scheme],
    *,
    one_axis: bool = False,
    tails: bool = False,
    done: Collection[tuple[str, Scheme]] = (),
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Iterator[Row]:
    """Measure every tensor under every scheme, every element of it.

    Parameters
    ----------
    weights : sequence of Weight
    schemes : sequence of Scheme
    one_axis : bool
        Whether tensors with a single axis are quantized, too; they stay in float by default, as they do in practice.
    tails : bool
        Whether kurtosis and outlier ratio are measured, too.
    done : collection of (str, Scheme)
        Keys of rows that are known already: what was cancelled goes on where it ended.
    progress : Callable[[float], None]
        Told the share of the bytes that is done.
    cancelled : Callable[[], bool]
        Asked between blocks; rows that were given stay good.

    Yields
    ------
    Row
        Where blocks along the last axis do not fit a kernel or a short row, it is taken as a matrix: outputs × what is
        summed over. In the order of the tensors, for each the schemes in theirs. A tensor is read once for all, and
        what can't be read is a row with its ``problem``.

    Raises
    ------
    Cancelled
        When asked to stop.
    """
    known = frozenset(done)
    total = sum(_effort(weight) for weight in weights) or 1
    before = 0
    for weight in weights:
        check(cancelled)
        wanted = [scheme for scheme in schemes if (weight.name, scheme) not in known]
        share = _effort(weight)

        def tell(fraction: float, before: int = before, share: int = share) -> None:
            progress((before + fraction * share) / total)

        yield from _rows(weight, wanted, one_axis, tails, tell, cancelled)
        before += share
        progress(before / total)


def _effort(weight: Weight) -> int:
    return weight.elements or 1


def _rows(
    weight: Weight,
    schemes: Sequence[Scheme],
    one_axis: bool,
    tails: bool,
    progress: Progress,
    cancelled: IsCancelled,
) -> Iterator[Row]:
    left = left_in_float(weight, one_axis=one_axis)
    if left is not None or not schemes:
        yield from (Row(weight, scheme, left=left) for scheme in schemes)
        return
    try:
        if weight.entry.refused is not None:
            raise weight.entry.refused
        values = weight.entry.load(progress=lambda f: progress(f / 4), cancelled=cancelled)
    except Problem as problem:
        yield from (Row(weight, scheme, problem=problem) for scheme in schemes)
        return
    if weight.shape is None:
        if np.dtype(values.dtype).kind != "f":
            left = WHOLE_NUMBERS
        elif not one_axis and sum(length > 1 for length in values.shape) < 2:
            left = ONE_AXIS
        if left is not None:
            yield from (Row(weight, scheme, left=left) for scheme in schemes)
            return
    try:
        source = _source(values, weight, schemes, cancelled)
    except FileProblem as problem:  # it changed while it was read
        yield from (Row(weight, scheme, problem=problem) for scheme in schemes)
        return
    except Problem as problem:  # nothing but NaN, for example
        yield from (Row(weight, scheme, left=problem) for scheme in schemes)
        return
    about = _moments(source, cancelled) if tails else None
    for number, scheme in enumerate(schemes, 1):
        row = _row(weight, source, scheme, cancelled)
        yield row if about is None else replace(row, moments=about)
        progress(0.25 + 0.75 * number / len(schemes))


def _source(values: Any, weight: Weight, schemes: Sequence[Scheme], cancelled: IsCancelled) -> Tensor | SortedTensor:
    tensor = Tensor(values, weight.name, dtype=weight.entry.dtype, cancelled=cancelled)
    if sum(scheme.granularity.kind == "tensor" for scheme in schemes) >= MANY:
        return prepare(tensor, cancelled=cancelled)
    return tensor


def _moments(source: Tensor | SortedTensor, cancelled: IsCancelled) -> Moments:
    return moments(source.tensor if isinstance(source, SortedTensor) else source, cancelled=cancelled)


def _row(weight: Weight, source: Tensor | SortedTensor, scheme: Scheme, cancelled: IsCancelled) -> Row:
    try:
        return Row(weight, scheme, measure(source, scheme, cancelled=cancelled).figures)
    except FileProblem as problem:
        return Row(weight, scheme, problem=problem)
    except Problem as problem:
        reason = problem
    try:
        matrix = _matrix(source, scheme)
        if matrix is not None:
            return Row(weight, scheme, measure(*matrix, cancelled=cancelled).figures)
    except Problem as problem:
        reason = problem
    return Row(weight, scheme, left=reason)


def _matrix(source: Tensor | SortedTensor, scheme: Scheme) -> tuple[Tensor, Scheme] | None:
    """A kernel as outputs × what is summed over, along which blocks lie; a shorter row is a block of its own."""
    tensor = source.tensor if isinstance(source, SortedTensor) else source
    granularity = scheme.granularity
    if not isinstance(granularity, PerBlock) or len(tensor.shape) < 2:
        return None
    if granularity.axis not in (-1, len(tensor.shape) - 1):
        return None
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    size = granularity.block_size
    if CONVENTIONS[scheme.convention].block_size is None:
        size = min(size, columns)
    values = np.asarray(tensor.values[0 : tensor.elements]).reshape(rows, columns)
    return Tensor(values, tensor.name, dtype=tensor.dtype), replace(scheme, granularity=PerBlock(-1, size))
