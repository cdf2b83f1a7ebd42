"""How many bytes does the tensor take, before and after?"""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import (
    CONVENTIONS,
    FloatFormat,
    IntFormat,
    PerAxis,
    PerBlock,
    PerTensor,
    PerTile,
    Scheme,
    Tensor,
    choose_qparams,
    storage,
)
from qviz.core.ranges.known import Known
from tests.every import every

MX = ("mx_floor", "mx_ceil", "mx_even", "mx_rceil")


def bytes_of(shape, scheme):
    """Of a tensor that is zero behind its first thousand elements: searches pass over zeros quickly."""
    x = np.zeros(shape)
    x.reshape(-1)[:1000] = np.random.default_rng(0).standard_normal(min(1000, x.size))
    return storage(x.size, choose_qparams(x, scheme))


@every(
    ("shape", "scheme", "codes", "scales", "zero_points"),
    [
        ((1000,), Scheme(), 1000, 4, 0),
        ((1000,), Scheme(IntFormat(8, False), False), 1000, 4, 1),
        ((1000,), Scheme(IntFormat(8, False), False, convention="textbook"), 1000, 4, 4),
        ((1000,), Scheme(IntFormat(8, False), True), 1000, 4, 1),  # the zero point is 128
        ((1000,), Scheme(IntFormat(4)), 500, 4, 0),
        ((1001,), Scheme(IntFormat(4)), 501, 4, 0),  # half a byte is a byte
        ((1000,), Scheme(IntFormat(3)), 375, 4, 0),
        ((1001,), Scheme(IntFormat(3)), 376, 4, 0),
        ((1000,), Scheme(IntFormat(16, False), False), 2000, 4, 2),
        ((1000,), Scheme(IntFormat(5, False), False), 625, 4, 1),
        ((5, 200), Scheme(IntFormat(4, False), False, PerAxis(0)), 500, 20, 3),  # five half bytes
        ((5, 200), Scheme(IntFormat(4), True, PerAxis(0)), 500, 20, 0),
        ((5, 200), Scheme(IntFormat(8, False), False, PerAxis(1)), 1000, 800, 200),
        ((5, 200), Scheme(IntFormat(8, False), False, PerAxis(0), convention="textbook"), 1000, 20, 20),
    ],
)
def test_codes_are_packed_and_the_overhead_is_counted(shape, scheme, codes, scales, zero_points):
    s = bytes_of(shape, scheme)
    assert (s.code_bytes, s.scale_bytes, s.zero_point_bytes) == (codes, scales, zero_points)
    assert s.quantized_bytes == codes + scales + zero_points
    n = np.prod(shape)
    assert (s.elements, s.float32_bytes, s.float16_bytes) == (n, 4 * n, 2 * n)
    assert s.bits_per_element == pytest.approx(8 * (codes + scales + zero_points) / n)
    assert s.ratio == pytest.approx((codes + scales + zero_points) / (4 * n))


