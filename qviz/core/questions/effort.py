"""How exactly is a question about a tensor answered, and from what? One policy for every one who asks."""

from __future__ import annotations

from enum import Enum

from qviz.core.frozen import frozen
from qviz.core.passes.error_bins import BINS_TO_HALF_STEP
from qviz.core.ranges.entropy import Entropy
from qviz.core.ranges.mse import MSE
from qviz.core.ranges.rules import RangeRule
from qviz.core.ranges.table import reads_shape
from qviz.core.schemes.scheme import Scheme, convention_of
from qviz.core.tensors.layout import Layout
from qviz.core.tensors.sorted_tensor import SortedTensor
from qviz.core.tensors.tensor import Tensor
from qviz.core.tensors.thinned import can_be_thinned

SEARCHES = (MSE.kind, Entropy.kind)
"""Range rules that ask so much that sorting comes first."""


def searches(rule: RangeRule) -> bool:
    """Whether a rule tries many ranges, which is quick in the order of the values alone."""
    return rule.kind in SEARCHES


@frozen
class Limits:
    """From how much on what is asked is answered in another way.

    Attributes
    ----------
    direct_up_to : int
        Up to so many elements a direct pass is as quick as searching in their order, and rounds less.
    estimated_above : int
        A tensor with more elements that is not in order yet is judged from a sample; up to so many,
        sorting takes a few milliseconds.
    counted_up_to : int
        A tensor with more elements is shown before all of them were counted.
    many_of_groups, few_of_groups : int
        Over more elements with many scales nothing is dragged live: meanwhile so few of them are looked at, some of
        each group.
    live_seconds : float
        Where every element took no longer, they are dragged all the same, however many they are.
    cuts_moving, cuts_at_rest : int
        Searches that an error histogram may take, while something is dragged and afterwards; a direct
        pass has as many counts while something is dragged, and stays in the cache with them.
    """

    direct_up_to: int = 1 << 15
    estimated_above: int = 1 << 17
    counted_up_to: int = 1 << 22
    many_of_groups: int = 1 << 25
    few_of_groups: int = 1 << 23
    live_seconds: float = 0.1
    cuts_moving: int = 1 << 14
    cuts_at_rest: int = 1 << 20


class Source(Enum):
    """What the figures are counted in."""

    ELEMENTS = "every element, in a pass over all of them"
    ORDER = "every element, found in the sorted tensor"
    SAMPLE = "a sample, scaled up"


@frozen
class Plan:
    """How one question is answered.

    Attributes
    ----------
    source : Source
    searched : bool
        The range is searched for in the order of the values.
    range_judged : bool
        Every element is counted, but a sample decides the range: searching would sort them all.
    error_bins, error_bins_moving : int
        Bins of the error histogram between 0 and half a scale, at rest and while something is dragged.
    parted : bool
        While something is dragged, what nobody sees is left out: there are many scales, and many elements.
    judged_moving : bool
        And some elements of each group stand for all of them: even what is seen would take too long.
    worth_sorting : bool
        It is not in order, and would be answered for more quickly if it was.
    worth_waiting : bool
        Its order, if it is on its way, gives an exact answer for an estimate.
    """

    source: Source
    searched: bool
    range_judged: bool
    error_bins: int
    error_bins_moving: int
    parted: bool
    judged_moving: bool
    worth_sorting: bool
    worth_waiting: bool

    @property
    def exact(self) -> bool:
        """Whether every element is counted."""
        return self.source is not Source.SAMPLE


def plan(
    tensor: Tensor,
    prepared: SortedTensor | None,
    scheme: Scheme,
    limits: Limits | None = None,
    *,
    exactly: bool = False,
    layout: Layout | None = None,
) -> Plan:
    """How the figures of a tensor under a scheme are found.

    Parameters
    ----------
    tensor : Tensor
        Counted or not.
    prepared : SortedTensor or None
        The same in order, where that is known.
    scheme : Scheme
    limits : Limits, optional
        The usual ones otherwise.
    exactly : bool
        Every element is to be counted, however long it takes.
    layout : Layout, optional
        How the groups lie in ``tensor``, where that is a piece of a larger one; as the scheme's
        granularity has it otherwise.

    Raises
    ------
    Problem
        When the scheme does not fit the tensor's shape.
    """
    limits = limits or Limits()
    layout = layout or scheme.granularity.layout(tensor.shape)
    one_scale, large = layout.groups == 1, tensor.elements > limits.estimated_above
    searched = one_scale and searches(scheme.range_rule)
    bins = bins_moving = BINS_TO_HALF_STEP
    # A sample says nothing about single groups, nor about batches.
    if prepared is None and large and not exactly and one_scale and not reads_shape(scheme.range_rule):
        source = Source.SAMPLE
    elif prepared is not None and one_scale and prepared.tensor.finite > limits.direct_up_to:
        source = Source.ORDER
        bins, bins_moving = (_bins(scheme, cuts) for cuts in (limits.cuts_at_rest, limits.cuts_moving))
    else:
        source = Source.ELEMENTS
    parted = source is Source.ELEMENTS and large and tensor.counted  # nothing is dragged before
    if parted:
        bins_moving = _bins(scheme, limits.cuts_moving)
    return Plan(
        source,
        searched,
        range_judged=source is Source.ELEMENTS and prepared is None and large and searched,
        error_bins=bins,
        error_bins_moving=bins_moving,
        parted=parted,
        judged_moving=parted and tensor.elements > limits.many_of_groups and thins(tensor, scheme, limits),
        worth_sorting=prepared is None and tensor.elements > limits.direct_up_to,
        worth_waiting=prepared is None and large,
    )


def thins(tensor: Tensor, scheme: Scheme, limits: Limits) -> bool:
    """Whether some elements of each group may stand for all of them: there are enough, and its range needs no other."""
    return (
        tensor.elements > limits.few_of_groups
        and not reads_shape(scheme.range_rule)
        and not convention_of(scheme).of_elements
        and can_be_thinned(scheme.granularity, tensor.shape, limits.few_of_groups)
    )


def _bins(scheme: Scheme, cuts: int) -> int:
    """As many as so many searches allow: one for each bin of each level, on both sides."""
    return max(1, min(BINS_TO_HALF_STEP, cuts // (2 * scheme.number_format.levels)))
