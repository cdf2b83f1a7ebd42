"""How does a network take other weights at each run, as quickly as if they were constants? Laid out as those are.

The runtime lays constant weights out for the processor (those of Conv in blocks of channels) once, and does without
where a weight is an input: such a run takes 1.4 to 1.9 times as long. Weights whose values are numbers show where each
element comes to lie; from then on that is done here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.arrays import Array, FloatArray
from qviz.core.frozen import frozen
from qviz.core.problems import Problem
from qviz.models.network import is_large
from qviz.models.sessions import open_session

FIRST = 1 << 22
"""The number of the first element: no bias, mask or size is such a number."""

MOST = (1 << 24) - FIRST
"""Elements that float32 can number from there."""


@frozen(eq=False)
class Stored:
    """One constant of the optimized network that is made of weights.

    Attributes
    ----------
    name : str
        Of the input that it became.
    shape : tuple of int
    weights : tuple of str
        What it is made of.
    index : int64 array, or None
        Where each element comes from: 0 for a zero, else 1 beyond its place in all weights one behind the other. None
        where it is the one weight as it stands.
    """

    name: str
    shape: tuple[int, ...]
    weights: tuple[str, ...]
    index: Array | None


class LaidOut:
    """A session with weights among its inputs, which the session of the optimized network takes as it stores them.

    What did not change since the last run (the same array) is not laid out again.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
    stored : sequence of Stored
    places : mapping of str to slice
        Where the weights lie one behind the other, behind a zero.
    inputs : sequence
        What it seems to read: each with a name.
    """

    def __init__(
        self, session: Any, stored: Sequence[Stored], places: Mapping[str, slice], inputs: Sequence[Any]
    ) -> None:
        self._session, self._inputs = session, inputs
        self._as_they_are = [each for each in stored if each.index is None]
        self._moved = [each for each in stored if each.index is not None]
        self._weights = {name for each in stored for name in each.weights}
        names = dict.fromkeys(name for each in self._moved for name in each.weights)
        self._places = {name: places[name] for name in names}
        self._last: dict[str, Any] = {}
        self._flat = np.zeros(max((place.stop for place in places.values()), default=1), np.float32)
        indices = [each.index for each in self._moved if each.index is not None]
        self._index = np.concatenate(indices) if indices else np.zeros(0, np.int64)
        self._made = np.zeros(self._index.size, np.float32)
        ends = np.cumsum([0, *(index.size for index in indices)]).tolist()
        self._slices = [slice(a, b) for a, b in pairwise(ends)]
        self._given = {
            each.name: self._made[place].reshape(each.shape)
            for each, place in zip(self._moved, self._slices, strict=True)
        }

    def get_inputs(self) -> Sequence[Any]:
        """As a session of the runtime has them."""
        return self._inputs

    def get_outputs(self) -> Any:
        """As a session of the runtime has them."""
        return self._session.get_outputs()

    def run(self, outputs: list[str] | None, feeds: Mapping[str, Any]) -> Any:
        """As a session of the runtime is run."""
        given = {name: value for name, value in feeds.items() if name not in self._weights}
        for each in self._as_they_are:
            given[each.name] = feeds[each.weights[0]].reshape(each.shape)
        self._lay_out(feeds)
        return self._session.run(outputs, {**given, **self._given})

    def _lay_out(self, weights: Mapping[str, FloatArray]) -> None:
        changed = {name for name in self._places if weights[name] is not self._last.get(name)}
        for name in changed:
            self._flat[self._places[name]] = weights[name].reshape(-1)
            self._last[name] = weights[name]
        if 2 * len(changed) > len(self._places):
            np.take(self._flat, self._index, mode="clip", out=self._made)
            return
        for each, place in zip(self._moved, self._slices, strict=True):
            if changed.intersection(each.weights):
                np.take(self._flat, self._index[place], mode="clip", out=self._made[place])


def open_laid_out(
    model: Any, weights: Sequence[str], with_values: Callable[[Mapping[str, FloatArray]], Any], *, threads: int = 0
) -> Any:
    """A session of a network whose weights are inputs, laid out as constants would be where that can be found out.

    Parameters
    ----------
    model : onnx.ModelProto
        With the weights as inputs.
    weights : sequence of str
        Their names.
    with_values : Callable[[Mapping[str, float32 array]], onnx.ModelProto]
        The same network with these weights as constants.

    Raises
    ------
    Problem
        When the runtime refuses the network.
    """
    from onnx import TensorProto

    ports = {each.name: each.type.tensor_type for each in model.graph.input}
    shapes = {name: tuple(each.dim_value for each in ports[name].shape.dim) for name in weights}
    ends = np.cumsum([1, *(int(np.prod(shapes[name])) for name in weights)]).tolist()
    places = {name: slice(a, b) for name, (a, b) in zip(weights, pairwise(ends), strict=True)}
    single = all(ports[name].elem_type == TensorProto.FLOAT for name in weights)
    if single and 1 < ends[-1] <= MOST and not is_large(model):
        numbers = {
            name: np.arange(FIRST + place.start, FIRST + place.stop, dtype=np.float32).reshape(shapes[name])
            for name, place in places.items()
        }
        optimized = _optimized(with_values(numbers), threads)
        stored = _found(optimized, places) if optimized is not None else ()
        if stored:
            session = open_session(_with_inputs(optimized, stored), threads=threads, fuse_pairs=False)
            return LaidOut(session, stored, places, list(model.graph.input))
    return open_session(model, threads=threads, fuse_pairs=False)


def _optimized(model: Any, threads: int) -> Any:
    """A network as the runtime runs it; None where it cannot be written down."""
    import onnx

    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "optimized.onnx"
            open_session(model, threads=threads, fuse_pairs=False, written_to=path)
            return onnx.load(path)
    except (Problem, OSError):  # a full disk or a folder without permission costs time, not the answer
        return None


def _found(model: Any, places: Mapping[str, slice]) -> tuple[Stored, ...]:
    """The constants that are made of numbers; nothing where a number is lost, or became another."""
    from onnx import TensorProto, numpy_helper

    names, ends = list(places), np.array([place.stop for place in places.values()])
    missing = np.ones(ends[-1], np.bool_)
    missing[0] = False
    found = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        flat = values.reshape(-1)
        numbered = (flat > FIRST) & (flat < FIRST + ends[-1])
        if not numbered.any():
            continue
        index = np.where(numbered, flat, FIRST).astype(np.int64) - FIRST
        if not np.array_equal(np.where(index, index + FIRST, 0), flat):
            return ()
        missing[index] = False
        owners = [names[place] for place in np.unique(np.searchsorted(ends, index[index > 0], side="right"))]
        place = places[owners[0]]
        as_it_is = len(owners) == 1 and np.array_equal(index, np.arange(place.start, place.stop))
        found.append(Stored(tensor.name, values.shape, tuple(owners), None if as_it_is else index))
    return () if missing.any() else tuple(found)


def _with_inputs(model: Any, stored: Sequence[Stored]) -> Any:
    """The optimized network with inputs in place of what is made of weights."""
    from onnx import TensorProto, helper

    names = {each.name for each in stored}
    kept = [each for each in model.graph.initializer if each.name not in names]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    model.graph.input.extend(helper.make_tensor_value_info(e.name, TensorProto.FLOAT, e.shape) for e in stored)
    return model
