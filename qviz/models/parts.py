"""How is a tensor measured that is too large for one go? In parts, of which each tells a few numbers.

A part is a stretch of rows of half a gigabyte. What is found of it does not depend on who finds it, and is added up in
the order of the parts: here, one after the other, or on many machines, the answer is the same to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import add
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.arithmetic.scaling import qparams_from_range
from qviz.core.arithmetic.storage import Widths, widths
from qviz.core.arrays import Counts, FloatArray
from qviz.core.frozen import frozen
from qviz.core.passes.direct_pass import direct_sums
from qviz.core.passes.sums import Sums
from qviz.core.problems import Problem
from qviz.core.questions.calibration import choose_qparams
from qviz.core.questions.figures import Figures, Totals, WorstGroup, figures_of, groups_of, worst_of
from qviz.core.ranges.rules import MinMax
from qviz.core.ranges.table import reads_shape
from qviz.core.runtimes.precision import compute_dtype
from qviz.core.schemes.fitting import check_fits
from qviz.core.schemes.scheme import Scheme, convention_of
from qviz.core.tensors.granularity import PerAxis, PerBlock
from qviz.core.tensors.tensor import Tensor
from qviz.core.tensors.value_counts import counted_patterns
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.models.checkpoint import Weight

_Found = TypeVar("_Found")

PART = 1 << 29
"""Bytes of a part, at most, where a row is no larger."""

READ = 1 << 20
"""Elements that are read at once, to be counted."""


@frozen
class Part:
    """Some rows of a tensor: what has one index of its first axis; of one axis, its elements.

    Attributes
    ----------
    weight : Weight
    start, stop : int
    """

    weight: Weight
    start: int
    stop: int

    @property
    def shape(self) -> tuple[int, ...]:
        """As it is seen by itself."""
        assert self.weight.shape is not None
        return (self.stop - self.start, *self.weight.shape[1:])

    @property
    def nbytes(self) -> int:
        """In the file."""
        return (self.weight.nbytes or 0) * (self.stop - self.start) // (self.weight.shape or (1,))[0]

    def load(self) -> Tensor:
        """Its values.

        Raises
        ------
        Problem
            When they can't be read, or none is finite.
        """
        entry = self.weight.entry
        assert entry.bits is not None
        row = math.prod(self.shape[1:])
        values = entry.bits()[self.start * row : self.stop * row]
        if entry.dtype == "bfloat16":
            wide = values.astype(np.uint32)
            wide <<= np.uint32(16)
            values = wide.view(np.float32)
        return Tensor(values.reshape(self.shape), self.weight.name, dtype=entry.dtype)

    def patterns(self) -> Counts:
        """How often each pattern of its 16 bits is there."""
        assert self.weight.entry.bits is not None
        bits = self.weight.entry.bits()
        row = math.prod(self.shape[1:])
        ends = range(self.start * row, self.stop * row, READ)
        return counted_patterns(bits[first : min(first + READ, ends.stop)].view(np.uint16) for first in ends)


def parts_of(weight: Weight) -> tuple[Part, ...]:
    """The parts of a tensor, in order; none where it is measured in one go."""
    shape, nbytes = weight.shape, weight.nbytes or 0
    if weight.entry.bits is None or not shape or nbytes <= PART:
        return ()
    rows = max(1, shape[0] * PART // nbytes)
    return tuple(Part(weight, start, min(start + rows, shape[0])) for start in range(0, shape[0], rows))


def is_by_rows(scheme: Scheme) -> bool:
    """Whether what becomes of a row depends on that row alone."""
    convention, granularity = convention_of(scheme), scheme.granularity
    if convention.of_whole_tensor or reads_shape(scheme.range_rule) or scheme.range_rule.kind == "known":
        return False
    if isinstance(granularity, PerAxis):
        return granularity.axis == 0
    return isinstance(granularity, PerBlock) and granularity.axis == -1


def is_by_range(scheme: Scheme) -> bool:
    """Whether the extremes of its groups are all that a scale depends on, and there are few groups."""
    convention, granularity = convention_of(scheme), scheme.granularity
    plain = convention.recipe is None and not convention.of_elements
    ties = convention.signed_extreme(scheme.number_format, scheme.symmetric)
    return scheme.range_rule.kind == MinMax.kind and plain and not ties and not isinstance(granularity, PerBlock)


def is_parted(weight: Weight, scheme: Scheme) -> bool:
    """Whether a tensor is measured in parts under a scheme."""
    if len(parts_of(weight)) < 2 or not (is_by_rows(scheme) or is_by_range(scheme)):
        return False
    assert weight.shape is not None
    granularity = scheme.granularity
    if len(weight.shape) < 2 and not isinstance(granularity, PerAxis):
        return granularity.kind == "tensor"
    try:
        check_fits(scheme, weight.shape)
        # A block that is longer than its axis is measured in one go, along what is summed over.
        return not (isinstance(granularity, PerBlock) and granularity.reaches_beyond(weight.shape))
    except Problem:
        return False


# -- what is found of a part


@frozen(eq=False)
class Extremes:
    """From where to where each group of a part reaches; NaN where it has no finite element."""

    low: FloatArray
    high: FloatArray

    def __add__(self, other: Extremes) -> Extremes:
        """Those of two parts together."""
        return Extremes(np.fmin(self.low, other.low), np.fmax(self.high, other.high))


def extremes(tensor: Tensor, scheme: Scheme) -> Extremes:
    """Those of the groups of a part."""
    granularity = scheme.granularity
    if tensor.all_finite or not isinstance(granularity, PerAxis):
        return Extremes(*tensor.extremes(granularity.layout(tensor.shape)))
    values = np.asarray(tensor.values[0 : tensor.elements]).reshape(tensor.shape)
    groups = np.moveaxis(values, granularity.axis, 0).reshape(values.shape[granularity.axis], -1)
    return Extremes(np.fmin.reduce(groups, axis=1), np.fmax.reduce(groups, axis=1))


@frozen
class RowsFound:
    """What a part comes to whose rows depend on nothing else."""

    totals: Totals
    groups: int
    worst: WorstGroup | None
    widths: Widths

    def __add__(self, other: RowsFound) -> RowsFound:
        """Those of two parts together, the first one in front."""
        # Zero points are stored where a part has one.
        wider = max(self.widths, other.widths, key=lambda each: each.zero_point)
        return RowsFound(self.totals + other.totals, self.groups + other.groups, _worse(self, other), wider)


def _worse(first: RowsFound, second: RowsFound) -> WorstGroup | None:
    """The first one where both are as bad; one whose SQNR is not known is worst."""
    one, two = first.worst, second.worst
    if one is None or two is None:
        return one or two
    if math.isnan(one.sqnr_db) or one.sqnr_db <= two.sqnr_db:
        return one
    return WorstGroup(first.groups + two.index, two.finite, two.mse, two.max_abs_error, two.sqnr_db, two.saturated)


def rows_found(tensor: Tensor, scheme: Scheme) -> RowsFound:
    """Measure a part by itself."""
    layout = scheme.granularity.layout(tensor.shape)
    qparams = choose_qparams(tensor, scheme)
    sums = direct_sums(tensor, qparams, layout, occupancy=False, envelope=False)
    groups = groups_of(sums)
    return RowsFound(Totals.of(tensor.finite, sums), layout.groups, worst_of(groups), widths(qparams))


@frozen(eq=False)
class SumsFound:
    """What a part comes to under scales that the whole tensor has."""

    finite: int
    sums: Sums

    def __add__(self, other: SumsFound) -> SumsFound:
        """Those of two parts together."""
        a, b = self.sums, other.sums
        return SumsFound(
            self.finite + other.finite,
            Sums(
                finite=a.finite + b.finite,
                squared_error=a.squared_error + b.squared_error,
                squared_value=a.squared_value + b.squared_value,
                max_abs_error=np.maximum(a.max_abs_error, b.max_abs_error),
                saturated=a.saturated + b.saturated,
                absolute_error=a.absolute_error + b.absolute_error,
                clipping_squared_error=a.clipping_squared_error + b.clipping_squared_error,
                product=a.product + b.product,
                squared_dequantized=a.squared_dequantized + b.squared_dequantized,
                occupancy=None,
                error_histogram=None,
                dequantized=None,
            ),
        )


def sums_found(tensor: Tensor, qparams: QParams) -> SumsFound:
    """Look at a part under known scales."""
    layout = qparams.scheme.granularity.layout(tensor.shape)
    return SumsFound(tensor.finite, direct_sums(tensor, qparams, layout, occupancy=False, envelope=False))


# -- the whole


def qparams_of(weight: Weight, scheme: Scheme, found: Iterable[Extremes]) -> QParams:
    """The scales of a tensor, from the extremes of its parts."""
    assert weight.shape is not None
    ends = reduce(add, found)
    shape = scheme.granularity.scale_shape(weight.shape)
    nothing = ~(np.isfinite(ends.low) & np.isfinite(ends.high))
    low, high = (np.where(nothing, np.float32(0), each).reshape(shape) for each in (ends.low, ends.high))
    compute = compute_dtype(weight.entry.dtype or "", scheme.compute_dtype)
    return qparams_from_range(low, high, scheme, compute)


def of_rows(weight: Weight, scheme: Scheme, found: Iterable[RowsFound]) -> Figures:
    """The figures of a tensor, from what its parts came to."""
    whole = reduce(add, found)
    about = whole.totals.figures()
    return Figures(
        **about,
        name=weight.name,
        dtype=weight.entry.dtype or "",
        shape=weight.shape or (),
        elements=weight.elements or 0,
        scheme=scheme,
        group_count=whole.groups,
        worst_group=whole.worst,
        storage=whole.widths.storage(weight.elements or 0, whole.groups),
        exact=True,
        seconds=0.0,
    )


def of_sums(weight: Weight, qparams: QParams, found: Iterable[SumsFound]) -> Figures:
    """The figures of a tensor, from what its parts came to under its scales."""
    assert weight.shape is not None
    whole = reduce(add, found)
    about = SimpleNamespace(
        name=weight.name,
        dtype=weight.entry.dtype or "",
        shape=weight.shape,
        elements=weight.elements,
        finite=whole.finite,
    )
    layout = qparams.scheme.granularity.layout(weight.shape)
    fields = figures_of(cast(Tensor, about), qparams, layout, whole.sums)
    for name in ("tensor", "qparams", "layout", "groups"):
        del fields[name]
    return Figures(**fields, exact=True, seconds=0.0)


@frozen(eq=False)
class FirstLook:
    """What one reading of a part tells of all schemes.

    Attributes
    ----------
    rows : tuple of RowsFound
        Of the schemes that are asked row by row.
    ends : tuple of Extremes
        Of those whose scales follow from the extremes of the whole.
    """

    rows: tuple[RowsFound, ...]
    ends: tuple[Extremes, ...]

    @classmethod
    def at(cls, part: Part, by_rows: Sequence[Scheme], by_range: Sequence[Scheme]) -> FirstLook:
        """Read a part."""
        tensor = part.load()
        rows = tuple(rows_found(tensor, scheme) for scheme in by_rows)
        return cls(rows, tuple(extremes(tensor, scheme) for scheme in by_range))


def second_look(part: Part, known: Sequence[QParams]) -> tuple[SumsFound, ...]:
    """Read a part again, now that the scales of the whole are known."""
    tensor = part.load()
    return tuple(sums_found(tensor, qparams) for qparams in known)


def looked_at(
    weight: Weight,
    schemes: Sequence[Scheme],
    first: Callable[[Sequence[Scheme], Sequence[Scheme]], Sequence[FirstLook]],
    second: Callable[[Sequence[QParams]], Sequence[tuple[SumsFound, ...]]],
) -> dict[Scheme, Figures]:
    """The figures of a tensor under schemes that it is measured in parts for.

    Parameters
    ----------
    weight : Weight
    schemes : sequence of Scheme
        Those of which `is_parted` is true.
    first : Callable
        Gives a `FirstLook` at every part, in order.
    second : Callable
        Gives what `second_look` tells of every part, in order.

    Raises
    ------
    Problem
        When it can't be read, or a part has no finite element.
    """
    by_rows = [scheme for scheme in schemes if is_by_rows(scheme)]
    by_range = [scheme for scheme in schemes if scheme not in by_rows]
    looks = first(by_rows, by_range)
    found = {
        scheme: of_rows(weight, scheme, [look.rows[place] for look in looks]) for place, scheme in enumerate(by_rows)
    }
    if by_range:
        ends = [[look.ends[place] for look in looks] for place in range(len(by_range))]
        known = [qparams_of(weight, scheme, each) for scheme, each in zip(by_range, ends, strict=True)]
        sums = second(known)
        for place, scheme in enumerate(by_range):
            found[scheme] = of_sums(weight, known[place], [each[place] for each in sums])
    return found


def measured(
    weight: Weight, schemes: Sequence[Scheme], *, progress: Progress = ignore, cancelled: IsCancelled = never
) -> dict[Scheme, Figures]:
    """Measure a tensor part by part, here.

    Raises
    ------
    Problem
        When it can't be read, or a part has no finite element.
    Cancelled
        When asked to stop, between two parts.
    """
    parts = parts_of(weight)
    looks = len(parts) * (1 if all(map(is_by_rows, schemes)) else 2)
    done = 0

    def each(find: Callable[..., _Found], *given: Any) -> list[_Found]:
        nonlocal done
        found = []
        for part in parts:
            check(cancelled)
            found.append(find(part, *given))
            done += 1
            progress(done / looks)
        return found

    return looked_at(weight, schemes, lambda *given: each(FirstLook.at, *given), lambda known: each(second_look, known))
