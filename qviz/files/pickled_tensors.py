"""Which tensors does a pickle describe, of PyTorch or of NumPy, and which names may occur in it?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from qviz.core.frozen import frozen
from qviz.files import problems
from qviz.files.pickles import BadPickle, Call, Name, Pairs, Persistent, Span
from qviz.files.region import MOST_AXES

_MOST_STEPS = 1 << 22
_MOST_TEXT = 1 << 27
"""Letters of all names together: dictionaries that hold each other twice, twenty deep, give a million of them."""

_MOST_WAYS = 1 << 16
"""Ways that lead to the same list or dictionary: each of thousands of modules may hold the same settings."""

_DEEPEST = 64

_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "QInt8Storage": "int8",
    "QUInt8Storage": "uint8",
    "QInt32Storage": "int32",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}
_DTYPES = {
    "float64": "float64",
    "double": "float64",
    "float32": "float32",
    "float": "float32",
    "float16": "float16",
    "half": "float16",
    "bfloat16": "bfloat16",
    "float8_e4m3fn": "float8_e4m3fn",
    "float8_e4m3fnuz": "float8_e4m3fnuz",
    "float8_e5m2": "float8_e5m2",
    "float8_e5m2fnuz": "float8_e5m2fnuz",
    "float8_e8m0fnu": "float8_e8m0fnu",
    "int64": "int64",
    "int32": "int32",
    "int16": "int16",
    "int8": "int8",
    "uint64": "uint64",
    "uint32": "uint32",
    "uint16": "uint16",
    "uint8": "uint8",
    "bool": "bool",
    "complex64": "complex64",
    "complex128": "complex128",
}
"""Types of PyTorch, by the names that NumPy and ml_dtypes have for them."""

_NARROW = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in range(1, 8))
"""Types that PyTorch names and has no storage for: torchao says by them what its codes are."""

_QUANTIZATIONS = ("per_tensor_affine", "per_channel_affine", "per_channel_affine_float_qparams")
_UNTYPED = ("UntypedStorage", "_UntypedStorage", "TypedStorage", "_TypedStorage")

_KNOWN: dict[str, frozenset[str]] = {
    "torch._utils": frozenset(
        {
            "_rebuild_tensor",
            "_rebuild_tensor_v2",
            "_rebuild_tensor_v3",
            "_rebuild_parameter",
            "_rebuild_parameter_with_state",
            "_rebuild_qtensor",
            "_rebuild_wrapper_subclass",
            "_rebuild_sparse_tensor",
            "_rebuild_meta_tensor_no_storage",
            "_rebuild_device_tensor_from_numpy",
            "_rebuild_device_tensor_from_cpu_tensor",
        }
    ),
    "torch._tensor": frozenset({"_rebuild_from_type_v2", "Tensor"}),
    "torch.nn.parameter": frozenset({"Parameter", "Buffer"}),
    "torch.serialization": frozenset({"_get_layout"}),
    "torch.storage": frozenset(_UNTYPED),
    "torch": frozenset({*_STORAGES, *_DTYPES, *_QUANTIZATIONS, *_NARROW, "Size", "Tensor", "device", "strided"}),
    "torch.jit._pickle": frozenset(
        {
            "build_intlist",
            "build_tensorlist",
            "build_doublelist",
            "build_boollist",
            "build_tensor_from_id",
            "restore_type_tag",
        }
    ),
    "collections": frozenset({"OrderedDict", "defaultdict", "Counter"}),
    "builtins": frozenset({"dict", "list", "tuple", "set", "frozenset", "int", "float", "bool", "str", "bytes"}),
    "argparse": frozenset({"Namespace"}),
    "datetime": frozenset({"datetime", "date", "timedelta"}),
    "pathlib": frozenset({"PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path"}),
    "copyreg": frozenset({"_reconstructor"}),
    "_codecs": frozenset({"encode"}),
    "numpy": frozenset({"ndarray", "dtype"}),
    "numpy.core.multiarray": frozenset({"scalar", "_reconstruct"}),
    "numpy.core.numeric": frozenset({"_frombuffer"}),
    "pytorch_lightning.utilities.parsing": frozenset({"AttributeDict"}),
    "lightning.pytorch.utilities.parsing": frozenset({"AttributeDict"}),
    "lightning_fabric.utilities.data": frozenset({"AttributeDict"}),
    "lightning.fabric.utilities.data": frozenset({"AttributeDict"}),
}
"""Names that may occur; none is ever imported. The rest of a checkpoint is not weights."""

_BAGS = ("torch.nn.modules.", "torch.nn.quantized.", "torch.ao.nn.", "torchvision.models.", "__torch__", "torchao.")
"""Modules whose classes are taken as bags of attributes: whole modules of PyTorch, those of TorchScript, and tensors
that torchao has quantized."""

_SAME = {"__builtin__": "builtins", "copy_reg": "copyreg", "numpy._core.multiarray": "numpy.core.multiarray"}
_SAME["numpy._core.numeric"] = "numpy.core.numeric"

_ELIDED = frozenset({"_modules", "_parameters", "_buffers"})
"""Attributes of a module that the names of its parameters leave out."""


@frozen
class Storage:
    """Where PyTorch keeps the values of tensors: one stretch of bytes, by its key."""

    key: str
    dtype: str | None
    elements: int


@frozen
class StoredTensor:
    """A tensor of PyTorch: a view of a storage. ``offset`` and ``strides`` count elements."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    storage: Storage
    offset: int
    strides: tuple[int, ...]

    @property
    def last(self) -> int:
        """The place of its last element in the storage."""
        return self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))

    @property
    def is_contiguous(self) -> bool:
        """Whether it lies there in its own order, without gaps."""
        expected = 1
        for length, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if length != 1 and stride != expected:
                return False
            expected *= length
        return True


