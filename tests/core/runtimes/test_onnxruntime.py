"""The codes shown are the codes ONNX Runtime stores: asked live, with zero differing codes.

Two oracles: the Python recipe that quantizes weights, `onnxruntime.quantization`, and the operators
QuantizeLinear and DequantizeLinear in an inference session.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qviz.core import Manual, PerAxis, PerTensor, Scheme, choose_qparams, dequantize, fake_quantize, quantize
from tests.every import every
from tests.golden.record_onnxruntime import (
    FORMATS,
    SCHEMES,
    axes,
    hard_tensors,
    library_answer,
    operator_answer,
    scheme,
)

MODEL = Path(__file__).parents[4] / "shared" / "data" / "mnist.onnx"

each_scheme = every(
    ("number_format", "symmetric"),
    SCHEMES,
    ids=[f"{f.name} {'symmetric' if symmetric else 'asymmetric'}" for f, symmetric in SCHEMES],
)


def assert_same_as_onnxruntime(x, number_format, symmetric, axis):
    qparams = choose_qparams(x, scheme(number_format, symmetric, axis))
    codes = quantize(x, qparams)

    library = library_answer(x, number_format, symmetric, axis)
    np.testing.assert_array_equal(qparams.scale, library["scale"], strict=True)
    np.testing.assert_array_equal(qparams.zero_point, library["zero_point"])
    np.testing.assert_array_equal(codes, library["codes"])

    operator_codes, dequantized = operator_answer(x, qparams.scale, library["zero_point"], number_format, axis)
    np.testing.assert_array_equal(codes, operator_codes)
    np.testing.assert_array_equal(dequantize(codes, qparams), dequantized, strict=True)
    np.testing.assert_array_equal(fake_quantize(x, qparams), dequantized, strict=True)


@each_scheme
@every("name", list(hard_tensors()))
def test_hard_tensors(name, number_format, symmetric):
    x = hard_tensors()[name]
    for axis in axes(x):
        assert_same_as_onnxruntime(x, number_format, symmetric, axis)


@each_scheme
@every("draw", ["standard_normal", "standard_cauchy", "standard_exponential", "random"])
def test_a_hundred_thousand_random_values(draw, number_format, symmetric):
    x = getattr(np.random.default_rng(7), draw)((20, 50, 100)).astype(np.float32)
    for axis in axes(x):
        assert_same_as_onnxruntime(x, number_format, symmetric, axis)


@settings(deadline=None)
@given(data=st.data(), of=st.sampled_from(SCHEMES))
def test_any_finite_float32_tensor(data, of):
    x = data.draw(
        hnp.arrays(
            np.float32,
            hnp.array_shapes(max_dims=3, max_side=6),
            elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
        )
    )
    axis = data.draw(st.sampled_from(axes(x)))
    assert_same_as_onnxruntime(x, *of, axis)


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    exponent=st.integers(-36, 36),
    offset=st.floats(-5, 5),
    of=st.sampled_from(SCHEMES),
    axis=st.sampled_from([None, 0, 1, 2]),
)
def test_ordinary_values_of_any_magnitude(seed, exponent, offset, of, axis):
    normal = np.random.default_rng(seed).standard_normal((3, 7, 11))
    assert_same_as_onnxruntime(((normal + offset) * 10.0**exponent).astype(np.float32), *of, axis)


@each_scheme
@every("low, high", [(-1.0, 1.0), (-0.5, 2.0), (0.5, 2.0), (-3.0, -1.0), (-1e-3, 1e3)])
def test_values_beyond_a_manual_range_saturate_at_the_same_codes(low, high, number_format, symmetric):
    x = (np.random.default_rng(3).standard_cauchy((6, 500)) * 2).astype(np.float32)
    for axis, granularity in ((None, PerTensor()), (0, PerAxis(0))):
        qparams = choose_qparams(x, Scheme(number_format, symmetric, granularity, Manual(low, high)))
        codes = quantize(x, qparams)
        library = library_answer(x, number_format, symmetric, axis, rmin_override=low, rmax_override=high)
        np.testing.assert_array_equal(qparams.scale, library["scale"], strict=True)
        np.testing.assert_array_equal(qparams.zero_point, library["zero_point"])
        np.testing.assert_array_equal(codes, library["codes"])
        operator_codes, dequantized = operator_answer(x, qparams.scale, library["zero_point"], number_format, axis)
        np.testing.assert_array_equal(codes, operator_codes)
        np.testing.assert_array_equal(dequantize(codes, qparams), dequantized, strict=True)


def test_infinities_take_the_first_and_the_last_code_as_in_the_operator():
    x = np.array([-np.inf, -1, 0, 1, np.inf], np.float32)
    for number_format in FORMATS:
        qparams = choose_qparams(x, scheme(number_format, True, None))
        codes, _ = operator_answer(x, qparams.scale, qparams.zero_point, number_format, None)
        np.testing.assert_array_equal(quantize(x, qparams), codes)
        assert codes[0] == number_format.quant_min
        assert codes[-1] == number_format.quant_max


@pytest.mark.skipif(not MODEL.exists(), reason=f"{MODEL.name} is not there")
@each_scheme
def test_the_weights_of_a_real_network(number_format, symmetric):
    weights = [onnx.numpy_helper.to_array(t) for t in onnx.load(MODEL).graph.initializer]
    weights = [w for w in weights if w.dtype == np.float32]
    assert len(weights) == 6
    for w in weights:
        for axis in axes(w):
            assert_same_as_onnxruntime(w, number_format, symmetric, axis)
