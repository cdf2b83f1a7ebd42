"""How is an ONNX model read: its constants where they lie, wherever the graph keeps them?

The file is walked, not loaded: initializers, constants of nodes, branches and loop bodies, and local functions are
listed without reading a weight. The fields' numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.problems import N_, Problem
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.counted import BITS, KINDS, counted_in
from qviz.files.entry import Loaded, TensorEntry
from qviz.files.file_array import FileArray
from qviz.files.onnx_quantized import BEHIND, INTEGER, PLACES, Decoder, Step, decoded, integer_decoders
from qviz.files.problems import FileProblem, NoNumbers, check_number, shortened, system_errors
from qviz.files.protobuf import Field, Walk
from qviz.files.region import MOST_AXES, Region, bytes_of, values_in

_DAMAGED = N_("Export it again, or choose another file.")
_DEEPEST = 32
"""Branches within branches."""

DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    16: "bfloat16",
    17: "float8_e4m3fn",
    18: "float8_e4m3fnuz",
    19: "float8_e5m2",
    20: "float8_e5m2fnuz",
    21: "uint4",
    22: "int4",
    23: "float4_e2m1fn",
    24: "float8_e8m0fnu",
    25: "uint2",
    26: "int2",
}
"""Types of real numbers in ONNX, by the names that NumPy and ml_dtypes have for them."""


@dataclass
class _Constant:
    """What the file says of one constant, and where its values lie."""

    name: str
    place: Field
    dims: list[int] = field(default_factory=list)
    kind: int = 0
    raw: Field | None = None
    external: dict[str, str] = field(default_factory=dict)
    is_external: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.dims) or (1,)


def list_entries(path: Path) -> tuple[TensorEntry, ...]:
    """The constants of the model, those of the graph first; those without elements are left out.

    Raises
    ------
    FileProblem
        When the file is damaged, or holds no constants of real numbers.
    """
    region = Region.whole(path)
    if not region.size:
        raise FileProblem(path, N_("is empty"), _DAMAGED)
    with region.content() as content:
        try:
            model = _Model(Walk(content))
            found = []
            for constant in model.constants():
                found.append(constant)
                check_number(path, len(found))
        except Problem:
            raise
        except (ValueError, IndexError) as error:
            raise FileProblem(
                path, N_("is no ONNX model, or a damaged one ({detail})"), _DAMAGED, detail=str(error)
            ) from None
    folder = Folder(path)
    entries = [
        _entry(region, folder, each, is_turned=each.name in model.turned)
        for each in found
        if each.kind in DTYPES and 0 not in each.dims and len(each.dims) <= MOST_AXES
    ]
    if not entries:
        raise NoNumbers(path, N_("has no weights in it"), N_("Choose a model with weights."))
    integer = integer_decoders(model.steps, {str(each.key) for each in entries})
    return decoded(entries, [*model.decoders, *integer])


def _entry(region: Region, folder: Folder, constant: _Constant, *, is_turned: bool) -> TensorEntry:
    dtype = DTYPES[constant.kind]
    refused = bits = kind = None
    load: Callable[..., Loaded] = partial(_load, region, constant)
    try:
        if min(constant.shape) < 0:
            raise FileProblem(
                region.path,
                N_("says that “{name}” has a negative length"),
                _DAMAGED,
                name=shortened(constant.name),
            )
        place = _place(region, folder, constant)
        if place is not None and dtype in BITS:
            bits, kind = partial(_bits, region, constant), KINDS.get(dtype)
    except Problem as problem:
        refused, load = problem, partial(_refuse, problem)
    return TensorEntry(
        f"{region.path.stem}/{constant.name}",
        region.path,
        constant.name,
        constant.shape,
        dtype,
        load,
        refused=refused,
        outputs_first=is_turned,
        nbytes=bytes_of(dtype, constant.shape) if min(constant.shape) > 0 else None,
        counted=partial(counted_in, region.path, bits, kind) if bits is not None and kind is not None else None,
        bits=bits,
    )


def _bits(region: Region, constant: _Constant) -> FileArray:
    with system_errors(region.path):
        place = _place(region.unchanged(), Folder(region.path), constant)
        assert place is not None
        return place.bits(BITS[DTYPES[constant.kind]], constant.shape)


def _refuse(problem: Problem, **_: object) -> np.ndarray[Any, Any]:
    raise problem


def _place(region: Region, folder: Folder, constant: _Constant) -> Region | None:
    """Where its values lie; None where they are numbers of protobuf."""
    if constant.is_external:
        return folder.place(constant.name, constant.external, bytes_of(DTYPES[constant.kind], constant.shape))
    if constant.raw is None:
        return None
    there, wanted = constant.raw.end - constant.raw.start, bytes_of(DTYPES[constant.kind], constant.shape)
    if there != wanted:
        raise FileProblem(
            region.path,
            N_("says that “{name}” has {wanted:,} bytes, but holds {there:,}"),
            _DAMAGED,
            name=shortened(constant.name),
            wanted=wanted,
            there=there,
        )
    return region.within(constant.raw.start, there)


def _load(
    region: Region, constant: _Constant, *, progress: Progress = ignore, cancelled: IsCancelled = never
) -> Loaded:
    check(cancelled)
    region.unchanged()
    place = _place(region, Folder(region.path), constant)
    if place is not None:
        return values_in(place, constant.name, DTYPES[constant.kind], constant.shape, progress, cancelled)
    return _of_protobuf(region, constant, progress)


def _of_protobuf(region: Region, constant: _Constant, progress: Progress) -> np.ndarray[Any, Any]:
    """Values that are numbers of the message itself, as ``float_data``: the library knows the rules."""
    from google.protobuf.message import DecodeError
    from onnx import TensorProto, numpy_helper

    try:
        message = TensorProto.FromString(region.read(constant.place.start, constant.place.end - constant.place.start))
        values = np.asarray(numpy_helper.to_array(message))
        array = values.reshape(constant.shape)
    except (DecodeError, ValueError, TypeError):
        raise FileProblem(
            region.path,
            N_("holds '{name}', whose values do not fit its shape"),
            _DAMAGED,
            name=shortened(constant.name),
        ) from None
    progress(1.0)
    if array.dtype.kind in "fiub" and array.dtype.isbuiltin == 1:
        return array
    return array.astype(np.int8 if "int" in array.dtype.name else np.float32)


class Folder:
    """The folder of a model, outside of which its data must not lie.

    Parameters
    ----------
    model : Path
        The model's file.
    """

    def __init__(self, model: Path) -> None:
        self._model = model
        self._folder = Path(os.path.realpath(model.parent))
        self._files: dict[Path, Region] = {}

    def place(self, name: str, about: dict[str, str], expected: int | None) -> Region:
        """Where the external data of a constant lies.

        Parameters
        ----------
        name : str
            Of the constant, for messages.
        about : dict
            ``location``, ``offset`` and ``length``, as the model says them.
        expected : int or None
            Bytes that its shape and type ask for.

        Raises
        ------
        FileProblem
            When it is missing, too short or outside of the folder.
        """
        location = about.get("location", "")
        said = shortened(location)
        file = Path(os.path.realpath(self._folder / location)) if "\0" not in location else self._folder.parent
        if not location or Path(location).is_absolute() or not file.is_relative_to(self._folder):
            raise FileProblem(
                self._model,
                N_("asks for data outside of its folder ({said})"),
                N_("Get the model from somebody you trust."),
                said=said,
            )
        if file not in self._files:
            with system_errors(file):
                if file.exists() and not file.is_file():
                    raise FileProblem(file, N_("is no file"), _DAMAGED)
                self._files[file] = Region.whole(file)
        whole = self._files[file]
        try:
            offset, length = int(about.get("offset", "0") or 0), int(about.get("length", "-1"))
        except ValueError:
            offset = length = -2
        length = whole.size - offset if length == -1 else length
        if offset < 0 or length < 0 or offset + length > whole.size:
            raise FileProblem(
                self._model,
                N_("asks for more data than {said} holds"),
                N_("Download both again; one of them is not whole."),
                said=said,
            )
        if expected is not None and expected != length:
            raise FileProblem(
                self._model,
                N_("says that “{name}” has {expected:,} bytes, but points at {length:,} of {said}"),
                N_("Export it again."),
                name=shortened(name),
                expected=expected,
                length=length,
                said=said,
            )
        return whole.within(offset, length)


class _Model:
    """Walks a model for its constants.

    Attributes
    ----------
    decoders : list of Decoder
        Nodes that read codes.
    steps : list of Step
        Nodes that give whole numbers, and those that scale such.
    turned : set of str
        Weights that a Gemm takes transposed: (outputs, features), as those of PyTorch's Linear leave.
    """

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self.turned: set[str] = set()
        self.decoders: list[Decoder] = []
        self.steps: list[Step] = []

    def constants(self) -> Iterator[_Constant]:
        """Those of the graph, then those of local functions.

        Raises
        ------
        ValueError
            When the file is no model.
        """
        fields = list(self._walk.fields())
        if not any(each.number == 7 and each.value < 0 for each in fields):
            raise ValueError("it has no graph")
        for each in fields:
            if each.value >= 0:
                continue
            if each.number == 7:
                yield from self._graph(each, "", 0)
            elif each.number == 25:
                yield from self._function(each)

    def _graph(self, place: Field, prefix: str, depth: int) -> Iterator[_Constant]:
        if depth > _DEEPEST:
            raise ValueError("its branches are nested too deeply")
        for each in self._walk.fields(place.start, place.end):
            if each.value >= 0:
                continue
            if each.number == 5:
                yield self._tensor(each, prefix)
            elif each.number == 15:
                for part in self._walk.fields(each.start, each.end):
                    if part.number == 1 and part.value < 0:
                        yield self._tensor(part, prefix)
            elif each.number == 1:
                yield from self._node(each, prefix, depth)

    def _function(self, place: Field) -> Iterator[_Constant]:
        fields = list(self._walk.fields(place.start, place.end))
        name = next((self._walk.text(each) for each in fields if each.number == 1 and each.value < 0), "function")
        for each in fields:
            if each.number == 7 and each.value < 0:
                yield from self._node(each, f"{name}/", 1)

    def _node(self, place: Field, prefix: str, depth: int) -> Iterator[_Constant]:
        name = kind = ""
        inputs, outputs, attributes = [], [], []
        for each in self._walk.fields(place.start, place.end):
            if each.value >= 0:
                continue
            if each.number == 1:
                inputs.append(each)
            elif each.number == 4:
                kind = self._walk.text(each)
            elif each.number == 2:
                outputs.append(each)
            elif each.number == 3:
                name = self._walk.text(each)
            elif each.number == 5:
                attributes.append(each)
        if kind in PLACES and len(inputs) > 1:
            self.decoders.append(self._decoder(kind, inputs, attributes, prefix))
        elif kind in INTEGER or kind in BEHIND:
            reads, gives = (
                tuple(prefix + text if (text := self._walk.text(each)) else "" for each in some)
                for some in (inputs, outputs)
            )
            self.steps.append(Step(kind, reads, gives))
        if not attributes:
            return
        if kind == "Gemm" and len(inputs) > 1 and any(map(self._is_turned, attributes)):
            self.turned.add(prefix + self._walk.text(inputs[1]))
        called = self._walk.text(outputs[0]) if outputs else name
        for attribute in attributes:
            yield from self._attribute(attribute, prefix, called, name or called, depth)

    def _decoder(self, kind: str, inputs: list[Field], attributes: list[Field], prefix: str) -> Decoder:
        names = [prefix + text if (text := self._walk.text(each)) else "" for each in inputs]
        numbers = {}
        for attribute in attributes:
            fields = list(self._walk.fields(attribute.start, attribute.end))
            name = next((self._walk.text(each) for each in fields if each.number == 1 and each.value < 0), "")
            value = next((each.value for each in fields if each.number == 3 and each.value >= 0), None)
            if value is not None:
                numbers[name] = value - (1 << 64) if value >= 1 << 63 else value
        codes, scale, zero = (names[place] if place < len(names) else "" for place in PLACES[kind])
        return Decoder(kind, (codes, scale, zero), numbers)

    def _is_turned(self, attribute: Field) -> bool:
        fields = list(self._walk.fields(attribute.start, attribute.end))
        named = any(each.number == 1 and each.value < 0 and self._walk.text(each) == "transB" for each in fields)
        return named and any(each.number == 3 and each.value == 1 for each in fields)

    def _attribute(self, place: Field, prefix: str, output: str, node: str, depth: int) -> Iterator[_Constant]:
        fields = list(self._walk.fields(place.start, place.end))
        name = next((self._walk.text(each) for each in fields if each.number == 1 and each.value < 0), "")
        for each in fields:
            if each.value >= 0:
                continue
            if each.number in (5, 10):
                constant = self._tensor(each, prefix)
                # What a Constant gives is called as its output; other attributes by their own name, too.
                constant.name = prefix + (output if name == "value" else f"{output}.{name}")
                yield constant
            elif each.number in (6, 11):
                yield from self._graph(each, f"{prefix}{node}.{name}/", depth + 1)

    def _tensor(self, place: Field, prefix: str) -> _Constant:
        walk = self._walk
        found = _Constant("", place)
        for each in walk.fields(place.start, place.end):
            if each.number == 1:
                found.dims += walk.numbers(each)
            elif each.number == 2 and each.value >= 0:
                found.kind = each.value
            elif each.number == 8 and each.value < 0:
                found.name = walk.text(each)
            elif each.number == 9 and each.value < 0:
                found.raw = each
            elif each.number == 13 and each.value < 0:
                pair = {part.number: walk.text(part) for part in walk.fields(each.start, each.end) if part.value < 0}
                found.external[pair.get(1, "")] = pair.get(2, "")
            elif each.number == 14:
                found.is_external = each.value == 1
            if len(found.dims) > MOST_AXES:
                raise ValueError("a constant has too many axes")
        found.name = prefix + found.name
        return found
