"""Which tensors of a checkpoint are one quantized weight, and which numbers do its codes stand for?

Each rule knows how one library names and packs them; what contradicts it stays as the file has it.

- GPTQ: https://github.com/AutoGPTQ/AutoGPTQ/blob/main/auto_gptq/nn_modules/qlinear/qlinear_cuda.py
- AWQ: https://github.com/casper-hansen/AutoAWQ/blob/main/awq/utils/packing_utils.py
- compressed-tensors: https://github.com/neuralmagic/compressed-tensors/tree/main/src/compressed_tensors/compressors
- FP8 in blocks: https://huggingface.co/deepseek-ai/DeepSeek-V3/blob/main/inference/kernel.py
- MXFP4 in gpt-oss: https://github.com/openai/gpt-oss/blob/main/gpt_oss/torch/weights.py
- torchao: https://github.com/pytorch/ao/tree/main/torchao/prototype/safetensors
- bitsandbytes: https://github.com/bitsandbytes-foundation/bitsandbytes/blob/main/bitsandbytes/functional.py
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.problems import N_, Problem
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.entry import Encoding, Note, TensorEntry, with_changes
from qviz.files.memory import check_room
from qviz.files.problems import FileProblem, shortened
from qviz.files.small import small_dtype

Array = np.ndarray[Any, Any]
Parts = Mapping[str, TensorEntry]

_FP8 = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz")
_BLOCK = 128
"""Rows and columns that share a scale in DeepSeek's FP8."""

_AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""The column that each nibble of a word belongs to, from the lowest bits on."""

_LARGEST_CONFIG = 1 << 22
_LARGEST_STATE = 1 << 16


@dataclass(frozen=True)
class _Found:
    """What a rule recognized: the parts by their place in the name, and how they become the weight."""

    encoding: Encoding
    shape: tuple[int, ...]
    decode: Callable[..., Array]
    used: tuple[str, ...]


Rule = Callable[[Parts, Mapping[str, Any]], _Found | None]


def decoded(entries: Sequence[TensorEntry]) -> tuple[TensorEntry, ...]:
    """The entries of a file, each quantized weight as one of them in place of its parts.

    Parameters
    ----------
    entries : sequence of TensorEntry
        As the file has them.
    """
    if not any(str(each.key).endswith(_MARKS) for each in entries):
        return tuple(entries)
    modules: dict[str, dict[str, TensorEntry]] = {}
    for entry in entries:
        module, part = _split(str(entry.key))
        modules.setdefault(module, {})[part] = entry
    config = _config(entries[0].path.parent)
    weights: dict[str, TensorEntry] = {}
    gone: set[str] = set()
    for module, parts in modules.items():
        for mark, rule in _RULES:
            found = rule(parts, config) if mark in parts else None
            if found is None:
                continue
            used = [parts[name] for name in found.used]
            weights[str(used[0].key)] = _entry(module, found, used)
            gone |= {str(each.key) for each in used[1:]}
            break
    return tuple(weights.get(str(each.key), each) for each in entries if str(each.key) not in gone)


_MARKS = (
    ".qweight",
    ".weight_packed",
    ".weight_scale",
    ".weight_scale_inv",
    "_blocks",
    ".SCB",
    ".weight.absmax",
    "._weight_qdata",
    "._weight_int_data",
    ".biases",
)
"""Some part of each encoding: files without any are left alone at once."""


def _split(key: str) -> tuple[str, str]:
    """The module and the part of a name; parts of bitsandbytes and gpt-oss have names of their own."""
    for mark in (".weight.",):
        at = key.find(mark)
        if at >= 0:
            return key[:at], key[at + 1 :]
    for end in ("_blocks", "_scales"):
        if key.endswith(end):
            return key.removesuffix(end), end
    module, _, part = key.rpartition(".")
    return module, part


def _config(folder: Path) -> Mapping[str, Any]:
    """What the file beside the weights says of their quantization; nothing where it says nothing."""
    places = (("config.json", "quantization_config"), ("config.json", "quantization"), ("quantize_config.json", None))
    for name, key in places:
        try:
            path = folder / name
            if not path.is_file() or path.stat().st_size > _LARGEST_CONFIG:
                continue
            said = json.loads(path.read_bytes())
            said = said.get(key) if key and isinstance(said, dict) else said
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(said, dict):
            return said
    return {}


def _entry(module: str, found: _Found, used: Sequence[TensorEntry]) -> TensorEntry:
    first = used[0]
    key = f"{module}.weight" if found.used[0] != "_blocks" else module
    name = first.name.removesuffix(str(first.key)) + key
    refused = next((each.refused for each in used if each.refused is not None), None)
    return with_changes(
        first,
        name=name,
        key=key,
        shape=found.shape,
        dtype=f"{found.encoding.codes} ({found.encoding.name})",
        load=partial(_load, key, found, tuple(used)),
        note=partial(_noted, found.encoding),
        refused=refused,
        nbytes=sum(_nbytes(each) for each in used),
        encoding=found.encoding,
        counted=None,
        bits=None,
    )


def _noted(encoding: Encoding) -> Note:
    return encoding.note


def _nbytes(entry: TensorEntry) -> int:
    from qviz.files.region import bytes_of

    if entry.nbytes is not None or entry.shape is None or entry.dtype is None:
        return entry.nbytes or 0
    return bytes_of(entry.dtype, entry.shape)


def _load(
    key: str,
    found: _Found,
    used: tuple[TensorEntry, ...],
    *,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Array:
    path = used[0].path
    check_room(path, key, 12 * math.prod(found.shape), N_("Close other programs, or choose a smaller tensor."))
    arrays = []
    for number, each in enumerate(used):
        check(cancelled)
        arrays.append(np.asarray(each.load(cancelled=cancelled)[:]).reshape(each.shape or (1,)))
        progress(0.5 * (number + 1) / len(used))
    check(cancelled)
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # a damaged scale makes numbers that are not finite
            values = found.decode(*arrays)
    except Problem:
        raise
    except (ValueError, IndexError, TypeError, OverflowError):
        raise FileProblem(
            path,
            N_("holds '{key}', whose codes and scales do not fit together"),
            N_("Save the checkpoint again."),
            key=shortened(key),
        ) from None
    progress(1.0)
    return np.ascontiguousarray(values, np.float32).reshape(found.shape)


# -- packed words


def _words(packed: Array, bits: int, count: int) -> Array:
    """Codes along the last axis of words, from the lowest bits on; a code may lie across two words."""
    words = np.ascontiguousarray(packed).view(np.uint32)
    if 32 % bits == 0:
        shifts = np.arange(0, 32, bits, dtype=np.uint32)
        codes = (words[..., None] >> shifts) & np.uint32((1 << bits) - 1)
        return codes.reshape(*words.shape[:-1], -1)[..., :count].astype(np.int32)
    single = np.unpackbits(words.view(np.uint8).reshape(*words.shape[:-1], -1), axis=-1, bitorder="little")
    single = single[..., : count * bits].reshape(*words.shape[:-1], count, bits)
    codes = (single.astype(np.int32) << np.arange(bits, dtype=np.int32)).sum(axis=-1, dtype=np.int32)
    return np.asarray(codes)


def _nibbles(packed: Array, *, high_first: bool = False) -> Array:
    """Two codes a byte, along the last axis."""
    low, high = packed & 15, packed >> 4
    pair = (high, low) if high_first else (low, high)
    return np.stack(pair, axis=-1).reshape(*packed.shape[:-1], -1)


def _fp4(codes: Array) -> Array:
    levels: Array = np.arange(16, dtype=np.uint8).view(small_dtype("float4_e2m1fn")).astype(np.float32)
    return np.asarray(levels[codes])


def _spread(scale: Array, group: int, length: int) -> Array:
    """A scale for each element of the last axis."""
    return np.repeat(scale, group, axis=-1)[..., :length]


def _shape(parts: Parts, name: str, axes: int = 2) -> tuple[int, ...] | None:
    entry = parts.get(name)
    shape = entry.shape if entry is not None else None
    return shape if shape is not None and len(shape) == axes and min(shape) > 0 else None


def _dtype(parts: Parts, name: str) -> str:
    return (parts[name].dtype or "") if name in parts else ""


# -- rules


def _gptq(parts: Parts, config: Mapping[str, Any]) -> _Found | None:
    codes, zeros, scales = (_shape(parts, name) for name in ("qweight", "qzeros", "scales"))
    if codes is None or zeros is None or scales is None or _dtype(parts, "qweight") != "int32":
        return None
    groups, columns = scales
    bits, rest = divmod(zeros[1] * 32, columns)
    if rest or bits not in (2, 3, 4, 8) or zeros[0] != groups or codes[1] != columns or (codes[0] * 32) % bits:
        return None
    rows = codes[0] * 32 // bits
    order = _shape(parts, "g_idx", 1)
    if order not in (None, (rows,)) or rows < groups:
        return None
    group = -(-rows // groups)
    said = str(config.get("checkpoint_format", "gptq"))
    # The first form of the format keeps every zero point less one.
    add = 0 if said == "gptq_v2" else 1
    names = ("qweight", "qzeros", "scales", *(("g_idx",) if order else ()))

    def decode(qweight: Array, qzeros: Array, scale: Array, g_idx: Array | None = None) -> Array:
        code = _words(np.ascontiguousarray(qweight.T), bits, rows)
        zero = (_words(qzeros, bits, columns) + add) & ((1 << bits) - 1) if add else _words(qzeros, bits, columns)
        place = np.arange(rows) // group if g_idx is None else np.asarray(g_idx, np.int64)
        return (code - zero.T[:, place]).astype(np.float32) * scale.astype(np.float32).T[:, place]

    encoding = Encoding("GPTQ", f"int{bits}", group, tuple(parts[name] for name in names))
    return _Found(encoding, (columns, rows), decode, names)


def _awq(parts: Parts, config: Mapping[str, Any]) -> _Found | None:
    codes, zeros, scales = (_shape(parts, name) for name in ("qweight", "qzeros", "scales"))
    if codes is None or zeros is None or scales is None or _dtype(parts, "qweight") != "int32":
        return None
    groups, columns = scales
    rows = codes[0]
    if codes[1] * 8 != columns or zeros != (groups, codes[1]) or rows % groups:
        return None
    group = rows // groups
    names = ("qweight", "qzeros", "scales")

    def ordered(packed: Array) -> Array:
        found = _words(packed, 4, columns).reshape(packed.shape[0], -1, 8)
        right = np.empty_like(found)
        right[..., list(_AWQ_ORDER)] = found
        return np.asarray(right.reshape(packed.shape[0], -1))

    def decode(qweight: Array, qzeros: Array, scale: Array) -> Array:
        code, zero = ordered(qweight), np.repeat(ordered(qzeros), group, axis=0)
        factor = np.repeat(scale.astype(np.float32), group, axis=0)
        return np.asarray(((code - zero).astype(np.float32) * factor).T)

    encoding = Encoding("AWQ", "int4", group, tuple(parts[name] for name in names))
    return _Found(encoding, (columns, rows), decode, names)


def _pack_quantized(parts: Parts, config: Mapping[str, Any]) -> _Found | None:
    codes, scales = _shape(parts, "weight_packed"), _shape(parts, "weight_scale")
    about = parts.get("weight_shape")
    if codes is None or scales is None or about is None or _dtype(parts, "weight_packed") != "int32":
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
    zeros = _shape(parts, "weight_zero_point")
    is_packed = zeros == (-(-rows // (32 // bits)), scales[1]) and _dtype(parts, "weight_zero_point") == "int32"
    if "weight_zero_point" in parts and not (is_packed or zeros == scales):
        return None
    if "weight_g_idx" in parts and _shape(parts, "weight_g_idx", 1) != (columns,):
        return None
    extra = tuple(name for name in ("weight_zero_point", "weight_g_idx") if name in parts)
    names = ("weight_packed", "weight_scale", *extra, "weight_shape")

    def decode(packed: Array, scale: Array, *rest: Array) -> Array:
        given = dict(zip(extra, rest, strict=False))
        code = _words(packed, bits, columns) - half
        place = np.arange(columns) // group
        if "weight_g_idx" in given and (given["weight_g_idx"] >= 0).all():
            place = given["weight_g_idx"].astype(np.int64)
        zero: Any = given.get("weight_zero_point")
        if zero is not None:
            if is_packed:
                zero = _words(np.ascontiguousarray(zero.T), bits, rows).T - half
            code = code - zero.astype(np.int32)[:, place]
        return code.astype(np.float32) * scale.astype(np.float32)[:, place]

    name = f"int{bits}"
    encoding = Encoding("compressed-tensors", name, group if scales[1] > 1 else None, tuple(parts[n] for n in names))
    return _Found(encoding, (rows, columns), decode, names)


def _fp4_packed(parts: Parts, config: Mapping[str, Any]) -> _Found | None:
    codes, scales = _shape(parts, "weight_packed"), _shape(parts, "weight_scale")
    if codes is None or scales is None or _dtype(parts, "weight_packed") != "uint8" or scales[0] != codes[0]:
        return None
    rows, columns = codes[0], 2 * codes[1]
    is_nv = _dtype(parts, "weight_scale") == "float8_e4m3fn" and "weight_global_scale" in parts
    group = 16 if is_nv else 32
    if scales[1] * group != columns or not (is_nv or _dtype(parts, "weight_scale") == "uint8"):
        return None
    names = ("weight_packed", "weight_scale", *(("weight_global_scale",) if is_nv else ()))

    def decode(packed: Array, scale: Array, whole: Array | None = None) -> Array:
        if whole is None:
            factor = np.ldexp(np.float32(1), scale.astype(np.int32) - 127)
        else:
            factor = scale.astype(np.float32) / whole.astype(np.float32).reshape(-1)[0]
        return _fp4(_nibbles(packed)) * _spread(factor, group, columns)

    name = "NVFP4" if is_nv else "MXFP4"
    return _Found(
        Encoding(name, "float4_e2m1fn", group, tuple(parts[n] for n in names)), (rows, columns), decode, names
    )


def _scaled(parts: Parts, config: Mapping[str, Any]) -> _Found | None:
    """int8 or float8 codes with a scale for all, for each row, or for each group of a row."""
    codes = _shape(parts, "weight")
    dtype = _dtype(parts, "weight")
    scale = parts.get("weight_scale")
    if codes is None or scale is None or scale.shape is None or dtype not in ("int8", *_FP8):
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

    def decode(code: Array, scale: Array, zero: Array | None = None) -> Array:
        value = code.astype(np.float32)
        if zero is not None:
            value = value - _spread(zero.astype(np.float32).reshape(wide), group, columns)
        return value * _spread(scale.astype(np.float32).reshape(wide), group, columns)

    found = Encoding("compressed-tensors", dtype, group if wide[1] > 1 else None, tuple(parts[name] for name in names))
    return _Found(found, codes, decode, names)


def _fp8_blocks(parts: Parts, config: Mapping[str, Any]) -> _Found | None:
    codes, scales = _shape(parts, "weight"), _shape(parts, "weight_scale_inv")
    if codes is None or scales is None or _dtype(parts, "weight") not in _FP8:
        return None
    if scales != tuple(-(-length // _BLOCK) for length in codes):
        return None
    names = ("weight", "weight_scale_inv")

    def decode(code: Array, scale: Array) -> Array:
        across = np.repeat(np.repeat(scale.astype(np.float32), _BLOCK, 0)[: codes[0]], _BLOCK, 1)[:, : codes[1]]
        return code.astype(np.float32) * across

    encoding = Encoding("FP8 in blocks of 128 × 128", _dtype(parts, "weight"), None, tuple(parts[n] for n in names))
    return _Found(encoding, codes, decode, names)


def _gpt_oss(parts: Parts, config: Mapping[str, Any]) -> _Found | None:
    blocks, scales = parts.get("_blocks"), parts.get("_scales")
    if blocks is None or scales is None or not blocks.shape or not scales.shape or len(blocks.shape) < 2:
        return None
    if (blocks.dtype, scales.dtype, blocks.shape[-1]) != ("uint8", "uint8", 16) or blocks.shape[:-1] != scales.shape:
        return None
    shape = (*blocks.shape[:-2], blocks.shape[-2] * 32)

    def decode(packed: Array, scale: Array) -> Array:
        return _fp4(_nibbles(packed)) * np.ldexp(np.float32(1), scale.astype(np.int32) - 127)[..., None]

    return _Found(Encoding("MXFP4", "float4_e2m1fn", 32, (blocks, scales)), shape, decode, ("_blocks", "_scales"))


def _bitsandbytes8(parts: Parts, config: Mapping[str, Any]) -> _Found | None:
    codes = _shape(parts, "weight")
    if codes is None or _shape(parts, "SCB", 1) != codes[:1] or _dtype(parts, "weight") != "int8":
        return None

    def decode(code: Array, scale: Array) -> Array:
        # In the library's own order: to the last bit.
        return code.astype(np.float32) * scale.astype(np.float32)[:, None] * np.float32(7.874015718698502e-3)

    encoding = Encoding("bitsandbytes", "int8", None, (parts["weight"], parts["SCB"]))
    return _Found(encoding, codes, decode, ("weight", "SCB"))


def _bitsandbytes4(parts: Parts, config: Mapping[str, Any]) -> _Found | None:
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
        code = _nibbles(packed.reshape(-1), high_first=True)[:elements]
        return levels.astype(np.float32)[code] * np.repeat(scale, block)[:elements]

    kind = state_name.rsplit("__", 1)[-1]
    encoding = Encoding(
        "bitsandbytes", kind if kind in ("nf4", "fp4") else "4 bits", block, tuple(parts[n] for n in names)
    )
    return _Found(encoding, tuple(shape), decode, names)


def _state(entry: TensorEntry) -> Mapping[str, Any]:
    if entry.dtype != "uint8" or entry.shape is None or math.prod(entry.shape) > _LARGEST_STATE:
        return {}
    try:
        said = json.loads(np.asarray(entry.load()[:]).tobytes())
    except (Problem, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _torchao(parts: Parts, config: Mapping[str, Any]) -> _Found | None:
    """A state_dict that ``torchao.prototype.safetensors`` has flattened: int8 or float8 with a scale for each group.

    Or the codes of an ``AffineQuantizedTensor``, as torchao had them before, of whole numbers.
    """
    kept = "_weight_int_data" if "_weight_int_data" in parts else "_weight_qdata"
    codes, dtype = _shape(parts, kept), _dtype(parts, kept)
    scale = parts.get("_weight_scale")
    known = ("int8", "uint8") if kept == "_weight_int_data" else ("int8", *_FP8)
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

    def decode(code: Array, scale: Array, zero: Array | None = None) -> Array:
        value = code.astype(np.float32)
        if zero is not None:
            value = value - _spread(zero.astype(np.float32).reshape(wide), group, columns)
        return value * _spread(scale.astype(np.float32).reshape(wide), group, columns)

    encoding = Encoding("torchao", dtype, group if wide[1] > 1 else None, tuple(parts[name] for name in names))
    return _Found(encoding, codes, decode, names)


def _mlx(parts: Parts, config: Mapping[str, Any]) -> _Found | None:
    """MLX's affine quantization: codes in words from the lowest bits on, value = scale · code + bias.

    https://ml-explore.github.io/mlx/build/html/python/_autosummary/mlx.core.quantize.html
    """
    codes, scales, biases = (_shape(parts, name) for name in ("weight", "scales", "biases"))
    if codes is None or scales is None or scales != biases or _dtype(parts, "weight") != "uint32":
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
        code = _words(packed, bits, columns).astype(np.float32)
        factor, offset = (_spread(each.astype(np.float32), group, columns) for each in (scale, bias))
        return code * factor + offset

    return _Found(Encoding("MLX", f"uint{bits}", group, tuple(parts[n] for n in names)), (rows, columns), decode, names)


_RULES: tuple[tuple[str, Rule], ...] = (
    ("qweight", _gptq),
    ("qweight", _awq),
    ("weight_packed", _pack_quantized),
    ("weight_packed", _fp4_packed),
    ("weight_scale_inv", _fp8_blocks),
    ("weight.absmax", _bitsandbytes4),
    ("SCB", _bitsandbytes8),
    ("weight_scale", _scaled),
    ("_blocks", _gpt_oss),
    ("_weight_qdata", _torchao),
    ("_weight_int_data", _torchao),
    ("biases", _mlx),
)
"""The part that a rule looks for, and the rule; a new encoding is a row."""
