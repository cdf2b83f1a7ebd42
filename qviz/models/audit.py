"""What does quantization do to every tensor of a checkpoint? Tensor by tensor, each as soon as it is known."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from qviz.core.frozen import frozen
from qviz.core.problems import N_, Phrase, Problem
from qviz.core.questions.analysis import measure
from qviz.core.questions.breakdown import not_finite
from qviz.core.questions.effort import Limits
from qviz.core.questions.figures import Figures
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.counted_tensor import CountedOnly, CountedTensor
from qviz.core.tensors.granularity import PerBlock
from qviz.core.tensors.sorted_tensor import COUNTED_FROM, SortedTensor, prepare
from qviz.core.tensors.tensor import Tensor
from qviz.core.tensors.value_counts import ValueCounts
from qviz.core.work import THREADS, IsCancelled, Progress, check, ignore, never
from qviz.files.problems import FileProblem
from qviz.models.checkpoint import Weight
from qviz.models.moments import Moments, moments, moments_of_counts
from qviz.models.parts import is_parted, measured

ALONE_ABOVE = 1 << 22
"""A tensor of more elements is measured in two threads by itself."""

COUNTED_BY_ONE = 1 << 28
"""Up to so many elements one thread counts a tensor, and another one the next."""

MANY = 4
"""From so many schemes of one scale on, a tensor is put in order first."""

WHOLE_NUMBERS = Phrase(N_("whole numbers"))
QUANTIZED = Phrase(N_("quantized already"))
ONE_AXIS = Phrase(N_("one axis"))


@frozen
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

    @property
    def remark(self) -> Phrase | None:
        """What of the tensor no figure counts; None where they count every element."""
        figures = self.figures
        lost = 0 if figures is None else figures.elements - figures.finite
        return not_finite(lost, figures.elements) if figures is not None and lost else None

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
        found["not_finite"] = None if figures is None else figures.elements - figures.finite
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
    threads: int = 1,
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
    threads : int
        In how many tensors that are not large are measured.
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
    shares = _Shares(total, progress)

    def rows_of(weight: Weight) -> Iterator[Row]:
        check(cancelled)
        wanted = [scheme for scheme in schemes if (weight.name, scheme) not in known]
        tell = shares.of(_effort(weight))
        yield from _rows(weight, wanted, one_axis, tails, tell, cancelled)
        tell(1.0)

    if threads < 2:
        for weight in weights:
            yield from rows_of(weight)
        return

    def is_alone(weight: Weight) -> bool:
        """What is counted fills no memory, and one thread reads as quickly as it counts."""
        return (weight.elements or 0) > ALONE_ABOVE and not _is_counted_alone(weight, schemes)

    for row in _side_by_side(weights, rows_of, is_alone, threads):
        check(cancelled)
        yield row


def _side_by_side(
    weights: Sequence[Weight],
    rows_of: Callable[[Weight], Iterator[Row]],
    is_alone: Callable[[Weight], bool],
    threads: int,
) -> Iterator[Row]:
    """Tensors in several threads, in their order; those that are measured in several themselves one by one."""
    waiting: deque[Future[list[Row]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for weight in weights:
                if is_alone(weight):
                    while waiting:
                        yield from waiting.popleft().result()
                    yield from rows_of(weight)
                    continue
                waiting.append(pool.submit(_gathered, rows_of, weight))
                if len(waiting) > 2 * threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for each in waiting:
                each.cancel()


def _gathered(rows_of: Callable[[Weight], Iterator[Row]], weight: Weight) -> list[Row]:
    return list(rows_of(weight))


class _Shares:
    """How much of all is done, whoever does it."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total, self._progress = total, progress
        self._done = 0.0
        self._lock = threading.Lock()

    def of(self, share: int) -> Progress:
        """Tells of one tensor how far it is."""
        before = 0.0

        def tell(fraction: float) -> None:
            nonlocal before
            with self._lock:
                self._done += (fraction - before) * share
                before = fraction
                self._progress(min(1.0, self._done / self._total))

        return tell


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
    found: dict[Scheme, Row] = {}
    if is_counted(weight, schemes):
        found = _by_counts(weight, schemes, tails, cancelled)
    if not tails:
        found |= _by_parts(weight, [scheme for scheme in schemes if scheme not in found], progress, cancelled)
    rest = [scheme for scheme in schemes if scheme not in found]
    if not found:
        yield from _by_elements(weight, rest, one_axis, tails, progress, cancelled)
        return
    if rest:
        found |= {row.scheme: row for row in _by_elements(weight, rest, one_axis, tails, progress, cancelled)}
    yield from (found[scheme] for scheme in schemes)


def _by_parts(
    weight: Weight, schemes: Sequence[Scheme], progress: Progress, cancelled: IsCancelled
) -> dict[Scheme, Row]:
    """What is answered part by part, of a tensor that is too large for one go."""
    parted = [scheme for scheme in schemes if is_parted(weight, scheme)]
    if not parted:
        return {}
    try:
        found = measured(weight, parted, progress=progress, cancelled=cancelled)
    except FileProblem as problem:
        return {scheme: Row(weight, scheme, problem=problem) for scheme in parted}
    except Problem:  # a part without finite values: what is said of it is said of the whole
        return {}
    return {scheme: Row(weight, scheme, figures) for scheme, figures in found.items()}


