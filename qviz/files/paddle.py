"""How are parameters of Paddle read: a pickle of arrays (.pdparams), or tensors one after another (.pdiparams)?

Any pickle of arrays of NumPy is read alike: as data, without running what is in it. The stream of tensors:
https://github.com/PaddlePaddle/Paddle/blob/develop/paddle/phi/core/framework/dense_tensor_serialize.cc
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.problems import N_, Problem
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.entry import Loaded, TensorEntry
from qviz.files.file_array import array_in
from qviz.files.memory import check_room
from qviz.files.pickled_tensors import PickledArray, is_known, tensors_of
from qviz.files.pickles import BadPickle, Call, Name, Pairs, Refused, Span, read_pickle
from qviz.files.problems import FileProblem, NoNumbers, check_number, shortened
from qviz.files.protobuf import Walk
from qviz.files.region import MOST_AXES, Content, Region, bytes_of, values_in

_DAMAGED = N_("Copy or download it again.")
_DESCRIPTION = 1 << 12
"""Bytes that say the type and shape of a tensor, at most."""

_DTYPES = {
    0: "bool",
    1: "int16",
    2: "int32",
    3: "int64",
    4: "float16",
    5: "float32",
    6: "float64",
    20: "uint8",
    21: "int8",
    22: "bfloat16",
}
_EVAL = frozenset({("builtins", "eval"), ("__builtin__", "eval")})


def list_pickle(path: Path) -> tuple[TensorEntry, ...]:
    """The arrays of a pickle in their order.

    Raises
    ------
    FileProblem
        When the file is damaged, asks for anything but arrays, or holds none.
    """
    region = Region.whole(path)
    if not region.size:
        raise FileProblem(path, N_("is empty"), _DAMAGED)
    try:
        with region.content() as content:
            value = _plain(read_pickle(content, 0, _is_known).value)
        arrays = [each for each in tensors_of(value) if isinstance(each, PickledArray)]
    except Refused as refused:
        raise FileProblem(
            path,
            N_("is a Python pickle that asks for {name}, which no tensor needs; nothing of it was run"),
            N_("If you trust its author, load it where it was made and save its arrays with numpy.savez."),
            name=shortened(refused.name, 80),
        ) from None
    except BadPickle as error:
        raise FileProblem(path, N_("is a damaged Python pickle ({detail})"), _DAMAGED, detail=str(error)) from None
    if not arrays:
        raise NoNumbers(path, N_("is a Python pickle without arrays of numbers"), N_("Choose a file with weights."))
    return tuple(
        TensorEntry(
            f"{path.stem}/{each.name or 'array'}",
            path,
            each.name or "array",
            each.shape or (1,),
            np.dtype(each.descr).name,
            partial(_load_pickled, region, each),
        )
        for each in arrays
    )


def _is_known(named: Name) -> bool:
    # Paddle writes eval('data', {'data': array}) for each of its tensors: that very call is an array, and no other.
    return is_known(named) or (named.module, named.name) in _EVAL


def _plain(value: Any) -> Any:
    """The same without Paddle's way to write an array.

    Raises
    ------
    Refused
        When ``eval`` would do anything else.
    """
    waiting: list[Any] = [value]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, Name) and (each.module, each.name) in _EVAL:
            raise Refused(str(each))
        if isinstance(each, Call):
            if isinstance(each.what, Name) and (each.what.module, each.what.name) in _EVAL:
                array = _evaluated(each)
                # The call now stands for its array wherever it is met.
                each.what, each.arguments, each.state = array.what, array.arguments, array.state
            waiting += [each.arguments, each.state, *(part for pair in each.items for part in pair)]
        elif isinstance(each, Pairs):
            waiting += [part for pair in each.items for part in pair]
        elif isinstance(each, list | tuple):
            waiting += each
    return value


def _evaluated(call: Call) -> Call:
    arguments = call.arguments
    if isinstance(arguments, tuple) and len(arguments) == 2 and arguments[0] == "data":
        names = arguments[1]
        if isinstance(names, Pairs) and len(names.items) == 1 and names.items[0][0] == "data" and not call.items:
            array = names.items[0][1]
            if isinstance(array, Call) and isinstance(array.what, Name) and array.what.name == "_reconstruct":
                return array
    raise Refused(str(call.what))


def _load_pickled(
    region: Region, array: PickledArray, *, progress: Progress = ignore, cancelled: IsCancelled = never
) -> Loaded:
    check(cancelled)
    region.unchanged()
    dtype, shape = np.dtype(array.descr), array.shape or (1,)
    order: Any = "F" if array.is_fortran else "C"
    if isinstance(array.data, Span) and not array.data.is_text:
        start = region.start + array.data.start
        return array_in(region.path, dtype, start, shape, order, progress=progress, cancelled=cancelled)
    data = array.data
    if isinstance(data, Span):
        check_room(region.path, array.name, 3 * (data.end - data.start), N_("Close other programs."))
        data = region.read(data.start, data.end - data.start).decode("utf-8", "replace").encode("latin-1", "replace")
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise FileProblem(
            region.path, N_("holds '{name}', which does not fit its shape"), _DAMAGED, name=shortened(array.name)
        )
    progress(1.0)
    return np.frombuffer(data, dtype).reshape(shape, order=order)


def list_stream(path: Path) -> tuple[TensorEntry, ...]:
    """The tensors of a ``.pdiparams`` file: by their names where the program lies beside it, else numbered.

    Raises
    ------
    FileProblem
        When the file is damaged, or holds no tensors.
    """
    region = Region.whole(path)
    if not region.size:
        raise FileProblem(path, N_("is empty"), _DAMAGED)
    entries = []
    try:
        with region.content() as content:
            found = []
            at = 0
            while at < region.size:
                dtype, shape, start = _described(content, at)
                size = bytes_of(dtype, shape)
                found.append((dtype, shape, region.within(start, size)))
                at = start + size
                check_number(path, len(found))
    except Problem:
        raise
    except (ValueError, IndexError) as error:
        raise FileProblem(
            path, N_("holds no parameters of Paddle, or damaged ones ({detail})"), _DAMAGED, detail=str(error)
        ) from None
    names = _names(path.with_suffix(".pdmodel"))
    if len(names) != len(found):
        names = [f"tensor {number}" for number in range(len(found))]
    for name, (dtype, shape, place) in zip(names, found, strict=True):
        if 0 not in shape:
            load = partial(_load_stored, place, name, dtype, shape or (1,))
            entries.append(TensorEntry(f"{path.stem}/{name}", path, name, shape or (1,), dtype, load))
    if not entries:
        raise NoNumbers(path, N_("has no tensors in it"), N_("Choose a file with weights."))
    return tuple(entries)


def _load_stored(
    place: Region,
    name: str,
    dtype: str,
    shape: tuple[int, ...],
    *,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Loaded:
    return values_in(place, name, dtype, shape, progress, cancelled)


def _described(content: Content, at: int) -> tuple[str, tuple[int, ...], int]:
    """The type and shape of the tensor that begins at a place, and where its values do."""
    if _number(content, at, 4) or _number(content, at + 12, 4):
        raise ValueError("a tensor is of an unknown version")
    if _number(content, at + 4, 8):
        raise ValueError("a tensor has levels of detail")
    size = _number(content, at + 16, 4)
    start = at + 20
    if size > min(_DESCRIPTION, len(content) - start):
        raise ValueError("a tensor is described at too great a length")
    walk = Walk(content)
    dims: list[int] = []
    kind = -1
    for field in walk.fields(start, start + size):
        if field.number == 1:
            kind = field.value
        elif field.number == 2:
            dims += walk.numbers(field)
    if kind not in _DTYPES:
        raise ValueError("a tensor holds no real numbers")
    if len(dims) > MOST_AXES or min(dims, default=1) < 0:
        raise ValueError("a tensor has no shape")
    return _DTYPES[kind], tuple(dims), start + size


def _number(content: Content, at: int, size: int) -> int:
    part = content[at : at + size]
    if len(part) < size:
        raise ValueError("it ends too early")
    return int.from_bytes(part, "little")


def _names(program: Path) -> list[str]:
    """The names of a program's parameters, in the order in which they are stored: that of the alphabet."""
    try:
        with Region.whole(program).content() as content:
            walk = Walk(content)
            names = []
            for block in walk.fields():
                if block.number != 1 or block.value >= 0:
                    continue
                for variable in walk.fields(block.start, block.end):
                    if variable.number != 3 or variable.value >= 0:
                        continue
                    parts = list(walk.fields(variable.start, variable.end))
                    is_kept = any(part.number == 3 and part.value == 1 for part in parts)
                    name = next((walk.text(part) for part in parts if part.number == 1 and part.value < 0), "")
                    if is_kept and name not in ("feed", "fetch"):
                        names.append(name)
            return sorted(names)
    except (OSError, ValueError, IndexError):
        return []
