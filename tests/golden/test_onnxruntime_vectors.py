"""qviz gives, bit for bit, the answers that were recorded from ONNX Runtime."""

from __future__ import annotations

import json

import numpy as np

from qviz.core import choose_qparams, dequantize, fake_quantize, quantize
from tests.every import every
from tests.golden.record_onnxruntime import SCHEMES, VECTORS, VERSIONS, axes, hard_tensors, scheme

RECORDED = dict(np.load(VECTORS))
NAMES = sorted({key.split("/")[0] for key in RECORDED})


def test_every_hard_tensor_was_recorded():
    # Their random values may change with NumPy's version; the recorded ones are kept beside the answers.
    assert {name: RECORDED[f"{name}/x"].shape for name in NAMES} == {
        name: x.shape for name, x in hard_tensors().items()
    }


def test_the_rows_are_the_schemes_that_were_recorded_and_name_their_library():
    recorded = json.loads(VERSIONS.read_text(encoding="utf-8"))
    assert recorded["schemes"] == [{"type": f.name, "symmetric": symmetric} for f, symmetric in SCHEMES]
    assert set(recorded["recorded_with"]) == {"onnxruntime", "onnx", "numpy"}


def test_the_files_are_small():
    assert VECTORS.stat().st_size + VERSIONS.stat().st_size < 300_000


@every("name", NAMES)
@every(
    ("row", "number_format", "symmetric"),
    [(row, f, symmetric) for row, (f, symmetric) in enumerate(SCHEMES)],
    ids=[f"{f.name} {'symmetric' if symmetric else 'asymmetric'}" for f, symmetric in SCHEMES],
)
def test_not_one_bit_differs_from_the_recorded_answers(name, row, number_format, symmetric):
    x = RECORDED[f"{name}/x"]
    for axis in axes(x):
        recorded = {
            key: RECORDED[f"{name}/{'tensor' if axis is None else axis}/{key}"][row]
            for key in ("scale", "zero_point", "codes", "operator_codes", "dequantized")
        }
        qparams = choose_qparams(x, scheme(number_format, symmetric, axis))
        codes = quantize(x, qparams)
        np.testing.assert_array_equal(qparams.scale, recorded["scale"], strict=True)
        np.testing.assert_array_equal(qparams.zero_point, recorded["zero_point"])
        np.testing.assert_array_equal(codes, recorded["codes"])
        np.testing.assert_array_equal(codes, recorded["operator_codes"])
        np.testing.assert_array_equal(dequantize(codes, qparams), recorded["dequantized"], strict=True)
        np.testing.assert_array_equal(fake_quantize(x, qparams), recorded["dequantized"], strict=True)
