"""Quantized checkpoints that the libraries themselves wrote decode to the libraries' own values, to the last bit."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from qviz.files.readers import list_tensors
from tests.every import every

FOLDER = Path(__file__).parent / "checkpoints" / "quantized"
FILES = sorted(FOLDER.glob("*.safetensors"))
GPTQ = sorted((FOLDER.parent / "gptq").glob("*.safetensors"))
AFFINE = FOLDER.parent / "torchao_affine"
TORCHAO = sorted((FOLDER.parent / "torchao").glob("*.pt"))
MLX = sorted(FOLDER.glob("mlx_*"))

ROUNDED = {"compressed_int4_group_bf16", "compressed_nvfp4", "torchao_float8", "torchao_int8"}
"""Their libraries decode into bfloat16; qviz keeps the product."""

NAMES = {
    "bitsandbytes_fp4": "fp4 (bitsandbytes)",
    "bitsandbytes_int8": "int8 (bitsandbytes)",
    "bitsandbytes_nf4_nested": "nf4 (bitsandbytes)",
    "compressed_float8": "float8_e4m3fn (compressed-tensors)",
    "compressed_int4_asymmetric": "int4 (compressed-tensors)",
    "compressed_nvfp4": "float4_e2m1fn (NVFP4)",
    "torchao_int8": "int8 (torchao)",
}


def decoded(path: Path) -> tuple[str, np.ndarray]:
    (entry,) = list_tensors(path)
    assert entry.shape is not None
    return str(entry.dtype), np.asarray(entry.load()[:]).reshape(entry.shape)


@every("path", FILES, ids=lambda path: path.stem)
def test_a_file_decodes_to_what_its_library_says(path: Path) -> None:
    dtype, values = decoded(path)
    expected = np.load(FOLDER / "values.npz")[path.stem]
    if path.stem in ROUNDED:
        values = values.astype(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(values, expected)
    assert dtype == NAMES.get(path.stem, dtype)


@every("path", GPTQ, ids=lambda path: path.stem)
def test_gptq_and_awq_decode_to_what_their_code_says(path: Path) -> None:
    dtype, values = decoded(path)
    method, codes, *_ = path.stem.split("_")
    np.testing.assert_array_equal(values.astype(np.float16), np.load(path.with_name("values.npz"))[path.stem])
    assert dtype == f"{codes} ({method.upper()})"


@every("path", TORCHAO, ids=lambda path: path.stem)
def test_checkpoints_of_pytorch_that_torchao_quantized_decode_to_what_it_says(path: Path) -> None:
    dtype, values = decoded(path)
    expected = np.load(path.with_name("values.npz"))[path.stem]
    np.testing.assert_array_equal(values.astype(ml_dtypes.bfloat16).astype(np.float32), expected)
    assert dtype == ("float8_e4m3fn (torchao)" if path.stem == "float8" else "int8 (torchao)")


@every("name", ["int8", "int8_tensor", "uint4_32"])
def test_affine_tensors_of_older_torchao_decode_to_what_it_says(name: str) -> None:
    dtype, values = decoded(AFFINE / f"{name}.pt")
    np.testing.assert_array_equal(values, np.load(AFFINE / "values.npz")[name])
    assert dtype == ("uint8 (torchao)" if name == "uint4_32" else "int8 (torchao)")


@pytest.mark.parametrize("name", ["columns", "fractions"])
def test_affine_tensors_that_mean_something_else_are_left_as_their_parts(name: str) -> None:
    """A scale for each column; zero points that are fractions, added after the scale."""
    entries = list_tensors(AFFINE / f"{name}.pt")
    assert [str(entry.key).rpartition("_")[2] for entry in entries] == ["data", "scale", "point"]
    assert all(entry.encoding is None for entry in entries)


@every("folder", MLX, ids=lambda folder: folder.name)
def test_mlx_decodes_to_what_mlx_says(folder: Path) -> None:
    dtype, values = decoded(folder / "model.safetensors")
    np.testing.assert_array_equal(values, np.load(FOLDER / "mlx.npz")[folder.name])
    assert dtype == f"uint{folder.name.split('_')[1]} (MLX)"


def test_words_that_could_be_of_several_widths_are_left_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes((FOLDER / "mlx_4_64" / "model.safetensors").read_bytes())  # no config beside it
    assert sorted(str(entry.key) for entry in list_tensors(path)) == ["layer.biases", "layer.scales", "layer.weight"]


def test_every_library_is_there() -> None:
    assert len(FILES) >= 15
    assert len(MLX) == 5