BLOCKS = PerBlock(-1, 32)
FP8, FP4 = FloatFormat("e4m3fn"), FloatFormat("e2m1fn")
STORED = {
    # Codes, the scale of a group, its zero point; of a tensor of 256 × 1,024, per tensor where nothing is said.
    "textbook": [
        (Scheme("int8", convention="textbook"), 8 + 32 / 2**18),
        (Scheme("uint8", False, PerAxis(0), convention="textbook"), 8 + (32 + 32) / 1024),  # a real zero point
        (Scheme("nf4", True, PerBlock(-1, 64), convention="textbook"), 4 + 32 / 64),
    ],
    "onnxruntime": [
        (Scheme("int8", True, PerAxis(0)), 8 + 32 / 1024),
        (Scheme("uint8", False, PerAxis(0)), 8 + (32 + 8) / 1024),
        (Scheme("uint4", False, BLOCKS), 4 + (32 + 4) / 32),
    ],
    "nncf_activations": [
        (Scheme("uint8", True, convention="nncf_activations"), 8 + 32 / 2**18),
    ],
    "nncf_quantized": [(Scheme("int8", True, PerAxis(0), convention="nncf_quantized"), 8 + 32 / 1024)],
    "onnxruntime_blocks": [
        (Scheme("int8", True, BLOCKS, convention="onnxruntime_blocks"), 8 + 32 / 32),
        (Scheme("uint8", False, BLOCKS, convention="onnxruntime_blocks"), 8 + (32 + 8) / 32),
    ],
    "onnxruntime_matmulnbits": [
        (Scheme("uint4", True, BLOCKS, convention="onnxruntime_matmulnbits"), 4 + 32 / 32),
        (Scheme("uint4", False, BLOCKS, convention="onnxruntime_matmulnbits"), 4 + (32 + 4) / 32),
    ],
    "onnxruntime_matmulnbits_qdq": [
        (Scheme("int4", True, BLOCKS, convention="onnxruntime_matmulnbits_qdq"), 4 + 32 / 32),
        (Scheme("uint4", False, BLOCKS, convention="onnxruntime_matmulnbits_qdq"), 4 + (32 + 4) / 32),
    ],
    "onnxruntime_k_quant": [(Scheme("uint4", False, BLOCKS, convention="onnxruntime_k_quant"), 4 + (32 + 4) / 32)],
    "onnxruntime_hqq": [(Scheme("uint4", False, BLOCKS, convention="onnxruntime_hqq"), 4 + (32 + 32) / 32)],
    "onnxruntime_float8": [(Scheme(FP8, True, convention="onnxruntime_float8"), 8 + 32 / 2**18)],
    "onnxruntime_unsaturated": [(Scheme(FP8, True, PerAxis(0), convention="onnxruntime_unsaturated"), 8 + 32 / 1024)],
    "cast_float8": [
        (Scheme(FP8, True, convention="cast_float8"), 8),
        (Scheme(FP8, True, range_rule=Known((2.0,), (0.0,)), convention="cast_float8"), 8 + 32 / 2**18),
    ],
    "aimet": [
        (Scheme("int8", True, PerAxis(0), convention="aimet"), 8 + 32 / 1024),
        (Scheme("uint8", False, convention="aimet"), 8 + (32 + 8) / 2**18),
    ],
    "aimet_strict": [(Scheme("int8", True, PerAxis(0), convention="aimet_strict"), 8 + 32 / 1024)],
    "nncf": [
        (Scheme("int4", True, BLOCKS, convention="nncf"), 4 + 32 / 32),
        (Scheme("uint8", False, PerAxis(0), convention="nncf"), 8 + (32 + 8) / 1024),
    ],
    "onnxruntime_reduce_range": [(Scheme("int8", True, PerAxis(0), convention="onnxruntime_reduce_range"), 8 + 1 / 32)],
    "onnxruntime_dynamic": [(Scheme("uint8", False, convention="onnxruntime_dynamic"), 8 + (32 + 8) / 2**18)],
    "pytorch": [(Scheme("int8", True, PerAxis(0), convention="pytorch"), 8 + 32 / 1024)],
    "pytorch_reduce_range": [(Scheme("uint8", False, convention="pytorch_reduce_range"), 8 + (32 + 8) / 2**18)],
    "torchao": [
        (Scheme("int4", True, PerBlock(-1, 128), convention="torchao"), 4.125),  # bfloat16 scales
        (Scheme("uint4", False, BLOCKS, convention="torchao"), 4.625),
        (Scheme(FP8, True, PerAxis(0), convention="torchao"), 8 + 32 / 1024),
        (Scheme(FP8, True, PerTile(128, 128), convention="torchao"), 8 + 32 / 128**2),
        (Scheme(FP8, True, PerTile(128, 128), convention="torchao", power_of_two=True), 8 + 8 / 128**2),
    ],
    "pytorch_qat": [(Scheme("int8", True, PerAxis(0), convention="pytorch_qat"), 8 + 32 / 1024)],
    "torchao_no_clipping": [(Scheme("int4", True, BLOCKS, convention="torchao_no_clipping"), 4.5)],
    "torchao_int8": [(Scheme("int8", True, PerAxis(0), convention="torchao_int8"), 8 + 32 / 1024)],
    "paddle": [(Scheme("int8", True, PerAxis(0), convention="paddle"), 8 + 32 / 1024)],
    "tensorrt": [(Scheme("int8", True, PerAxis(0), convention="tensorrt"), 8 + 32 / 1024)],
    "tflite": [
        (Scheme("int8", True, PerAxis(0), convention="tflite"), 8 + 32 / 1024),
        (Scheme("int4", True, BLOCKS, convention="tflite"), 4 + 16 / 32),  # float16 scales
    ],
    **{name: [(Scheme(FP4, True, BLOCKS, convention=name), 4 + 8 / 32)] for name in MX},
    "nvfp4": [(Scheme(FP4, True, PerBlock(-1, 16), convention="nvfp4"), 4 + 8 / 16 + 32 / 2**18)],
    "bitsandbytes": [(Scheme("nf4", True, PerBlock(-1, 64), convention="bitsandbytes"), 4.5)],
    "bitsandbytes_double": [
        (
            Scheme("nf4", True, PerBlock(-1, 64), convention="bitsandbytes_double"),
            4 + 8 / 64 + 32 / (64 * 256) + 32 / 2**18,
        )
    ],
    "nvfp4_single": [(Scheme(FP4, True, PerBlock(-1, 16), convention="nvfp4_single"), 4 + 8 / 16)],
    "gguf": [
        (Scheme("uint4", True, BLOCKS, convention="gguf"), 4.5),
        (Scheme("uint4", False, BLOCKS, convention="gguf"), 5),  # and a float16 minimum
        (Scheme("uint5", True, BLOCKS, convention="gguf"), 5.5),
        (Scheme("uint5", False, BLOCKS, convention="gguf"), 6),
        (Scheme("int8", True, BLOCKS, convention="gguf"), 8.5),
    ],
    "q2_k": [(Scheme("uint2", False, PerBlock(-1, 16), convention="q2_k"), 2 + (4 + 4) / 16 + (16 + 16) / 256)],
    "q3_k": [(Scheme("int3", True, PerBlock(-1, 16), convention="q3_k"), 3 + 6 / 16 + 16 / 256)],
    "q4_k": [(Scheme("uint4", False, BLOCKS, convention="q4_k"), 4 + (6 + 6) / 32 + (16 + 16) / 256)],
    "q5_k": [(Scheme("uint5", False, BLOCKS, convention="q5_k"), 5 + (6 + 6) / 32 + (16 + 16) / 256)],
    "iq4_nl": [(Scheme("iq4_nl", True, BLOCKS, convention="iq4_nl"), 4 + 16 / 32)],
    "iq4_xs": [(Scheme("iq4_nl", True, BLOCKS, convention="iq4_xs"), 4 + 6 / 32 + 16 / 256)],
    "tq1_0": [(Scheme("int2", True, PerBlock(-1, 256), convention="tq1_0"), (8 * (48 + 4) + 16) / 256)],
    "tq2_0": [(Scheme("int2", True, PerBlock(-1, 256), convention="tq2_0"), 2 + 16 / 256)],
    "ggml_mxfp4": [(Scheme("fp4_ggml", True, BLOCKS, convention="ggml_mxfp4"), 4 + 8 / 32)],
    "ggml_nvfp4": [(Scheme("fp4_ggml", True, PerBlock(-1, 16), convention="ggml_nvfp4"), 4 + 8 / 16)],
    "q6_k": [(Scheme("int6", True, PerBlock(-1, 16), convention="q6_k"), 6 + 8 / 16 + 16 / 256)],
}
"""Bits an element as each runtime stores them, added up by hand."""


