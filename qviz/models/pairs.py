"""Which two matrices does a layer multiply on a person's data? An activation of tokens, and its weight.

A convolution is a product too: each place of its output is a token, and what the kernel lies over there its features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from qviz.core.arrays import Array, FloatArray
from qviz.core.problems import Problem
from qviz.core.work import IsCancelled, check, never
from qviz.models.activations import capture
from qviz.models.network import Network, array_of
from qviz.models.sessions import Samples
from qviz.models.weights import Weight, weights_of

MOST_TOKENS = 1024
"""Of a product: more would be slow to look at, and say the same."""

MULTIPLIED = frozenset({"MatMul", "Gemm", "Conv"})


def pair_of(
    network: Network, node: str, samples: Samples, *, most: int = MOST_TOKENS, cancelled: IsCancelled = never
) -> tuple[FloatArray, FloatArray]:
    """The activation and the weight that a layer multiplies.

    Parameters
    ----------
    network : Network
        Prepared.
    node : str
        Its name.
    samples : Samples
    most : int
        Tokens, spread evenly over all that there are.

    Returns
    -------
    activation : float32 array, shape (tokens, features)
    weight : float32 array, shape (outputs, features)
        ``activation @ weight.T`` is the layer's output before its bias.

    Raises
    ------
    Problem
        When the layer is no product of an activation and a weight, or the network cannot be run.
    """
    found = next((each for each in network.model.graph.node if each.name == node), None)
    weight = next((each for each in weights_of(network) if each.node == node), None)
    if found is None or weight is None or found.op_type not in MULTIPLIED or _attribute(found, "group", 1) != 1:
        raise Problem("“{name}” is no product of an activation and one weight.", name=node)
    if len(weight.shape) != 2 and found.op_type != "Conv":
        raise Problem("The weight of “{name}” is a stack of matrices, which one product does not show.", name=node)
    tensor = next(each for each in network.model.graph.initializer if each.name == weight.name)
    value = found.input[1 - weight.input]
    parts = []
    for values in capture(network, samples, [value]):
        check(cancelled)
        parts.append(_tokens(found, weight, np.asarray(values[value], np.float32), -(-most // len(samples))))
    return np.concatenate(parts)[:most], weight.matrix(array_of(tensor))


def _tokens(node: Any, weight: Weight, values: Array, most: int) -> FloatArray:
    if node.op_type == "Conv":
        return _patches(node, weight, values, most)
    if weight.input == 0:  # W @ x: the columns of x are the tokens
        values = np.swapaxes(values, -1, -2)
    if node.op_type == "Gemm" and weight.input == 1 and _attribute(node, "transA", 0):
        values = values.T
    rows = values.reshape(-1, values.shape[-1])
    return np.ascontiguousarray(rows[_spread(len(rows), most)], np.float32)


def _patches(node: Any, weight: Weight, values: Array, most: int) -> FloatArray:
    """What the kernel lies over, at places spread over the output; features in the order of the weight's."""
    kernel = weight.shape[2:]
    axes = len(kernel)
    strides = _attribute(node, "strides", [1] * axes)
    dilations = _attribute(node, "dilations", [1] * axes)
    spans = [dilation * (size - 1) + 1 for size, dilation in zip(kernel, dilations, strict=True)]
    before, after = _padding(node, values.shape[2:], spans, strides)
    padded = np.pad(values, [(0, 0), (0, 0), *zip(before, after, strict=True)])
    places = [(n - span) // stride + 1 for n, span, stride in zip(padded.shape[2:], spans, strides, strict=True)]
    total = values.shape[0] * math.prod(places)
    chosen = np.unravel_index(_spread(total, most), (values.shape[0], *places))
    batch, corners = chosen[0], [at * stride for at, stride in zip(chosen[1:], strides, strict=True)]
    inside = np.meshgrid(*(np.arange(size) * step for size, step in zip(kernel, dilations, strict=True)), indexing="ij")
    index = tuple(corner[:, None] + offset.reshape(1, -1) for corner, offset in zip(corners, inside, strict=True))
    taken = np.moveaxis(padded, 1, -1)[(batch[:, None], *index)]  # tokens × kernel × channels
    return np.ascontiguousarray(np.swapaxes(taken, 1, 2).reshape(len(batch), -1), np.float32)


def _padding(node: Any, shape: tuple[int, ...], spans: list[int], strides: list[int]) -> tuple[list[int], list[int]]:
    """Zeros before and after each axis: https://onnx.ai/onnx/operators/onnx__Conv.html."""
    auto = _attribute(node, "auto_pad", b"NOTSET")
    if auto in (b"SAME_UPPER", b"SAME_LOWER"):
        needed = [
            max(0, (-(-n // stride) - 1) * stride + span - n)
            for n, span, stride in zip(shape, spans, strides, strict=True)
        ]
        less, more = [n // 2 for n in needed], [n - n // 2 for n in needed]
        return (less, more) if auto == b"SAME_UPPER" else (more, less)
    pads = _attribute(node, "pads", [0] * 2 * len(shape)) if auto == b"NOTSET" else [0] * 2 * len(shape)
    return list(pads[: len(shape)]), list(pads[len(shape) :])


def _spread(count: int, most: int) -> Array:
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.intp))


def _attribute(node: Any, name: str, otherwise: Any) -> Any:
    from onnx import helper

    found: Mapping[str, Any] = {each.name: each for each in node.attribute}
    return helper.get_attribute_value(found[name]) if name in found else otherwise
