"""Which figures say what a scheme costs a tensor?"""

from __future__ import annotations

import math
from dataclasses import fields
from functools import cached_property
from typing import Any

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.arithmetic.storage import Storage, storage
from qviz.core.arrays import Counts, Floats, empty
from qviz.core.frozen import frozen
from qviz.core.passes.ratios import Ratios, counted_ratios, ratios_of
from qviz.core.passes.sums import Sums
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.layout import Layout
from qviz.core.tensors.robust_range import RobustRange, robust_range
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import in_two_threads

THREADED = 1 << 20
"""The decibels of fewer groups are found before a second thread has been given a processor, while a window has one."""

TOGETHER = 1 << 15
"""Groups that are looked at together: what is computed of them stays in the cache."""

LISTED = 10
"""So many of the worst groups are of interest."""

STRETCH = 1 << 10
"""Groups of each of which the lowest is looked for first."""

SQNR_BINS = 2048
"""As finely as is looked for SQNRs that lie far from the others."""

FINER = 8
"""So many times as many bins of ratios are as fine in decibels, wherever they lie."""


@frozen(eq=False)
class Groups:
    """The same questions for each group (channel), float64 arrays of shape (groups,).

    There may be half a million groups that nobody looks at but for the worst one: what is drawn of them is found
    when it is asked for.

    Attributes
    ----------
    finite, saturated : int arrays
        Finite elements, and those whose code was changed by clipping.
    squared_value, squared_error : float64 arrays
        Σx² and Σe².
    max_abs_error : float64 array
    known_worst : int or None
        The group with the lowest SQNR, where it was found on the way.
    known_ratios : Ratios or None
        Σx² / Σe² of each group, where these were.
    """

    finite: Counts
    squared_value: Floats
    squared_error: Floats
    max_abs_error: Floats
    saturated: Counts
    known_worst: int | None = None
    known_ratios: Ratios | None = None

    @cached_property
    def mse(self) -> Floats:
        """Mean squared error."""
        return self.squared_error / np.maximum(self.finite, 1)

    @cached_property
    def signal_to_noise(self) -> Floats:
        """Σx² / Σe²: infinite without an error, NaN where an x̂ is."""
        return self._ratios.each

    @cached_property
    def _ratios(self) -> Ratios:
        if self.known_ratios is not None:
            return self.known_ratios
        quickly = ratios_of(self.squared_value, self.squared_error)
        if quickly is not None:
            return quickly
        ratio: Floats = empty((self.finite.size,), np.float64)
        for some in _stretches(ratio.size):
            ratio[some] = _ratio(self.squared_value[some], self.squared_error[some])
        ends = ratio.min(initial=np.inf), ratio.max(initial=0.0)
        known = ratio if ends[0] > 0 and ends[1] < np.inf else _known(ratio)
        return Ratios(ratio, float(known.min(initial=np.inf)), float(known.max(initial=0.0)), known is ratio)

    @cached_property
    def sqnr_db(self) -> Floats:
        """10·log10(Σx² / Σe²), in dB."""
        found: Floats = empty((self.finite.size,), np.float64)

        def find(stretches: list[slice]) -> None:
            for some in stretches:
                found[some] = decibels(self.signal_to_noise[some])

        if found.size < THREADED:
            find(_stretches(found.size))
        else:
            in_two_threads(find, _stretches(found.size)[::2], _stretches(found.size)[1::2])
        return found

    @cached_property
    def worst(self) -> int:
        """The group with the lowest SQNR, the first one where several are as low."""
        return int(np.argmin(self.signal_to_noise)) if self.known_worst is None else self.known_worst

    @cached_property
    def worst_ones(self) -> list[int]:
        """The `LISTED` groups with the lowest SQNR: see `worst_groups`."""
        return worst_groups(self)

    @cached_property
    def sqnr_range(self) -> tuple[float, float]:
        """The lowest and the highest finite SQNR; 0 and 1 where none is."""
        lowest, highest = self._ratios.lowest, self._ratios.highest
        return (float(decibels(lowest)), float(decibels(highest))) if highest else (0.0, 1.0)

    @cached_property
    def lossless(self) -> bool:
        """Whether no group loses anything."""
        return not self._ratios.highest and bool((self.signal_to_noise == np.inf).all())

    @cached_property
    def robust_sqnr_range(self) -> RobustRange | None:
        """The range of nearly all finite SQNRs, where single ones lie far from it."""
        (low, high), ratios = self.sqnr_range, self._ratios
        # All alike, or nearly so: there are not as many numbers between as bins.
        if (high - low) / SQNR_BINS <= np.spacing(max(abs(low), abs(high))) or not ratios.highest:
            return None
        edges, counts = counted_ratios(ratios, FINER * SQNR_BINS)
        return robust_range(decibels(edges), counts)

    def foresee(self) -> Groups:
        """Find now what is drawn of them later, where time is dear; returns itself."""
        _ = self.worst, self.sqnr_range, self.robust_sqnr_range, self._drawn_ratios
        return self

    @cached_property
    def _drawn_ratios(self) -> Floats:
        """`signal_to_noise`, and the highest there is in place of what gives no SQNR."""
        ratio = self.signal_to_noise
        if self._ratios.all_known:
            return ratio
        return np.where((ratio > 0) & (ratio < np.inf), ratio, self._ratios.highest or 1.0)

    def sqnr_db_of(self, group: int) -> float:
        """`sqnr_db` of one of them."""
        return float(decibels(self.signal_to_noise[group]))

    def drawn_sqnr_db(self, group: int) -> float:
        """SQNR, and the highest finite one in place of what is none: a group without error, or of zeros."""
        return float(decibels(self._drawn_ratios[group]))

    def lowest_sqnr_db(self, starts: Counts, stop: int) -> Floats:
        """The lowest `drawn_sqnr_db` of each stretch of groups; the last one ends before ``stop``."""
        lowest: Floats = decibels(np.minimum.reduceat(self._drawn_ratios[:stop], starts))
        return lowest


