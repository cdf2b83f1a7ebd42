"""ONNX Runtime loads what is written, and gives back ``fake_quantize`` bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from qviz.core import (
    Codebook,
    FloatFormat,
    IntFormat,
    PerAxis,
    PerBlock,
    PerTensor,
    PerTile,
    PerToken,
    Problem,
    Scheme,
    Tensor,
    analyze,
    dequantize,
    fake_quantize,
    quantize,
)
from qviz.files import onnx_out
from qviz.files.onnx_out import save_onnx
from qviz.files.problems import FileProblem
from tests.every import every

X = np.random.default_rng(3).standard_normal((6, 70)).astype(np.float32) * np.float32(0.8) + np.float32(0.3)

INTEGERS = tuple(IntFormat(bits, signed) for bits in (2, 4, 8, 16) for signed in (True, False))
FLOATS = tuple(FloatFormat(name) for name in ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz", "bfloat16", "float16"))
GRANULARITIES = (PerTensor(), PerAxis(0), PerAxis(-1), PerBlock(-1, 32), PerBlock(0, 4), PerBlock(-1, 1), PerToken())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "w.onnx"


def written(path: Path, x: Any, scheme: Scheme) -> tuple[onnx.ModelProto, Any]:
    """The model as the checker passed it, and the analysis that it was made from."""
    analysis = analyze(Tensor(x), scheme)
    save_onnx(path, analysis, "block/w.0")
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    return model, analysis


def output_of(path: Path) -> Any:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (value,) = session.run(None, {})
    return value


def check(path: Path, x: Any, scheme: Scheme) -> onnx.ModelProto:
    model, analysis = written(path, x, scheme)
    expected = fake_quantize(x, analysis.qparams)
    np.testing.assert_array_equal(output_of(path), expected, strict=True)
    # There is one integer zero: fake_quantize may give −0.
    codes = quantize(x, analysis.qparams)
    if scheme.number_format.name == "float4_e2m1fn":  # stored as integers too
        return model
    np.testing.assert_array_equal(np.signbit(output_of(path)), np.signbit(dequantize(codes, analysis.qparams)))
    return model


@every("granularity", GRANULARITIES, ids=str)
@every("number_format", [*INTEGERS, *FLOATS], ids=lambda f: f.name)
def test_onnx_runtime_gives_the_values_back_bit_for_bit(path: Path, number_format: Any, granularity: Any) -> None:
    for symmetric in (True, False) if isinstance(number_format, IntFormat) else (True,):
        check(path, X, Scheme(number_format, symmetric, granularity, convention="onnxruntime"))


@pytest.mark.parametrize(
    ("convention", "number_format", "granularity"),
    [
        ("pytorch", IntFormat(8), PerAxis(0)),
        ("torchao", IntFormat(4), PerBlock(-1, 32)),
        ("torchao", FloatFormat("e4m3fn"), PerBlock(-1, 32)),
        ("paddle", IntFormat(8), PerAxis(1)),
        ("tflite", IntFormat(8), PerAxis(0)),
        ("textbook", IntFormat(8, False), PerTensor()),
        ("mx_floor", FloatFormat("e5m2"), PerBlock(-1, 32)),
        ("mx_rceil", IntFormat(8), PerBlock(-1, 32)),
        ("gguf", IntFormat(4, False), PerBlock(-1, 32)),
        ("gguf", IntFormat(8), PerBlock(-1, 32)),
    ],
)
def test_every_runtime_whose_zero_points_are_whole_can_be_written(
    path: Path, convention: str, number_format: Any, granularity: Any
) -> None:
    check(path, X[:, :64], Scheme(number_format, True, granularity, convention=convention))


@pytest.mark.parametrize(("convention", "block"), [("nvfp4", 16), ("mx_even", 32), ("onnxruntime", 8)])
def test_float4_is_written_as_whole_halves(path: Path, convention: str, block: int) -> None:
    # ONNX has the type, but ONNX Runtime no kernel for it: int8 and half of the scale give the same values.
    check(path, X[:, :64], Scheme(FloatFormat("e2m1fn"), granularity=PerBlock(-1, block), convention=convention))


@pytest.mark.parametrize("shape", [(1,), (40,), (2, 3, 4, 33)])
@pytest.mark.parametrize(
    "granularity", [PerTensor(), PerAxis(-1), PerBlock(0, 1), PerBlock(-1, 1), PerToken()], ids=str
)
def test_any_shape_is_kept(path: Path, shape: tuple[int, ...], granularity: Any) -> None:
    x = np.random.default_rng(4).standard_normal(shape).astype(np.float32)
    check(path, x, Scheme(IntFormat(8), False, granularity))


@pytest.mark.parametrize(
    ("number_format", "granularity", "version"),
    [
        (IntFormat(8), PerTensor(), 13),
        (IntFormat(8), PerBlock(-1, 8), 21),
        (IntFormat(4), PerTensor(), 21),
        (IntFormat(16), PerTensor(), 21),
        (IntFormat(2), PerTensor(), 25),
        (FloatFormat("e4m3fn"), PerAxis(0), 19),
        (FloatFormat("e4m3fn"), PerBlock(-1, 8), 21),
        (FloatFormat("bfloat16"), PerTensor(), 13),
    ],
)
def test_no_newer_operators_are_asked_for_than_are_needed(
    path: Path, number_format: Any, granularity: Any, version: int
) -> None:
    model, _ = written(path, X, Scheme(number_format, True, granularity))
    assert [entry.version for entry in model.opset_import] == [version]


def test_the_parts_have_the_names_that_onnx_runtime_gives_them_and_the_scheme_is_kept(path: Path) -> None:
    scheme = Scheme(IntFormat(4), False, PerBlock(0, 2))
    model, _ = written(path, X, scheme)
    names = [part.name for part in model.graph.initializer]
    assert names == ["block/w.0_quantized", "block/w.0_scale", "block/w.0_zero_point"]
    assert [value.name for value in model.graph.output] == ["block/w.0"]
    assert model.producer_name == "qviz"
    (kept,) = model.metadata_props
    assert (kept.key, Scheme.from_dict(json.loads(kept.value))) == ("scheme", scheme)


def test_the_codes_are_stored_packed(path: Path) -> None:
    x = np.random.default_rng(5).standard_normal((64, 256)).astype(np.float32)
    sizes = []
    for bits in (2, 4, 8, 16):
        written(path, x, Scheme(IntFormat(bits)))
        sizes.append(path.stat().st_size)
    assert all(size - x.size * bits // 8 < 600 for size, bits in zip(sizes, (2, 4, 8, 16), strict=True))


def test_what_is_not_finite_has_the_code_of_zero(path: Path) -> None:
    x = np.array([[np.nan, 1.0, -2.0], [np.inf, 0.5, 0.25]], np.float32)
    _, analysis = written(path, x, Scheme(IntFormat(8), False))
    codes = quantize(analysis.tensor, analysis.qparams)
    np.testing.assert_array_equal(output_of(path), dequantize(codes, analysis.qparams))


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        (Scheme(IntFormat(5)), "ONNX has integers of 2, 4, 8 and 16 bits, not int5: choose another number format"),
        (Scheme(FloatFormat("e2m3fn"), convention="textbook"), "floats of 4, 8 and 16 bits, not FP6 E2M3"),
        (Scheme(Codebook("nf4"), convention="textbook"), "not NF4"),
        (Scheme(IntFormat(8), False, convention="textbook"), "stores a zero point as a whole number"),
        (Scheme(granularity=PerTile(2, 16)), "blocks along one axis, not tiles over two: choose per block"),
        (Scheme(IntFormat(4, False), False, PerBlock(-1, 32), convention="gguf"), "not the minimum that GGUF adds"),
    ],
)
def test_what_onnx_has_no_words_for_is_a_problem_and_nothing_is_written(path: Path, scheme: Scheme, said: str) -> None:
    with pytest.raises(Problem, match=said):
        save_onnx(path, analyze(X[:, :64], scheme))
    assert not path.exists()


def test_more_than_fits_into_the_format_is_a_problem(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_out, "MOST_BYTES", 100)
    with pytest.raises(FileProblem, match=r"w\.onnx would be larger than the 2 GiB of an ONNX file"):
        save_onnx(path, analyze(X, Scheme()))


def test_a_folder_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match="there is no folder"):
        save_onnx(tmp_path / "missing" / "w.onnx", analyze(X, Scheme()))
