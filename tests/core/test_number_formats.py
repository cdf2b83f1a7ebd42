"""Which numbers can a code stand for?"""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import IntFormat, Problem


@pytest.mark.parametrize(
    ("bits", "signed", "name", "quant_min", "quant_max", "levels", "dtype"),
    [
        (2, True, "int2", -2, 1, 4, np.int8),
        (2, False, "uint2", 0, 3, 4, np.uint8),
        (3, True, "int3", -4, 3, 8, np.int8),
        (4, True, "int4", -8, 7, 16, np.int8),
        (4, False, "uint4", 0, 15, 16, np.uint8),
        (8, True, "int8", -128, 127, 256, np.int8),
        (8, False, "uint8", 0, 255, 256, np.uint8),
        (9, True, "int9", -256, 255, 512, np.int16),
        (16, True, "int16", -32768, 32767, 65536, np.int16),
        (16, False, "uint16", 0, 65535, 65536, np.uint16),
    ],
)
def test_the_codes_of_an_integer_format(bits, signed, name, quant_min, quant_max, levels, dtype):
    number_format = IntFormat(bits, signed)
    assert number_format.name == name
    assert (number_format.quant_min, number_format.quant_max) == (quant_min, quant_max)
    assert number_format.levels == levels
    assert number_format.dtype == np.dtype(dtype)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", range(2, 17))
def test_the_smallest_type_that_holds_every_code(bits, signed):
    f = IntFormat(bits, signed)
    limits = np.iinfo(f.dtype)
    assert limits.min <= f.quant_min <= f.quant_max <= limits.max
    assert f.quant_max - f.quant_min + 1 == f.levels
    assert f.dtype.itemsize == (1 if bits <= 8 else 2)


@pytest.mark.parametrize("bits", [1, 0, -8, 17, 8.0, "8", None, True])
def test_other_bit_widths_are_a_problem(bits):
    with pytest.raises(Problem, match="choose a bit width from 2 to 16"):
        IntFormat(bits)


def test_int8_is_the_default_and_formats_are_values():
    assert IntFormat() == IntFormat(8, True)
    assert hash(IntFormat(4, False)) == hash(IntFormat(bits=4, signed=False))
    assert IntFormat(4).to_dict() == {"kind": "int", "bits": 4, "signed": True}