def _by_counts(weight: Weight, schemes: Sequence[Scheme], tails: bool, cancelled: IsCancelled) -> dict[Scheme, Row]:
    """What the counts of its 16-bit values answer."""
    assert weight.entry.counted is not None
    threads = 1 if (weight.elements or 0) <= COUNTED_BY_ONE else THREADS
    try:
        counts = weight.entry.counted(threads=threads, cancelled=cancelled)
    except FileProblem as problem:
        return {scheme: Row(weight, scheme, problem=problem) for scheme in schemes}
    except Problem as reason:
        return {scheme: Row(weight, scheme, left=reason) for scheme in schemes}
    return counted_rows(weight, counts, schemes, cancelled, tails=tails)


def counted_rows(
    weight: Weight, counts: ValueCounts, schemes: Sequence[Scheme], cancelled: IsCancelled, *, tails: bool = False
) -> dict[Scheme, Row]:
    """What the counts of a tensor's values answer, whoever counted."""
    shape, dtype = weight.shape or (1,), weight.entry.dtype or ""
    try:
        source = CountedTensor(CountedOnly(weight.name, shape, dtype, counts), counts)
    except Problem as reason:  # nothing but NaN, for example
        return {scheme: Row(weight, scheme, left=reason) for scheme in schemes}
    about = moments_of_counts(counts) if tails else None
    rows = [_counted_row(weight, source, scheme, cancelled) for scheme in schemes]
    return {row.scheme: replace(row, moments=about) for row in rows if row is not None}


def _by_elements(
    weight: Weight,
    schemes: Sequence[Scheme],
    one_axis: bool,
    tails: bool,
    progress: Progress,
    cancelled: IsCancelled,
) -> Iterator[Row]:
    found = _loaded(weight, schemes, one_axis, progress, cancelled)
    if isinstance(found, Problem | Phrase):
        is_read = not isinstance(found, FileProblem) and weight.entry.refused is None
        told = {"left": found} if is_read or isinstance(found, Phrase) else {"problem": found}
        yield from (Row(weight, scheme, **told) for scheme in schemes)
        return
    about = _moments(found, cancelled) if tails else None
    for number, scheme in enumerate(schemes, 1):
        yield replace(_row(weight, found, scheme, cancelled), moments=about)
        progress(0.25 + 0.75 * number / len(schemes))


def _loaded(
    weight: Weight, schemes: Sequence[Scheme], one_axis: bool, progress: Progress, cancelled: IsCancelled
) -> Tensor | SortedTensor | Problem | Phrase:
    """Its values, or why it is left as it is or can't be read."""
    if weight.entry.refused is not None:
        return weight.entry.refused
    try:
        values = weight.entry.load(progress=lambda f: progress(f / 4), cancelled=cancelled)
        if weight.shape is None:
            if np.dtype(values.dtype).kind != "f":
                return WHOLE_NUMBERS
            if not one_axis and sum(length > 1 for length in values.shape) < 2:
                return ONE_AXIS
        return _source(values, weight, schemes, cancelled)
    except Problem as problem:
        return problem


def is_counted(weight: Weight, schemes: Sequence[Scheme]) -> bool:
    """Whether the counts of its 16-bit values are asked first: always of a card, which has nothing else."""
    if weight.entry.counted is None:
        return False
    if weight.entry.refused is not None:
        return True
    large = weight.elements is not None and weight.elements >= COUNTED_FROM
    return large and any(scheme.granularity.kind == "tensor" for scheme in schemes)


def _is_counted_alone(weight: Weight, schemes: Sequence[Scheme]) -> bool:
    """Whether the counts answer everything, and are found by reading no more than a stretch at a time."""
    per_tensor = all(scheme.granularity.kind == "tensor" for scheme in schemes)
    return per_tensor and is_counted(weight, schemes) and (weight.elements or 0) <= COUNTED_BY_ONE


def _counted_row(weight: Weight, source: CountedTensor, scheme: Scheme, cancelled: IsCancelled) -> Row | None:
    """None where the elements themselves are needed, and there are some."""
    is_card = weight.entry.refused is not None
    if scheme.granularity.kind != "tensor" and not is_card:
        return None
    try:
        found = measure(source, scheme, limits=Limits(direct_up_to=0), cancelled=cancelled)
        return Row(weight, scheme, found.figures)
    except Problem as problem:
        return Row(weight, scheme, left=problem) if is_card else None


def _source(values: Any, weight: Weight, schemes: Sequence[Scheme], cancelled: IsCancelled) -> Tensor | SortedTensor:
    tensor = Tensor(values, weight.name, dtype=weight.entry.dtype, cancelled=cancelled)
    if sum(scheme.granularity.kind == "tensor" for scheme in schemes) >= MANY:
        return prepare(tensor, cancelled=cancelled)
    return tensor


def _moments(source: Tensor | SortedTensor, cancelled: IsCancelled) -> Moments:
    if isinstance(source, CountedTensor):
        return moments_of_counts(source.value_counts)
    return moments(source.tensor if isinstance(source, SortedTensor) else source, cancelled=cancelled)


def _row(weight: Weight, source: Tensor | SortedTensor, scheme: Scheme, cancelled: IsCancelled) -> Row:
    try:
        # Where a runtime would fill a kernel's short last axis up, blocks lie along what is summed over all the same.
        blocks, shape = scheme.granularity, (source.tensor if isinstance(source, SortedTensor) else source).shape
        beyond = isinstance(blocks, PerBlock) and blocks.reaches_beyond(shape)
        given = (_matrix(source, scheme) if beyond else None) or (source, scheme)
        return Row(weight, scheme, measure(*given, cancelled=cancelled).figures)
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
        size = granularity.within(columns)
    values = np.asarray(tensor.values[0 : tensor.elements]).reshape(rows, columns)
    return Tensor(values, tensor.name, dtype=tensor.dtype), replace(scheme, granularity=PerBlock(-1, size))
