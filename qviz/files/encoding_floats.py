"""Which tensors of a checkpoint are codes of small floats, or of levels: FP4, FP8 in blocks, gpt-oss, bitsandbytes?

What contradicts a rule stays as the file has it.

- compressed-tensors: https://github.com/neuralmagic/compressed-tensors/tree/main/src/compressed_tensors/compressors
- FP8 in blocks: https://huggingface.co/deepseek-ai/DeepSeek-V3/blob/main/inference/kernel.py
- MXFP4 in gpt-oss: https://github.com/openai/gpt-oss/blob/main/gpt_oss/torch/weights.py
- bitsandbytes: https://github.com/bitsandbytes-foundation/bitsandbytes/blob/main/bitsandbytes/functional.py
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from qviz.core.problems import Problem
from qviz.files.encoding_parts import FP8, Array, Found, Parts, dtype_of, fp4_values, nibbles, shape_of, spread
from qviz.files.entry import Encoding, TensorEntry

_BLOCK = 128
"""Rows and columns that share a scale in DeepSeek's FP8."""

_LARGEST_STATE = 1 << 16


def fp4_packed(parts: Parts, config: Mapping[str, Any]) -> Found | None:
    codes, scales = shape_of(parts, "weight_packed"), shape_of(parts, "weight_scale")
    if codes is None or scales is None or dtype_of(parts, "weight_packed") != "uint8" or scales[0] != codes[0]:
        return None
    rows, columns = codes[0], 2 * codes[1]
    is_nv = dtype_of(parts, "weight_scale") == "float8_e4m3fn" and "weight_global_scale" in parts
    group = 16 if is_nv else 32
    if scales[1] * group != columns or not (is_nv or dtype_of(parts, "weight_scale") == "uint8"):
        return None
    names = ("weight_packed", "weight_scale", *(("weight_global_scale",) if is_nv else ()))

    def decode(packed: Array, scale: Array, whole: Array | None = None) -> Array:
        if whole is None:
            factor = np.ldexp(np.float32(1), scale.astype(np.int32) - 127)
        else:
            factor = scale.astype(np.float32) / whole.astype(np.float32).reshape(-1)[0]
        return fp4_values(nibbles(packed)) * spread(factor, group, columns)

    name = "NVFP4" if is_nv else "MXFP4"
    return Found(Encoding(name, "float4_e2m1fn", group, tuple(parts[n] for n in names)), (rows, columns), decode, names)


def fp8_blocks(parts: Parts, config: Mapping[str, Any]) -> Found | None:
    codes, scales = shape_of(parts, "weight"), shape_of(parts, "weight_scale_inv")
    if codes is None or scales is None or dtype_of(parts, "weight") not in FP8:
        return None
    if scales != tuple(-(-length // _BLOCK) for length in codes):
        return None
    names = ("weight", "weight_scale_inv")

    def decode(code: Array, scale: Array) -> Array:
        across = np.repeat(np.repeat(scale.astype(np.float32), _BLOCK, 0)[: codes[0]], _BLOCK, 1)[:, : codes[1]]
        return code.astype(np.float32) * across

    encoding = Encoding("FP8 in blocks of 128 × 128", dtype_of(parts, "weight"), None, tuple(parts[n] for n in names))
    return Found(encoding, codes, decode, names)


def gpt_oss(parts: Parts, config: Mapping[str, Any]) -> Found | None:
    blocks, scales = parts.get("_blocks"), parts.get("_scales")
    if blocks is None or scales is None or not blocks.shape or not scales.shape or len(blocks.shape) < 2:
        return None
    if (blocks.dtype, scales.dtype, blocks.shape[-1]) != ("uint8", "uint8", 16) or blocks.shape[:-1] != scales.shape:
        return None
    shape = (*blocks.shape[:-2], blocks.shape[-2] * 32)

    def decode(packed: Array, scale: Array) -> Array:
        return fp4_values(nibbles(packed)) * np.ldexp(np.float32(1), scale.astype(np.int32) - 127)[..., None]

    return Found(Encoding("MXFP4", "float4_e2m1fn", 32, (blocks, scales)), shape, decode, ("_blocks", "_scales"))


def bitsandbytes4(parts: Parts, config: Mapping[str, Any]) -> Found | None:
    state_name = next((name for name in parts if name.startswith("weight.quant_state.bitsandbytes__")), None)
    if state_name is None or not {"weight", "weight.absmax", "weight.quant_map"} <= parts.keys():
        return None
    state = _state(parts[state_name])
    shape, block = state.get("shape"), state.get("blocksize")
    codes, levels = parts["weight"], parts["weight.quant_map"]
    if not isinstance(shape, list) or not shape or any(type(each) is not int or each <= 0 for each in shape):
        return None
    elements = math.prod(shape)
    if type(block) is not int or block <= 0 or levels.shape != (16,) or codes.dtype != "uint8" or codes.shape is None:
        return None
    if math.prod(codes.shape) != -(-elements // 2) or parts["weight.absmax"].shape != (-(-elements // block),):
        return None
    nested = ("weight.nested_absmax", "weight.nested_quant_map")
    is_nested = all(name in parts for name in nested)
    names = ("weight", "weight.absmax", "weight.quant_map", *(nested if is_nested else ()), state_name)
    nested_block, offset = state.get("nested_blocksize"), state.get("nested_offset", 0.0)
    if is_nested and (type(nested_block) is not int or nested_block <= 0 or not isinstance(offset, float | int)):
        return None

    def decode(packed: Array, absmax: Array, levels: Array, *rest: Array) -> Array:
        scale = absmax.astype(np.float32)
        if is_nested:
            outer, outer_levels = rest[:2]
            places = np.arange(absmax.size) // int(nested_block or 1)
            scale = outer_levels.astype(np.float32)[absmax] * outer.astype(np.float32)[places] + np.float32(offset)
        code = nibbles(packed.reshape(-1), high_first=True)[:elements]
        return levels.astype(np.float32)[code] * np.repeat(scale, block)[:elements]

    kind = state_name.rsplit("__", 1)[-1]
    encoding = Encoding(
        "bitsandbytes", kind if kind in ("nf4", "fp4") else "4 bits", block, tuple(parts[n] for n in names)
    )
    return Found(encoding, tuple(shape), decode, names)


def _state(entry: TensorEntry) -> Mapping[str, Any]:
    if entry.dtype != "uint8" or entry.shape is None or math.prod(entry.shape) > _LARGEST_STATE:
        return {}
    try:
        said = json.loads(np.asarray(entry.load()[:]).tobytes())
    except (Problem, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
