"""What becomes of a scheme under a tensor that it was not made for?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qviz.core.problems import Problem
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.schemes.scheme import Scheme, convention_of
from qviz.core.tensors.granularity import PerTensor

FALLBACK_RUNTIME = "onnxruntime"
"""Takes the place of a runtime that lacks what was chosen: it knows all integers, symmetric and not, without blocks."""


def check_fits(scheme: Scheme, shape: tuple[int, ...]) -> None:
    """Nothing, where a tensor of that shape has the axis of a scheme, and blocks as its runtime has them.

    Raises
    ------
    Problem
        Where it has not.
    """
    scheme.granularity.block_shape(shape)
    convention_of(scheme).check_shape(shape, scheme.granularity)


def fitted(scheme: Scheme, shape: tuple[int, ...]) -> Scheme:
    """The scheme itself where the shape has its axes and its blocks; per tensor, or in one batch, elsewhere."""
    axis = getattr(scheme.range_rule, "batch_axis", None)
    if axis is not None and not -len(shape) <= axis < len(shape):
        rule: Any = scheme.range_rule
        scheme = replace(scheme, range_rule=replace(rule, batch_axis=None))
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
