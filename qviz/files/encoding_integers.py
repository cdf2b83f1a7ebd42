"""Which tensors of a checkpoint are codes of whole numbers: GPTQ, AWQ, compressed-tensors, bitsandbytes, torchao, MLX?

What contradicts a rule stays as the file has it.

- GPTQ: https://github.com/AutoGPTQ/AutoGPTQ/blob/main/auto_gptq/nn_modules/qlinear/qlinear_cuda.py
- AWQ: https://github.com/casper-hansen/AutoAWQ/blob/main/awq/utils/packing_utils.py
- compressed-tensors: https://github.com/neuralmagic/compressed-tensors/tree/main/src/compressed_tensors/compressors
- torchao: https://github.com/pytorch/ao/tree/main/torchao/prototype/safetensors
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from qviz.core.problems import Problem
from qviz.files.encoding_parts import FP8, Array, Found, Parts, codes_of_words, dtype_of, scaled_codes, shape_of, spread
from qviz.files.entry import Encoding

_AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""The column that each nibble of a word belongs to, from the lowest bits on."""


def gptq(parts: Parts, config: Mapping[str, Any]) -> Found | None:
    codes, zeros, scales = (shape_of(parts, name) for name in ("qweight", "qzeros", "scales"))
    if codes is None or zeros is None or scales is None or dtype_of(parts, "qweight") != "int32":
        return None
    groups, columns = scales
    bits, rest = divmod(zeros[1] * 32, columns)
    if rest or bits not in (2, 3, 4, 8) or zeros[0] != groups or codes[1] != columns or (codes[0] * 32) % bits:
        return None
    rows = codes[0] * 32 // bits
    order = shape_of(parts, "g_idx", 1)
    if order not in (None, (rows,)) or rows < groups:
        return None
    group = -(-rows // groups)
    said = str(config.get("checkpoint_format", "gptq"))
    # The first form of the format keeps every zero point less one.
    add = 0 if said == "gptq_v2" else 1
    names = ("qweight", "qzeros", "scales", *(("g_idx",) if order else ()))

    def decode(qweight: Array, qzeros: Array, scale: Array, g_idx: Array | None = None) -> Array:
        code = codes_of_words(np.ascontiguousarray(qweight.T), bits, rows)
        zero = (
            (codes_of_words(qzeros, bits, columns) + add) & ((1 << bits) - 1)
            if add
            else codes_of_words(qzeros, bits, columns)
        )
        place = np.arange(rows) // group if g_idx is None else np.asarray(g_idx, np.int64)
        return (code - zero.T[:, place]).astype(np.float32) * scale.astype(np.float32).T[:, place]

    encoding = Encoding("GPTQ", f"int{bits}", group, tuple(parts[name] for name in names))
    return Found(encoding, (columns, rows), decode, names)


def awq(parts: Parts, config: Mapping[str, Any]) -> Found | None:
    codes, zeros, scales = (shape_of(parts, name) for name in ("qweight", "qzeros", "scales"))
    if codes is None or zeros is None or scales is None or dtype_of(parts, "qweight") != "int32":
        return None
    groups, columns = scales
    rows = codes[0]
    if codes[1] * 8 != columns or zeros != (groups, codes[1]) or rows % groups:
        return None
    group = rows // groups
    names = ("qweight", "qzeros", "scales")

    def ordered(packed: Array) -> Array:
        found = codes_of_words(packed, 4, columns).reshape(packed.shape[0], -1, 8)
        right = np.empty_like(found)
        right[..., list(_AWQ_ORDER)] = found
        return np.asarray(right.reshape(packed.shape[0], -1))

    def decode(qweight: Array, qzeros: Array, scale: Array) -> Array:
        code, zero = ordered(qweight), np.repeat(ordered(qzeros), group, axis=0)
        factor = np.repeat(scale.astype(np.float32), group, axis=0)
        return np.asarray(((code - zero).astype(np.float32) * factor).T)

    encoding = Encoding("AWQ", "int4", group, tuple(parts[name] for name in names))
    return Found(encoding, (columns, rows), decode, names)


def pack_quantized(parts: Parts, config: Mapping[str, Any]) -> Found | None:
    codes, scales = shape_of(parts, "weight_packed"), shape_of(parts, "weight_scale")
    about = parts.get("weight_shape")
    if codes is None or scales is None or about is None or dtype_of(parts, "weight_packed") != "int32":
        return None
    try:
        rows, columns = (int(length) for length in np.asarray(about.load()[:]).reshape(-1))
    except (Problem, ValueError):
        return None
    bits = next((b for b in (4, 8, 2) if rows == codes[0] and -(-columns // (32 // b)) == codes[1]), None)
    if bits is None or scales[0] != rows or not 0 < scales[1] <= columns or columns % scales[1]:
        return None
    group = columns // scales[1]
    half = 1 << (bits - 1)
    zeros = shape_of(parts, "weight_zero_point")
    is_packed = zeros == (-(-rows // (32 // bits)), scales[1]) and dtype_of(parts, "weight_zero_point") == "int32"
    if "weight_zero_point" in parts and not (is_packed or zeros == scales):
        return None
    if "weight_g_idx" in parts and shape_of(parts, "weight_g_idx", 1) != (columns,):
        return None
    extra = tuple(name for name in ("weight_zero_point", "weight_g_idx") if name in parts)
    names = ("weight_packed", "weight_scale", *extra, "weight_shape")

    def decode(packed: Array, scale: Array, *rest: Array) -> Array:
        given = dict(zip(extra, rest, strict=False))
        code = codes_of_words(packed, bits, columns) - half
        place = np.arange(columns) // group
        if "weight_g_idx" in given and (given["weight_g_idx"] >= 0).all():
            place = given["weight_g_idx"].astype(np.int64)
        zero: Any = given.get("weight_zero_point")
        if zero is not None:
            if is_packed:
                zero = codes_of_words(np.ascontiguousarray(zero.T), bits, rows).T - half
            code = code - zero.astype(np.int32)[:, place]
        return code.astype(np.float32) * scale.astype(np.float32)[:, place]

    name = f"int{bits}"
    encoding = Encoding("compressed-tensors", name, group if scales[1] > 1 else None, tuple(parts[n] for n in names))
    return Found(encoding, (rows, columns), decode, names)


def scaled(parts: Parts, config: Mapping[str, Any]) -> Found | None:
    """int8 or float8 codes with a scale for all, for each row, or for each group of a row."""
    codes = shape_of(parts, "weight")
    dtype = dtype_of(parts, "weight")
    scale = parts.get("weight_scale")
    if codes is None or scale is None or scale.shape is None or dtype not in ("int8", *FP8):
        return None
    rows, columns = codes
    wide = scale.shape if len(scale.shape) == 2 else (*scale.shape, 1)
    if wide[0] not in (1, rows) or len(wide) != 2 or not 0 < wide[1] <= columns or columns % wide[1]:
        return None
    zeros = parts.get("weight_zero_point")
    if zeros is not None and zeros.shape != scale.shape:
        return None
    group = columns // wide[1]
    names = ("weight", "weight_scale", *(("weight_zero_point",) if zeros is not None else ()))

    found = Encoding("compressed-tensors", dtype, group if wide[1] > 1 else None, tuple(parts[name] for name in names))
    return Found(found, codes, scaled_codes(wide, columns), names)


def bitsandbytes8(parts: Parts, config: Mapping[str, Any]) -> Found | None:
    codes = shape_of(parts, "weight")
    if codes is None or shape_of(parts, "SCB", 1) != codes[:1] or dtype_of(parts, "weight") != "int8":
        return None

    def decode(code: Array, scale: Array) -> Array:
        # In the library's own order: to the last bit.
        return code.astype(np.float32) * scale.astype(np.float32)[:, None] * np.float32(7.874015718698502e-3)

    encoding = Encoding("bitsandbytes", "int8", None, (parts["weight"], parts["SCB"]))
    return Found(encoding, codes, decode, ("weight", "SCB"))


def torchao(parts: Parts, config: Mapping[str, Any]) -> Found | None:
    """A state_dict that ``torchao.prototype.safetensors`` has flattened: int8 or float8 with a scale for each group.

    Or the codes of an ``AffineQuantizedTensor``, as torchao had them before, of whole numbers.
    """
    kept = "_weight_int_data" if "_weight_int_data" in parts else "_weight_qdata"
    codes, dtype = shape_of(parts, kept), dtype_of(parts, kept)
    scale = parts.get("_weight_scale")
    known = ("int8", "uint8") if kept == "_weight_int_data" else ("int8", *FP8)
    if codes is None or scale is None or scale.shape is None or dtype not in known:
        return None
    rows, columns = codes
    one_a_row = kept == "_weight_int_data" and scale.shape == (rows,)
    wide = scale.shape if len(scale.shape) == 2 else (rows, 1) if one_a_row else None
    if math.prod(scale.shape) == 1:
        wide = (1, 1)
    if wide is None or wide[0] not in (1, rows) or not 0 < wide[1] <= columns or columns % wide[1]:
        return None
    zeros = parts.get("_weight_zero_point")
    if zeros is not None and zeros.shape != scale.shape:
        return None
    group = columns // wide[1]
    names = (kept, "_weight_scale", *(("_weight_zero_point",) if zeros is not None else ()))

    encoding = Encoding("torchao", dtype, group if wide[1] > 1 else None, tuple(parts[name] for name in names))
    return Found(encoding, codes, scaled_codes(wide, columns), names)


def mlx(parts: Parts, config: Mapping[str, Any]) -> Found | None:
    """MLX's affine quantization: codes in words from the lowest bits on, value = scale · code + bias.

    https://ml-explore.github.io/mlx/build/html/python/_autosummary/mlx.core.quantize.html
    """
    codes, scales, biases = (shape_of(parts, name) for name in ("weight", "scales", "biases"))
    if codes is None or scales is None or scales != biases or dtype_of(parts, "weight") != "uint32":
        return None
    said = config.get("bits"), config.get("group_size")
    choices = [(bits, group) for bits in (4, 8, 2, 3, 6, 5) for group in (64, 32, 128)]
    if type(said[0]) is int and type(said[1]) is int:
        choices = [(said[0], said[1])]
    fitting = [
        (bits, group)
        for bits, group in choices
        if 0 < bits <= 8 and group > 0 and codes[1] * 32 == scales[1] * group * bits and codes[0] == scales[0]
    ]
    if len(fitting) != 1:  # one word width may be several bits and groups: only the config tells then
        return None
    bits, group = fitting[0]
    rows, columns = codes[0], scales[1] * group
    names = ("weight", "scales", "biases")

    def decode(packed: Array, scale: Array, bias: Array) -> Array:
        code = codes_of_words(packed, bits, columns).astype(np.float32)
        factor, offset = (spread(each.astype(np.float32), group, columns) for each in (scale, bias))
        return code * factor + offset

    return Found(Encoding("MLX", f"uint{bits}", group, tuple(parts[n] for n in names)), (rows, columns), decode, names)
