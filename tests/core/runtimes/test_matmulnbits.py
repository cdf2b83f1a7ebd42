"""How does ONNX Runtime quantize weights in blocks?"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from qviz.core import (
    CONVENTIONS,
    MSE,
    IntFormat,
    Manual,
    PerBlock,
    Percentile,
    PerTensor,
    Problem,
    Scheme,
    Tensor,
    analyze,
    choose_qparams,
    dequantize,
    measure,
    prepare,
    quantize,
)
from qviz.core.questions.breakdown import caveats
from qviz.core.scripts.runtime_scripts import runtime_snippet, runtimes_of
from qviz.files.onnx_out import save_onnx
from tests.every import every
from tests.golden.record_snippets import run

F = np.float32
INT4, UINT4, UINT8 = IntFormat(4), IntFormat(4, False), IntFormat(8, False)
DEFAULT, QDQ = "onnxruntime_matmulnbits", "onnxruntime_matmulnbits_qdq"
W = np.random.default_rng(2).standard_normal((40, 3)).astype(F)

SCHEMES = [
    *(
        Scheme(IntFormat(b, False), s, PerBlock(0, 16), convention=DEFAULT)
        for b, s in product((2, 4, 8), (True, False))
    ),
    Scheme(INT4, True, PerBlock(0, 32), convention=QDQ),
    Scheme(UINT4, False, PerBlock(0, 32), convention=QDQ),
]


def hard() -> np.ndarray:
    x = W.copy()
    x[:16, 0] = 0
    x[:32, 1] = [1e-40, -2e-40] * 16
    x[16:32, 2] = [3e38, -3e38] * 8
    x[33, 1], x[34, 1], x[35, 1] = np.nan, np.inf, -np.inf
    return x


def test_the_signed_extreme_gets_the_first_code() -> None:
    for sign in (1, -1):
        x = np.zeros(32, F)
        x[3], x[4] = sign * 4.0, -sign * 3.9
        q = choose_qparams(x, Scheme(INT4, True, PerBlock(0, 32)))
        assert float(q.scale.item()) == sign * -0.5
        assert quantize(x, q)[3] == -8
        assert quantize(x, q)[4] == 7  # 7.8 has no code


def test_of_two_as_far_the_lower_end_counts() -> None:
    x = F([2, -2] * 16)
    assert choose_qparams(x, Scheme(INT4, True, PerBlock(0, 32))).scale.item() == 0.25


FILLING = [name for name, convention in CONVENTIONS.items() if convention.fills_blocks]


def test_blocks_longer_than_their_axis_are_those_of_an_axis_that_is_filled_up_with_zeros() -> None:
    x = W[:20]
    filled = np.concatenate([x, np.zeros((12, 3), F)])
    for name in FILLING:
        symmetric = CONVENTIONS[name].offers(UINT4, True, PerBlock(0, 32))
        scheme = Scheme(UINT4, symmetric, PerBlock(0, 32), convention=name)
        q, whole = choose_qparams(x, scheme), choose_qparams(filled, scheme)
        np.testing.assert_array_equal(quantize(x, q), quantize(filled, whole)[:20], name)
        assert analyze(x, scheme).mse == measure(x, scheme).mse
    assert len(FILLING) == 5


def test_whether_blocks_are_filled_up_follows_from_the_runtime() -> None:
    scheme = Scheme(INT4, True, PerBlock(0, 32), convention=QDQ)
    assert choose_qparams(W[:20], scheme).scale.shape == (1, 3)
    assert Scheme.from_dict(scheme.to_dict()) == scheme
    for other in (
        replace(scheme, convention="textbook"),
        replace(scheme, number_format=IntFormat(8), convention="onnxruntime"),
    ):
        with pytest.raises(Problem, match="A block of 32 is longer than axis 0"):
            choose_qparams(W[:20], other)


def test_blocks_of_four_bits_are_those_of_its_own_quantizer() -> None:
    for number_format, symmetric in ((INT4, True), (UINT4, False)):
        q = choose_qparams(W, Scheme(number_format, symmetric, PerBlock(0, 32)))
        assert q.convention.name == QDQ
    assert choose_qparams(W, Scheme(INT4, True, PerTensor())).convention.name == "onnxruntime"
    assert choose_qparams(W, Scheme(IntFormat(8), True, PerBlock(0, 32))).convention.name != QDQ


@every(
    ("scheme", "said"),
    [
        ((UINT4, True, PerTensor(), "minmax", DEFAULT), "a scale for each block: choose per block"),
        ((UINT4, True, PerBlock(0, 24), "minmax", DEFAULT), "no blocks of 24: choose one of 16, 32, 64, 128, 256"),
        ((INT4, True, PerBlock(0, 32), "minmax", DEFAULT), "unsigned codes only"),
        ((INT4, False, PerBlock(0, 32), "minmax", QDQ), "quantizes int4 symmetrically only"),
        ((UINT4, True, PerBlock(0, 32), "minmax", QDQ), "quantizes uint4 asymmetrically only"),
        ((UINT8, False, PerBlock(0, 32), "minmax", QDQ), "has no uint8: choose one of int4, uint4"),
    ],
)
def test_what_it_does_not_have_is_one_sentence(scheme: tuple, said: str) -> None:
    with pytest.raises(Problem, match=said):
        Scheme(*scheme)


@every("scheme", SCHEMES, ids=str)
@every("dtype", ["float32", "float16", "bfloat16"])
def test_its_own_script_gives_the_codes_of_hard_values(tmp_path: Path, scheme: Scheme, dtype: str) -> None:
    x = hard()
    if dtype != "float32":
        x = np.where(np.abs(np.nan_to_num(x)) > 1e5, F(6e4), x)
        x = Tensor(x.astype(np.float16), dtype="float16").values[:].reshape(x.shape) if dtype == "float16" else x
    tensor = Tensor(x, dtype=dtype)
    q = choose_qparams(tensor, scheme)
    assert runtimes_of(q) == ("onnxruntime",)
    left = run(runtime_snippet(q, "onnxruntime", all_finite=False), tmp_path, np.array(x))
    codes = quantize(tensor, q)
    np.testing.assert_array_equal(left["codes"], codes)
    np.testing.assert_array_equal(left["x_hat"], dequantize(codes, q))


@every("rule", [Percentile(90.0), Manual(-1, 0.5), MSE()], ids=str)
def test_with_another_range_there_is_no_function_that_gives_these_codes(rule: object) -> None:
    q = choose_qparams(W, Scheme(INT4, True, PerBlock(0, 32), rule, QDQ))  # type: ignore[arg-type]
    assert "onnxruntime" not in runtimes_of(q)


@every("scheme", SCHEMES, ids=str)
def test_the_exported_model_gives_its_values(tmp_path: Path, scheme: Scheme) -> None:
    analysis = analyze(W, scheme)
    save_onnx(tmp_path / "w.onnx", analysis)
    (values,) = onnxruntime.InferenceSession(str(tmp_path / "w.onnx")).run(None, {})
    np.testing.assert_array_equal(values, dequantize(quantize(W, analysis.qparams), analysis.qparams))


def test_where_the_inverse_of_a_scale_has_no_end_it_breaks_and_says_so() -> None:
    x = hard()
    for scheme in SCHEMES:
        metrics = analyze(Tensor(x), scheme)
        assert metrics.qparams.breaks
        assert "breaks here" in str(caveats(metrics)[0])


def test_a_falling_staircase_is_counted_element_by_element() -> None:
    x = (np.random.default_rng(1).standard_normal(70_000) * 0.1).astype(F)
    x[5] = 9
    scheme = Scheme(INT4, True, PerBlock(0, x.size), convention=QDQ)
    plain, sorted_ = measure(x, scheme), measure(prepare(x), scheme)
    assert plain.qparams.scale.item() < 0
    assert sorted_.mse == plain.mse


def test_a_symmetric_zero_point_is_not_stored() -> None:
    symmetric, asymmetric = (
        analyze(np.linspace(-1, 1, 128).reshape(64, 2), Scheme(UINT4, s, PerBlock(0, 32), convention=DEFAULT)).storage
        for s in (True, False)
    )
    assert (symmetric.zero_point_bytes, asymmetric.zero_point_bytes) == (0, 2)


@every(
    "scheme",
    [
        Scheme(UINT4, False, PerBlock(0, 16), convention="onnxruntime_k_quant"),
        Scheme("float8_e4m3fn", True, convention="onnxruntime_float8"),
    ],
    ids=str,
)
@every("dtype", ["float32", "float16"])
def test_scripts_of_what_follows_from_elements_give_the_codes_of_hard_values(
    tmp_path: Path, scheme: Scheme, dtype: str
) -> None:
    x = W.copy()
    x[:16, 0] = 0
    x[33, 1], x[34, 1], x[35, 1] = np.nan, np.inf, -np.inf
    if dtype == "float16" and scheme.number_format.name == "uint4":
        x = x.astype(np.float16).astype(F)
        tensor = Tensor(x, dtype=dtype)
    else:
        tensor = Tensor(x)
    q = choose_qparams(tensor, scheme)
    left = run(runtime_snippet(q, "onnxruntime", all_finite=False), tmp_path, x)
    codes = quantize(tensor, q)
    np.testing.assert_array_equal(left["codes"], codes)
    np.testing.assert_array_equal(left["x_hat"], dequantize(codes, q))