def _known(ratio: Floats) -> Floats:
    """Those whose SQNR is a finite number."""
    return ratio[(ratio > 0) & (ratio < np.inf)]


def _stretches(groups: int) -> list[slice]:
    """Some groups at a time."""
    return [slice(start, start + TOGETHER) for start in range(0, groups, TOGETHER)]


def _lowest(values: Floats, count: int) -> float:
    """How high the last of the ``count`` lowest is: what is above as many lowest ones of stretches is none of them."""
    if values.size > count * STRETCH:
        lowest = np.fmin.reduceat(values, np.arange(0, values.size, STRETCH))
        few = values[values <= np.partition(lowest, count - 1)[count - 1]]
        values = few if few.size >= count else values
    return float(np.partition(values, count - 1)[count - 1])


def worst_groups(groups: Groups, count: int = LISTED) -> list[int]:
    """The groups with the lowest SQNR, the lowest first; the one with the larger error where two are as low."""
    count = min(count, groups.sqnr_db.size)
    limit = _lowest(groups.sqnr_db, count)
    below = np.flatnonzero(groups.sqnr_db < limit)
    ties = np.flatnonzero(groups.sqnr_db == limit)
    if ties.size > count - below.size:
        ties = ties[np.argsort(-groups.max_abs_error[ties], kind="stable")[: count - below.size]]
    found = np.concatenate((below, ties))
    order = np.lexsort((found, -groups.max_abs_error[found], decibels(groups.signal_to_noise[found])))
    return [int(g) for g in found[order]]


@frozen
class WorstGroup:
    """The group (channel) with the lowest SQNR, the first one where several are as low.

    Attributes
    ----------
    index : int
        Its number, in the order of the scales.
    finite, saturated : int
    mse, max_abs_error, sqnr_db : float
    """

    index: int
    finite: int
    mse: float
    max_abs_error: float
    sqnr_db: float
    saturated: int


