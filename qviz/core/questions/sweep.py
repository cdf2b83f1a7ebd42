"""Which schemes are there to choose from, and what does each cost and keep? One tensor, many schemes.

Every scheme is measured as `qviz.core.measure` would measure it. What several schemes have in common is
found once: the order of the tensor, the extremes and the sums of each group, and every range that does
not depend on the codes.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from qviz.core.arrays import Floats
from qviz.core.formats.table import NumberFormat
from qviz.core.frozen import frozen
from qviz.core.problems import Problem
from qviz.core.questions.analysis import estimate, measure
from qviz.core.questions.calibration import choose_qparams
from qviz.core.questions.effort import Limits, plan, searches
from qviz.core.questions.figures import Metrics
from qviz.core.ranges.rules import Range, RangeRule
from qviz.core.schemes.fitting import check_fits
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import Granularity, PerBlock
from qviz.core.tensors.sorted_tensor import SortedTensor
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled, Progress, check, ignore, never


@frozen
class Combinations:
    """The schemes that a choice of parts makes.

    Attributes
    ----------
    schemes : tuple of Scheme
        Each once; those that are measured quickly come first.
    missing : dict of str to int
        Why a combination is left out, one sentence, and how many are left out for that reason.
    reasons : dict of str to Problem
        What each of these sentences says, for those who translate it.
    """

    schemes: tuple[Scheme, ...]
    missing: dict[str, int]
    reasons: dict[str, Problem]

    @property
    def left_out(self) -> int:
        """How many combinations make no scheme."""
        return sum(self.missing.values())


def combine(
    number_formats: Sequence[NumberFormat],
    granularities: Sequence[Granularity],
    range_rules: Sequence[RangeRule],
    *,
    symmetries: Sequence[bool] = (True,),
    conventions: Sequence[str] = ("onnxruntime",),
    shape: tuple[int, ...] | None = None,
) -> Combinations:
    """Every combination of the parts.

    Parameters
    ----------
    number_formats, granularities, range_rules, symmetries, conventions : sequences
        The choices of each part of a `Scheme`.
    shape : tuple of int, optional
        Of the tensor. Granularities that do not fit it are left out, and so are those that group its
        elements as another one does.
    """
    missing: Counter[str] = Counter()
    reasons: dict[str, Problem] = {}

    def leave_out(problem: Problem, count: int) -> None:
        missing[str(problem)] += count
        reasons.setdefault(str(problem), problem)

    found: dict[Scheme, None] = {}
    rest = len(number_formats) * len(range_rules) * len(symmetries) * len(conventions)
    for granularity in _fitting(granularities, shape, lambda problem: leave_out(problem, rest)):
        for number_format, symmetric, rule, convention in itertools.product(
            number_formats, symmetries, range_rules, conventions
        ):
            try:
                scheme = Scheme(number_format, symmetric, granularity, rule, convention)
                if shape is not None:
                    check_fits(scheme, shape)
                found[scheme] = None
            except Problem as problem:
                leave_out(problem, 1)
    return Combinations(tuple(sorted(found, key=_effort)), dict(missing), reasons)


def _fitting(
    granularities: Sequence[Granularity], shape: tuple[int, ...] | None, leave_out: Callable[[Problem], None]
) -> list[Granularity]:
    """Those that fit a shape, each way to group its elements once."""
    if shape is None:
        return list(granularities)
    kept: list[Granularity] = []
    seen: set[tuple[int, ...]] = set()
    for granularity in granularities:
        try:
            block = _groups_of(granularity, shape)
        except Problem as problem:
            leave_out(problem)
            continue
        if block in seen:
            leave_out(Problem("Two of the granularities make the same groups in this tensor: one of them is skipped."))
        else:
            seen.add(block)
            kept.append(granularity)
    return kept


def _groups_of(granularity: Granularity, shape: tuple[int, ...]) -> tuple[int, ...]:
    """What tells groupings apart: the shape of their groups, and how far these would reach."""
    if not isinstance(granularity, PerBlock):
        return granularity.block_shape(shape)
    # Whether blocks may be longer than their axis, each runtime says.
    block = granularity.of_runtime(True).block_shape(shape)
    return block if granularity.block_size in block else (*block, granularity.block_size)


def _effort(scheme: Scheme) -> tuple[bool, bool, bool]:
    """What takes long comes last: searches, above all those for each group."""
    grouped, searched = scheme.granularity.kind != "tensor", searches(scheme.range_rule)
    return grouped and searched, searched, grouped


def sweep(
    x: object,
    schemes: Sequence[Scheme],
    *,
    limits: Limits | None = None,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Iterator[Metrics]:
    """What each scheme does to one tensor, in order, each as soon as it is known.

    Parameters
    ----------
    x : array_like, Tensor or SortedTensor
        A large tensor that is not in order is judged from a sample where a scheme has one scale: such
        answers are not ``exact``. Schemes with a scale for each group are exact always.
    schemes : sequence of Scheme
    limits : Limits, optional
        From how many elements on it is large.
    progress : Callable[[float], None]
        Told the fraction that is done.
    cancelled : Callable[[], bool]
        Asked between blocks.

    Raises
    ------
    Problem
        When ``x`` holds nothing to quantize, or a scheme does not fit its shape.
    Cancelled
        When asked to stop.
    """
    source = x if isinstance(x, SortedTensor | Tensor) else Tensor(x, cancelled=cancelled)
    ranges: dict[Any, Range] = {}
    for done, scheme in enumerate(schemes):
        check(cancelled)
        share = 1 / len(schemes)

        def tell(fraction: float, first: float = done * share, share: float = share) -> None:
            progress(first + fraction * share)

        tensor, prepared = (source.tensor, source) if isinstance(source, SortedTensor) else (source, None)
        layout = scheme.granularity.layout(tensor.shape)
        if not plan(tensor, prepared, scheme, limits, layout=layout).exact:
            yield estimate(tensor, scheme, cancelled=cancelled)
        elif layout.groups == 1:
            yield measure(source, scheme, limits=limits, progress=tell, cancelled=cancelled)
        else:
            if isinstance(source, Tensor):
                source = source.count(cancelled=cancelled)
            qparams = choose_qparams(source, scheme, cancelled=cancelled, known=ranges)
            yield measure(source, scheme, qparams=qparams, limits=limits, progress=tell, cancelled=cancelled)
        progress((done + 1) * share)


def pareto(cost: Sequence[float] | Floats, worth: Sequence[float] | Floats) -> np.ndarray[Any, np.dtype[np.intp]]:
    """The points that no other one beats: each that costs no more is worth less.

    Parameters
    ----------
    cost, worth : sequences of float or float64 arrays, of one length
        Less cost and more worth are better; points that hold a NaN are beaten.

    Returns
    -------
    int array
        Their indices, from the cheapest to the dearest.
    """
    costs, worths = np.asarray(cost, np.float64), np.asarray(worth, np.float64)
    front: list[int] = []
    for at in np.lexsort((-worths, costs)).tolist():
        if not np.isnan(costs[at]) and not np.isnan(worths[at]) and (not front or worths[at] > worths[front[-1]]):
            front.append(at)
    return np.asarray(front, np.intp)
