"""What did the person choose? One frozen value that panels, undo, files and commands pass around."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from qviz.core.formats.table import NUMBER_FORMATS, NumberFormat, format_named
from qviz.core.plain import tagged_from_plain, to_plain
from qviz.core.problems import Phrase, Problem
from qviz.core.ranges.known import Known
from qviz.core.ranges.rules import MinMax, RangeRule
from qviz.core.ranges.table import RANGE_RULES
from qviz.core.runtimes.precision import AUTO, COMPUTE_DTYPES, FLOAT32, compute_dtype
from qviz.core.runtimes.record import Convention
from qviz.core.runtimes.table import CONVENTIONS, convention_named
from qviz.core.tensors.granularity import GRANULARITIES, Granularity, PerBlock, PerTensor


@dataclass(frozen=True, init=False, repr=False)
class Scheme:
    """A complete choice of quantizer: equal schemes give equal codes.

    Parameters
    ----------
    number_format : IntFormat | FloatFormat | Codebook | str
        Which codes there are; or a name for `format_named`, such as ``"int8"``.
    symmetric : bool
        The range is centred on zero.
    granularity : PerTensor | PerAxis | PerBlock | PerToken | str
        Which elements share a scale; or the ``kind`` of one as it is by default: ``"tensor"``, ``"axis"``, …
    range_rule : RangeRule | str
        How the range is found: of a class of `qviz.core.ranges.table.RANGE_RULES`; or the ``kind`` of one as it is
        by default: ``"minmax"``, ``"mse"``, …
    convention : str
        Whose arithmetic, a key of `qviz.core.CONVENTIONS`.
    compute_dtype : str
        ``"auto"``: a runtime computes in the tensor's own type as far as it does so itself; ``"float32"``: the
        tensor is taken for a float32 one.
    power_of_two : bool
        Scales are rounded up to powers of two, as E8M0 stores them (DeepSeek's UE8M0) and shifts need them.

    Raises
    ------
    Problem
        When a part is none, when there is no such convention, or when it does not offer such a scheme.
    """

    number_format: NumberFormat
    symmetric: bool
    granularity: Granularity
    range_rule: RangeRule
    convention: str
    compute_dtype: str
    power_of_two: bool

    def __init__(
        self,
        number_format: NumberFormat | str = "int8",
        symmetric: bool = True,
        granularity: Granularity | str = PerTensor.kind,
        range_rule: RangeRule | str = MinMax.kind,
        convention: str = "onnxruntime",
        compute_dtype: str = AUTO,
        power_of_two: bool = False,
    ) -> None:
        # Written out, for a shorthand is of another type than the field that it fills.
        parts = {
            "number_format": format_named(number_format) if isinstance(number_format, str) else number_format,
            "symmetric": _of_numpy(symmetric),
            "granularity": _of_kind(GRANULARITIES, granularity, Phrase("granularity")),
            "range_rule": _of_kind(RANGE_RULES, range_rule, Phrase("range rule")),
            "convention": convention,
            "compute_dtype": compute_dtype,
            "power_of_two": _of_numpy(power_of_two),
        }
        for name, part in parts.items():
            object.__setattr__(self, name, part)
        self._check_types()
        record = convention_named(convention)
        record.check(self.number_format, self.symmetric, self.granularity)
        if record.of_elements and self.range_rule.kind not in (MinMax.kind, Known.kind):
            raise Problem(
                "{runtime} takes its scales from the elements, not from a range: choose the range from min to max, or "
                "another runtime.",
                runtime=Phrase(record.label),
            )
        self._check_scales()
        if isinstance(self.granularity, PerBlock):
            of_runtime = self.granularity.of_runtime(convention_of(self).fills_blocks)
            object.__setattr__(self, "granularity", of_runtime)

    def _check_types(self) -> None:
        if not isinstance(self.number_format, tuple(NUMBER_FORMATS.values())):
            raise Problem(
                "A scheme's number format cannot be {given!r}: give one such as IntFormat(8), or its name, “int8”.",
                given=self.number_format,
            )
        if not isinstance(self.symmetric, bool):
            raise Problem("A scheme's “symmetric” cannot be {given!r}: give True or False.", given=self.symmetric)
        if not isinstance(self.granularity, tuple(GRANULARITIES.values())):
            raise Problem(
                "A scheme's granularity cannot be {given!r}: give one such as PerAxis(0), or one of {choices}.",
                given=self.granularity,
                choices=", ".join(GRANULARITIES),
            )
        if isinstance(self.range_rule, type) or not hasattr(self.range_rule, "estimate"):
            raise Problem(
                "A scheme's range rule cannot be {given!r}: give one such as MinMax(), or one of {choices}.",
                given=self.range_rule,
                choices=", ".join(RANGE_RULES),
            )
        if not isinstance(self.convention, str):
            raise Problem(
                "A scheme's convention cannot be {given!r}: give one of {choices}.",
                given=self.convention,
                choices=", ".join(CONVENTIONS),
            )
        if self.compute_dtype not in COMPUTE_DTYPES:
            raise Problem(
                "A scheme cannot be computed as {given!r}: give one of {choices}.",
                given=self.compute_dtype,
                choices=", ".join(COMPUTE_DTYPES),
            )

        if not isinstance(self.power_of_two, bool):
            raise Problem("A scheme's “power_of_two” cannot be {given!r}: give True or False.", given=self.power_of_two)

    def _check_scales(self) -> None:
        convention = convention_named(self.convention).of(self.number_format, self.symmetric, self.granularity)
        if isinstance(self.range_rule, Known) and self.number_format.scaled:
            self._check_known(self.range_rule, convention)
        if self.power_of_two and not convention.takes_powers_of_two:
            raise Problem(
                "{runtime} has scales of its own kind, which are not made powers of two: choose another runtime.",
                runtime=Phrase(convention.label),
            )

    def _check_known(self, rule: Known, convention: Convention) -> None:
        if not convention.takes_known_scales:
            raise Problem(
                "{number_format} of “{runtime}” takes no known scale: choose another range, or another runtime.",
                number_format=self.number_format.label,
                runtime=Phrase(convention.label),
            )
        middle = float(np.float32(convention.middle(self.number_format)))
        if self.symmetric and not {float(np.float32(point)) for point in rule.zero_point} <= {0.0, middle}:
            raise Problem(
                "A symmetric scheme has the zero point {middle:g}: choose asymmetric for another one.", middle=middle
            )

    def __repr__(self) -> str:
        # With the shorthands that `Scheme` takes: it is typed in again as it is read.
        granularity, rule = _short(GRANULARITIES, self.granularity), _short(RANGE_RULES, self.range_rule)
        computed = "" if self.compute_dtype == AUTO else f", compute_dtype={self.compute_dtype!r}"
        computed += ", power_of_two=True" if self.power_of_two else ""
        return (
            f"Scheme({self.number_format.name!r}, symmetric={self.symmetric}, granularity={granularity}, "
            f"range_rule={rule}, convention={self.convention!r}{computed})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `Scheme.from_dict` takes them back. What is as by default is left out at the end."""
        plain = to_plain(self)
        if self.compute_dtype == AUTO:
            del plain["compute_dtype"]
        if not self.power_of_two:
            del plain["power_of_two"]
        return plain

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
        added = ("compute_dtype", "power_of_two")
        missing = [f.name for f in fields(cls) if f.name not in (*data, *added)]
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
            compute_dtype=str(data.get("compute_dtype", AUTO)),
            power_of_two=data.get("power_of_two", False),
        )


