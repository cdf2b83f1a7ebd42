"""What do all the errors of one scheme add up to? The one answer that every pass gives."""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arrays import Counts, Floats
from qviz.core.frozen import frozen
from qviz.core.passes.ratios import Ratios
from qviz.core.tensors.envelope import Envelope


@frozen(eq=False)
class ErrorHistogram:
    """Errors x̂ − x counted in equal bins, rounding and clipping apart.

    ``half_step`` is the largest scale / 2: no rounding error lies beyond it, but for float32's own
    rounding. Where x̂ leaves float32 and becomes infinite the error fits no bin and is not counted.
    """

    edges: Floats
    rounding: Counts
    clipping: Counts
    half_step: float

    def scaled(self, factor: float) -> ErrorHistogram:
        """As many times the elements, in whole numbers."""
        rounding, clipping = (_whole(part * factor) for part in (self.rounding, self.clipping))
        return ErrorHistogram(self.edges, rounding, clipping, self.half_step)


@frozen(eq=False)
class Overall:
    """What the groups come to together.

    Attributes
    ----------
    squared_error, squared_value, max_abs_error : float
    saturated : int
    worst : int
        The group with the lowest Σx² / Σe², the first one where several are as low.
    ratios : Ratios
        Of each of them.
    """

    squared_error: float
    squared_value: float
    max_abs_error: float
    saturated: int
    worst: int
    ratios: Ratios


@frozen(eq=False)
class Sums:
    """Float64 sums over every finite element, with the error e = x̂ − x in float64.

    Attributes
    ----------
    finite : int array, shape (groups,)
        Finite elements of each group.
    squared_error, squared_value, max_abs_error : float64 arrays, shape (groups,)
        Σe², Σx² and max |e| of each group.
    saturated : int array, shape (groups,)
        Elements whose code was changed by clipping.
    absolute_error, clipping_squared_error : float
        Σ|e|, and Σe² of the saturated elements alone.
    product, squared_dequantized : float
        Σx·x̂ and Σx̂².
    occupancy : int array, shape (codes,), or None
        Elements at each code, from quant_min to quant_max; None when nobody asked.
    error_histogram : ErrorHistogram or None
        None when nobody asked.
    dequantized : Envelope or None
        The envelope of x̂, where it does not follow from that of x (more than one group).
    overall : Overall or None
        None where it is to be found from the groups, because nobody did on the way.
    """

    finite: Counts
    squared_error: Floats
    squared_value: Floats
    max_abs_error: Floats
    saturated: Counts
    absolute_error: float
    clipping_squared_error: float
    product: float
    squared_dequantized: float
    occupancy: Counts | None
    error_histogram: ErrorHistogram | None
    dequantized: Envelope | None
    overall: Overall | None = None

    def scaled(self, factor: float) -> Sums:
        """As if there were ``factor`` times the elements, all alike; counts stay whole numbers."""

        return Sums(
            finite=_whole(self.finite * factor),
            squared_error=self.squared_error * factor,
            squared_value=self.squared_value * factor,
            max_abs_error=self.max_abs_error,
            saturated=_whole(self.saturated * factor),
            absolute_error=self.absolute_error * factor,
            clipping_squared_error=self.clipping_squared_error * factor,
            product=self.product * factor,
            squared_dequantized=self.squared_dequantized * factor,
            occupancy=None if self.occupancy is None else _whole(self.occupancy * factor),
            error_histogram=None if self.error_histogram is None else self.error_histogram.scaled(factor),
            dequantized=None,
        )


def _whole(counts: Any) -> Counts:
    whole: Counts = np.rint(counts).astype(np.int64)
    return whole