@frozen
class PickledArray:
    """An array of NumPy whose values are in the pickle itself."""

    name: str
    shape: tuple[int, ...]
    descr: str
    is_fortran: bool
    data: Span | bytes


def is_known(named: Name) -> bool:
    """Whether a name may occur in a checkpoint.

    Examples
    --------
    >>> is_known(Name("torch", "FloatStorage")), is_known(Name("posix", "system"))
    (True, False)
    """
    if named.name in _KNOWN.get(_SAME.get(named.module, named.module), ()):
        return True
    # One word: a name with dots would reach what a module has imported.
    return named.name.isidentifier() and named.module.startswith(_BAGS)


def tensors_of(value: Any) -> Iterator[StoredTensor | PickledArray]:
    """Every tensor that a pickle describes, named by the way to it.

    Raises
    ------
    BadPickle
        When there are more than any checkpoint has, or one contradicts itself.
    """
    seen: set[str] = set()
    for found in _Search().within(value, "", 0):
        if found.name not in seen:
            seen.add(found.name)
            if len(seen) > problems.MOST_TENSORS:
                raise BadPickle("it names too many tensors")
            yield found


class _Search:
    """Goes through what a pickle describes; the same part may be met many times, so that steps are counted."""

    def __init__(self) -> None:
        self._steps = self._letters = 0
        self._ways: Counter[int] = Counter()

    def within(self, value: Any, name: str, depth: int) -> Iterator[StoredTensor | PickledArray]:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise BadPickle("it names too many things")
        self._letters += len(name)
        if self._letters > _MOST_TEXT:
            raise BadPickle("its names are too long")
        if depth > _DEEPEST:
            return
        if isinstance(value, Pairs | list | Call) and not _is_tensor(value):
            self._ways[id(value)] += 1
            if self._ways[id(value)] > _MOST_WAYS:
                raise BadPickle("it names the same things too many times")
        if isinstance(value, Call):
            yield from self._call(value, name, depth)
        elif isinstance(value, Pairs):
            yield from self._pairs(value.items, name, depth)
        elif isinstance(value, list | tuple):
            for index, each in enumerate(value):
                self._steps += 1
                if isinstance(each, Call | Pairs | list | tuple):
                    yield from self.within(each, _joined(name, str(index)), depth + 1)

    def _pairs(self, items: list[tuple[Any, Any]], name: str, depth: int) -> Iterator[StoredTensor | PickledArray]:
        for index, (key, value) in enumerate(items):
            self._steps += 1
            if isinstance(value, Call | Pairs | list | tuple):
                said = str(index) if key is None else str(key) if isinstance(key, str | int) else f"[{index}]"
                yield from self.within(value, name if said in _ELIDED else _joined(name, said), depth + 1)

    def _call(self, call: Call, name: str, depth: int) -> Iterator[StoredTensor | PickledArray]:
        what = call.what.name
        arguments = call.arguments if isinstance(call.arguments, tuple) else ()
        if what in ("_rebuild_parameter", "_rebuild_parameter_with_state", "Parameter", "restore_type_tag"):
            yield from self.within(arguments[0] if arguments else None, name, depth + 1)
        elif what == "_rebuild_from_type_v2" and len(arguments) > 2:
            yield from self._of_type(arguments, name, depth)
        elif what in _TENSORS:
            if (found := _tensor(what, arguments, name)) is not None:
                yield found
        elif what in ("_reconstruct", "_frombuffer"):
            if (array := _array(call, name)) is not None:
                yield array
        elif what == "tuple" and _is_named(arguments):  # as Paddle writes a parameter: its name, and its values
            yield from self.within(arguments[0][1], name, depth + 1)
        elif what == "_rebuild_device_tensor_from_numpy":
            yield from self.within(arguments[0] if arguments else None, name, depth + 1)
        else:
            yield from self._bag(call, what, arguments, name, depth)

    def _of_type(self, arguments: tuple[Any, ...], name: str, depth: int) -> Iterator[StoredTensor | PickledArray]:
        """A tensor of a class of its own; of torchao's, which hold several, each under the name it has elsewhere."""
        made = arguments[0]
        if not isinstance(made, Name):
            return
        if made.name != "_rebuild_wrapper_subclass":
            yield from self.within(Call(made, arguments[2]), name, depth + 1)
            return
        state = arguments[3] if len(arguments) > 3 else None
        state = _plain_codes(arguments[2], state) or state
        module, _, part = name.rpartition(".")
        for key, value in state.items if isinstance(state, Pairs) else ():
            if isinstance(value, Call) and isinstance(key, str):
                yield from self.within(value, _joined(module, f"_{part}_{key}"), depth + 1)

    def _bag(
        self, call: Call, what: str, arguments: tuple[Any, ...], name: str, depth: int
    ) -> Iterator[StoredTensor | PickledArray]:
        """A container, or a bag of attributes: what is in it, and what it was made of."""
        listed = _listed(what, arguments)
        if listed is not None:
            yield from self._pairs(listed, name, depth)
        for part in (call.arguments if listed is None else None, call.state):
            if isinstance(part, Pairs):
                yield from self._pairs(part.items, name, depth)
            elif isinstance(part, tuple) and part:
                flat = part[0] if len(part) <= 2 else part
                yield from self.within(flat, name, depth + 1)
        yield from self._pairs(call.items, name, depth)