@frozen(repr=False)
class Figures:
    """What a scheme costs a tensor, without the tensor: less than 1.5 kB to keep in a table or to send.

    Attributes
    ----------
    name, dtype : str
    shape : tuple of int
    elements, finite : int
        Of the tensor.
    scheme : Scheme
    mse, mae, max_abs_error : float
        Mean squared, mean absolute and largest error, in the tensor's units (squared for mse).
    sqnr_db : float
        20·log10(‖x‖ / ‖x − x̂‖) in dB; higher is better, infinite without error, NaN where an x̂ is.
    relative_rmse : float
        ‖x − x̂‖ / ‖x‖; NaN for a tensor of zeros.
    cosine : float
        Of the angle between x and x̂; NaN where either is all zeros, or x̂ leaves float32.
    rounding_mse, clipping_mse : float
        The two parts of mse.
    saturated : int
        Elements whose code was changed by clipping.
    group_count : int
        How many groups have a scale of their own; 1 per tensor.
    worst_group : WorstGroup or None
        None per tensor.
    storage : Storage
    exact : bool
        Whether every element was counted; an estimate comes from a sample.
    seconds : float
        How long the answer took.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    elements: int
    finite: int
    scheme: Scheme
    mse: float
    mae: float
    max_abs_error: float
    sqnr_db: float
    relative_rmse: float
    cosine: float
    rounding_mse: float
    clipping_mse: float
    saturated: int
    group_count: int
    worst_group: WorstGroup | None
    storage: Storage
    exact: bool
    seconds: float

    def __repr__(self) -> str:
        about = "" if self.exact else "≈ "
        return (
            f"{type(self).__name__}({self.name!r} {self.shape}: {about}SQNR {self.sqnr_db:.2f} dB, MSE {self.mse:.4g}, "
            f"max error {self.max_abs_error:.4g}, {self.saturated:,} saturated, "
            f"{self.storage.bits_per_element:.4g} bits an element, {self.scheme})"
        )

    @property
    def saturated_share(self) -> float:
        """Saturated elements as a share of the finite ones."""
        return self.saturated / self.finite


@frozen(eq=False, repr=False)
class Metrics(Figures):
    """What a scheme costs a tensor, with the tensor and its scales at hand for further questions.

    Attributes
    ----------
    tensor : Tensor
    qparams : QParams
    layout : Layout
    groups : Groups or None
        The figures of each group; None per tensor.
    """

    tensor: Tensor
    qparams: QParams
    layout: Layout
    groups: Groups | None

    # Arrays have no one truth: an answer is equal to itself alone.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @property
    def figures(self) -> Figures:
        """The figures alone, which hold on to nothing large."""
        return Figures(**{each.name: getattr(self, each.name) for each in fields(Figures)})


def figures_of(tensor: Tensor, qparams: QParams, layout: Layout, sums: Sums) -> dict[str, Any]:
    """The fields of `Metrics`, but for ``exact`` and ``seconds``."""
    groups = groups_of(sums) if layout.groups > 1 else None
    totals = Totals.of(tensor.finite, sums)
    return totals.figures() | {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": tensor.shape,
        "elements": tensor.elements,
        "tensor": tensor,
        "scheme": qparams.scheme,
        "qparams": qparams,
        "layout": layout,
        "group_count": layout.groups,
        "worst_group": worst_of(groups) if groups is not None else None,
        "groups": groups,
        "storage": storage(tensor.elements, qparams),
    }


@frozen
class Totals:
    """What the errors of a tensor come to, in numbers that are added up over its parts.

    Attributes
    ----------
    finite, saturated : int
    noise, signal : float
        Σe² and Σx².
    absolute_error, clipping_squared_error, product, squared_dequantized, max_abs_error : float
        As in `Sums`.
    """

    finite: int
    saturated: int
    noise: float
    signal: float
    absolute_error: float
    clipping_squared_error: float
    product: float
    squared_dequantized: float
    max_abs_error: float

    @classmethod
    def of(cls, finite: int, sums: Sums) -> Totals:
        """Those of all groups together."""
        known = sums.overall
        return cls(
            finite,
            int(sums.saturated.sum()) if known is None else known.saturated,
            float(sums.squared_error.sum()) if known is None else known.squared_error,
            float(sums.squared_value.sum()) if known is None else known.squared_value,
            sums.absolute_error,
            sums.clipping_squared_error,
            sums.product,
            sums.squared_dequantized,
            float(sums.max_abs_error.max()) if known is None else known.max_abs_error,
        )

    def __add__(self, other: Totals) -> Totals:
        """Those of two parts together."""
        added = {
            each.name: getattr(self, each.name) + getattr(other, each.name)
            for each in fields(self)
            if each.name != "max_abs_error"
        }
        return Totals(**added, max_abs_error=max(self.max_abs_error, other.max_abs_error))

    def figures(self) -> dict[str, Any]:
        """The fields of `Figures` that follow from these alone."""
        n, noise, signal = self.finite, self.noise, self.signal
        norms = math.sqrt(signal) * math.sqrt(self.squared_dequantized)
        return {
            "finite": n,
            "mse": noise / n,
            "mae": self.absolute_error / n,
            "max_abs_error": self.max_abs_error,
            "sqnr_db": float(sqnr_db(np.float64(signal), np.float64(noise))),
            "relative_rmse": math.sqrt(noise / signal) if signal else math.nan,
            "cosine": min(1.0, self.product / norms) if 0 < norms < math.inf else math.nan,
            "rounding_mse": float(np.maximum(0.0, noise - self.clipping_squared_error)) / n,
            "clipping_mse": self.clipping_squared_error / n,
            "saturated": self.saturated,
        }


def groups_of(sums: Sums) -> Groups:
    """The same questions for each group."""
    return Groups(
        finite=sums.finite,
        squared_value=sums.squared_value,
        squared_error=sums.squared_error,
        max_abs_error=sums.max_abs_error,
        saturated=sums.saturated,
        known_worst=None if sums.overall is None else sums.overall.worst,
        known_ratios=None if sums.overall is None else sums.overall.ratios,
    )


def worst_of(groups: Groups) -> WorstGroup:
    """The figures of the group with the lowest SQNR."""
    index = groups.worst
    return WorstGroup(
        index=index,
        finite=int(groups.finite[index]),
        mse=float(groups.squared_error[index]) / max(1, int(groups.finite[index])),
        max_abs_error=float(groups.max_abs_error[index]),
        sqnr_db=float(sqnr_db(groups.squared_value[index], groups.squared_error[index])),
        saturated=int(groups.saturated[index]),
    )


def sqnr_db(signal: Any, noise: Any) -> Any:
    """10·log10(signal / noise) in dB, of sums of squares; infinite without noise."""
    return decibels(_ratio(signal, noise))


def decibels(ratio: Any) -> Any:
    """10·log10 of ratios of sums of squares."""
    with np.errstate(divide="ignore"):
        return 10 * np.log10(ratio)


def _ratio(signal: Any, noise: Any) -> Any:
    """Signal / noise of sums of squares: infinite without noise, NaN where the noise is."""
    with np.errstate(all="ignore"):
        ratio = np.asarray(np.divide(signal, noise))
        if np.min(noise, initial=np.inf) > 0:
            return ratio
        return np.where(noise > 0, ratio, np.where(np.isnan(noise), np.nan, np.inf))