@every("convention", CONVENTIONS)
def test_memory_counts_what_the_runtime_stores(convention):
    assert convention in STORED, f"STORED has no row that says what {convention} stores"
    for scheme, bits in STORED[convention]:
        assert scheme.convention == convention
        assert bytes_of((256, 1024), scheme).bits_per_element == pytest.approx(bits, rel=1e-12), scheme


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_a_scale_that_is_stored_as_a_half_counts_as_one(name):
    x = np.random.default_rng(0).standard_normal((256, 1024))
    for scheme in (Scheme("int8", True, BLOCKS, convention="torchao"), Scheme("int8", True, BLOCKS)):
        q = choose_qparams(Tensor(x, dtype=name), scheme)
        halves = q.precision.scale == name
        assert storage(x.size, q).bits_per_element == 8 + (16 if halves else 32) / 32


def test_the_quarter_of_the_textbooks():
    s = bytes_of((10,), Scheme(IntFormat(8, False), False, convention="textbook"))
    assert s.code_bytes / s.float32_bytes == 0.25


def test_a_scale_for_each_32_values_makes_4_bits_into_5():
    s = bytes_of((100, 32), Scheme(IntFormat(4), True, PerAxis(0)))
    assert s.bits_per_element == 4 + 32 / 32


def test_a_whole_zero_point_that_is_no_code_takes_a_float():
    q = choose_qparams(np.full(10, 1000.0), Scheme(IntFormat(8, False), False, convention="textbook"))
    assert q.zero_point == -1000
    assert storage(10, q).zero_point_bytes == 4


def test_tensors_smaller_than_their_overhead_grow():
    s = bytes_of((1,), Scheme(granularity=PerTensor()))
    assert s.quantized_bytes == 5 > s.float32_bytes


def test_a_block_alone_does_not_carry_what_is_stored_once():
    x = np.random.default_rng(0).standard_normal((4, 64))
    scheme = Scheme(FloatFormat("e2m1fn"), granularity=PerBlock(-1, 16), convention="nvfp4")
    whole = choose_qparams(x, scheme)
    assert storage(x.size, whole).quantized_bytes == 128 + 16 + 4
    assert storage(16, whole.for_group(3)).bits_per_element == 4.5
