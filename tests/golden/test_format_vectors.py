"""Codes, scales and values of small floats, codebooks and blocks are those that torchao and gguf answered."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from qviz.core import (
    CONVENTIONS,
    Codebook,
    FloatFormat,
    IntFormat,
    PerAxis,
    PerBlock,
    PerTensor,
    Scheme,
    analyze,
    choose_qparams,
    dequantize,
    fake_quantize,
    quantize,
)
from tests.every import every
from tests.golden.record_formats import FAMILIES, LAYOUTS, NF4_TABLES, files, levels, load

RECORDED = {name: list(load(name)) for name in FAMILIES}

each_family = pytest.mark.parametrize("name", FAMILIES)


GGUF_FORMATS = {
    "Q4_0": (IntFormat(4, False), True),
    "Q5_0": (IntFormat(5, False), True),
    "Q4_1": (IntFormat(4, False), False),
    "Q5_1": (IntFormat(5, False), False),
    "Q8_0": (IntFormat(8), True),
}


def scheme_of(name: str, options: dict[str, Any]) -> Scheme | None:
    """The scheme that must give the recorded answers; None where qviz has none."""
    number_format: Any = None
    symmetric, granularity, convention = True, PerBlock(-1, 32), name
    if name.startswith("mx"):
        number_format, convention = FloatFormat(options["element"]), f"mx_{options['mode']}"
    elif name == "nvfp4" and options["levels"] == 2:
        number_format, granularity = FloatFormat("e2m1fn"), PerBlock(-1, 16)
    elif name == "nf4" and options["table"] == "qlora":
        number_format, granularity, convention = Codebook("nf4"), PerBlock(-1, 64), "textbook"
    elif name == "float8":
        granularity = {"tensor": PerTensor(), "axis": PerAxis(0), "block": granularity}[options["per"]]
        number_format, convention = FloatFormat(options["element"]), "torchao"
    elif name == "int4":
        granularity = PerBlock(-1, options["block"])
        number_format, symmetric, convention = IntFormat(4, options["signed"]), options["symmetric"], "torchao"
    elif name == "gguf" and options["kind"] in GGUF_FORMATS:
        number_format, symmetric = GGUF_FORMATS[options["kind"]]
    return None if number_format is None else Scheme(number_format, symmetric, granularity, convention=convention)


@each_family
def test_the_vectors_name_their_library_and_ask_what_would_be_recorded(name):
    about = json.loads(files(name)[1].read_text(encoding="utf-8"))
    family = FAMILIES[name]()
    assert set(about["recorded_with"]) == {*family.packages, "numpy"}
    assert about["options"] == list(family.options)
    # Their random values may change with NumPy's version; the recorded ones are kept beside the answers.
    assert {tensor for tensor, _, _, _ in RECORDED[name]} == set(family.tensors)


@each_family
def test_the_files_are_small(name):
    assert all(file.stat().st_size < 200_000 for file in files(name))


@each_family
def test_not_one_bit_differs_from_the_recorded_answers(name):
    compared = 0
    for tensor, x, options, answer in RECORDED[name]:
        if (scheme := scheme_of(name, options)) is None:
            continue
        said = f"{tensor}, {options}"
        qparams = choose_qparams(x, scheme)
        codes = quantize(x, qparams)
        np.testing.assert_array_equal(qparams.scale.ravel(), answer["scale"], err_msg=said)
        np.testing.assert_array_equal(codes, answer["codes"], err_msg=said)
        for value in (dequantize(codes, qparams), fake_quantize(x, qparams)):
            np.testing.assert_array_equal(value, answer["dequantized"], err_msg=said)
        if "zero_point" in answer:
            np.testing.assert_array_equal(qparams.zero_point.ravel(), answer["zero_point"], err_msg=said)
        if "minimum" in answer:
            np.testing.assert_array_equal(qparams.offset.ravel(), answer["minimum"], err_msg=said)
        compared += codes.size
    assert compared > 1000


@each_family
def test_the_analysis_has_the_error_of_the_recorded_values(name):
    for tensor, x, options, answer in RECORDED[name]:
        if (scheme := scheme_of(name, options)) is None:
            continue
        error = x.astype(np.float64) - answer["dequantized"]
        assert analyze(x, scheme).mse == pytest.approx(np.mean(error * error), rel=1e-9, abs=0), (tensor, options)


@every("element", LAYOUTS)
def test_the_levels_that_the_ties_lie_between_are_those_of_the_format(element):
    values = FloatFormat(element).values
    np.testing.assert_array_equal(values[values >= 0], levels(element))


def test_the_codebook_is_that_of_the_paper():
    np.testing.assert_array_equal(Codebook("nf4").values, np.array(NF4_TABLES["qlora"], np.float32))


def test_every_convention_of_blocks_was_asked():
    asked = {scheme.convention for name in FAMILIES for _, _, o, _ in RECORDED[name] if (scheme := scheme_of(name, o))}
    blocks = {name for name in CONVENTIONS if name.startswith(("mx", "nv", "gguf"))}
    assert blocks - {"nvfp4_single"} <= asked  # which hard_nvfp4 holds


def test_the_rules_of_mx_scales_differ_on_what_was_asked():
    answers: dict[str, list[bytes]] = {}
    for _, _, options, answer in RECORDED["mx_e4m3fn"]:
        answers.setdefault(options["mode"], []).append(answer["codes"].tobytes())
    assert len({tuple(codes) for codes in answers.values()}) == 4


def test_some_ties_of_gguf_round_half_up_and_some_half_away_from_zero():
    for tensor, x, options, answer in RECORDED["gguf"]:
        if tensor == "ties of Q8_0" and options["kind"] == "Q8_0":
            np.testing.assert_array_equal(answer["codes"], np.sign(x) * np.floor(np.abs(x) + 0.5))
            assert np.any(answer["codes"] != np.rint(x))
