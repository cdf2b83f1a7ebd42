"""A convention is data: its row is all that `qviz.core.affine` knows of a runtime."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from qviz.core import (
    CONVENTIONS,
    IntFormat,
    Manual,
    PerAxis,
    Problem,
    Scheme,
    analyze,
    choose_qparams,
    dequantize,
    quantize,
)
from qviz.core.affine import walk
from qviz.core.conventions import convention_named

F = np.float32


def test_the_table_is_keyed_by_name():
    assert list(CONVENTIONS) == ["textbook", "onnxruntime"]
    assert all(convention.name == name for name, convention in CONVENTIONS.items())
    assert convention_named("textbook") is CONVENTIONS["textbook"]


def test_every_row_tells_people_what_it_is():
    for c in CONVENTIONS.values():
        assert c.label
        assert c.summary
        assert c.scale_formula.startswith("S = ")
        assert c.symmetric_scale_formula.startswith("S = ")
        assert c.zero_point_formula.startswith("Z = ")
        assert c.code_formula.startswith("Q = ")


def test_an_unknown_name_is_a_problem_that_lists_the_known_ones():
    with pytest.raises(Problem, match=r"“torchao”: choose one of textbook, onnxruntime"):
        convention_named("torchao")


def test_a_row_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        CONVENTIONS["textbook"].label = "mine"


@pytest.mark.parametrize(
    ("convention", "bits", "signed", "steps", "zero_point"),
    [
        ("textbook", 8, True, 254, 0),  # absmax / 127
        ("textbook", 8, False, 254, 128),
        ("textbook", 4, True, 14, 0),
        ("textbook", 4, False, 14, 8),
        ("textbook", 2, True, 2, 0),
        ("textbook", 2, False, 2, 2),
        ("onnxruntime", 8, True, 254, 0),  # −127 … 127
        ("onnxruntime", 8, False, 255, 128),  # 127.5, half to even
        ("onnxruntime", 16, True, 65534, 0),
        ("onnxruntime", 16, False, 65535, 32768),
        ("onnxruntime", 4, True, 15, 0),  # −8 … 7
        ("onnxruntime", 4, False, 15, 8),
    ],
)
def test_symmetric_steps_and_zero_points(convention, bits, signed, steps, zero_point):
    c, number_format = CONVENTIONS[convention], IntFormat(bits, signed)
    assert c.symmetric_steps(number_format) == steps
    assert c.symmetric_zero_point(number_format) == zero_point


@pytest.mark.parametrize(
    ("convention", "signed", "scale", "zero_point"),
    [
        ("textbook", False, 2 / 255, 255 - 3 / (2 / 255)),  # from 1 to 3
        ("textbook", True, 2 / 255, 127 - 3 / (2 / 255)),
        ("onnxruntime", False, 3 / 255, 0),  # from 0 to 3
        ("onnxruntime", True, 3 / 255, -128),
    ],
)
def test_a_range_on_one_side_of_zero(convention, signed, scale, zero_point):
    q = choose_qparams([1.0, 3.0], Scheme(IntFormat(8, signed), symmetric=False, convention=convention))
    assert q.scale == F(scale)
    assert q.zero_point == F(zero_point)


@pytest.fixture
def reciprocal(monkeypatch):
    """A runtime that multiplies by 1 / s, as PyTorch does, and is ONNX Runtime otherwise."""
    row = replace(CONVENTIONS["onnxruntime"], name="reciprocal", label="Reciprocal", multiplies_by_reciprocal=True)
    monkeypatch.setitem(CONVENTIONS, row.name, row)
    return row


def test_a_new_runtime_is_a_row(reciprocal):
    x = np.random.default_rng(0).standard_normal((3, 200)).astype(F)
    scheme = Scheme(IntFormat(8, False), False, PerAxis(0), convention="reciprocal")
    q = choose_qparams(x, scheme)
    divided = choose_qparams(x, replace(scheme, convention="onnxruntime"))
    np.testing.assert_array_equal(q.scale, divided.scale)
    np.testing.assert_array_equal(q.zero_point, divided.zero_point)
    scale, zero_point = q.scale[:, None], q.zero_point[:, None]
    expected = np.clip(np.rint(x * (F(1) / scale)) + zero_point, 0, 255)
    np.testing.assert_array_equal(quantize(x, q), expected)
    np.testing.assert_array_equal(dequantize(quantize(x, q), q), (expected.astype(F) - zero_point) * scale)


def test_multiplying_by_the_reciprocal_changes_a_few_codes_and_only_by_one(reciprocal):
    # Near the ties x / s = k + ½ the two orders of operations part.
    scale = F(7.3) / F(127)
    x = (np.arange(-126, 126, dtype=F) + F(0.5)) * scale
    schemes = [Scheme(range_rule=Manual(-7.3, 7.3), convention=c) for c in ("reciprocal", "onnxruntime")]
    multiplied, divided = (quantize(x, choose_qparams(x, s)).astype(int) for s in schemes)
    s = choose_qparams(x, schemes[0]).scale
    np.testing.assert_array_equal(multiplied, np.rint(x * (F(1) / s)))
    np.testing.assert_array_equal(divided, np.rint(x / s))
    changed = np.abs(multiplied - divided)
    assert 0 < np.count_nonzero(changed) < x.size
    assert changed.max() == 1


def test_every_path_reads_the_row(reciprocal):
    scale = F(7.3) / F(127)
    x = (np.arange(-126, 126, dtype=F) + F(0.5)) * scale
    scheme = Scheme(range_rule=Manual(-7.3, 7.3), convention="reciprocal")
    q = choose_qparams(x, scheme)
    codes = quantize(x, q).astype(int)
    steps = walk(x, np.zeros(x.size, int), q)
    np.testing.assert_array_equal(steps.code, codes)
    np.testing.assert_array_equal(steps.divided, x * (F(1) / q.scale))
    a = analyze(x, scheme)
    np.testing.assert_array_equal(a.occupancy, np.bincount(codes + 128, minlength=256))
    np.testing.assert_array_equal(a.fake_quantize(0, x.size), dequantize(codes, q))


def test_codes_with_a_zero_point_added_before_rounding(monkeypatch):
    row = replace(CONVENTIONS["onnxruntime"], name="before", zero_point_before_rounding=True)
    monkeypatch.setitem(CONVENTIONS, row.name, row)
    # Scale 1 and zero point 1: a tie at x = 0.5 rounds to 2 when 1 is added first, to 0 + 1 when after.
    x, rule = np.array([0.5, 1.5, 2.5], F), Manual(-1.0, 254.0)
    after, before = (
        choose_qparams(x, Scheme(IntFormat(8, False), False, range_rule=rule, convention=c))
        for c in ("onnxruntime", "before")
    )
    assert before.scale == after.scale == 1
    assert before.zero_point == after.zero_point == 1
    assert quantize(x, after).tolist() == [1, 3, 3]
    assert quantize(x, before).tolist() == [2, 2, 4]
