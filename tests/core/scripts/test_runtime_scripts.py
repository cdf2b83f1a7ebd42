"""The scripts that ask a runtime give the codes of qviz: those for ONNX Runtime run here, the others were run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qviz.core import (
    FloatFormat,
    IntFormat,
    Manual,
    PerAxis,
    PerBlock,
    PerTile,
    PerToken,
    Problem,
    Scheme,
    Tensor,
    analyze,
    choose_qparams,
    dequantize,
    quantize,
)
from qviz.core.scripts.runtime_scripts import RUNTIME_SCRIPTS, runtime_snippet, runtimes_of
from qviz.files.results import save_quantized
from tests.every import every
from tests.golden.record_snippets import VERIFIED, X, check, digest, digest_of, of_hqq, offered, run

NBITS = {"onnxruntime_matmulnbits", "onnxruntime_matmulnbits_qdq"}
FITTED = {"onnxruntime_hqq", "onnxruntime_k_quant", "onnxruntime_float8"}
DIRECT = {
    "onnxruntime",
    "onnxruntime_blocks",
    "onnxruntime_reduce_range",
    "onnxruntime_dynamic",
    "onnxruntime_unsaturated",
}
ONNX = {*DIRECT, *NBITS, *FITTED}


def test_the_codes_of_onnx_runtime_are_those_of_qviz(tmp_path: Path) -> None:
    for scheme, qparams in offered("onnxruntime"):
        if scheme.convention != "onnxruntime_hqq":  # which asks for torch: see record_snippets
            check("onnxruntime", scheme, qparams, tmp_path)


def test_the_scripts_for_torch_are_those_that_were_run() -> None:
    # After a change run `python -m tests.golden.record_snippets` where torch and torchao are installed.
    noted = json.loads(VERIFIED.read_text(encoding="utf-8"))
    assert set(noted["recorded_with"]) == {"torch", "torchao", "onnxruntime", "numpy"}
    assert (noted["scripts"], noted["sha256"]) == digest("torch")


def test_the_scripts_for_hqq_of_every_type_are_those_that_were_run() -> None:
    noted = json.loads(VERIFIED.read_text(encoding="utf-8"))
    assert (noted["hqq_scripts"], noted["hqq_sha256"]) == digest_of([script for *_, script in of_hqq()])


@pytest.mark.parametrize("runtime", RUNTIME_SCRIPTS)
def test_every_script_is_python_that_fits_on_a_screen(runtime: str) -> None:
    for scheme, qparams in offered(runtime):
        script = runtime_snippet(qparams, runtime, "a file.npy")
        compile(script, "script", "exec")
        assert scheme.number_format.name in script
        assert len(script.splitlines()) < 40


def test_a_script_reads_the_file_that_it_is_told_to() -> None:
    script = runtime_snippet(choose_qparams(X, Scheme()), "onnxruntime", "a file's.npy")
    assert """np.load("a file's.npy")""" in script


@pytest.mark.parametrize(
    ("runtime", "conventions"),
    [
        ("onnxruntime", {*ONNX, "aimet", "tensorrt", "textbook", "tflite"}),
        ("ml_dtypes", {"cast_float8"}),
        ("torch", {"cast_float8", "pytorch", "torchao", "torchao_int8", "mx_floor", "mx_ceil", "mx_even", "mx_rceil"}),
        ("paddle", {"paddle"}),
    ],
)
def test_a_runtime_has_scripts_for_the_conventions_that_it_computes_itself(runtime: str, conventions: set[str]) -> None:
    assert {scheme.convention for scheme, _ in offered(runtime)} == conventions


def test_what_is_not_finite_gets_the_code_of_zero(tmp_path: Path) -> None:
    x = X.copy()
    x[0, 3], x[1, 2], x[2, 1] = np.nan, np.inf, -np.inf
    tensor = Tensor(x)
    qparams = choose_qparams(tensor, Scheme(IntFormat(8), False))
    left = run(runtime_snippet(qparams, "onnxruntime", all_finite=False), tmp_path, x)
    codes = quantize(tensor, qparams)
    np.testing.assert_array_equal(left["codes"], codes)
    np.testing.assert_array_equal(left["x_hat"], dequantize(codes, qparams))


@every(
    "scheme",
    [
        Scheme("int4", convention="tflite", granularity=PerAxis(0)),
        Scheme("uint8", False, PerToken(), convention="aimet"),
        Scheme("int8", convention="tensorrt"),
        Scheme("float8_e5m2", convention="onnxruntime_unsaturated"),
    ],
    ids=str,
)
def test_nan_gets_the_code_of_the_runtime_whose_arithmetic_it_is(tmp_path: Path, scheme: Scheme) -> None:
    x = X.copy()
    x[0, 3], x[1, 2] = np.nan, np.inf
    qparams = choose_qparams(Tensor(x), scheme)
    save_quantized(tmp_path / "quantized.npz", analyze(x, scheme))
    left = run(runtime_snippet(qparams, "onnxruntime", all_finite=False), tmp_path, x)
    codes = quantize(x, qparams)
    np.testing.assert_array_equal(left["codes"], codes)
    np.testing.assert_array_equal(left["x_hat"], dequantize(codes, qparams))


def test_a_cast_is_a_cast_of_ml_dtypes(tmp_path: Path) -> None:
    x = X.copy() * 300
    x[0, 3], x[1, 2], x[2, 1], x[3, 0] = np.nan, np.inf, -np.inf, -np.nan
    for name in ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz"):
        qparams = choose_qparams(Tensor(x), Scheme(FloatFormat(name), convention="cast_float8"))
        assert runtimes_of(qparams) == (("ml_dtypes",) if name == "e4m3fn" else ("torch", "ml_dtypes"))
        left = run(runtime_snippet(qparams, "ml_dtypes", all_finite=False), tmp_path, x)
        codes = quantize(x, qparams)
        np.testing.assert_array_equal(left["codes"], codes, err_msg=name)
        np.testing.assert_array_equal(left["x_hat"], dequantize(codes, qparams), err_msg=name)


def test_an_infinite_scale_is_written_as_numpy_has_it(tmp_path: Path) -> None:
    x = np.float32([[3.4e38, -3.4e38, 1, 0]])
    with np.errstate(all="ignore"):
        qparams = choose_qparams(x, Scheme("uint8", False, convention="onnxruntime_dynamic"))
    assert np.isinf(qparams.scale)
    left = run(runtime_snippet(qparams, "onnxruntime"), tmp_path, x)
    np.testing.assert_array_equal(left["codes"], quantize(x, qparams))


@every("granularity", [PerBlock(-1, 64), PerToken(), PerAxis(0), PerTile(2, 64)], ids=str)
def test_a_single_group_needs_no_axis(tmp_path: Path, granularity: Any) -> None:
    x = X[:1]
    qparams = choose_qparams(x, Scheme(IntFormat(4), False, granularity))
    left = run(runtime_snippet(qparams, "onnxruntime"), tmp_path, x)
    np.testing.assert_array_equal(left["codes"], quantize(x, qparams))


def test_many_scales_are_read_from_the_saved_tensor() -> None:
    qparams = choose_qparams(X, Scheme(granularity=PerAxis(1)))
    assert 'np.load("quantized.npz")' in runtime_snippet(qparams, "onnxruntime")


@every(
    ("runtime", "scheme", "said"),
    [
        ("torch", Scheme(), "PyTorch has no function that gives these codes: take the script for ONNX Runtime, or"),
        ("onnxruntime", Scheme(convention="torchao"), "take the script for PyTorch, or take the NumPy script"),
        ("onnxruntime", Scheme(IntFormat(8), False, convention="textbook"), "choose its own convention, or"),
        ("torch", Scheme(range_rule=Manual(-1, 1), convention="tflite"), "or take the NumPy script"),
    ],
)
def test_a_runtime_that_would_give_other_codes_is_a_problem(runtime: str, scheme: Scheme, said: str) -> None:
    with pytest.raises(Problem, match=said):
        runtime_snippet(choose_qparams(X, scheme), runtime)
