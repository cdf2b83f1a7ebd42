"""Where does a runtime break under a scheme, and what would help? One sentence, to be shown beside the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qviz.core.problems import Phrase
from qviz.core.runtimes.record import FIRST, LAST, ZERO

if TYPE_CHECKING:
    from qviz.core.questions.figures import Metrics

INFINITE_FORMAT = "float8_e5m2"


def breakdown(metrics: Metrics) -> Phrase | None:
    """What comes out as NaN or 0 because of a scale, None where every scale is one to divide by."""
    q = metrics.qparams
    if not q.saturates and metrics.saturated:
        return _beyond(metrics)
    if not q.breaks:
        return None
    broken = q.broken.reshape(-1)
    first = int(np.argmax(broken))
    scale = float(q.scale.reshape(-1)[first])
    runtime, count, groups = Phrase(q.convention.label), int(broken.sum()), q.groups
    if np.isinf(scale) or (q.offset is not None and not np.isfinite(q.offset).all()):
        return Phrase(
            "{runtime} breaks here: {count:,} of {groups:,} scales are infinite (the first is number {first:,}), and "
            "what they scale becomes NaN. Scale the tensor down, or clip its range.",
            runtime=runtime,
            count=count,
            groups=groups,
            first=first,
        )
    if q.convention.multiplies_by_threshold and scale:
        return Phrase(
            "{runtime} breaks here: codes times their threshold leave float32 in {count:,} of {groups:,} groups (the "
            "first is number {first:,}), and come back as infinite. Scale the tensor down, or clip its range.",
            runtime=runtime,
            count=count,
            groups=groups,
            first=first,
        )
    return Phrase(
        "{runtime} breaks here: {count:,} of {groups:,} scales are {scale:g} (the first is number {first:,}), and "
        "zeros divided by them are no numbers. Give such a group a smallest scale, or leave it unquantized.",
        runtime=runtime,
        count=count,
        groups=groups,
        scale=scale,
        first=first,
    )


def _beyond(metrics: Metrics) -> Phrase:
    """What becomes of elements that nobody clips."""
    counts = {"count": metrics.saturated, "finite": metrics.finite}
    if metrics.qparams.number_format.name == INFINITE_FORMAT:
        return Phrase(
            "{runtime} does not saturate: {count:,} of {finite:,} elements lie beyond the last code and become "
            "infinite or NaN. Scale the tensor down, widen the range, or choose a runtime that saturates.",
            runtime=Phrase(metrics.qparams.convention.label),
            **counts,
        )
    return Phrase(
        "{runtime} does not saturate: {count:,} of {finite:,} elements lie beyond the last code and become NaN. "
        "Scale the tensor down, widen the range, or choose a runtime that saturates.",
        runtime=Phrase(metrics.qparams.convention.label),
        **counts,
    )


def left_out(metrics: Metrics) -> Phrase | None:
    """What the runtime does with elements that are not finite, which are left out here; None where there are none."""
    tensor, q = metrics.tensor, metrics.qparams
    infinite = tensor.inf + tensor.overflowed
    if not tensor.nan and not infinite:
        return None
    counts = {"nan": tensor.nan, "infinite": infinite}
    if q.convention.not_finite:
        return Phrase(
            "Left out: {nan:,} NaN and {infinite:,} infinite elements. {what} Clean the tensor first.",
            what=Phrase(q.convention.not_finite),
            **counts,
        )
    if not q.saturates:
        return Phrase(
            "Left out: {nan:,} NaN and {infinite:,} infinite elements. {runtime} leaves NaN as it is, and clips no "
            "infinity.",
            runtime=Phrase(q.convention.label),
            **counts,
        )
    if q.convention.nan_code in (ZERO, LAST):
        return Phrase(
            "Left out: {nan:,} NaN and {infinite:,} infinite elements. {runtime} counts them: its scale becomes NaN or "
            "infinite. Clean the tensor first.",
            runtime=Phrase(q.convention.label),
            **counts,
        )
    if q.convention.nan_code == FIRST:
        return Phrase(
            "Left out: {nan:,} NaN and {infinite:,} infinite elements. The quantizer of ONNX Runtime stops at them. "
            "Clean the tensor first.",
            **counts,
        )
    return Phrase(
        "Left out: {nan:,} NaN and {infinite:,} infinite elements. What a runtime makes of them is not defined. "
        "Clean the tensor first.",
        **counts,
    )


def not_finite(lost: int, elements: int) -> Phrase:
    """So many elements are left out, where no more is known of the tensor than its figures."""
    if lost == 1:
        return Phrase("Left out: 1 of {elements:,} elements, which is NaN or infinite.", elements=elements)
    return Phrase(
        "Left out: {lost:,} of {elements:,} elements, which are NaN or infinite.", lost=lost, elements=elements
    )


def caveats(metrics: Metrics) -> list[Phrase]:
    """Every such sentence."""
    return [phrase for phrase in (breakdown(metrics), left_out(metrics)) if phrase is not None]
