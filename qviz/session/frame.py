"""What is a frame, which everything of one painting comes from, and the question that it answers?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

from qviz.core.frozen import frozen
from qviz.core.questions.effort import Limits
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.sorted_tensor import SortedTensor
from qviz.core.tensors.tensor import Tensor

if TYPE_CHECKING:
    from qviz.core.questions.analysis import Analysis


class Part(Enum):
    """What costs time in a pass over every element, and is left out while something is dragged that is not seen."""

    ERROR_HISTOGRAM = "error_histogram"
    ENVELOPE = "envelope"


EVERYTHING = frozenset(Part)

Reductions: TypeAlias = "Mapping[str, Callable[[Analysis], Any]]"
"""What is to be made of an answer before it is handed on, by the name of who draws it: pure functions."""


@frozen(eq=False)
class Frame:
    """Everything one painting of the page shows: the whole tensor, and what is looked at alone.

    ``range_judged``: every element was counted, but a sample decided the range. ``parts`` are there,
    and where one is missing, a complete frame follows at rest. Another may follow one that is ``passing``
    before anybody has looked behind the tabs; one that is ``judged`` stands in for an exact one, which
    follows at rest. ``reduced`` is what the reductions that were asked for made of it.
    """

    tensor: Tensor
    prepared: SortedTensor | None
    scheme: Scheme
    channel: int | None
    whole: Analysis
    shown: Analysis
    range_judged: bool = False
    parts: frozenset[Part] = EVERYTHING
    passing: bool = False
    reduced: Mapping[str, Any] = field(default_factory=dict)
    judged: bool = False


@frozen(eq=False)
class Question:
    """What a frame is the answer to.

    ``exactly`` asks for every element, however long it takes; ``error_bins`` is how many bins of
    the error histogram lie between 0 and half a step, at most. ``parts`` are those of the frame, which is ``passing``
    where the question is, or where it was ``steered`` to: complete, but a hand moves on. Where it is to be ``judged``,
    some elements of each group stand for all of them.
    """

    tensor: Tensor
    prepared: SortedTensor | None
    scheme: Scheme
    channel: int | None
    exactly: bool
    error_bins: int
    limits: Limits
    parts: frozenset[Part] = EVERYTHING
    passing: bool = False
    reductions: Reductions = field(default_factory=dict)
    steered: bool = False
    judged: bool = False

    @property
    def bins(self) -> int:
        """Bins that are to be filled; 0 where nobody looks at them."""
        return self.error_bins if Part.ERROR_HISTOGRAM in self.parts else 0


def foresee_worst(analysis: Analysis) -> None:
    """Find which groups are the worst: a reduction for the one who lists them."""
    if analysis.groups is not None:
        _ = analysis.groups.worst_ones


def foresee_groups(analysis: Analysis) -> None:
    """Find what is drawn of the groups: a reduction for those who show them all."""
    if analysis.groups is not None:
        analysis.groups.foresee()
