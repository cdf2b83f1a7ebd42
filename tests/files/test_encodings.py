"""A weight that some library quantized is read as what its codes stand for, computed here element by element."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from qviz.files.problems import FileProblem
from qviz.files.readers import list_tensors
from tests.every import every

Array = np.ndarray[Any, Any]
RANDOM = np.random.default_rng(0)
ROWS, COLUMNS, GROUP = 64, 32, 16
"""Of GPTQ and AWQ, whose weights lie inputs × outputs."""


def packed(codes: Array, bits: int) -> Array:
    """Along the last axis into int32 words, from the lowest bits on, bit by bit."""
    single = (codes[..., None].astype(np.int64) >> np.arange(bits)) & 1
    bytes_ = np.packbits(single.reshape(*codes.shape[:-1], -1).astype(np.uint8), axis=-1, bitorder="little")
    return np.ascontiguousarray(bytes_).view(np.int32)


def only(path: Path) -> Any:
    (entry,) = [each for each in list_tensors(path) if each.encoding is not None]
    return entry


def written(tmp_path: Path, **tensors: Array) -> Path:
    path = tmp_path / "model.safetensors"
    save_file({name.replace("__", "."): np.ascontiguousarray(each) for name, each in tensors.items()}, path)
    return path


def gptq(bits: int, stored: Array, order: Array | None = None) -> tuple[dict[str, Array], Array, Array]:
    codes = RANDOM.integers(0, 1 << bits, (ROWS, COLUMNS))
    scales = RANDOM.random((ROWS // GROUP, COLUMNS)).astype(np.float16)
    tensors = {"m__qweight": packed(codes.T, bits).T, "m__qzeros": packed(stored, bits), "m__scales": scales}
    return tensors | ({} if order is None else {"m__g_idx": order.astype(np.int32)}), codes, scales


@every("bits", [2, 3, 4, 8])
@every("form", ["gptq", "gptq_v2", None])
@every("ordered", [False, True])
def test_gptq(tmp_path: Path, bits: int, form: str | None, ordered: bool) -> None:
    zeros = RANDOM.integers(0, 1 << bits, (ROWS // GROUP, COLUMNS))
    stored = zeros if form == "gptq_v2" else (zeros - 1) % (1 << bits)
    order = RANDOM.permutation(np.arange(ROWS) // GROUP) if ordered else None
    tensors, codes, scales = gptq(bits, stored, order)
    if form is not None:
        (tmp_path / "config.json").write_text(json.dumps({"quantization_config": {"checkpoint_format": form}}))
    entry = only(written(tmp_path, **tensors))
    assert (entry.key, entry.name, entry.shape) == ("m.weight", "model/m.weight", (COLUMNS, ROWS))
    assert entry.dtype == f"int{bits} (GPTQ)"
    assert str(entry.note().phrase) == f"Decoded from int{bits} of GPTQ, 16 to a scale."
    found = entry.load()
    for row in range(ROWS):
        group = order[row] if order is not None else row // GROUP
        expected = (codes[row] - zeros[group]) * scales[group].astype(np.float32)
        np.testing.assert_array_equal(found[:, row], expected.astype(np.float32))


def test_awq(tmp_path: Path) -> None:
    codes, zeros = RANDOM.integers(0, 16, (ROWS, COLUMNS)), RANDOM.integers(0, 16, (ROWS // GROUP, COLUMNS))
    scales = RANDOM.random((ROWS // GROUP, COLUMNS)).astype(np.float16)

    def turned(values: Array) -> Array:
        return values.reshape(len(values), -1, 8)[..., [0, 2, 4, 6, 1, 3, 5, 7]].reshape(len(values), -1)

    path = written(tmp_path, m__qweight=packed(turned(codes), 4), m__qzeros=packed(turned(zeros), 4), m__scales=scales)
    entry = only(path)
    assert (entry.dtype, entry.shape) == ("int4 (AWQ)", (COLUMNS, ROWS))
    expected = (codes - np.repeat(zeros, GROUP, 0)) * np.repeat(scales.astype(np.float32), GROUP, 0)
    np.testing.assert_array_equal(entry.load(), expected.T.astype(np.float32))


@every("bits", [4, 8])
@every("groups", [1, 4])
@every("with_zeros", [False, True])
def test_compressed_tensors_packed(tmp_path: Path, bits: int, groups: int, with_zeros: bool) -> None:
    half = 1 << (bits - 1)
    codes, zeros = RANDOM.integers(-half, half, (32, 64)), RANDOM.integers(-half, half, (32, groups))
    scale = RANDOM.random((32, groups)).astype(ml_dtypes.bfloat16)
    tensors = {"m__weight_packed": packed(codes + half, bits), "m__weight_scale": scale}
    tensors["m__weight_shape"] = np.array([32, 64])
    if with_zeros:
        tensors["m__weight_zero_point"] = packed((zeros + half).T, bits).T
    entry = only(written(tmp_path, **tensors))
    assert (entry.key, entry.dtype, entry.shape) == ("m.weight", f"int{bits} (compressed-tensors)", (32, 64))
    shift = np.repeat(zeros if with_zeros else 0 * zeros, 64 // groups, 1)
    expected = (codes - shift) * np.repeat(scale.astype(np.float32), 64 // groups, 1)
    np.testing.assert_array_equal(entry.load(), expected.astype(np.float32))


@every("dtype", ["int8", "float8_e4m3fn"])
@every("shape", [(1,), (8, 1), (8,), (8, 2)])
def test_codes_with_scales(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    codes = RANDOM.integers(-100, 100, (8, 32)).astype(np.int8 if dtype == "int8" else ml_dtypes.float8_e4m3fn)
    scale = RANDOM.random(shape).astype(np.float32)
    entry = only(written(tmp_path, m__weight=codes, m__weight_scale=scale))
    assert entry.dtype == f"{dtype} (compressed-tensors)"
    wide = scale.reshape(scale.shape[0], -1)
    np.testing.assert_array_equal(entry.load(), codes.astype(np.float32) * np.repeat(wide, 32 // wide.shape[1], 1))


def test_fp8_in_blocks(tmp_path: Path) -> None:
    codes = RANDOM.standard_normal((200, 300)).astype(ml_dtypes.float8_e4m3fn)
    scale = RANDOM.random((2, 3)).astype(np.float32)
    entry = only(written(tmp_path, m__weight=codes, m__weight_scale_inv=scale))
    found = entry.load()
    for row, column in ((0, 0), (127, 128), (128, 127), (199, 299)):
        assert found[row, column] == np.float32(codes[row, column]) * scale[row // 128, column // 128]


FP4 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def nibbles(codes: Array) -> Array:
    return (codes[..., ::2] | codes[..., 1::2] << 4).astype(np.uint8)


def test_nvfp4(tmp_path: Path) -> None:
    codes = RANDOM.integers(0, 16, (4, 64))
    scale = (1 + RANDOM.random((4, 4))).astype(ml_dtypes.float8_e4m3fn)
    whole = np.array([8], np.float32)
    path = written(tmp_path, m__weight_packed=nibbles(codes), m__weight_scale=scale, m__weight_global_scale=whole)
    expected = FP4[codes] * np.repeat(scale.astype(np.float32) / 8, 16, 1)
    np.testing.assert_array_equal(only(path).load(), expected)


def test_mxfp4_of_gpt_oss(tmp_path: Path) -> None:
    codes, scale = RANDOM.integers(0, 16, (2, 3, 5, 32)), RANDOM.integers(120, 130, (2, 3, 5)).astype(np.uint8)
    path = written(tmp_path, experts__up_blocks=nibbles(codes), experts__up_scales=scale)
    entry = only(path)
    assert (entry.key, entry.shape, entry.dtype) == ("experts.up", (2, 3, 160), "float4_e2m1fn (MXFP4)")
    expected = FP4[codes] * (2.0 ** (scale.astype(np.float32) - 127))[..., None]
    np.testing.assert_array_equal(entry.load(), expected.reshape(2, 3, 160).astype(np.float32))


def test_bitsandbytes_int8(tmp_path: Path) -> None:
    codes, scale = RANDOM.integers(-127, 128, (8, 16)).astype(np.int8), RANDOM.random(8).astype(np.float32)
    entry = only(written(tmp_path, m__weight=codes, m__SCB=scale))
    np.testing.assert_array_equal(entry.load(), codes * scale[:, None] * np.float32(1 / 127))  # in the library's order


@pytest.mark.parametrize("nested", [False, True])
def test_bitsandbytes_nf4(tmp_path: Path, nested: bool) -> None:
    codes, levels = RANDOM.integers(0, 16, 6 * 32), np.linspace(-1, 1, 16, dtype=np.float32)
    state: dict[str, Any] = {"quant_type": "nf4", "blocksize": 64, "shape": [6, 32], "dtype": "bfloat16"}
    scale = np.array([0.5, 1.5, 2.5], np.float32)
    tensors: dict[str, Array] = {"m__weight": (codes[::2] << 4 | codes[1::2]).astype(np.uint8)[:, None]}
    tensors["m__weight__absmax"], tensors["m__weight__quant_map"] = scale, levels
    if nested:
        outer = np.linspace(-1, 1, 256, dtype=np.float32)
        places = np.array([3, 200, 90], np.uint8)
        state |= {"nested_blocksize": 2, "nested_offset": 0.25}
        tensors |= {"m__weight__absmax": places, "m__weight__nested_quant_map": outer}
        tensors["m__weight__nested_absmax"] = np.array([2, 4], np.float32)
        scale = outer[places] * np.array([2, 2, 4], np.float32) + np.float32(0.25)
    tensors["m__weight__quant_state.bitsandbytes__nf4"] = np.frombuffer(json.dumps(state).encode(), np.uint8)
    path = tmp_path / "model.safetensors"
    save_file({n.replace("m__weight__", "m.weight.").replace("m__", "m."): v for n, v in tensors.items()}, path)
    entry = only(path)
    assert (entry.key, entry.shape, entry.dtype) == ("m.weight", (6, 32), "nf4 (bitsandbytes)")
    np.testing.assert_array_equal(entry.load(), (levels[codes] * np.repeat(scale, 64)).reshape(6, 32))


def test_the_parts_are_counted_once_and_can_be_looked_at(tmp_path: Path) -> None:
    tensors, *_ = gptq(4, np.full((ROWS // GROUP, COLUMNS), 7))
    path = written(tmp_path, **tensors, other=np.ones((2, 2), np.float32))
    first, other = sorted(list_tensors(path), key=lambda entry: str(entry.key))
    assert [part.key for part in first.encoding.parts] == ["m.qweight", "m.qzeros", "m.scales"]
    assert first.nbytes == sum(each.nbytes for each in tensors.values())
    assert (other.key, other.encoding) == ("other", None)
    np.testing.assert_array_equal(first.encoding.parts[0].load(), tensors["m__qweight"])


CONTRADICTIONS: dict[str, dict[str, Array]] = {
    "zeros of another shape": {"m__qzeros": np.zeros((3, 4), np.int32)},
    "scales of another shape": {"m__scales": np.zeros((4, 30), np.float16)},
    "codes of another type": {"m__qweight": np.zeros((8, 32), np.int64)},
    "an order of another length": {"m__g_idx": np.zeros(5, np.int32)},
}


@every("what", CONTRADICTIONS)
def test_what_contradicts_itself_stays_as_the_file_has_it(tmp_path: Path, what: str) -> None:
    tensors, _, _ = gptq(4, np.full((ROWS // GROUP, COLUMNS), 7))
    path = written(tmp_path, **(tensors | CONTRADICTIONS[what]))
    assert all(entry.encoding is None for entry in list_tensors(path))


def test_an_order_beyond_the_groups_is_told(tmp_path: Path) -> None:
    tensors, _, _ = gptq(4, np.full((ROWS // GROUP, COLUMNS), 7), np.full(ROWS, 99))
    with pytest.raises(FileProblem, match="whose codes and scales do not fit together"):
        only(written(tmp_path, **tensors)).load()


@every("said", ["", "[]", '{"quantization_config": 3}', "[" * 100_000])
def test_a_damaged_configuration_says_nothing(tmp_path: Path, said: str) -> None:
    (tmp_path / "config.json").write_text(said)
    tensors, _, _ = gptq(4, np.full((ROWS // GROUP, COLUMNS), 7))
    assert only(written(tmp_path, **tensors)).load().shape == (COLUMNS, ROWS)
