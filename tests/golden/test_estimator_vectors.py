"""Range estimators of PyTorch, Paddle and ONNX Runtime come to the libraries' own ranges, scales and codes."""

from __future__ import annotations

import json
from itertools import groupby

import numpy as np
import pytest

from qviz.core import PerAxis, PerTensor, Scheme, choose_qparams, quantize
from qviz.core.ranges.table import RANGE_RULES
from tests.every import every
from tests.golden.record_estimators import LIBRARIES, TENSORS, files, load, load_tensors, tensors

CONVENTIONS = {"torch": "pytorch", "paddle": "paddle", "onnxruntime": "onnxruntime"}
BATCHED = [kind for kind, rule in RANGE_RULES.items() if "batch_axis" in getattr(rule, "__annotations__", {})]


def kind_and_tensor(recorded):
    case, *_ = recorded
    return case.kind, case.tensor


RECORDED = [
    pytest.param(library, list(cases), id=" ".join((library, *of)))
    for library in LIBRARIES
    for of, cases in groupby(sorted(load(library), key=kind_and_tensor), kind_and_tensor)
]


def scheme_of(library, case):
    """The same choice in our words: the libraries count the axes of a batch, we those of the tensor."""
    options = dict(case.options)
    if library == "onnxruntime":  # all batches came in one collect; asymmetric ones were asked for bins of values
        options |= {"magnitudes": case.symmetric} if case.kind == "onnxruntime_percentile" else {}
    elif case.kind in BATCHED:
        options["batch_axis"] = 0 if case.batched else None
    granularity = PerTensor() if case.channel_axis is None else PerAxis(case.channel_axis + case.batched)
    rule = RANGE_RULES[case.kind](**options)
    return Scheme(case.number_format, case.symmetric, granularity, rule, CONVENTIONS[library])


@every(("library", "cases"), RECORDED)
def test_ranges_scales_and_codes_are_the_librarys_own(library, cases):
    for case, x, answer in cases:
        scheme = scheme_of(library, case)
        qparams = choose_qparams(x, scheme)
        if case.symmetric:
            assert np.array_equal(qparams.high, np.maximum(np.abs(answer["low"]), np.abs(answer["high"]))), case
        else:
            assert np.array_equal(qparams.low, np.minimum(answer["low"], 0)), case
            assert np.array_equal(qparams.high, np.maximum(answer["high"], 0)), case
        assert np.array_equal(qparams.scale, answer["scale"]), case
        assert np.array_equal(qparams.zero_point, answer["zero_point"]), case
        if "codes" in answer:
            assert np.count_nonzero(quantize(x, qparams) != answer["codes"]) == 0, case


def test_every_tensor_was_recorded():
    # Their random values may change with NumPy's version; the recorded ones are kept.
    with np.load(TENSORS) as recorded:
        assert {name: recorded[name].shape for name in recorded} == {name: x.shape for name, x in tensors().items()}
    assert {str(x.dtype) for x in load_tensors().values()} == {"float32"}


@every("library", LIBRARIES)
def test_the_records_name_their_libraries(library):
    recorded = json.loads(files(library)[1].read_text(encoding="utf-8"))
    assert set(recorded["recorded_with"]) == {*LIBRARIES[library].packages, "numpy", "python"}
    assert recorded["note"] == LIBRARIES[library].note


def test_the_files_are_small():
    assert sum(files(library)[0].stat().st_size for library in LIBRARIES) + TENSORS.stat().st_size < 1_000_000
