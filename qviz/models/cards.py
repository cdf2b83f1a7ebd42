"""What goes onto a card of a checkpoint? Of every tensor what can be counted, and the extremes of its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qviz.core.arrays import FloatArray
from qviz.core.problems import Problem
from qviz.core.tensors.granularity import PerAxis
from qviz.core.tensors.tensor import Tensor
from qviz.core.tensors.value_counts import ValueCounts, counted_values
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.cards import CardRow
from qviz.models.checkpoint import Weight

MOST_ROWS = 1 << 20


def card_rows(
    weights: Sequence[Weight], *, progress: Progress = ignore, cancelled: IsCancelled = never
) -> Iterator[CardRow]:
    """Count tensor by tensor.

    Yields
    ------
    CardRow
        In the order of the checkpoint; one whose shape only reading tells is left out.

    Raises
    ------
    Cancelled
        When asked to stop.
    """
    total = sum(each.elements or 1 for each in weights) or 1
    done = 0
    for weight in weights:
        check(cancelled)
        if weight.shape is not None:
            yield _row(weight, cancelled)
        done += weight.elements or 1
        progress(done / total)


def _row(weight: Weight, cancelled: IsCancelled) -> CardRow:
    entry, shape = weight.entry, weight.shape or ()
    counts: ValueCounts | None = None
    rows: tuple[FloatArray, FloatArray] | None = None
    why = ""
    try:
        if entry.counted is not None and (len(shape) != 2 or shape[0] > MOST_ROWS):
            counts = entry.counted(cancelled=cancelled)
        elif weight.is_float and entry.encoding is None:
            tensor = Tensor(entry.load(cancelled=cancelled), weight.name, dtype=entry.dtype, cancelled=cancelled)
            counts = counted_values(tensor, cancelled=cancelled)
            if len(shape) > 1 and shape[0] <= MOST_ROWS:
                rows = tensor.extremes(PerAxis(0).layout(tensor.shape), cancelled=cancelled)
    except Problem as problem:
        why = str(problem)
    return CardRow(weight.name, entry.dtype or "?", shape, weight.nbytes or 0, counts, rows, why)
