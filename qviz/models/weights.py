"""Which constants of a network are weights, and how does a scheme of qviz lie over each?

A weight is looked at as a matrix of outputs × what is summed over. *Per axis* is then a scale for each output, a
block lies along the sum, and the rule for rows that are no multiple of a block is one: a row shorter than the block
is the block.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from qviz.core.arithmetic.quantize import fake_quantize
from qviz.core.arrays import Array, FloatArray
from qviz.core.frozen import frozen
from qviz.core.questions.calibration import choose_qparams
from qviz.core.questions.figures import sqnr_db
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import PerAxis, PerBlock
from qviz.core.tensors.tensor import Tensor
from qviz.models.network import Network, array_of

FLOAT_TYPES = frozenset({"float16", "float32", "float64", "bfloat16"})


@frozen
class Weight:
    """A constant that a node multiplies with.

    Attributes
    ----------
    name : str
        Of the initializer.
    node : str
        The name of the first node that reads it.
    operator : str
    input : int
        Its place among the node's inputs.
    shape : tuple of int
    outputs : tuple of int
        The axes that are outputs, in front of the matrix; the other ones are summed over.
    bytes : int
        As the file has it.
    """

    name: str
    node: str
    operator: str
    input: int
    shape: tuple[int, ...]
    outputs: tuple[int, ...]
    bytes: int

    @cached_property
    def matrix_shape(self) -> tuple[int, int]:
        """Outputs × what is summed over."""
        rows = math.prod(self.shape[axis] for axis in self.outputs)
        return rows, math.prod(self.shape) // max(1, rows)

    @cached_property
    def elements(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    def matrix(self, values: Array) -> FloatArray:
        """The values as a float32 matrix, shape `matrix_shape`; a view where the weight lies that way."""
        rest = [axis for axis in range(len(self.shape)) if axis not in self.outputs]
        turned = np.transpose(values, (*self.outputs, *rest))
        return np.ascontiguousarray(turned, np.float32).reshape(self.matrix_shape)

    @cached_property
    def _in_front(self) -> bool:
        return self.outputs == tuple(range(len(self.outputs)))

    def restored(self, matrix: FloatArray) -> FloatArray:
        """A matrix as the network has it, shape `shape`."""
        if self._in_front:
            return np.ascontiguousarray(matrix).reshape(self.shape)
        rest = [axis for axis in range(len(self.shape)) if axis not in self.outputs]
        order = (*self.outputs, *rest)
        turned = matrix.reshape([self.shape[axis] for axis in order])
        return np.ascontiguousarray(np.transpose(turned, np.argsort(order)))


def weights_of(network: Network) -> tuple[Weight, ...]:
    """The weights of a prepared network, in the order of its nodes; each constant once."""
    constants = {each.name: each for each in network.model.graph.initializer}
    found: dict[str, Weight] = {}
    for node in network.model.graph.node:
        for place, outputs in _places(node):
            name = node.input[place] if place < len(node.input) else ""
            tensor = constants.get(name)
            if tensor is None or name in found or len(tensor.dims) < 2:
                continue
            dtype = _dtype(tensor)
            if dtype not in FLOAT_TYPES or 0 in tensor.dims:
                continue
            shape = tuple(int(n) for n in tensor.dims)
            axes = tuple(axis % len(shape) for axis in outputs)
            found[name] = Weight(name, node.name, node.op_type, place, shape, axes, math.prod(shape) * _BYTES[dtype])
    return tuple(found.values())


def values_of(network: Network) -> dict[str, FloatArray]:
    """The float32 values of all weights by name."""
    constants = {each.name: each for each in network.model.graph.initializer}
    return {each.name: array_of(constants[each.name]).astype(np.float32) for each in weights_of(network)}


def fitted_scheme(scheme: Scheme, weight: Weight) -> Scheme:
    """The scheme as it lies over the weight's matrix: blocks no longer than a row, axes that there are.

    A block of a row's length or more is the row (one scale an output). *Per axis* is per output, whichever axis a
    scheme made for another tensor names.
    """
    granularity = scheme.granularity
    if isinstance(granularity, PerAxis):
        return scheme if granularity.axis == 0 else replace(scheme, granularity=PerAxis(0))
    if isinstance(granularity, PerBlock):
        columns = weight.matrix_shape[1]
        size = granularity.within(columns)
        return replace(scheme, granularity=PerBlock(-1, size)) if _free(scheme, granularity, size) else scheme
    return scheme


class CountedWeight:
    """A weight whose elements are looked at once, for as many schemes as are asked for.

    Parameters
    ----------
    weight : Weight
    values : float32 array, shape ``weight.shape``
    """

    def __init__(self, weight: Weight, values: FloatArray) -> None:
        self.weight, self._values = weight, values
        self._counted: dict[int, Tensor] = {}

    def quantized(self, scheme: Scheme) -> FloatArray:
        """x̂ under a scheme, shape ``weight.shape``.

        Blocks that a runtime has whole alone (MX, NVFP4, GGUF, torchao) are filled up with zeros where the row is no
        multiple of them.

        Raises
        ------
        Problem
            When the scheme does not fit, or the weight has no finite value.
        """
        fitted = fitted_scheme(scheme, self.weight)
        granularity = fitted.granularity
        columns = self.weight.matrix_shape[1]
        padding = 0
        if isinstance(granularity, PerBlock) and columns % granularity.block_size and not _ragged(fitted):
            padding = -columns % granularity.block_size
        matrix = self._padded(padding)
        found = fake_quantize(matrix, choose_qparams(matrix, fitted))
        return self.weight.restored(found[:, :columns] if padding else found)

    def _padded(self, padding: int) -> Tensor:
        """The weight's matrix with so many columns of zeros behind it."""
        if padding not in self._counted:
            matrix = self.weight.matrix(self._values)
            padded = np.pad(matrix, ((0, 0), (0, padding))) if padding else matrix
            self._counted[padding] = Tensor(padded, self.weight.name)
        return self._counted[padding]


