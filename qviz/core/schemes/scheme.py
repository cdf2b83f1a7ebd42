"""What did the person choose? One frozen value that panels, undo, files and commands pass around."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NUMBER_FORMATS, NumberFormat
from qviz.core.plain import tagged_from_plain, to_plain
from qviz.core.problems import Phrase, Problem
from qviz.core.ranges.rules import MinMax, RangeRule
from qviz.core.ranges.table import RANGE_RULES
from qviz.core.runtimes.table import convention_named
from qviz.core.tensors.granularity import GRANULARITIES, Granularity, PerTensor


@dataclass(frozen=True)
class Scheme:
    """A complete choice of quantizer: equal schemes give equal codes.

    Parameters
    ----------
    number_format : IntFormat | FloatFormat | Codebook
        Which codes there are.
    symmetric : bool
        The range is centred on zero.
    granularity : PerTensor | PerAxis | PerBlock | PerToken
        Which elements share a scale.
    range_rule : RangeRule
        How the range is found: a class of `qviz.core.ranges.table.RANGE_RULES`.
    convention : str
        Whose arithmetic, a key of `qviz.core.CONVENTIONS`.

    Raises
    ------
    Problem
        When there is no such convention, or when it does not offer such a scheme.
    """

    number_format: NumberFormat = field(default_factory=IntFormat)
    symmetric: bool = True
    granularity: Granularity = field(default_factory=PerTensor)
    range_rule: RangeRule = field(default_factory=MinMax)
    convention: str = "onnxruntime"

    def __post_init__(self) -> None:
        convention_named(self.convention).check(self.number_format, self.symmetric, self.granularity)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `Scheme.from_dict` takes them back."""
        return to_plain(self)

    @classmethod
    def from_dict(cls, data: object) -> Scheme:
        """The scheme that `to_dict` wrote.

        Raises
        ------
        Problem
            When a part is missing, unknown or out of range.
        """
        if not isinstance(data, Mapping):
            raise Problem("This is not a scheme: expected an object with number_format, granularity and so on.")
        missing = [f.name for f in fields(cls) if f.name not in data]
        if missing:
            raise Problem("This is not a complete scheme: {missing} is missing.", missing=", ".join(missing))
        if not isinstance(data["symmetric"], bool):
            raise Problem("The scheme's “symmetric” must be true or false.")
        return cls(
            number_format=tagged_from_plain(NUMBER_FORMATS, data["number_format"], Phrase("scheme's number format")),
            symmetric=data["symmetric"],
            granularity=tagged_from_plain(GRANULARITIES, data["granularity"], Phrase("scheme's granularity")),
            range_rule=tagged_from_plain(RANGE_RULES, data["range_rule"], Phrase("scheme's range rule")),
            convention=str(data["convention"]),
        )