def convention_of(scheme: Scheme) -> Convention:
    """The record of the arithmetic of a scheme: a runtime may have another quantizer for blocks."""
    convention = convention_named(scheme.convention).of(scheme.number_format, scheme.symmetric, scheme.granularity)
    return convention.in_powers_of_two if scheme.power_of_two else convention


def computes_in(scheme: Scheme, dtype: str) -> str:
    """The type that a scheme's runtime finds scales in, or stores them in, for a tensor of such a type."""
    convention = convention_of(scheme)
    types = convention.precision(compute_dtype(dtype, AUTO), scheme.number_format, scheme.symmetric, scheme.granularity)
    return types.scale if types.ranges == FLOAT32 else types.ranges


def _of_kind(table: Mapping[str, Any], given: Any, what: Phrase) -> Any:
    """What a shorthand stands for; anything else as it is."""
    if not isinstance(given, str):
        return given
    if given not in table:
        raise Problem(
            "There is no {what} “{given}”: choose one of {choices}.", what=what, given=given, choices=", ".join(table)
        )
    return table[given]()


def _short(table: Mapping[str, Any], part: Any) -> str:
    """The shorthand of a part, where it is as by default."""
    kind = part.kind
    return repr(kind if kind in table and part == table[kind]() else part)


def _of_numpy(given: Any) -> Any:
    return bool(given) if isinstance(given, np.bool_) else given
