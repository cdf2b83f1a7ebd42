"""What do torchao and the gguf package answer about small floats, codebooks and blocks?

``python -m tests.golden.record_formats NAME`` asks the library of one family, which must be installed,
and writes ``format_NAME.npz`` and ``format_NAME.json`` beside this file. NAME is a key of `FAMILIES`:
those of torchao ask torchao, ``gguf`` asks gguf. Neither needs anything of qviz.
"""

from __future__ import annotations

import itertools
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Answer = dict[str, Array]
Options = dict[str, Any]

FOLDER = Path(__file__).parent

F = np.float32

LAYOUTS = {
    "e4m3fn": (4, 3, 448.0),
    "e5m2": (5, 2, 57344.0),
    "e4m3fnuz": (4, 3, 240.0),
    "e5m2fnuz": (5, 2, 57344.0),
    "e2m3fn": (2, 3, 7.5),
    "e3m2fn": (3, 2, 28.0),
    "e2m1fn": (2, 1, 6.0),
}
"""Exponent bits, mantissa bits and the largest value of each small float."""


def levels(name: str) -> Array:
    """The values from 0 to the largest, of the format's own exponents."""
    exponents, mantissa, largest = LAYOUTS[name]
    bias = (1 << (exponents - 1)) - (0 if name.endswith("uz") else 1)
    codes = np.arange(1 << (exponents + mantissa))
    exponent, fraction = codes >> mantissa, codes & ((1 << mantissa) - 1)
    normal = np.ldexp(1 + fraction / (1 << mantissa), exponent - bias)
    values = np.where(exponent > 0, normal, np.ldexp(fraction / (1 << mantissa), 1 - bias))
    return values[values <= largest].astype(F)


def next_to(values: Array) -> Array:
    """Each value between its two float32 neighbours."""
    return np.stack([np.nextafter(values, F(-np.inf)), values, np.nextafter(values, F(np.inf))], axis=-1).reshape(-1)


def middles(values: Array) -> Array:
    """The ties between neighbours."""
    return ((values[:-1].astype(np.float64) + values[1:]) / 2).astype(F)


