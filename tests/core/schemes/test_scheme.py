"""One frozen value that panels, undo, files and commands pass around."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from itertools import product

import pytest

from qviz.core import IntFormat, Known, Manual, MinMax, MovingAverage, PerAxis, Percentile, PerTensor, Problem, Scheme
from qviz.core.schemes.fitting import check_fits, fitted
from tests.every import every

EVERY_KIND = [
    Scheme(*choice)
    for choice in product(
        (IntFormat(4, False), IntFormat(16, True)),
        (True, False),
        (PerTensor(), PerAxis(-1)),
        (MinMax(), Percentile(99.5), Manual(-0.5, 2.0)),
        ("textbook", "onnxruntime"),
    )
]


def test_the_default_is_symmetric_int8_per_tensor_as_onnx_runtime_does_it():
    assert Scheme() == Scheme(IntFormat(8, True), True, PerTensor(), MinMax(), "onnxruntime")


def test_equal_choices_are_equal_and_hash_alike():
    assert len({*EVERY_KIND, *(replace(s) for s in EVERY_KIND)}) == len(EVERY_KIND)


def test_it_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Scheme().symmetric = False


@every("scheme", EVERY_KIND)
def test_json_brings_it_back(scheme):
    assert Scheme.from_dict(json.loads(json.dumps(scheme.to_dict()))) == scheme


def test_how_it_is_written():
    assert Scheme(IntFormat(4, False), False, PerAxis(1), Manual(-1, 2.5), "textbook").to_dict() == {
        "number_format": {"kind": "int", "bits": 4, "signed": False},
        "symmetric": False,
        "granularity": {"kind": "axis", "axis": 1},
        "range_rule": {"kind": "manual", "low": -1, "high": 2.5},
        "convention": "textbook",
    }


def test_what_a_part_leaves_out_takes_its_default():
    data = Scheme().to_dict() | {"number_format": {"kind": "int"}, "range_rule": {"kind": "percentile"}}
    assert Scheme.from_dict(data) == Scheme(range_rule=Percentile())


def test_an_unknown_convention_is_a_problem():
    with pytest.raises(Problem, match="no convention “abacus”"):
        Scheme(convention="abacus")


@every("data", [None, 5, "int8", [], [1, 2]])
def test_what_is_not_an_object_is_a_problem(data):
    with pytest.raises(Problem, match="not a scheme"):
        Scheme.from_dict(data)


@every("key", list(Scheme().to_dict()))
def test_each_missing_part_is_named(key):
    data = Scheme().to_dict()
    del data[key]
    with pytest.raises(Problem, match=f"{key} is missing"):
        Scheme.from_dict(data)


def test_all_missing_parts_are_named():
    with pytest.raises(Problem, match="number_format, symmetric, granularity, range_rule, convention is missing"):
        Scheme.from_dict({})


BAD = [
    ("symmetric", 1, "true or false"),
    ("symmetric", "true", "true or false"),
    ("symmetric", None, "true or false"),
    ("convention", "abacus", "no convention “abacus”"),
    ("convention", None, "no convention “None”"),
    ("convention", ["textbook"], "no convention"),
    ("number_format", None, "number format is unknown: its “kind” must be one of int"),
    ("number_format", "int8", "number format is unknown"),
    ("number_format", {}, "number format is unknown"),
    ("number_format", {"kind": "complex"}, "number format is unknown"),
    ("number_format", {"kind": ["int"]}, "number format is unknown"),
    ("number_format", {"kind": {}}, "number format is unknown"),
    ("number_format", {"kind": "int", "bits": "8"}, "cannot have bits = '8'"),
    ("number_format", {"kind": "int", "bits": 8.0}, "cannot have bits = 8.0"),
    ("number_format", {"kind": "int", "bits": True}, "cannot have bits = True"),
    ("number_format", {"kind": "int", "bits": None}, "cannot have bits = None"),
    ("number_format", {"kind": "int", "bits": 99}, "choose a bit width from 2 to 16"),
    ("number_format", {"kind": "int", "signed": 1}, "cannot have signed = 1"),
    ("number_format", {"kind": "int", "width": 8}, "cannot have width = 8"),
    ("granularity", {"kind": "galaxy"}, "granularity is unknown: its “kind” must be one of tensor, axis"),
    ("granularity", {"kind": "axis", "axis": 1.5}, "cannot have axis = 1.5"),
    ("granularity", {"kind": "axis", "axis": False}, "cannot have axis = False"),
    ("granularity", {"kind": "tensor", "axis": 0}, "cannot have axis = 0"),
    ("range_rule", {"kind": "guess"}, "range rule is unknown: its “kind” must be one of minmax, percentile"),
    ("range_rule", {"kind": "percentile", "percentile": 20}, "choose one above 50"),
    ("range_rule", {"kind": "percentile", "percentile": "99"}, "cannot have percentile = '99'"),
    ("range_rule", {"kind": "percentile", "percentile": True}, "cannot have percentile = True"),
    ("range_rule", {"kind": "percentile", "percentile": 10**400}, "a number that is too large"),
    ("range_rule", {"kind": "manual", "low": 1, "high": 0}, "the low end must be below the high"),
    ("range_rule", {"kind": "manual", "low": -1, "high": float("nan")}, "the low end must be below the high"),
    ("range_rule", {"kind": "manual", "low": -1, "high": 1e300}, "beyond float32"),
    ("range_rule", {"kind": "manual", "low": -1, "high": 10**400}, "a number that is too large"),
    ("range_rule", {"kind": "manual", "low": [0]}, r"cannot have low = \[0\]"),
]


@every(("key", "value", "message"), BAD)
def test_each_bad_part_is_a_problem(key, value, message):
    with pytest.raises(Problem, match=message):
        Scheme.from_dict(Scheme().to_dict() | {key: value})


def test_known_scales_of_each_group_stay_with_groups_as_many():
    many = Scheme("uint8", False, PerAxis(0), Known((0.1, 0.2, 0.3), (1, 2, 3)))
    assert fitted(many, (3, 8)) == many
    assert fitted(many, (4, 8)) == replace(many, range_rule=MinMax())
    assert fitted(replace(many, range_rule=Known(0.1)), (4, 8)).range_rule == Known(0.1)
    with pytest.raises(Problem, match="3 known scales do not fit 4 groups"):
        check_fits(many, (4, 8))


def test_a_symmetric_scheme_has_a_zero_point_of_its_own():
    for name, middle in (("int8", 0), ("uint8", 128)):
        assert Scheme(name, True, range_rule=Known(0.1, middle)).range_rule.zero_point == (middle,)
        with pytest.raises(Problem, match=f"A symmetric scheme has the zero point {middle}"):
            Scheme(name, True, range_rule=Known(0.1, 3))


def test_an_axis_tells_either_batches_or_scales_apart():
    by_row = Scheme(granularity=PerAxis(0), range_rule=MovingAverage(batch_axis=0))
    with pytest.raises(Problem, match="cannot tell both batches and scales apart"):
        check_fits(by_row, (4, 8))
    assert fitted(by_row, (4, 8)) == replace(by_row, range_rule=MovingAverage())
    assert fitted(replace(by_row, granularity=PerAxis(1)), (4, 8)).range_rule == MovingAverage(batch_axis=0)
    assert fitted(replace(by_row, range_rule=MovingAverage(batch_axis=5)), (4, 8)).range_rule == MovingAverage()