def quantized_weight(weight: Weight, values: FloatArray, scheme: Scheme) -> FloatArray:
    """x̂ of a weight under one scheme, shape ``weight.shape``: see `CountedWeight.quantized`."""
    return CountedWeight(weight, values).quantized(scheme)


def weight_sqnr(weight: Weight, values: Array, scheme: Scheme) -> float:
    """20·log10(‖w‖ / ‖w − ŵ‖) in dB of a weight under a scheme; higher is better, infinite where nothing differs.

    Raises
    ------
    Problem
        When the scheme does not fit, or the weight has no finite value.
    """
    exact = values.astype(np.float32, copy=False)
    error = quantized_weight(weight, exact, scheme) - exact
    return float(sqnr_db(np.float64(squares(exact)), np.float64(squares(error))))


STRETCH = 4096
"""Elements whose squares are added up in the type of the values, before float64 takes over."""


def squares(values: Array) -> float:
    """Σx²: stretches in the values' own precision, their sums in float64 (relative error below 1e-6)."""
    flat = values.reshape(-1)
    whole = flat.size // STRETCH * STRETCH
    rest = (flat[whole:] if whole else flat).astype(np.float64)
    total = float(rest.dot(rest))
    if whole:
        rows = flat[:whole].reshape(-1, STRETCH)
        with np.errstate(invalid="ignore", over="ignore"):
            total += float(np.vecdot(rows, rows).sum(dtype=np.float64))
    return total


def bits_of(weight: Weight, scheme: Scheme) -> float:
    """Bits of all that is stored of a weight under a scheme: codes, scales, zero points."""
    from qviz.core.runtimes.table import convention_named

    fitted = fitted_scheme(scheme, weight)
    convention = convention_named(fitted.convention)
    rows, columns = weight.matrix_shape
    granularity = fitted.granularity
    if isinstance(granularity, PerBlock):  # filled up where the row is no multiple
        groups = rows * -(-columns // granularity.block_size)
    else:
        groups = math.prod(granularity.scale_shape((rows, columns)))
    zero_points = 0 if fitted.symmetric else fitted.number_format.bits
    scale = convention.bits_of_scale(fitted.number_format, fitted.symmetric, fitted.granularity)
    return weight.elements * fitted.number_format.bits + groups * (scale + zero_points) + convention.tensor_bits


def _free(scheme: Scheme, granularity: PerBlock, size: int) -> bool:
    from qviz.core.runtimes.table import convention_named

    return size == granularity.block_size or convention_named(scheme.convention).block_size is None


def _ragged(scheme: Scheme) -> bool:
    from qviz.core.runtimes.table import convention_named

    return not convention_named(scheme.convention).whole_blocks


def _places(node: Any) -> list[tuple[int, tuple[int, ...]]]:
    """Where a node's weights are, and which of their axes are outputs."""
    if node.op_type == "Gemm":
        turned = any(each.name == "transB" and each.i for each in node.attribute)
        return [(1, (0,) if turned else (1,)), (0, (0,))]
    return _PLACES.get(node.op_type, [])


_PLACES: dict[str, list[tuple[int, tuple[int, ...]]]] = {
    "Conv": [(1, (0,))],
    "ConvTranspose": [(1, (1,))],
    "MatMul": [(1, (-1,)), (0, (-2,))],
    "Gather": [(0, (0,))],
    "LSTM": [(1, (0, 1)), (2, (0, 1))],
    "GRU": [(1, (0, 1)), (2, (0, 1))],
    "RNN": [(1, (0, 1)), (2, (0, 1))],
}
"""Inputs of an operator that are weights, and their axes of outputs; a new operator is a row."""

_BYTES = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}


def _dtype(tensor: Any) -> str:
    from onnx import helper

    try:
        return str(helper.tensor_dtype_to_np_dtype(tensor.data_type))
    except (KeyError, TypeError, ValueError):
        return ""