def _plain_codes(made_of: Any, state: Any) -> Pairs | None:
    """What torchao's ``AffineQuantizedTensor`` keeps where x̂ = (code − zero point) · scale along rows, codes unpacked.

    https://github.com/pytorch/ao/blob/v0.12.0/torchao/dtypes/affine_quantized_tensor.py
    """
    held = state.get("tensor_impl") if isinstance(state, Pairs) else None
    arguments = held.arguments if isinstance(held, Call) and held.what.name == "_rebuild_from_type_v2" else None
    if not isinstance(arguments, tuple) or len(arguments) < 4 or not isinstance(state, Pairs):
        return None
    kind, inside = arguments[1], arguments[3]
    domain, block = state.get("zero_point_domain"), state.get("block_size")
    shape = made_of[2] if isinstance(made_of, tuple) and len(made_of) > 2 else None
    is_plain = isinstance(kind, Name) and kind.name == "PlainAQTTensorImpl" and isinstance(inside, Pairs)
    is_whole = isinstance(domain, Call) and domain.what.name == "ZeroPointDomain" and domain.arguments == (1,)
    is_along = isinstance(block, tuple) and len(block) == 2 and (block[0] == 1 or block == shape)
    return inside if is_plain and is_whole and is_along and inside.get("transposed") is not True else None


_DICTIONARIES = ("OrderedDict", "dict", "defaultdict", "AttributeDict")
_TENSORS = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_qtensor")


def _listed(what: str, arguments: tuple[Any, ...]) -> list[tuple[Any, Any]] | None:
    """The keys and values of a dictionary that is made of a list of them, as Python 2 wrote an ``OrderedDict``."""
    pairs = arguments[-1] if arguments and what in _DICTIONARIES else None
    if not isinstance(pairs, list) or not all(isinstance(each, list | tuple) and len(each) == 2 for each in pairs):
        return None
    return [(key, value) for key, value in pairs]


def _is_named(arguments: tuple[Any, ...]) -> bool:
    pair = arguments[0] if len(arguments) == 1 else None
    return isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], Call)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Call) and value.what.name in _TENSORS


