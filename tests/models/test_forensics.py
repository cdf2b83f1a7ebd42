"""Which recipe made a tensor is said where the codes prove it, and nothing is said otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from safetensors.numpy import save_file

from qviz.core import IntFormat, PerBlock, Scheme, choose_qparams, fake_quantize
from qviz.files.ggml_blocks import ENCODED, encoded_bytes
from qviz.models.checkpoint import Weight, open_checkpoint
from qviz.models.differences import differences
from qviz.models.forensics import Recipe, recipe_of
from tests.cli.commands import Run
from tests.cli.conftest import run
from tests.every import every

__all__ = ["run"]

GOLDEN = Path(__file__).parents[1] / "golden" / "checkpoints" / "quantized"
GPTQ = GOLDEN.parent / "gptq"
VALUES = np.load(GOLDEN / "values.npz")
RANDOM = np.random.default_rng(5)

RECOGNIZED = {
    "bitsandbytes_int8": ("int8, a scale for each row, symmetric", "tensorrt"),
    "bitsandbytes_nf4": ("nf4, 64 to a scale, symmetric", "textbook"),
    "compressed_float8": ("float8_e4m3fn, a scale for each row, symmetric", "torchao"),
    "compressed_float8_tensor": ("float8_e4m3fn, one scale, symmetric", "torchao"),
    "compressed_int4_asymmetric": ("int4, 32 to a scale, asymmetric", "torchao"),
    "compressed_int4_group": ("int4, 32 to a scale, symmetric", "onnxruntime"),
    "compressed_int8": ("int8, a scale for each row, symmetric", "onnxruntime"),
    "compressed_int8_packed": ("int8, a scale for each row, symmetric", "onnxruntime"),
    "torchao_int8": ("int8, a scale for each row, symmetric", "torchao_int8"),
}


def asked(path: Path, original: Any, dtype: str = "float32") -> Recipe | None:
    (weight,) = open_checkpoint([path]).weights
    values = np.asarray(weight.entry.load()[:], np.float32).reshape(weight.shape)
    return recipe_of(original, values, weight, dtype=dtype)


@every("path", sorted(GOLDEN.glob("*.safetensors")), ids=lambda path: path.stem)
def test_files_of_the_libraries_are_recognized_or_nothing_is_said(path: Path) -> None:
    dtype = "bfloat16" if path.stem.startswith("torchao") else "float32"
    found = asked(path, VALUES[f"{path.stem}/original"], dtype)
    if path.stem not in RECOGNIZED:
        assert found is None or found.equal == 1
        return
    said, convention = RECOGNIZED[path.stem]
    assert found is not None
    assert f"rounded to nearest, {said}, as " in str(found.phrase)
    assert found.equal == 1
    assert convention in found.conventions


MOVED = "the rest was moved, as GPTQ and its like move them"
OF_GPTQ = {
    "awq_int4_64": "rounded to nearest, int4, 64 to a scale, asymmetric",
    "awq_int4_64_scaled": "",  # the columns were scaled first
    "gptq_int4_32": MOVED,
    "gptq_int4_32_asymmetric": MOVED,
    "gptq_int4_32_static": MOVED,
    "gptq_int4_32_static_order": MOVED,
    "gptq_int4_64_wide": "in the first group, of whose codes 88.67 % are rounded to nearest: errors were carried on",
    "gptq_int4_64_wide_order": "",  # the first group is spread over all columns
    "gptq_int4_row": MOVED,
    "gptq_int8_64": MOVED,
}


@every("path", sorted(GPTQ.glob("*.safetensors")), ids=lambda path: path.stem)
def test_files_of_gptq_and_awq_are_recognized_or_nothing_is_said(path: Path) -> None:
    original = np.load(GPTQ / "values.npz")[f"{path.stem}/original"]
    found = asked(path, original)
    assert (found is None) == (not OF_GPTQ[path.stem])
    assert found is None or OF_GPTQ[path.stem] in str(found.phrase)
    assert found is None or "of other weights" not in str(found.phrase)
    assert asked(path, (original + RANDOM.standard_normal(original.shape) * 0.02).astype(np.float32)) is None


@pytest.mark.parametrize(
    ("name", "said"), [("int8", "int8, a scale for each row"), ("float8", "float8_e4m3fn, a scale")]
)
def test_checkpoints_of_pytorch_that_torchao_quantized_are_recognized(name: str, said: str) -> None:
    folder = GOLDEN.parent / "torchao"
    found = asked(folder / f"{name}.pt", np.load(folder / "values.npz")[f"{name}/original"], "bfloat16")
    assert found is not None
    assert f"rounded to nearest, {said}" in str(found.phrase)
    assert found.equal == 1


def test_another_original_is_not_claimed() -> None:
    for path in sorted(GOLDEN.glob("*.safetensors")):
        original = VALUES[f"{path.stem}/original"]
        assert asked(path, (original + RANDOM.standard_normal(original.shape) * 0.02).astype(np.float32)) is None


def gptq(weight: Any, scheme: Scheme, hessian: Any) -> Any:
    """Column by column, the error of each carried to those behind it: https://arxiv.org/abs/2210.17323."""
    qparams = choose_qparams(weight, scheme)
    inverse = np.linalg.cholesky(np.linalg.inv(hessian)).T
    values, found = weight.astype(np.float64).copy(), np.zeros_like(weight)
    for column in range(weight.shape[1]):
        found[:, column] = fake_quantize(values.astype(np.float32), qparams)[:, column]
        error = (values[:, column] - found[:, column]) / inverse[column, column]
        values[:, column + 1 :] -= np.outer(error, inverse[column, column + 1 :])
    return found