def in_rows(values: Array, length: int, first: float) -> Array:
    """Rows of ``length`` that begin with ``first``, of either sign in turn; the last one is filled up with 0."""
    size = length - 1
    signed = values * np.where(np.arange(values.size) % 5 < 3, 1, -1).astype(F)
    padded = np.zeros(-(-values.size // size) * size, F)
    padded[: values.size] = signed
    rows = padded.reshape(-1, size)
    return np.concatenate([np.full((len(rows), 1), first, F), rows], axis=1)


def plain_tensors(block: int, *, zeros: bool = True) -> dict[str, Array]:
    """What any format meets; the last axis is so many blocks."""
    rng = np.random.default_rng(20260301)
    ten = np.zeros(block)
    ten[:10] = rng.standard_normal(10)
    tensors = {
        "normal": rng.standard_normal((6, 2 * block)),
        "student": rng.standard_t(2, (6, 2 * block)),
        "all positive": rng.uniform(0.5, 2, (2, block)),
        "all negative": -rng.exponential(1, (2, block)),
        "constant": np.repeat([[0.3], [-2.5], [1.0]], block, axis=1),
        "ten values": ten[None],
        "one outlier": np.append(rng.standard_normal(2 * block - 1) * 1e-3, 1e4)[None],
        "many magnitudes": rng.standard_normal((12, block)) * np.exp2(np.linspace(-30, 12, 12))[:, None],
        "minus zero": np.where(np.arange(block) % 3, -0.0, -1.0)[None],
    }
    if zeros:
        tensors["all zero"] = np.zeros((2, block))
    return {name: x.astype(F) for name, x in tensors.items()}


def extreme_tensors(block: int) -> dict[str, Array]:
    """Blocks near both ends of float32."""
    rng = np.random.default_rng(20260302)
    exponents = [-149, -148, -140, -135, -134, -130, -128, -127, -126, -125, -120, -118, -112, -100, 100, 118, 122, 126]
    some = rng.uniform(-1, 1, (len(exponents), block))
    some[:, 3] = 1
    return {"extreme magnitudes": (some * np.exp2(np.array(exponents, float))[:, None]).astype(F)}


def edges_of(name: str, block: int) -> dict[str, Array]:
    """Ties of one small float at the scale 1, overflow, and blocks whose largest value decides about the scale."""
    _, mantissa, largest = LAYOUTS[name]
    rng = np.random.default_rng(20260303)
    values = levels(name)
    half_step = (values[-1] - values[-2]) / 2
    beyond = next_to(np.array([largest, largest + half_step, 2 * 2 ** np.floor(np.log2(largest))], F))
    crucial = [1.0, largest, 2 - 2.0 ** (-mantissa - 1), 2 - 2.0**-mantissa, 1.5]
    tops = np.concatenate([next_to(np.array(crucial, F) * F(2.0**k)) for k in (-126, -127, -40, -9, 0, 3, 30, 110)])
    rows = rng.uniform(-1, 1, (tops.size, block)).astype(F) * np.abs(tops)[:, None]
    rows[:, 5] = tops
    return {
        "ties": in_rows(next_to(middles(values)), block, largest),
        "overflow": in_rows(beyond, block, float(np.nextafter(F(2 * 2 ** np.floor(np.log2(largest))), F(0)))),
        "decisive largest values": rows,
    }


@dataclass(frozen=True)
class Family:
    """Who is asked what about which tensors.

    ``answer(x, **options)`` gives float32 scales, one a block in C order, codes (integers, or the bit
    patterns of floats) and dequantized float32 values in the shape of ``x``.
    """

    packages: tuple[str, ...]
    tensors: dict[str, Array]
    options: tuple[Options, ...]
    answer: Callable[..., Answer]


def mx_answer(x: Array, *, element: str, mode: str) -> Answer:
    """``to_mx`` and ``to_dtype`` of torchao's MX tensors, with blocks of 32."""
    import torch
    from torchao.prototype.mx_formats.config import ScaleCalculationMode
    from torchao.prototype.mx_formats.mx_tensor import to_dtype, to_mx, unpack_uint4

    dtype = {
        "e4m3fn": torch.float8_e4m3fn,
        "e5m2": torch.float8_e5m2,
        "e2m3fn": "fp6_e2m3",
        "e3m2fn": "fp6_e3m2",
        "e2m1fn": torch.float4_e2m1fn_x2,
    }[element]
    scale, packed = to_mx(torch.from_numpy(x), dtype, 32, ScaleCalculationMode(mode))
    codes = unpack_uint4(packed) if element == "e2m1fn" else packed.view(torch.uint8)
    stored = scale.view(torch.uint8).numpy()
    return {
        "scale": np.ldexp(F(1), stored.astype(int) - 127).astype(F),
        "codes": codes.numpy(),
        "dequantized": to_dtype(packed, scale, dtype, 32, torch.float32).numpy(),
    }


def nvfp4_answer(x: Array, *, levels: int) -> Answer:
    """``NVFP4Tensor`` of torchao: E4M3 scales of blocks of 16, with or without a float32 one for the tensor."""
    import torch
    from torchao.prototype.mx_formats.mx_tensor import unpack_uint4
    from torchao.prototype.mx_formats.nvfp4_tensor import NVFP4Tensor, per_tensor_amax_to_scale

    t = torch.from_numpy(x)
    whole = per_tensor_amax_to_scale(t.abs().max()) if levels == 2 else None
    quantized = NVFP4Tensor.to_nvfp4(t, per_tensor_scale=whole)
    return {
        "scale": quantized.get_hp_scales().numpy(),
        "codes": unpack_uint4(quantized.qdata.view(torch.uint8)).numpy(),
        "dequantized": quantized.dequantize().numpy(),
    }


def nf4_answer(x: Array, *, table: str) -> Answer:
    """Blocks of 64 as ``NF4Tensor.convert_to_norm_float_weight`` of torchao has them; scales stay in float32."""
    import torch
    from torchao.quantization.quantize_.workflows.nf4.nf4_tensor import NF4Tensor, get_block_absmax

    level = torch.tensor(NF4_TABLES[table], dtype=torch.float32)
    t = torch.from_numpy(x)
    packed = NF4Tensor.convert_to_norm_float_weight(t, t.numel() // 64, 64, level)
    codes = torch.stack([packed >> 4, packed & 15], dim=-1).reshape(x.shape)
    scale = get_block_absmax(t.flatten(), 64)
    dequantized = NF4Tensor.dequantize(codes.to(torch.long), level).reshape(-1, 64) * scale[:, None]
    return {"scale": scale.numpy(), "codes": codes.numpy(), "dequantized": dequantized.reshape(x.shape).numpy()}


NF4_TABLES = {
    "qlora": (
        -1.0,
        -0.6961928009986877,
        -0.5250730514526367,
        -0.39491748809814453,
        -0.28444138169288635,
        -0.18477343022823334,
        -0.09105003625154495,
        0.0,
        0.07958029955625534,
        0.16093020141124725,
        0.24611230194568634,
        0.33791524171829224,
        0.44070982933044434,
        0.5626170039176941,
        0.7229568362236023,
        1.0,
    ),
    "torchao": (
        *(-1.0, -0.6962, -0.5251, -0.3949, -0.2844, -0.1848, -0.0911, 0.0),
        *(0.0796, 0.1609, 0.2461, 0.3379, 0.4407, 0.5626, 0.7230, 1.0),
    ),
}
"""The levels of the paper (QLoRA, appendix E), and the rounded ones of torchao's own tensors."""


def float8_answer(x: Array, *, element: str, per: str) -> Answer:
    """``_choose_scale_float8`` and its companions of torchao's quant_primitives."""
    import torch
    from torchao.quantization.quant_primitives import (
        _choose_scale_float8,
        _dequantize_affine_float8,
        _quantize_affine_float8,
    )

    t = torch.from_numpy(x)
    dtype = getattr(torch, f"float8_{element}")
    block = {"tensor": x.shape, "axis": (1, *x.shape[1:]), "block": (*(1 for _ in x.shape[:-1]), 32)}[per]
    scale = _choose_scale_float8(t, list(block), dtype)
    codes = _quantize_affine_float8(t, scale, dtype)
    return {
        "scale": scale.numpy(),
        "codes": codes.view(torch.uint8).numpy(),
        "dequantized": _dequantize_affine_float8(codes, scale).numpy(),
    }


def int4_answer(x: Array, *, block: int, symmetric: bool, signed: bool) -> Answer:
    """``choose_qparams_affine`` and its companions of torchao, in groups along the last axis."""
    import torch
    from torchao.quantization.quant_primitives import (
        MappingType,
        choose_qparams_affine,
        dequantize_affine,
        quantize_affine,
    )

    t, shape = torch.from_numpy(x), (1, block)
    dtype, ends = (torch.int8, (-8, 7)) if signed else (torch.uint8, (0, 15))
    mapping = MappingType.SYMMETRIC if symmetric else MappingType.ASYMMETRIC
    scale, zero_point = choose_qparams_affine(t, mapping, shape, dtype, *ends)
    codes = quantize_affine(t, shape, scale, zero_point, dtype, *ends)
    return {
        "scale": scale.numpy(),
        "zero_point": zero_point.numpy(),
        "codes": codes.numpy(),
        "dequantized": dequantize_affine(codes, shape, scale, zero_point, dtype, *ends).numpy(),
    }


def gguf_answer(x: Array, *, kind: str) -> Answer:
    """``quantize`` and ``dequantize`` of gguf.quants; scales, minima and codes are taken from the packed bytes."""
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize, quantize

    packed = quantize(x, GGMLQuantizationType[kind])
    answer = {"dequantized": dequantize(packed, GGMLQuantizationType[kind])}
    blocks = packed.reshape(-1, packed.size // (x.size // 32))
    if kind == "MXFP4":
        # Twice the values, half the scale.
        scale, rest = np.ldexp(F(1), blocks[:, 0].astype(int) - 127).astype(F), blocks[:, 1:]
    else:
        scale, rest = blocks[:, :2].copy().view(np.float16).astype(F), blocks[:, 2:]
    if kind.endswith("_1"):
        answer["minimum"], rest = rest[:, :2].copy().view(np.float16).astype(F), rest[:, 2:]
    if kind == "Q8_0":
        codes = rest.view(np.int8)
    else:
        high: Array = np.zeros((len(rest), 32), np.uint8)
        if kind.startswith("Q5"):
            high, rest = np.unpackbits(rest[:, :4], axis=1, bitorder="little") << 4, rest[:, 4:]
        codes = np.concatenate([rest & 15, rest >> 4], axis=1) | high
    return answer | {"scale": scale, "codes": codes.reshape(x.shape)}


def mx_family(element: str) -> Family:
    modes = tuple({"element": element, "mode": mode} for mode in ("floor", "ceil", "even", "rceil"))
    tensors = plain_tensors(32) | extreme_tensors(32) | edges_of(element, 32)
    return Family(("torchao", "torch"), tensors, modes, mx_answer)


def nvfp4_family() -> Family:
    tensors = plain_tensors(16, zeros=False)  # two levels answer NaN to a tensor of zeros
    # With a scale of the tensor that is 1: the largest block scale is 448.
    ties = in_rows(next_to(middles(levels("e2m1fn"))), 16, 6)
    tensors["ties"] = np.concatenate([ties * F(s) for s in (448, 1, 0.4375)])
    block_scales = next_to(middles(levels("e4m3fn")[8:]))
    tensors["ties of the block scale"] = np.tile(np.append(F(448), block_scales)[:, None] * F(6), 16)
    tensors["tiny block beside a large one"] = np.outer([2688, 1e-3, 1e-6, 0.05], np.linspace(-1, 1, 16)).astype(F)
    options = ({"levels": 2}, {"levels": 1})
    return Family(("torchao", "torch"), tensors, options, nvfp4_answer)


def nf4_family() -> Family:
    tensors = plain_tensors(64, zeros=False)
    for name, table in NF4_TABLES.items():
        values = np.array(table, F)
        edges = np.concatenate([next_to(middles(values)), next_to(values)]).clip(-1, 1)
        rows = np.concatenate([np.ones((2, 1), F), np.resize(edges, (2, 63))], axis=1)
        tensors[f"ties of {name}"] = np.concatenate([rows, rows * F(0.7), rows * F(-12.5)])
    return Family(("torchao", "torch"), tensors, tuple({"table": name} for name in NF4_TABLES), nf4_answer)


def float8_family() -> Family:
    tensors = plain_tensors(32, zeros=False)
    tensors["ten values alone"] = tensors["ten values"][:, :10]
    for element in ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz"):
        values = levels(element)
        tensors[f"ties of {element}"] = in_rows(next_to(middles(values))[-190:], 32, float(values[-1]))
    options = tuple(
        {"element": element, "per": per}
        for element in ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz")
        for per in ("tensor", "axis", "block")
    )
    return Family(("torchao", "torch"), tensors, options, float8_answer)


def int4_family() -> Family:
    tensors = plain_tensors(128)
    half = np.arange(-8, 8, 0.5, dtype=F)
    tensors["near ties"] = np.stack([np.resize(half * F(7.3 / 7.5), 128), np.resize(half * F(0.37), 128)])
    choices = itertools.product((128, 32), (True, False), (True, False))
    options = tuple({"block": b, "symmetric": s, "signed": t} for b, s, t in choices)
    return Family(("torchao", "torch"), tensors, options, int4_answer)


def gguf_family() -> Family:
    tensors = plain_tensors(32)
    rng = np.random.default_rng(20260304)
    steps = np.arange(-31, 32, dtype=F) / 2
    ties = [np.concatenate([[top], rng.choice(steps, 31)]) for top in (-8, 8, -16, 16, 15.5, -127)]
    whole = [np.concatenate([[0, top], rng.integers(0, 2 * top, 30) / 2]) for top in (15, 31)]
    tensors["ties"] = np.array([*ties, *whole], F)
    tensors["ties of Q8_0"] = np.array([np.append(rng.choice(np.arange(-253, 254) / 2, 31), 127) for _ in range(4)], F)
    opposite = rng.uniform(-1, 1, (2, 32)).astype(F)
    opposite[0, [4, 9]], opposite[1, [4, 9]] = (1, -1), (-1, 1)
    tensors["two largest of opposite signs"] = opposite
    tensors["scales about the smallest float16"] = (
        rng.standard_normal((8, 32)) * np.logspace(-9, -4, 8)[:, None]
    ).astype(F)
    options = tuple({"kind": kind} for kind in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "MXFP4"))
    return Family(("gguf",), tensors, options, gguf_answer)


FAMILIES: dict[str, Callable[[], Family]] = {
    **{f"mx_{element}": partial(mx_family, element) for element in ("e4m3fn", "e5m2", "e2m3fn", "e3m2fn", "e2m1fn")},
    "nvfp4": nvfp4_family,
    "nf4": nf4_family,
    "float8": float8_family,
    "int4": int4_family,
    "gguf": gguf_family,
}


def files(name: str) -> tuple[Path, Path]:
    """The vectors of a family, and what is said about them."""
    return FOLDER / f"format_{name}.npz", FOLDER / f"format_{name}.json"


def is_asked(x: Array, options: Options) -> bool:
    """Blocks longer than a row cannot be asked about."""
    return options.get("per") != "block" or x.shape[-1] % 32 == 0


def load(name: str) -> Iterator[tuple[str, Array, Options, Answer]]:
    """Every recorded question of a family with its answer."""
    recorded = dict(np.load(files(name)[0]))
    about = json.loads(files(name)[1].read_text(encoding="utf-8"))
    at = dict.fromkeys(recorded, 0)
    for options, (tensor, x) in itertools.product(about["options"], _under("x/", recorded).items()):
        if not is_asked(x, options):
            continue
        answer = {}
        for key in about["fields"]:
            count = about["scales"][f"{tensor}/{_block_of(options)}"]
            shape = x.shape if key in ("codes", "dequantized") else (count,)
            if key == "minimum" and not options["kind"].endswith("_1"):
                continue
            answer[key] = recorded[key][at[key] : at[key] + math.prod(shape)].reshape(shape)
            at[key] += math.prod(shape)
        yield tensor, x, options, answer


def record(name: str) -> None:
    """Ask the library of one family."""
    family = FAMILIES[name]()
    parts: dict[str, list[Array]] = {}
    scales: dict[str, int] = {}
    for options, (tensor, x) in itertools.product(family.options, family.tensors.items()):
        if not is_asked(x, options):
            continue
        with np.errstate(all="ignore"):
            answer = family.answer(x, **options)
        assert answer["codes"].shape == answer["dequantized"].shape == x.shape
        scales[f"{tensor}/{_block_of(options)}"] = answer["scale"].size
        for key, value in answer.items():
            small = value if key != "zero_point" else value.astype(np.int8)
            parts.setdefault(key, []).append(np.ravel(small))
    vectors, about = files(name)
    tensors = {f"x/{tensor}": x for tensor, x in family.tensors.items()}
    # int8 beside uint8 would become int16.
    joined = {key: np.concatenate(values, dtype=np.int16 if key == "codes" else None) for key, values in parts.items()}
    np.savez_compressed(vectors, **tensors, **joined)
    told = {
        "recorded_with": {package: version(package) for package in (*family.packages, "numpy")},
        "options": family.options,
        "fields": list(parts),
        "scales": scales,
    }
    about.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _under(prefix: str, recorded: dict[str, Array]) -> dict[str, Array]:
    return {key.removeprefix(prefix): value for key, value in recorded.items() if key.startswith(prefix)}


def _block_of(options: Options) -> str:
    return str(options.get("per", options.get("block", "")))


if __name__ == "__main__":
    record(*sys.argv[1:])
