"""Which constants of an ONNX model are codes, and which numbers do they stand for? QDQ pairs, and integer operators.

The operators: https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html and ``com.microsoft.MatMulNBits`` of
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from qviz.core.frozen import frozen
from qviz.core.problems import N_, Problem
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.entry import Encoding, Note, TensorEntry, with_changes
from qviz.files.memory import check_room
from qviz.files.problems import FileProblem, shortened

Array = np.ndarray[Any, Any]

CODES = ("int8", "uint8", "int4", "uint4", "int2", "uint2", "int16", "uint16")
PLACES = {
    "DequantizeLinear": (0, 1, 2),
    "MatMulNBits": (1, 2, 3),
    "QLinearConv": (3, 4, 5),
    "QLinearMatMul": (3, 4, 5),
    "QGemm": (3, 4, 5),
    "DynamicQuantizeMatMul": (1, 2, 3),
    "MatMulIntegerToFloat": (1, 3, 5),
}
"""Operators that read codes, and which of their inputs are these, their scales and their zero points."""

INTEGER = {"MatMulInteger": 3, "ConvInteger": 3}
"""Operators that give whole numbers, which are scaled behind them; and the place of the codes' zero point."""

OPERATORS = (*PLACES, *INTEGER)
BEHIND = ("Cast", "Mul")
"""What scales whole numbers."""


@frozen
class Decoder:
    """A node that reads codes.

    Attributes
    ----------
    operator : str
        One of `OPERATORS`.
    inputs : tuple of str
        The names of its codes, scales and zero points; ``""`` where it has none.
    numbers : mapping of str to int
        Its attributes.
    """

    operator: str
    inputs: tuple[str, str, str]
    numbers: Mapping[str, int]


def decoded(entries: Sequence[TensorEntry], nodes: Sequence[Decoder]) -> tuple[TensorEntry, ...]:
    """The entries of a model; codes that a node decodes as the numbers that they stand for, beside their scales.

    What contradicts itself stays as the file has it.
    """
    known = {str(entry.key): entry for entry in entries}
    found: dict[str, TensorEntry] = {}
    for node in nodes:
        codes, scale, zero = (known.get(name) for name in node.inputs)
        if codes is None or scale is None or (node.inputs[2] and zero is None) or node.inputs[0] in found:
            continue
        rule = {"DequantizeLinear": _dequantize_linear, "MatMulNBits": _matmul_n_bits}.get(node.operator, _integer)
        made = rule(node, codes, scale, zero)
        if made is not None:
            found[node.inputs[0]] = made
    return tuple(found.get(str(entry.key), entry) for entry in entries)


def _dequantize_linear(
    node: Decoder, codes: TensorEntry, scale: TensorEntry, zero: TensorEntry | None
) -> TensorEntry | None:
    shape, per = codes.shape, scale.shape
    if shape is None or per is None or codes.dtype not in CODES:
        return None
    axis, block = node.numbers.get("axis", 1), node.numbers.get("block_size", 0)
    axis = axis + len(shape) if axis < 0 else axis
    if math.prod(per) == 1:
        group, view = None, (1,) * len(shape)
    elif not 0 <= axis < len(shape):
        return None
    elif block > 0 and len(per) == len(shape) and per == _blocked(shape, axis, block):
        group, view = block if axis == len(shape) - 1 else None, per
    elif per == (shape[axis],):
        group, view = None, tuple(length if at == axis else 1 for at, length in enumerate(shape))
    else:
        return None
    if zero is not None and zero.shape != per:
        return None

    def decode(code: Array, factor: Array, offset: Array | None = None) -> Array:
        spread = partial(
            _spread, axis=axis, block=block, view=view, length=shape[axis] if view != (1,) * len(shape) else 1
        )
        value = code.astype(np.float32)
        if offset is not None:
            value = value - spread(offset.astype(np.float32))
        return value * spread(factor.astype(np.float32))

    return _entry("QDQ", str(codes.dtype), group, shape, decode, (codes, scale, zero))


def _integer(node: Decoder, codes: TensorEntry, scale: TensorEntry, zero: TensorEntry | None) -> TensorEntry | None:
    """The weight of an integer operator: one scale, or one for each output: those of a Conv come first."""
    shape, per = codes.shape, scale.shape
    if shape is None or per is None or codes.dtype not in ("int8", "uint8") or len(shape) < 2:
        return None
    first = node.operator in ("QLinearConv", "ConvInteger") or bool(node.numbers.get("transB"))
    axis = 0 if first else len(shape) - 1
    outputs = tuple(length if at == axis else 1 for at, length in enumerate(shape))
    for each in (scale, zero):
        if each is not None and (each.shape is None or math.prod(each.shape) not in (1, shape[axis])):
            return None

    def spread(values: Array) -> Array:
        return values.astype(np.float32).reshape(-1 if values.size == 1 else outputs)

    def decode(code: Array, factor: Array, offset: Array | None = None) -> Array:
        value = code.astype(np.float32)
        return (value if offset is None else value - spread(offset)) * spread(factor)

    made = _entry(node.operator, str(codes.dtype), None, shape, decode, (codes, scale, zero))
    return with_changes(made, outputs_first=first)