def packed_file(path: Path, values: Any, scale: Any, group: int) -> Path:
    """compressed-tensors' packed int4 of values that lie on the grid of some scales."""
    codes = np.rint(values / np.repeat(scale, group, 1)).astype(np.int64) + 8
    words = (codes.reshape(len(codes), -1, 8) << (4 * np.arange(8))).sum(axis=2)
    packed = words.astype(np.uint32).view(np.int32)
    shape = np.array(values.shape, np.int64)
    save_file({"m.weight_packed": packed, "m.weight_scale": scale, "m.weight_shape": shape}, path)
    return path


def test_codes_that_were_moved_are_told_from_those_that_were_rounded(tmp_path: Path) -> None:
    weight = RANDOM.standard_normal((32, 64)).astype(np.float32)
    inputs = RANDOM.standard_normal((64, 200)) * np.linspace(0.5, 2, 64)[:, None]
    scheme = Scheme(IntFormat(4), True, PerBlock(-1, 32), convention="torchao")
    moved = gptq(weight, scheme, inputs @ inputs.T / 200 + 0.05 * np.eye(64))
    scale = choose_qparams(weight, scheme).scale.reshape(32, 2)
    found = asked(packed_file(tmp_path / "q.safetensors", moved, scale, 32), weight)
    assert found is not None
    assert 0.5 < found.equal < 0.99
    assert str(found.phrase).startswith("scales of int4, 32 to a scale, symmetric, as ")
    assert "the rest was moved, as GPTQ and its like move them" in str(found.phrase)


def stochastic(values: Any) -> Any:
    return np.floor(values + RANDOM.random(values.shape))


def here_and_there(weight: Any) -> Any:
    """Another original: a tenth of the weights differ, and none that a scale depends on."""
    inner = np.abs(weight) < 1.2
    return np.where(inner & (RANDOM.random(weight.shape) < 0.1), RANDOM.uniform(-1.2, 1.2, weight.shape), weight)


def half_of_the_columns(weight: Any) -> Any:
    changed = np.where(np.abs(weight) < 1.2, np.roll(weight, 1, 0).clip(-1.2, 1.2), weight)
    return np.where(np.arange(weight.shape[1]) % 2, weight, changed)


NEAR_MISSES: dict[str, Callable[[Any, Any], Any]] = {
    "random rounding": lambda weight, scale: stochastic(weight / scale),
    "learned rounding": lambda weight, scale: np.floor(weight / scale) + (RANDOM.random(weight.shape) < 0.5),
    "rounded down": lambda weight, scale: np.floor(weight / scale),
    "rounded towards zero": lambda weight, scale: np.trunc(weight / scale),
    "a part of it fine-tuned": lambda weight, scale: np.rint(here_and_there(weight) / scale),
    "some columns fine-tuned": lambda weight, scale: np.rint(half_of_the_columns(weight) / scale),
    "noise on it": lambda weight, scale: np.rint((weight + RANDOM.normal(0, 0.05, weight.shape)) / scale),
    "noise on some rows": lambda weight, scale: np.rint(
        (weight + RANDOM.normal(0, 0.3, weight.shape) * (np.arange(len(weight)) % 4 == 0)[:, None]) / scale
    ),
    "groups half as long": lambda weight, scale: np.rint(weight / np.roll(scale, 32, 1)),
    "a tenth of it set to zero": lambda weight, scale: np.rint(weight / scale) * (RANDOM.random(weight.shape) < 0.9),
}
"""What is nearly the work of a recipe that is known: codes, from weights and the scale of each."""


@pytest.mark.parametrize(("rows", "size"), [(32, 128), (256, 32)])
def test_what_is_nearly_a_recipe_is_claimed_to_be_none(tmp_path: Path, rows: int, size: int) -> None:
    weight = RANDOM.standard_normal((rows, 256)).astype(np.float32)
    scale = choose_qparams(weight, Scheme(IntFormat(4), True, PerBlock(-1, size), convention="torchao")).scale
    scale = scale.reshape(rows, -1)
    wrong = {}
    for name, coded in NEAR_MISSES.items():
        each = np.repeat(scale, size, 1)
        values = (np.clip(coded(weight, each), -8, 7) * each).astype(np.float32)
        found = asked(packed_file(tmp_path / "q.safetensors", values, scale, size), weight)
        told = "" if found is None else str(found.phrase)
        if told and not told.endswith("or rounded in another way, or of other weights"):
            wrong[name] = told
    assert wrong == {}


