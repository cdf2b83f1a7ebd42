"""How does one runtime turn a range into a scale and a zero point, and a value into a code?

Only what the runtimes really do differently is a field here; `qviz.core.arithmetic.qparams` reads the fields
and knows no runtime by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from qviz.core.arrays import FloatArray, Floats
from qviz.core.formats.codebooks import CODEBOOKS, Codebook
from qviz.core.formats.floats import FloatFormat
from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.frozen import frozen
from qviz.core.problems import Phrase, Problem
from qviz.core.runtimes.formulas import (
    Formulas,
    FormulasOf,
    all_codes,
    full_range,
    no_middle,
    no_zero_point,
    twice_the_last,
    unscaled,
)
from qviz.core.runtimes.precision import (
    BYTE,
    FLOAT32,
    PLAIN,
    POWER_OF_TWO,
    Precision,
    PrecisionOf,
    always_float32,
    in_precision,
)
from qviz.core.tensors.granularity import Granularity, PerBlock, PerTensor

BELOW_NORMAL, AT_ZERO, NEVER = range(3)
"""When a range is too narrow for a scale, so that 1 stands in: its scale would be denormal; it has no width; never."""

SMALL_BITS, HALF_BITS = 4, 16

MIDDLE, FIRST, ZERO, LAST = range(4)
"""Which code NaN gets among whole numbers: the one nearest to the zero point, the first one, or 0; in any format the
last one."""


USUAL_BLOCK = 32


def below_normal(number_format: NumberFormat) -> int:
    """Of every format: no scale is denormal."""
    return BELOW_NORMAL


@frozen(eq=False)
class Recipe:
    """The parameters of blocks that a recipe made: float32 arrays of one shape; see `QParams`.

    ``ends`` are the smallest and the largest scale and divisor, where they were found on the way.
    """

    scale: FloatArray
    divisor: FloatArray
    zero_point: float | FloatArray = 0.0
    shift: FloatArray | None = None
    offset: FloatArray | None = None
    ends: tuple[tuple[float, float], tuple[float, float]] | None = None

    def shaped(self, shape: tuple[int, ...]) -> Recipe:
        """The same in another shape."""
        arrays = (self.scale, self.divisor, self.shift, self.offset)
        scale, divisor, shift, offset = (None if each is None else each.reshape(shape) for each in arrays)
        assert scale is not None and divisor is not None
        points = self.zero_point if isinstance(self.zero_point, float) else self.zero_point.reshape(shape)
        return Recipe(scale, divisor, points, shift, offset, self.ends)


MOST_OFFERS = 1 << 10
"""Answers that a record remembers at most."""


@frozen
class Convention:
    """How one runtime turns a range into a scale and a zero point, and a value into a code.

    Attributes
    ----------
    name, label, summary : str
        The name people type, the one they read, and a line on what is particular about it.
    range_includes_zero : bool
        Whether an asymmetric range is first widened to contain 0.
    symmetric_span : Callable[[IntFormat], float]
        How many scales wide [-absmax, absmax] is; the scale is ``absmax / (span / 2)``. By itself ``absmax / qmax``.
    symmetric_zero_point : Callable[[IntFormat], float]
        The zero point of a symmetric scheme; 0 by itself.
    zero_point : Callable[[IntFormat, low, high, scale], array]
        The zero point of an asymmetric scheme, in the precision of the scale.
    formulas : Callable[[NumberFormat, symmetric], Formulas]
        The same rules as people write them: symbols, numbers and Python follow from each.
    zero_point_before_rounding : bool
        ``round(x / s + Z)`` when true, ``round(x / s) + Z`` when false.
    degenerate_zero_point : Callable[[high], array]
        The zero point of an asymmetric range too narrow for a scale (the scale is then 1).
    scale_range : Callable[[IntFormat], (first, last)]
        The codes that an asymmetric range is spread over.
    code_range : Callable[[IntFormat, symmetric], (first, last)]
        The codes that are clipped to.
    multiplies_by_reciprocal : bool
        ``x * (1 / s)`` instead of ``x / s``.
    divides_by_threshold : bool
        ``x / T * (span / 2)`` instead of ``x / s``, with T the absmax of a symmetric range.
    multiplies_by_threshold : bool
        ``Q * T / (span / 2)`` instead of ``Q * s`` for the value of a code, beside ``divides_by_threshold``.
    scales_zero_point : bool
        ``Q * s - Z * s`` instead of ``(Q - Z) * s``.
    divisor_is_inverse : bool
        Whether the recipe's divisor is what values are multiplied by.
    single_precision : bool
        Whether scale and zero point follow from the range in float32, not in float64.
    falls_back : Callable[[NumberFormat], int]
        `BELOW_NORMAL`, `AT_ZERO` or `NEVER`.
    nan_code : int
        `MIDDLE`, `FIRST`, `ZERO` or `LAST`.
    smallest_scale, smallest_range : float
        The scale of integers is made at least this large; so is the width of an asymmetric range, or the absmax
        of a symmetric one, before it is divided. Where both are 0, a range can be too narrow.
    symmetric_only, signed_only, asymmetric_only, unsigned_only : bool
        What the runtime does not offer is a `Problem`.
    integers : frozenset of str, or None
        The names of the integer formats it knows; None for all of them.
    others : frozenset of str
        The small floats and codebooks it knows, by their ``format``.
    symmetric_integers_only : frozenset of str
        Integer formats that it quantizes symmetrically only.
    asymmetric_integers_only : frozenset of str
        Those that it quantizes asymmetrically only.
    block_size : int or None
        Where not None, every scheme is per block of so many elements of the last axis.
    whole_blocks : bool
        Whether the last block of an axis must be full.
    superblock : int
        Where its blocks come in larger ones, of how many elements those are; 0 elsewhere.
    ragged_instead : Phrase or None
        What the runtime does with tensors whose axis its blocks do not divide: a sentence, or nothing.
    per_block : bool
        Whether every scheme is per block, along any axis.
    block_sizes : tuple of int
        The blocks it has then; any where there are none.
    fills_blocks : bool
        Whether blocks longer than their axis are filled up with zeros.
    of_blocks : Convention or None
        The record for blocks, where another quantizer of the runtime makes those that it offers.
    scale_of_extreme : bool
        Whether a symmetric scale is the signed element furthest from 0 through minus half of the span.
    implied_zero_point : bool
        Whether a symmetric zero point is not stored.
    inverse_overflows : bool
        Whether values are multiplied by 1 / S though that be infinite: then nothing is left of the group.
    halves_away : bool
        Whether a `code` of its own rounds halves away from 0; by itself half up where codes are unsigned.
    scale_bits, tensor_bits : int
        Bits of a stored scale, and of what is stored once a tensor.
    nested_scales : int
        Of how many scales, which are codes then, one more float32 is stored; 0 for none.
    group_scale_bits : int
        Bits of a stored scale of a block of integers of 4 bits or fewer; 0 for the same.
    code_bits : float
        Bits of a stored code, where several are packed into fewer than its format has; 0 for those of the format.
    precision : Callable[[dtype, NumberFormat, symmetric, Granularity], Precision]
        The types it computes in, by the type of the tensor.
    by_formulas : bool
        Whether scale and zero point are what the formulas come to, whatever the type.
    recipe : Callable[[low, high, scheme], Recipe] or None
        Scales that follow from the ranges of blocks in a way of their own.
    code : Callable[[Quantizer, x, out], codes] or None
        Unclipped codes in a way of its own.
    of_elements : str
        How scales and zero points follow from the elements themselves, a key of `qviz.core.questions.fits`; empty
        where they follow from a range.
    not_finite : str
        What it does with elements that are no finite numbers, a sentence; empty where `nan_code` tells.
    beyond : Callable[[FloatFormat, quotients, codes], codes] or None
        What rounded codes beyond the last one become, where they are not clipped: NaN, or infinite.
    beyond_loops : bool
        Whether `code` is beyond compiled loops, which know one division of float32.
    of_whole_tensor : bool
        Whether a group's scale depends on the ranges of the others, too.
    recipe_in_parts : bool
        Whether the recipe itself sees to it that of many groups some are looked at together.
    """

    name: str
    label: str
    summary: str
    range_includes_zero: bool
    formulas: FormulasOf
    symmetric_span: Callable[[IntFormat], float] = twice_the_last
    symmetric_zero_point: Callable[[IntFormat], float] = no_middle
    zero_point: Callable[[IntFormat, Floats, Floats, Floats], Floats] = no_zero_point
    zero_point_before_rounding: bool = False
    degenerate_zero_point: Callable[[Floats], Floats] = np.zeros_like
    scale_range: Callable[[IntFormat], tuple[int, int]] = full_range
    code_range: Callable[[IntFormat, bool], tuple[int, int]] = all_codes
    multiplies_by_reciprocal: bool = False
    divides_by_threshold: bool = False
    multiplies_by_threshold: bool = False
    scales_zero_point: bool = False
    divisor_is_inverse: bool = False
    single_precision: bool = False
    falls_back: Callable[[NumberFormat], int] = below_normal
    nan_code: int = MIDDLE
    smallest_scale: float = 0.0
    smallest_range: float = 0.0
    symmetric_only: bool = False
    signed_only: bool = False
    asymmetric_only: bool = False
    unsigned_only: bool = False
    integers: frozenset[str] | None = None
    others: frozenset[str] = frozenset()
    symmetric_integers_only: frozenset[str] = frozenset()
    asymmetric_integers_only: frozenset[str] = frozenset()
    block_size: int | None = None
    whole_blocks: bool = False
    superblock: int = 0
    ragged_instead: Phrase | None = None
    per_block: bool = False
    block_sizes: tuple[int, ...] = ()
    fills_blocks: bool = False
    of_blocks: Convention | None = None
    scale_of_extreme: bool = False
    implied_zero_point: bool = False
    inverse_overflows: bool = False
    halves_away: bool = False
    scale_bits: int = 32
    tensor_bits: int = 0
    nested_scales: int = 0
    group_scale_bits: int = 0
    code_bits: float = 0.0
    precision: PrecisionOf = always_float32
    by_formulas: bool = False
    recipe: Callable[[FloatArray, FloatArray, Any], Recipe] | None = None
    code: Callable[[Any, FloatArray, FloatArray | None], FloatArray] | None = None
    of_elements: str = ""
    not_finite: str = ""
    beyond: Callable[[FloatFormat, FloatArray, FloatArray], FloatArray] | None = None
    beyond_loops: bool = False
    of_whole_tensor: bool = False
    recipe_in_parts: bool = False

    def knows(self, number_format: NumberFormat) -> bool:
        """Whether the runtime has such codes at all."""
        if not isinstance(number_format, IntFormat):
            return number_format.format in self.others
        return self.integers is None or number_format.name in self.integers

    @property
    def has_one_format(self) -> bool:
        """Whether there is nothing to choose about its codes."""
        return self.integers is not None and len(self.integers) + len(self.others) == 1

    def offers(self, number_format: NumberFormat, symmetric: bool, granularity: Granularity | None = None) -> bool:
        """Whether the runtime knows such codes; per tensor where no granularity is given."""
        asked = number_format, symmetric, granularity or PerTensor()
        known = self._offers.get(asked)
        if known is None:
            try:
                self.check(*asked)
                known = True
            except Problem:
                known = False
            if len(self._offers) >= MOST_OFFERS:
                self._offers.clear()
            self._offers[asked] = known
        return known

    @cached_property
    def _offers(self) -> dict[tuple[NumberFormat, bool, Granularity], bool]:
        """What was asked before: every movement of a slider asks several times, and a problem takes long to word."""
        return {}

    def check(self, number_format: NumberFormat, symmetric: bool, granularity: Granularity) -> None:
        """Nothing, where the runtime knows such codes.

        Raises
        ------
        Problem
            Where it does not.
        """
        name = number_format.label
        if not symmetric and not number_format.offers_zero_point:
            raise Problem("{name} has no zero point: choose symmetric, or an integer format.", name=name)
        if self.symmetric_only and not symmetric:
            raise Problem(
                "{runtime} quantizes symmetrically only: choose symmetric, or another runtime.",
                runtime=Phrase(self.label),
            )
        if self.signed_only and not number_format.signed:
            raise Problem(
                "{runtime} has signed codes only: choose signed, or another runtime.", runtime=Phrase(self.label)
            )
        if self.asymmetric_only and symmetric:
            raise Problem(
                "{runtime} quantizes asymmetrically only: choose asymmetric, or another runtime.",
                runtime=Phrase(self.label),
            )
        if self.unsigned_only and number_format.signed:
            raise Problem(
                "{runtime} has unsigned codes only: choose unsigned, or another runtime.", runtime=Phrase(self.label)
            )
        if not self.knows(number_format):
            others = sorted(self.others)
            known: Phrase | str = ", ".join([*sorted(self.integers or ()), *others])
            if self.integers is None:
                known = Phrase("the integers, {others}", others=known) if others else Phrase("the integers")
            raise Problem(
                "{runtime} has no {name}: choose one of {known}, or another runtime.",
                runtime=Phrase(self.label),
                name=name,
                known=known,
            )
        if not symmetric and name in self.symmetric_integers_only:
            raise Problem(
                "{runtime} quantizes {name} symmetrically only: choose symmetric, or another format.",
                runtime=Phrase(self.label),
                name=name,
            )
        if symmetric and name in self.asymmetric_integers_only:
            raise Problem(
                "{runtime} quantizes {name} asymmetrically only: choose asymmetric, or another format.",
                runtime=Phrase(self.label),
                name=name,
            )
        if self.per_block and not isinstance(granularity, PerBlock):
            raise Problem(
                "{runtime} has a scale for each block: choose per block, or another runtime.",
                runtime=Phrase(self.label),
            )
        if self.block_sizes and isinstance(granularity, PerBlock) and granularity.block_size not in self.block_sizes:
            raise Problem(
                "{runtime} has no blocks of {block_size}: choose one of {sizes}.",
                runtime=Phrase(self.label),
                block_size=granularity.block_size,
                sizes=", ".join(map(str, self.block_sizes)),
            )
        if self.block_size is not None and granularity != PerBlock(-1, self.block_size):
            raise Problem(
                "{runtime} has a scale for each {block_size} neighbours of the last axis: choose per block of "
                "{block_size} along axis -1, or another runtime.",
                runtime=Phrase(self.label),
                block_size=self.block_size,
            )

    def check_shape(self, shape: tuple[int, ...], granularity: Granularity) -> None:
        """Nothing, where the runtime has such blocks of a tensor of that shape.

        Raises
        ------
        Problem
            Where it has not.
        """
        if not self.whole_blocks or not isinstance(granularity, PerBlock):
            return
        length = shape[granularity.resolve(shape)]
        size = self.superblock or granularity.block_size
        if length % size == 0:
            return
        raise Problem(
            "{runtime} has full blocks alone, but axis {axis} of a tensor of shape {shape} has {length:,} elements, "
            "which {block_size} does not divide: choose another runtime, or fill the axis up with zeros.{instead}",
            runtime=Phrase(self.label),
            axis=granularity.axis,
            shape=shape,
            length=length,
            block_size=size,
            instead=self.ragged_instead or "",
        )

    def nearest(
        self, number_format: NumberFormat, symmetric: bool, granularity: Granularity | None = None
    ) -> tuple[NumberFormat, bool, Granularity]:
        """What it offers in the place of such a scheme: as little as possible gives way."""
        formats = [number_format]
        if isinstance(number_format, IntFormat):
            formats.append(replace(number_format, signed=not number_format.signed))
        formats += [IntFormat(bits, signed) for bits in (8, 4, 6, 5, 3, 2) for signed in (True, False)]
        formats += [Codebook(f) if f in CODEBOOKS else FloatFormat(f) for f in sorted(self.others)]
        blocks = granularity or PerTensor()
        if self.block_size is not None:
            blocks = PerBlock(-1, self.block_size)
        elif self.per_block and not isinstance(blocks, PerBlock):
            blocks = PerBlock(-1, USUAL_BLOCK)
        elif isinstance(blocks, PerBlock) and self.block_sizes and blocks.block_size not in self.block_sizes:
            blocks = PerBlock(blocks.axis, USUAL_BLOCK)
        choices = [(codes, mode) for codes in formats for mode in (symmetric, not symmetric)]
        codes, mode = next((codes, mode) for codes, mode in choices if self.offers(codes, mode, blocks))
        return codes, mode, blocks

    def bits_of_scale(
        self, number_format: NumberFormat, symmetric: bool, granularity: Granularity, dtype: str = FLOAT32
    ) -> int:
        """Bits of a stored scale; 0 where values are rounded as they are.

        Parameters
        ----------
        dtype : str
            The type that the runtime takes the tensor for.
        """
        if not number_format.scaled:
            return 0
        stored = self.precision(dtype, number_format, symmetric, granularity).scale
        if stored != FLOAT32:
            return BYTE if stored == POWER_OF_TWO else HALF_BITS
        small = isinstance(granularity, PerBlock) and number_format.bits <= SMALL_BITS
        return self.group_scale_bits if small and self.group_scale_bits else self.scale_bits

    @property
    def default_block(self) -> int | None:
        """The size of the blocks to begin with, where the runtime has nothing but blocks; None elsewhere."""
        return USUAL_BLOCK if self.per_block else self.block_size

    def of(self, number_format: NumberFormat, symmetric: bool, granularity: Granularity) -> Convention:
        """Itself, or the record of its quantizer for such blocks."""
        special = self.of_blocks
        if special is None or not isinstance(granularity, PerBlock):
            return self
        return special if special.offers(number_format, symmetric, granularity) else self

    @property
    def takes_powers_of_two(self) -> bool:
        """Whether its scales follow from ranges alone, so that they can be rounded up."""
        own = self.recipe is not None or self.code is not None or self.of_elements
        return not (own or self.divides_by_threshold or self.scale_of_extreme)

    @property
    def takes_known_scales(self) -> bool:
        """Whether what somebody else chose can stand in the place of its scales, which are no recipe's own codes."""
        return self.code is None and not self.divisor_is_inverse and not self.superblock

    @cached_property
    def in_powers_of_two(self) -> Convention:
        """Itself, with scales that are rounded up to powers of two."""

        def precision(dtype: str, number_format: NumberFormat, symmetric: bool, granularity: Granularity) -> Precision:
            types = self.precision(dtype, number_format, symmetric, granularity)
            # They reach beyond float16, and so would their inverses.
            return Precision(scale=POWER_OF_TWO, result=types.result)

        return replace(self, precision=precision)

    def signed_extreme(self, number_format: NumberFormat, symmetric: bool) -> bool:
        """True for recipes that need the signed extreme (Q4_0, Q5_0); ties go to the first element."""
        blocks = self.recipe is not None and self.block_size is not None
        return blocks and symmetric and not number_format.signed

    def signs_scales(self, number_format: NumberFormat, symmetric: bool) -> bool:
        """Whether the end that is further from 0 gives a scale its sign, so that it has the first code."""
        return (symmetric and self.scale_of_extreme) or self.signed_extreme(number_format, symmetric)

    def formulas_of(self, number_format: NumberFormat, symmetric: bool, precision: Precision = PLAIN) -> Formulas:
        """What is computed under a scheme, as it is written down."""
        if not number_format.scaled:
            return in_precision(unscaled(number_format), Precision(result=precision.result), number_format)
        formulas = (precision.formulas or self.formulas)(number_format, symmetric)
        return formulas if precision == PLAIN else in_precision(formulas, precision, number_format)

    def half_span(self, number_format: NumberFormat) -> float:
        """The scale of a symmetric range is its absmax divided by this."""
        if isinstance(number_format, IntFormat):
            return self.symmetric_span(number_format) / 2
        return float(number_format.quant_max)

    def middle(self, number_format: NumberFormat) -> float:
        """The zero point of a symmetric scheme."""
        return self.symmetric_zero_point(number_format) if isinstance(number_format, IntFormat) else 0.0

    def ends(self, number_format: NumberFormat, symmetric: bool) -> tuple[Any, Any]:
        """The unit values that are clipped to."""
        if isinstance(number_format, IntFormat):
            return self.code_range(number_format, symmetric)
        return number_format.quant_min, number_format.quant_max
