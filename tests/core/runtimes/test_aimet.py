"""Encodings of AIMET and QNN, by the formulas of their documents."""

from __future__ import annotations

import numpy as np

from qviz.core import IntFormat, Scheme, choose_qparams, dequantize, quantize

X = np.array([-1.0, -0.3, 0.0, 0.4, 1.55], np.float32)


def test_an_asymmetric_encoding_has_an_offset_of_the_rounded_minimum():
    q = choose_qparams(X, Scheme(IntFormat(8, False), False, convention="aimet"))
    delta = (X[4].astype(float) + 1) / 255
    assert q.scale == np.float32(delta)
    assert q.zero_point == -np.rint(-1 / delta) == 100
    np.testing.assert_array_equal(quantize(X, q), [0, 70, 100, 140, 255])
    assert dequantize(quantize(X, q), q)[2] == 0


def test_symmetric_encodings_are_strict_or_not():
    for name, first in (("aimet", -128), ("aimet_strict", -127)):
        q = choose_qparams(X, Scheme(IntFormat(8), True, convention=name))
        assert (q.scale, q.zero_point) == (np.float32(X[4].astype(float) / 127), 0)
        assert (q.quant_min, q.quant_max) == (first, 127)
        assert quantize(np.float32(-9), q) == first