def test_weights_that_were_scaled_before_as_awq_does_are_not_claimed(tmp_path: Path) -> None:
    weight = RANDOM.standard_normal((32, 64)).astype(np.float32)
    scheme = Scheme(IntFormat(4), True, PerBlock(-1, 32), convention="torchao")
    scaled = (weight * RANDOM.uniform(0.5, 2, 64)).astype(np.float32)
    scale = choose_qparams(scaled, scheme).scale.reshape(32, 2)
    made = fake_quantize(scaled, choose_qparams(scaled, scheme))
    assert asked(packed_file(tmp_path / "q.safetensors", made, scale, 32), weight) is None


def gguf_file(path: Path, packed: Any, kind: str) -> Weight:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("blk.0.ffn_up.weight", packed, raw_dtype=gguf.GGMLQuantizationType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return open_checkpoint([path]).weights[0]


UNWEIGHTED = ("Q8_0", "TQ1_0", "TQ2_0", "MXFP4", "NVFP4")


@every("kind", ["Q4_0", "Q5_1", "Q4_K", "Q6_K", "IQ4_NL", "IQ4_XS", *UNWEIGHTED])
def test_types_of_llama_cpp_are_recognized(tmp_path: Path, kind: str) -> None:
    original = RANDOM.standard_normal((4, 512)).astype(np.float32)
    type_ = gguf.GGMLQuantizationType[kind]
    packed = encoded_bytes(original, kind) if kind in ENCODED else gguf.quants.quantize(original, type_)
    weight = gguf_file(tmp_path / "m.gguf", packed, kind)
    values = np.asarray(weight.entry.load()[:], np.float32).reshape(original.shape)
    found = recipe_of(original, values, weight)
    said = f"llama.cpp's {kind} without an importance matrix: every value is equal"
    if kind in UNWEIGHTED:  # they look at none: nothing is known of it
        said = f"llama.cpp's {kind}: every value is equal, with or without an importance matrix"
    assert found is not None
    assert str(found.phrase) == said
    values[0, 5] += np.spacing(values[0, 5])
    assert recipe_of(original, values, weight) is None


def test_an_importance_matrix_is_not_denied(tmp_path: Path) -> None:
    original = RANDOM.standard_normal((4, 512)).astype(np.float32)
    importances = RANDOM.uniform(0.1, 10, 512).astype(np.float32)
    for kind in ("Q4_K", "IQ4_NL", "IQ4_XS"):
        weight = gguf_file(tmp_path / f"{kind}.gguf", encoded_bytes(original, kind, importances), kind)
        values = np.asarray(weight.entry.load()[:], np.float32).reshape(original.shape)
        assert recipe_of(original, values, weight) is None, kind


def test_where_importances_change_nothing_none_are_denied(tmp_path: Path) -> None:
    original = np.full((2, 512), 0.7, np.float32)
    original[:, ::3] = -0.7  # every search ends with the same scale
    for kind in ("Q4_K", "IQ4_NL", "IQ4_XS"):
        weight = gguf_file(tmp_path / f"{kind}.gguf", encoded_bytes(original, kind), kind)
        values = np.asarray(weight.entry.load()[:], np.float32).reshape(original.shape)
        found = recipe_of(original, values, weight)
        assert found is not None
        assert str(found.phrase) == f"llama.cpp's {kind}: every value is equal, with or without an importance matrix"


def test_of_a_few_blocks_no_importance_matrix_is_denied(tmp_path: Path) -> None:
    denied = []
    for seed in (29, 43):  # of which the search ends where it ends without importances
        random = np.random.default_rng(seed)
        original = random.standard_normal((1, 32)).astype(np.float32)
        random.choice(4)
        importances = (1 + 0.1 * random.standard_normal(32)).clip(0.01).astype(np.float32)
        weight = gguf_file(tmp_path / f"{seed}.gguf", encoded_bytes(original, "IQ4_NL", importances), "IQ4_NL")
        values = np.asarray(weight.entry.load()[:], np.float32).reshape(original.shape)
        found = recipe_of(original, values, weight)
        denied.append(found is not None and "without an importance matrix: every" in str(found.phrase))
    assert not any(denied)


def test_the_difference_of_two_files_has_its_recipe(run: Run, tmp_path: Path) -> None:
    original = RANDOM.standard_normal((16, 64)).astype(np.float32)
    scheme = Scheme(IntFormat(4), True, PerBlock(-1, 32), convention="torchao")
    qparams = choose_qparams(original, scheme)
    save_file({"m.weight": original, "n.weight": original}, tmp_path / "a.safetensors")
    path = packed_file(tmp_path / "b.safetensors", fake_quantize(original, qparams), qparams.scale.reshape(16, 2), 32)
    a, b = (open_checkpoint([each]).weights for each in (tmp_path / "a.safetensors", path))
    by_name = {each.name: each for each in differences(a, b)}
    assert by_name["m.weight"].recipe is not None
    assert by_name["n.weight"].recipe is None
    said = run("diff", tmp_path / "a.safetensors", path).out
    assert "made by (1 tensor): rounded to nearest, int4, 32 to a scale, symmetric, as " in said
