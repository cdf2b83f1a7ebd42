"""Which numbers can a code stand for?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qviz.core import Codebook, FloatFormat, IntFormat, Problem, format_named
from qviz.core.formats.codebooks import CODEBOOKS
from qviz.core.formats.floats import FLOATS
from qviz.core.formats.table import NUMBER_FORMATS
from tests.every import every

F = np.float32

EVERY = (
    *(IntFormat(bits, signed) for bits in (2, 3, 4, 8, 16) for signed in (True, False)),
    *(FloatFormat(name) for name in FLOATS),
    *(Codebook(name) for name in CODEBOOKS),
)
each = pytest.mark.parametrize("number_format", EVERY, ids=lambda f: f.name)


@every(
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


@every("signed", [True, False])
@every("bits", range(2, 17))
def test_the_smallest_type_that_holds_every_code(bits, signed):
    f = IntFormat(bits, signed)
    limits = np.iinfo(f.dtype)
    assert limits.min <= f.quant_min <= f.quant_max <= limits.max
    assert f.quant_max - f.quant_min + 1 == f.levels
    assert f.dtype.itemsize == (1 if bits <= 8 else 2)


@every("bits", [1, 0, -8, 17, 8.0, "8", None, True])
def test_other_bit_widths_are_a_problem(bits):
    with pytest.raises(Problem, match="choose a bit width from 2 to 16"):
        IntFormat(bits)


def test_int8_is_the_default_and_formats_are_values():
    assert IntFormat() == IntFormat(8, True)
    assert hash(IntFormat(4, False)) == hash(IntFormat(bits=4, signed=False))
    assert IntFormat(4).to_dict() == {"kind": "int", "bits": 4, "signed": True}


# --- what all formats have in common ---------------------------------------------------------------


@each
def test_every_format_says_the_same_things_about_itself(number_format):
    f, values = number_format, number_format.values
    assert NUMBER_FORMATS[f.kind] is type(f)
    assert (values[0], values[-1], values.size) == (f.quant_min, f.quant_max, f.levels)
    assert values.dtype == F
    assert np.all(np.diff(values) > 0)
    assert f.largest_step == np.diff(values.astype(np.float64)).max()
    assert f.levels <= 1 << f.bits
    assert f.dtype.itemsize == (1 if f.bits <= 8 else 2)
    assert f.offers_zero_point == isinstance(f, IntFormat)
    assert f.scaled == (f.name not in ("bfloat16", "float16"))
    assert type(f)(**{key: value for key, value in f.to_dict().items() if key != "kind"}) == f


@each
def test_every_value_is_its_own_nearest_and_has_a_code_that_means_it(number_format):
    values = number_format.values
    np.testing.assert_array_equal(number_format.round(values.copy(), np.empty_like(values)), values)
    np.testing.assert_array_equal(number_format.index(values), np.arange(values.size))
    codes = number_format.encode(values, values)
    assert codes.dtype == number_format.dtype
    assert np.unique(codes).size == values.size
    np.testing.assert_array_equal(number_format.decode(codes), values, strict=True)


@given(st.sampled_from(EVERY), st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=30))
def test_rounding_finds_the_nearest_value(number_format, shares):
    reach = max(abs(number_format.quant_min), number_format.quant_max)
    x = np.clip(np.array(shares, F) * F(reach), F(number_format.quant_min), F(number_format.quant_max))
    values = number_format.values.astype(np.float64)
    rounded = number_format.round(x.copy(), np.empty_like(x)).astype(np.float64)
    assert np.isin(rounded, values).all()
    above = np.clip(np.searchsorted(values, x), 1, values.size - 1)
    least = np.minimum(np.abs(values[above] - x), np.abs(values[above - 1] - x))
    np.testing.assert_array_equal(np.abs(rounded - x), least)


@each
def test_what_is_not_a_number_stays_so(number_format):
    x = np.array([np.nan], F)
    assert np.isnan(number_format.round(x, np.empty_like(x)))


# --- small floats ----------------------------------------------------------------------------------


@every(
    ("layout", "name", "label", "bits", "largest", "step", "levels"),
    [
        ("e4m3fn", "float8_e4m3fn", "FP8 E4M3FN", 8, 448, 32, 253),
        ("e5m2", "float8_e5m2", "FP8 E5M2", 8, 57344, 8192, 247),
        ("e2m3fn", "float6_e2m3fn", "FP6 E2M3", 6, 7.5, 0.5, 63),
        ("e3m2fn", "float6_e3m2fn", "FP6 E3M2", 6, 28, 4, 63),
        ("e2m1fn", "float4_e2m1fn", "FP4 E2M1", 4, 6, 2, 15),
        ("float16", "float16", "float16", 16, 65504, 32, 63487),
    ],
)
def test_the_values_of_a_small_float(layout, name, label, bits, largest, step, levels):
    f = FloatFormat(layout)
    assert (f.name, f.label, f.bits, f.levels) == (name, label, bits, levels)
    assert (-f.quant_min, f.quant_max, f.largest_step) == (largest, largest, step)
    np.testing.assert_array_equal(f.decode(f.encode(f.values, f.values)), f.values)
    with pytest.raises(ValueError, match="read-only"):
        f.values[0] = 0


def test_a_zero_keeps_the_sign_of_what_it_was():
    f = FloatFormat("e2m1fn")
    codes = f.encode(np.zeros(2, F), np.array([0.1, -0.1], F))
    assert codes.tolist() == [0, 8]
    assert np.signbit(f.decode(codes)).tolist() == [False, True]
    assert f.index(np.array([0.0, -0.0], F)).tolist() == [7, 7]


@every("name", ["e4m3", "int8", "", "float8"])
def test_a_float_that_there_is_none_of_is_a_problem(name):
    with pytest.raises(Problem, match=f"no float format “{name}”: choose one of e4m3fn, e5m2"):
        FloatFormat(name)


# --- codebooks -------------------------------------------------------------------------------------


def test_the_normal_float():
    f = Codebook("nf4")
    assert (f.name, f.label, f.bits, f.levels, f.dtype) == ("nf4", "NF4", 4, 16, np.uint8)
    assert (f.quant_min, f.quant_max, f.values[7]) == (-1, 1, 0)


def test_of_two_levels_as_near_the_lower_one_is_taken():
    f = Codebook("nf4")
    middles = (f.values[1:].astype(np.float64) + f.values[:-1]) / 2
    exact = middles == middles.astype(F)
    ties = middles[exact].astype(F)
    assert ties.size
    np.testing.assert_array_equal(f.round(ties, np.empty_like(ties)), f.values[:-1][exact])
    above = np.nextafter(ties, F(np.inf))
    np.testing.assert_array_equal(f.round(above, np.empty_like(above)), f.values[1:][exact])


def test_far_beyond_its_ends_a_codebook_has_no_level():
    f = Codebook("nf4")
    x = np.array([-5, -1.1, 1.1, 5], F)
    assert f.round(x, np.empty_like(x)).tolist() == [-np.inf, -1, 1, np.inf]


def test_a_codebook_that_there_is_none_of_is_a_problem():
    with pytest.raises(Problem, match=r"no codebook “abacus”: choose one of .*nf4"):
        Codebook("abacus")


# --- names -----------------------------------------------------------------------------------------


@each
def test_every_format_is_found_by_its_name(number_format):
    assert format_named(number_format.name) == number_format


@every(
    ("name", "number_format"),
    [
        ("int8", IntFormat(8)),
        ("uint4", IntFormat(4, False)),
        ("int16", IntFormat(16)),
        ("e4m3fn", FloatFormat("e4m3fn")),
        ("e4m3", FloatFormat("e4m3fn")),
        ("e2m1", FloatFormat("e2m1fn")),
        ("float8_e5m2", FloatFormat("e5m2")),
        ("bfloat16", FloatFormat("bfloat16")),
        ("nf4", Codebook("nf4")),
    ],
)
def test_people_have_several_names(name, number_format):
    assert format_named(name) == number_format


@every("name", ["", "int", "uint", "u8", "8", "int²", "int-8", "uuint8", "intint8", "INT8", "int8 "])
def test_a_name_that_means_nothing_is_a_problem(name):
    with pytest.raises(Problem, match=f"no number format “{name}”: choose one of int2 … int16, uint2"):
        format_named(name)


@every("name", ["int1", "int17", "uint99", "int0"])
def test_a_name_with_too_many_bits_is_a_problem(name):
    with pytest.raises(Problem, match="from 2 to 16"):
        format_named(name)


def test_a_name_with_hundreds_of_digits_is_a_problem():
    with pytest.raises(Problem, match="no number format"):
        format_named("int" + "9" * 5000)