@frozen
class Step:
    """A node on the way from whole numbers to scaled ones: its operator, and the names of what it reads and gives."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def integer_decoders(steps: Sequence[Step], constants: Collection[str]) -> list[Decoder]:
    """The weights of MatMulInteger and ConvInteger with their scales, as ONNX Runtime's dynamic quantization has them.

    Whole numbers are cast, and multiplied by the product of both scales. The weight's is the one that is a constant;
    where both are, or their product is, nobody can tell.
    """
    readers: dict[str, list[Step]] = {}
    makers: dict[str, Step] = {}
    for step in steps:
        for name in step.inputs:
            readers.setdefault(name, []).append(step)
        makers |= dict.fromkeys(step.outputs, step)
    found = []
    for step in steps:
        if step.operator not in INTEGER or len(step.inputs) < 2 or not step.outputs:
            continue
        zero = step.inputs[INTEGER[step.operator]] if len(step.inputs) > INTEGER[step.operator] else ""
        floats = [name for each in readers.get(step.outputs[0], ()) if each.operator == "Cast" for name in each.outputs]
        for mul in (each for name in floats for each in readers.get(name, ()) if each.operator == "Mul"):
            product = next((makers[name] for name in mul.inputs if name not in floats and name in makers), None)
            scales = [name for name in (product.inputs if product is not None else ()) if name in constants]
            if len(scales) == 1:
                found.append(Decoder(step.operator, (step.inputs[1], scales[0], zero), {}))
    return found


def _blocked(shape: tuple[int, ...], axis: int, block: int) -> tuple[int, ...]:
    return tuple(-(-length // block) if at == axis else length for at, length in enumerate(shape))


def _spread(values: Array, *, axis: int, block: int, view: tuple[int, ...], length: int) -> Array:
    values = values.reshape(view)
    if block <= 0 or length == 1:
        return values
    return np.repeat(values, block, axis=axis).take(range(length), axis=axis)


def _matmul_n_bits(
    node: Decoder, codes: TensorEntry, scale: TensorEntry, zero: TensorEntry | None
) -> TensorEntry | None:
    rows, columns, block = (node.numbers.get(name, 0) for name in ("N", "K", "block_size"))
    bits = node.numbers.get("bits", 4)
    if min(rows, columns, block) < 1 or bits not in (2, 4, 8) or codes.dtype != "uint8" or codes.shape is None:
        return None
    blocks, each = -(-columns // block), 8 // bits
    if math.prod(codes.shape) != rows * blocks * (block // each) or block % each:
        return None
    if scale.shape is None or math.prod(scale.shape) != rows * blocks:
        return None
    packed = zero is not None and zero.dtype == "uint8"
    wanted = rows * -(-blocks // each) if packed else rows * blocks
    if zero is not None and (zero.shape is None or math.prod(zero.shape) != wanted):
        return None

    def unpacked(values: Array, count: int) -> Array:
        """Codes from the lowest bits on, a row of so many."""
        shifts = np.arange(0, 8, bits, dtype=np.uint8)
        parts = (values.reshape(rows, -1, 1) >> shifts) & np.uint8((1 << bits) - 1)
        return np.asarray(parts.reshape(rows, -1)[:, :count])

    def decode(code: Array, factor: Array, offset: Array | None = None) -> Array:
        value = unpacked(code, blocks * block).astype(np.float32)
        point = np.full((rows, blocks), np.float32(1 << (bits - 1)))
        if offset is not None:
            point = unpacked(offset, blocks) if packed else offset
        point = point.reshape(rows, blocks).astype(np.float32)
        value = value - np.repeat(point, block, axis=1)
        return (value * np.repeat(factor.reshape(rows, blocks).astype(np.float32), block, axis=1))[:, :columns]

    made = _entry("MatMulNBits", f"uint{bits}", block, (rows, columns), decode, (codes, scale, zero))
    return with_changes(made, outputs_first=True)


def _entry(
    name: str,
    codes: str,
    group: int | None,
    shape: tuple[int, ...],
    decode: Callable[..., Array],
    given: tuple[TensorEntry, TensorEntry, TensorEntry | None],
) -> TensorEntry:
    parts = tuple(part for part in given if part is not None)
    encoding = Encoding(name, codes, group, parts)
    sizes = [part.nbytes for part in parts]
    return with_changes(
        parts[0],
        shape=shape,
        dtype=f"{codes} ({name})",
        load=partial(_load, encoding, shape, decode),
        note=partial(_noted, encoding),
        refused=next((part.refused for part in parts if part.refused is not None), None),
        nbytes=None if None in sizes else sum(size or 0 for size in sizes),
        encoding=encoding,
        counted=None,
        bits=None,
    )


def _noted(encoding: Encoding) -> Note:
    return encoding.note


def _load(
    encoding: Encoding,
    shape: tuple[int, ...],
    decode: Callable[..., Array],
    *,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Array:
    first = encoding.parts[0]
    check_room(first.path, str(first.key), 12 * math.prod(shape), N_("Close other programs."))
    arrays = []
    for number, part in enumerate(encoding.parts, 1):
        check(cancelled)
        arrays.append(np.asarray(part.load(cancelled=cancelled)[:]).reshape(part.shape or (1,)))
        progress(0.7 * number / len(encoding.parts))
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            values = decode(*arrays)
    except Problem:
        raise
    except (ValueError, IndexError, TypeError, OverflowError):
        raise FileProblem(
            first.path,
            N_("holds '{key}', whose codes and scales do not fit together"),
            N_("Export it again."),
            key=shortened(str(first.key)),
        ) from None
    progress(1.0)
    return np.ascontiguousarray(values, np.float32).reshape(shape)
