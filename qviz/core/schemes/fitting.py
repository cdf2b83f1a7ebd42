"""What becomes of a scheme under a tensor that it was not made for?"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from qviz.core.problems import Problem
from qviz.core.ranges.known import Known
from qviz.core.ranges.rules import MinMax
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.schemes.scheme import Scheme, convention_of
from qviz.core.tensors.batches import check_batches
from qviz.core.tensors.granularity import PerTensor

FALLBACK_RUNTIME = "onnxruntime"
"""Takes the place of a runtime that lacks what was chosen: it knows all integers, symmetric and not, without blocks."""


def check_fits(scheme: Scheme, shape: tuple[int, ...]) -> None:
    """Nothing, where a tensor of that shape has a scheme's axes, its runtime's blocks, and as many known scales.

    Raises
    ------
    Problem
        Where it has not.
    """
    scheme.granularity.block_shape(shape)
    convention_of(scheme).check_shape(shape, scheme.granularity)
    if isinstance(scheme.range_rule, Known):
        scheme.range_rule.of_groups(math.prod(scheme.granularity.scale_shape(shape)))
    axis = getattr(scheme.range_rule, "batch_axis", None)
    if axis is not None:
        check_batches(scheme.granularity.layout(shape), shape, axis)


def fitted(scheme: Scheme, shape: tuple[int, ...]) -> Scheme:
    """The scheme itself where the shape has its axes and its blocks; per tensor, or in one batch, elsewhere."""
    if getattr(scheme.range_rule, "batch_axis", None) is not None:
        scheme = _in_its_batches(scheme, shape)
    if isinstance(scheme.range_rule, Known) and len(scheme.range_rule.scale) > 1:
        scheme = _without_others_scales(scheme, shape)
    try:
        check_fits(scheme, shape)
    except Problem:
        if CONVENTIONS[scheme.convention].default_block is None:
            return replace(scheme, granularity=PerTensor())
        codes, symmetric, whole = CONVENTIONS[FALLBACK_RUNTIME].nearest(
            scheme.number_format, scheme.symmetric, PerTensor()
        )
        return replace(scheme, number_format=codes, symmetric=symmetric, granularity=whole, convention=FALLBACK_RUNTIME)
    return scheme


def _in_its_batches(scheme: Scheme, shape: tuple[int, ...]) -> Scheme:
    """In one batch where the shape lacks the axis of batches, or it tells the scales apart."""
    rule: Any = scheme.range_rule
    try:
        layout = scheme.granularity.layout(shape)
    except Problem:  # one scale for the whole tensor is what it gets
        layout = PerTensor().layout(shape)
    try:
        check_batches(layout, shape, rule.batch_axis)
    except Problem:
        return replace(scheme, range_rule=replace(rule, batch_axis=None))
    return scheme


def _without_others_scales(scheme: Scheme, shape: tuple[int, ...]) -> Scheme:
    """The range from min to max in the place of known scales that are one for each group of another tensor."""
    try:
        check_fits(scheme, shape)
    except Problem:
        return replace(scheme, range_rule=MinMax())
    return scheme
