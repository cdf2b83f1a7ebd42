"""How many bytes does the tensor take, before and after?"""

from __future__ import annotations

import math

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.arrays import distinct
from qviz.core.frozen import frozen
from qviz.core.ranges.known import Known

SINGLE_BITS, HALF_BITS = 32, 16
"""Of a float32, and of a float16 or bfloat16."""


@frozen
class Storage:
    """Bytes of a tensor as float and as codes, with nothing left out.

    Attributes
    ----------
    elements : int
    float32_bytes, float16_bytes : int
    code_bytes : int
        Codes packed without gaps (int4: two a byte), rounded up to whole bytes.
    scale_bytes, zero_point_bytes : int
        The overhead. A zero point takes the bits of a code, or a float where the convention
        keeps it real; where every zero point is 0, or the format fixes it, none is stored. A
        format's minima count here.
    """

    elements: int
    code_bytes: int
    scale_bytes: int
    zero_point_bytes: int

    @property
    def float32_bytes(self) -> int:
        return 4 * self.elements

    @property
    def float16_bytes(self) -> int:
        return 2 * self.elements

    @property
    def quantized_bytes(self) -> int:
        """Codes, scales and zero points."""
        return self.code_bytes + self.scale_bytes + self.zero_point_bytes

    @property
    def bits_per_element(self) -> float:
        """With the overhead counted."""
        return 8 * self.quantized_bytes / self.elements

    @property
    def ratio(self) -> float:
        """Everything against float32."""
        return self.quantized_bytes / self.float32_bytes


@frozen
class Widths:
    """Bits of what is stored: of a code, of a scale and a zero point of each group, and of what is stored once.

    ``nested`` is of how many scales one float32 is stored besides; 0 for none.
    """

    code: float
    scale: int
    zero_point: int
    once: int = 0
    nested: int = 0

    def storage(self, elements: int, groups: int) -> Storage:
        """The bytes of so many elements in so many groups."""
        once = self.once + (SINGLE_BITS * -(-groups // self.nested) if self.nested else 0)
        return Storage(
            elements=elements,
            code_bytes=math.ceil(elements * self.code / 8),
            scale_bytes=-(-(self.scale * groups + once) // 8),
            zero_point_bytes=-(-groups * self.zero_point // 8),
        )


def widths(qparams: QParams) -> Widths:
    """The bits of what is stored under ``qparams``."""
    number_format, convention, scheme = qparams.number_format, qparams.convention, qparams.scheme
    bits = number_format.bits
    if qparams.offset is not None:
        zero_point_bits = convention.scale_bits
    elif (
        (convention.recipe is not None and scheme.symmetric)
        or (convention.implied_zero_point and scheme.symmetric)
        or not np.any(distinct(qparams.zero_point))
    ):
        zero_point_bits = 0
    else:
        real = SINGLE_BITS if qparams.unstored_zero_point is None else HALF_BITS
        zero_point_bits = bits if qparams.whole_zero_point else real
    if not number_format.scaled:
        return Widths(bits, 0, zero_point_bits)
    scale_bits = convention.bits_of_scale(number_format, scheme.symmetric, scheme.granularity, qparams.compute)
    if not scale_bits and isinstance(scheme.range_rule, Known):
        scale_bits = SINGLE_BITS
    # A block that is looked at alone does not carry what is stored once for all of them.
    once, nested = (convention.tensor_bits, convention.nested_scales) if qparams.scale.ndim else (0, 0)
    return Widths(convention.code_bits or bits, scale_bits, zero_point_bits, once, nested)


def storage(elements: int, qparams: QParams) -> Storage:
    """The bytes of ``elements`` values under ``qparams``."""
    return widths(qparams).storage(elements, qparams.groups)
