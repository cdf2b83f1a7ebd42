"""Which elements of an array are finite, from where to where do they reach, and what are they as float32?"""

from __future__ import annotations

import math

import numpy as np

from qviz.core.arrays import Counts, FloatArray
from qviz.core.frozen import frozen
from qviz.core.tensors.envelope import BASE, Envelope
from qviz.core.tensors.layout import BLOCK, Flat
from qviz.core.tensors.mapped_values import FlatValues, Mapping, Source
from qviz.core.tensors.stored import Stored
from qviz.core.tensors.survey import bucket_extremes, finite_extremes
from qviz.core.work import IsCancelled, Progress, check

COPIED_BYTES = 1 << 26
"""What lies outside memory and is larger is not copied."""

QUICK = 1 << 22
"""Elements that compiled loops look at before somebody may stop them."""


@frozen(eq=False)
class Count:
    """What one look at every element tells.

    Attributes
    ----------
    values : float32 array, or what reads like one, shape (elements,)
        NaN where not finite.
    copy : float32 array or None
        The same in memory, where it takes the place of the source.
    envelope : Envelope
    finite, nan, inf, overflowed : int
        How many elements are finite, NaN, infinite, and finite but beyond float32.
    minimum, maximum : float
        Of the finite elements.
    infinite : int array and float32 array
        Where infinite elements are, and those beyond float32; and what they are there.
    """

    values: Flat
    copy: FloatArray | None
    envelope: Envelope
    finite: int
    nan: int
    inf: int
    overflowed: int
    minimum: float
    maximum: float
    infinite: tuple[Counts, FloatArray]


def near(source: Source) -> Source:
    """The values themselves where they lie outside memory and are few."""
    return source[:] if isinstance(source, Stored) and source.nbytes <= COPIED_BYTES else source


def count_elements(source: Source, mapping: Mapping, progress: Progress, cancelled: IsCancelled) -> Count:
    """Look at every element, and make a float32 copy where one is needed and small.

    Parameters
    ----------
    source : array or Stored, flat
        Of a real or boolean type; never written to.
    mapping : Mapping
        The file behind it.

    Raises
    ------
    Cancelled
        When asked to stop.
    """
    kept = source.dtype == np.float32 and source.dtype.isnative
    lazy = mapping.exists and source.nbytes > COPIED_BYTES
    values: Flat = FlatValues(source, mapping, clean=kept)
    if kept and not lazy and isinstance(source, np.ndarray):
        values = source
    copied = None if kept or lazy else np.empty(source.size, np.float32)
    nan = inf = overflowed = 0
    minimum, maximum = math.inf, -math.inf
    envelope = Envelope(source.size)
    places, signs = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    done = 0
    if isinstance(values, np.ndarray) and bucket_extremes.ready:
        done, minimum, maximum = _look_quickly(values, envelope, progress, cancelled)
    for start in range(done, source.size, BLOCK):
        check(cancelled)
        block = source[start : start + BLOCK]
        with np.errstate(over="ignore"):
            piece: FloatArray = np.asarray(block).astype(np.float32, copy=False)
        low, high = float(piece.min()), float(piece.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            infinite = np.isinf(piece)
            beyond = int(np.count_nonzero(infinite & np.isfinite(block)))
            nan += int(np.count_nonzero(np.isnan(piece)))
            overflowed += beyond
            inf += int(np.count_nonzero(infinite)) - beyond
            if infinite.any():
                places.append(start + np.flatnonzero(infinite))
                signs.append(piece[infinite])
                if kept:  # the caller's own memory is not ours to write to
                    kept, values = False, FlatValues(source, mapping)
                    copied = None if lazy else np.array(source[:])
                piece = np.where(infinite, np.float32(np.nan), piece)
            finite = piece[~np.isnan(piece)]
            low, high = (float(finite.min()), float(finite.max())) if finite.size else (math.inf, -math.inf)
        if copied is not None:
            copied[start : start + BLOCK] = piece
        minimum, maximum = min(minimum, low), max(maximum, high)
        envelope.add(start, piece)
        mapping.read(block.nbytes)
        progress(min(1.0, (start + BLOCK) / source.size))
    return Count(
        values=values if copied is None else copied,
        copy=copied,
        envelope=envelope.finish(),
        finite=source.size - nan - inf - overflowed,
        nan=nan,
        inf=inf,
        overflowed=overflowed,
        minimum=minimum,
        maximum=maximum,
        infinite=(np.concatenate(places), np.concatenate(signs)),
    )


def _look_quickly(
    values: FloatArray, envelope: Envelope, progress: Progress, cancelled: IsCancelled
) -> tuple[int, float, float]:
    """Take values into the envelope by compiled loops, up to the first piece that is not finite.

    Returns
    -------
    elements, minimum, maximum
        How many were taken, and from where to where they reach.
    """
    low, high = envelope.finest
    minimum, maximum = math.inf, -math.inf
    for start in range(0, values.size, QUICK):
        check(cancelled)
        piece, here = values[start : start + QUICK], slice(start // BASE, -(-(start + QUICK) // BASE))
        if not finite_extremes(piece, low[here], high[here]):
            low[here], high[here] = np.inf, -np.inf
            return start, minimum, maximum
        minimum, maximum = min(minimum, float(low[here].min())), max(maximum, float(high[here].max()))
        progress(min(1.0, (start + QUICK) / values.size))
    return values.size, minimum, maximum
