"""Are llama.cpp's IQ4, TQ, MXFP4 and NVFP4 as schemes what ggml writes? Values, scripts, bytes and what is refused."""

from __future__ import annotations

import gguf
import numpy as np
import pytest

from qviz.core import PRESETS, Problem, analyze, choose_qparams, dequantize, fake_quantize, quantize
from qviz.core.questions.breakdown import caveats
from qviz.core.ranges import ggml_direct
from qviz.files.ggml_blocks import encoded_bytes
from tests.core.runtimes.snippets import assert_the_script_agrees
from tests.golden.record_ggml import weights

NAMES = ("IQ4_NL", "IQ4_XS", "TQ1_0", "TQ2_0", "MXFP4", "NVFP4")
SCHEMES = {each.name.removeprefix("GGUF "): each.scheme for each in PRESETS if each.name.startswith("GGUF ")}
X = weights(5)[:32]


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_values_and_bytes_are_those_that_llama_cpp_writes(name: str) -> None:
    written = encoded_bytes(X, name)
    found = analyze(X, SCHEMES[name])
    decoded = gguf.dequantize(written, gguf.GGMLQuantizationType[name])

    assert np.array_equal(fake_quantize(X, found.qparams), decoded)
    assert found.figures.storage.quantized_bytes == written.size


def test_the_numpy_script_has_the_codes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_the_script_agrees(X, choose_qparams(X, SCHEMES[name]), monkeypatch)


def test_rows_that_do_not_divide_are_refused(name: str) -> None:
    with pytest.raises(Problem, match="does not divide"):
        choose_qparams(np.ones((2, 264), np.float32), SCHEMES[name])


def test_what_float32_cannot_hold_is_refused() -> None:
    with pytest.raises(Problem, match="goes beyond"):
        choose_qparams(np.full((1, 32), np.finfo(np.float32).max, np.float32), SCHEMES["MXFP4"])


def test_what_ggml_takes_for_zero_because_it_is_too_large_is_refused() -> None:
    told, lost = (np.full((1, 64), value, np.float32) for value in (2.0**33 * 0.99, 2.0**33))
    decoded = gguf.dequantize(encoded_bytes(told, "NVFP4"), gguf.GGMLQuantizationType.NVFP4)

    assert np.array_equal(fake_quantize(told, choose_qparams(told, SCHEMES["NVFP4"])), decoded)
    with pytest.raises(Problem, match="stores zeros for elements from"):
        choose_qparams(lost, SCHEMES["NVFP4"])


def test_a_search_that_overflows_stores_the_last_level_as_ggml_does():
    # quantize_iq4_nl of ggml: its comparisons with NaN lead to level 15; the float16 scale is NaN.
    x = np.resize(np.float32([1e30, -2e30, 0]), (1, 32))
    q = choose_qparams(x, SCHEMES["IQ4_NL"])
    assert np.isnan(q.scale).all()
    assert (quantize(x, q) == 15).all()


OF_GGML = {  # what quantize_row_mxfp4_ref and quantize_row_nvfp4_ref of ggml wrote on an x86-64
    ("MXFP4", np.nan): "7edfdfdfcfcfc0cebebeaeaeae9e9e9d0d7e50516161626262636364747474757575",
    ("NVFP4", np.nan): "30282830efefefefefe0dededfcfcfbebeae9e0d50616263637474756565767676767676",
    ("MXFP4", np.inf): "00000000000000000000000000000000007e50516161626262636364747474757575",
    ("NVFP4", np.inf): "7e2828300000000000000000dfcfcfbebeae9e0d50616263637474756565767676767676",
}


@pytest.mark.parametrize("compiled", [True, False])
def test_nan_gets_the_code_of_zero_and_an_infinity_leaves_zeros(
    compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not compiled:
        monkeypatch.setattr(ggml_direct, "encoded", lambda *args, **kwargs: None)
    for (name, odd), written in OF_GGML.items():
        x = np.linspace(-3, 3, 64, dtype=np.float32).reshape(1, 64)
        x[0, 5] = odd
        with np.errstate(invalid="ignore"):
            assert encoded_bytes(x, name).tobytes().hex() == written, (name, odd)
        if np.isnan(odd):
            values = gguf.dequantize(np.frombuffer(bytes.fromhex(written), np.uint8), gguf.GGMLQuantizationType[name])
            q = choose_qparams(x, SCHEMES[name])
            np.testing.assert_array_equal(dequantize(quantize(x, q), q).ravel(), values)
        [said] = caveats(analyze(x, SCHEMES[name]))
        assert "ggml stores 0 for NaN, and for everything in a block that holds an infinity." in str(said)
