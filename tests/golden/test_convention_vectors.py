"""Scales, zero points and codes are those that PyTorch, torchao, Paddle, LiteRT and ONNX Runtime answered."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from qviz.core import analyze, choose_qparams, dequantize, fake_quantize, prepare, quantize
from tests.golden.record_conventions import LIBRARIES, RANGES, cases, files, load, recorded_tensors
from tests.schemes import FREE_CONVENTIONS

F = np.float32

RECORDED = {convention: list(load(convention)) for convention in LIBRARIES}

each_convention = pytest.mark.parametrize("convention", LIBRARIES)


def test_every_runtime_that_a_library_can_answer_for_was_asked():
    # The textbook is no runtime, `test_onnxruntime` and `test_product` ask ONNX Runtime live, TensorRT needs a
    # graphics card, and block formats have vectors of their own.
    # `tests.oracles.ask_torch` asks for PyTorch's reduce_range and torchao's Int8 configs live.
    by_hand = {
        "onnxruntime_float8",
        "onnxruntime_unsaturated",
        "cast_float8",
        "bitsandbytes",
        "nncf",
        "nncf_activations",
        "nncf_quantized",
        "pytorch_reduce_range",
        "pytorch_qat",
        "torchao_no_clipping",
        "torchao_int8",
    }
    others = {"textbook", "onnxruntime", "onnxruntime_dynamic", "tensorrt", "aimet", "aimet_strict"}
    assert set(FREE_CONVENTIONS) - set(LIBRARIES) == others | by_hand, (
        "a runtime with neither vectors nor a reason here"
    )


@each_convention
def test_the_vectors_are_those_that_would_be_recorded_and_name_their_library(convention):
    library = LIBRARIES[convention]
    tensors = {name: x for name, x in recorded_tensors().items() if name not in library.without}
    # Their random values may change with NumPy's version; the recorded ones are kept beside the answers.
    assert [str(case) for case in cases(convention, tensors)] == [str(case) for case, _ in RECORDED[convention]]
    about = json.loads(files(convention)[1].read_text(encoding="utf-8"))
    assert about["schemes"] == [{"type": f.name, "symmetric": symmetric} for f, symmetric in library.schemes]
    assert set(about["recorded_with"]) == {*library.packages, "numpy"}
    assert about["ranges"] == [list(ends) for ends in RANGES]


def test_the_files_are_small():
    assert sum(file.stat().st_size for convention in LIBRARIES for file in files(convention)) < 900_000


@each_convention
def test_not_one_bit_differs_from_the_recorded_answers(convention):
    for case, answer in RECORDED[convention]:
        qparams = choose_qparams(case.x, case.scheme)
        codes = quantize(case.x, qparams)
        np.testing.assert_array_equal(qparams.scale, answer["scale"], err_msg=str(case), strict=True)
        np.testing.assert_array_equal(qparams.zero_point, answer["zero_point"], err_msg=str(case))
        np.testing.assert_array_equal(codes, answer["codes"], err_msg=str(case))
        if "dequantized" in answer:
            np.testing.assert_array_equal(dequantize(codes, qparams), answer["dequantized"], strict=True)
            np.testing.assert_array_equal(fake_quantize(case.x, qparams), answer["dequantized"], strict=True)


@each_convention
def test_both_passes_count_the_recorded_codes(convention):
    for case, answer in RECORDED[convention]:
        if case.scheme.number_format.bits == 8:
            for x in (case.x, prepare(case.x)) if case.axis is None else (case.x,):
                analysis = analyze(x, case.scheme)
                shifted = answer["codes"].ravel() - analysis.qparams.quant_min
                levels = analysis.qparams.quant_max - analysis.qparams.quant_min + 1
                np.testing.assert_array_equal(analysis.occupancy, np.bincount(shifted, minlength=levels), str(case))


@pytest.mark.parametrize("convention", ["pytorch", "torchao"])
def test_multiplying_by_the_reciprocal_changes_recorded_codes(convention):
    # The same scale and zero point, but divided: not what the library answered.
    changed = total = 0
    for case, answer in RECORDED[convention]:
        scale, zero_point = case.spread(answer["scale"]), case.spread(answer["zero_point"])
        f = case.scheme.number_format
        divided = np.clip(np.rint(case.x / scale) + zero_point.astype(F), f.quant_min, f.quant_max)
        difference = np.abs(divided - answer["codes"])
        assert difference.max() <= 1
        changed += np.count_nonzero(difference)
        total += difference.size
    assert 0 < changed < total / 100


def test_how_often_the_eager_functions_of_pytorch_differ_is_noted():
    # torch.quantize_per_tensor rounds otherwise than torch.fake_quantize_per_tensor_affine where Z is not 0.
    about = json.loads(files("pytorch")[1].read_text(encoding="utf-8"))
    noted = about["torch.quantize_per_tensor and torch.quantize_per_channel"]
    assert 0 < noted["differing"] < noted["codes"] / 100


def test_dividing_by_the_threshold_first_changes_recorded_codes():
    # Paddle's x / T · 127 is not x / (T / 127).
    changed = 0
    for case, answer in RECORDED["paddle"]:
        f = case.scheme.number_format
        divided = np.clip(np.rint(case.x / case.spread(answer["scale"])), f.quant_min, f.quant_max)
        assert np.abs(divided - answer["codes"]).max() <= 1
        changed += np.count_nonzero(divided != answer["codes"])
    assert changed > 0


def test_torchao_differs_from_pytorch_in_tiny_scales_and_the_middle_of_uint4():
    different = set()
    for case, answer in RECORDED["torchao"]:
        theirs = choose_qparams(case.x, replace(case.scheme, convention="pytorch"))
        small = theirs.scale == np.finfo(F).eps
        np.testing.assert_array_equal(theirs.scale[~small], answer["scale"][~small])
        if np.any(theirs.scale != answer["scale"]):
            different.add("scale")
        if np.any((theirs.zero_point != answer["zero_point"]) & ~small):
            assert case.scheme.symmetric
            assert case.scheme.number_format.name == "uint4"
            different.add("middle")
    assert different == {"scale", "middle"}


def test_codes_beyond_the_reduced_range_are_still_clipped_at_the_full_type():
    codes = {}
    for case, answer in RECORDED["onnxruntime_reduce_range"]:
        name = case.scheme.number_format.name
        low, high = codes.get(name, (0, 0))
        codes[name] = min(low, answer["codes"].min()), max(high, answer["codes"].max())
    assert codes["int8"] == (-128, 127)
    assert codes["uint8"] == (0, 255)


def test_symmetric_tflite_never_uses_the_smallest_code_from_8_bits_on():
    for case, answer in RECORDED["tflite"]:
        if case.scheme.symmetric and case.scheme.number_format.bits >= 8:
            assert answer["codes"].min() >= -case.scheme.number_format.quant_max
    assert any(answer["codes"].min() == -8 for case, answer in RECORDED["tflite"] if case.scheme.symmetric)