def _joined(name: str, part: str) -> str:
    return f"{name}.{part}" if name else part


def _tensor(what: str, arguments: tuple[Any, ...], name: str) -> StoredTensor | None:
    """None for a tensor that does not hold real numbers, or has no elements."""
    if len(arguments) < 4:
        raise BadPickle("a tensor says too little of itself")
    storage = storage_of(arguments[0])
    offset, shape, strides = arguments[1], _lengths(arguments[2]), _lengths(arguments[3])
    if type(offset) is not int or len(shape) != len(strides) or len(shape) > MOST_AXES:
        raise BadPickle("a tensor contradicts itself")
    dtype = storage.dtype
    if what == "_rebuild_tensor_v3":
        named = arguments[6] if len(arguments) > 6 else None
        dtype = _DTYPES.get(named.name) if isinstance(named, Name) else None
    if dtype is None or dtype.startswith("complex") or 0 in shape:
        return None
    if offset < 0 or min(shape, default=1) < 0 or min(strides, default=1) < 0:
        raise BadPickle("a tensor contradicts itself")
    return StoredTensor(name, shape, dtype, storage, offset, strides)


def storage_of(value: Any) -> Storage:
    """The storage that lies outside of a pickle.

    Raises
    ------
    BadPickle
        When it is none.
    """
    key = value.key if isinstance(value, Persistent) else None
    if not isinstance(key, tuple) or len(key) < 5 or key[0] != "storage" or not isinstance(key[1], Name):
        raise BadPickle("a tensor has no storage")
    name, elements = key[1].name, key[4]
    if type(key[2]) is not str or type(elements) is not int or elements < 0:
        raise BadPickle("a storage contradicts itself")
    view = key[5] if len(key) > 5 else None
    if view is not None:
        raise BadPickle("a storage is a view of another one: save the file again with a current PyTorch")
    return Storage(key[2], "uint8" if name in _UNTYPED else _STORAGES.get(name), elements)


def _lengths(value: Any) -> tuple[int, ...]:
    if isinstance(value, Call) and isinstance(value.arguments, tuple) and value.arguments:
        value = value.arguments[0]
    if not isinstance(value, tuple | list) or any(type(each) is not int for each in value):
        raise BadPickle("a shape is none")
    return tuple(value)


def _array(call: Call, name: str) -> PickledArray | None:
    """None for an array that does not hold real numbers, or has no elements."""
    if call.what.name == "_frombuffer":
        if not isinstance(call.arguments, tuple) or len(call.arguments) != 4:
            return None
        data, dtype, shape, order = call.arguments
        is_fortran = order == "F"
    elif isinstance(call.state, tuple) and len(call.state) == 5:
        _, shape, dtype, is_fortran, data = call.state
    else:
        return None
    lengths = _lengths(shape)
    descr = _descr(dtype)
    if isinstance(data, Call) and data.what.name == "encode" and data.arguments:
        data = data.arguments[0]  # the bytes as a text in Latin-1, which Python 2 can read, too
    if isinstance(data, str):
        data = data.encode("latin-1", "replace")
    if descr is None or 0 in lengths or not isinstance(data, Span | bytes):
        return None
    if len(lengths) > MOST_AXES or min(lengths, default=1) < 0:
        raise BadPickle("an array contradicts itself")
    wanted = math.prod(lengths) * np.dtype(descr).itemsize
    if wanted != (len(data) if isinstance(data, bytes) else data.end - data.start) and not _is_text(data):
        raise BadPickle("an array does not fit its shape")
    return PickledArray(name, lengths, descr, bool(is_fortran), data)


def _is_text(data: Span | bytes) -> bool:
    return isinstance(data, Span) and data.is_text


def _descr(value: Any) -> str | None:
    """The type of an array, as ``"<f4"``; None where its values are no real numbers."""
    if not isinstance(value, Call) or value.what.name != "dtype" or not isinstance(value.arguments, tuple):
        return None
    kind = value.arguments[0] if value.arguments else None
    order = value.state[1] if isinstance(value.state, tuple) and len(value.state) > 1 else "|"
    if not isinstance(kind, str) or len(kind) > 3 or kind[:1] not in "fiub" or order not in ("<", ">", "|", "="):
        return None
    try:
        return np.dtype(f"{order}{kind[:1]}{int(kind[1:])}").str
    except (TypeError, ValueError):
        return None
