"""What does an integer operator give exactly? Its values before they are rounded, as fractions of the stored scales.

By the documents of ONNX (QLinearMatMul, QLinearConv, QuantizeLinear) and of ONNX Runtime's own operators (QLinearAdd,
QLinearMul, QLinearAveragePool, QLinearGlobalAveragePool). A new operator is a row of `EXACT`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from qviz.core.arrays import Array
from qviz.core.frozen import frozen
from qviz.core.problems import Problem

Index = tuple[int, ...]


@frozen(eq=False)
class Exact:
    """The values of a node's output before they are rounded, without the zero point.

    Attributes
    ----------
    value : float64 array
        To about 2⁻⁵⁰ of ``size``.
    size : float64 array
        The magnitudes of what was added.
    real : Callable[[tuple of int], Fraction]
        One of them to the last digit.
    zero_point : integer scalar array
    """

    value: Array
    size: Array
    real: Callable[[Index], Fraction]
    zero_point: Array


def exact_of(node: Any, inputs: Sequence[Any]) -> Exact:
    """What a node gives exactly.

    Parameters
    ----------
    node : onnx.NodeProto
        Of an operator in `EXACT`.
    inputs : sequence of array or None
        In the node's order.

    Raises
    ------
    Problem
        When it is one whose sums are not known.
    """
    return EXACT[node.op_type](node, list(inputs))


def exact_codes(node: Any, inputs: Sequence[Any]) -> Array:
    """The codes of the exact values, ties to even, saturated to the type of the output."""
    exact = exact_of(node, inputs)
    ends = np.iinfo(exact.zero_point.dtype)
    codes = np.rint(exact.value)
    # Float64 decides all but what lies nearer to the middle of two codes than it is exact.
    near = np.abs(exact.value - np.floor(exact.value) - 0.5) <= exact.size * 2.0**-48
    for place in np.argwhere(near):
        index = tuple(int(i) for i in place)
        codes[index] = round(exact.real(index))
    return np.asarray(np.clip(codes + int(exact.zero_point), ends.min, ends.max).astype(exact.zero_point.dtype))


def magnitudes(node: Any, inputs: list[Any]) -> Array:
    """Of what was added to an output, in codes: how far rounding in float32 can reach."""
    if node.op_type not in ("QLinearConv", "QLinearMatMul"):
        return exact_of(node, inputs).size
    positive = list(inputs)
    for code, zero in ((0, 2), (3, 5)):
        points = np.asarray(inputs[zero], np.int64)
        if code == 3 and points.size > 1:
            points = points.reshape((-1, 1, 1, 1) if node.op_type == "QLinearConv" else (-1,))
        positive[code] = np.abs(np.asarray(inputs[code], np.int64) - points)
        positive[zero] = np.zeros_like(np.asarray(inputs[zero]))
    if len(positive) > 8 and positive[8] is not None:
        positive[8] = np.abs(np.asarray(positive[8], np.int64))
    return exact_of(node, positive).value


def _products(node: Any, inputs: list[Any]) -> Exact:
    """QLinearMatMul and QLinearConv: sums of products times a multiplier for each output channel."""
    sums = accumulated(node, inputs)
    multipliers = _multipliers(node, inputs)
    shares = np.array([float(each) for each in multipliers])
    channel = np.broadcast_to(_channels(node, sums.shape), sums.shape)
    value = np.asarray(sums * (shares[channel] if shares.size > 1 else shares[0]))
    return Exact(
        value,
        np.abs(value),
        lambda index: multipliers[int(channel[index]) if len(multipliers) > 1 else 0] * int(sums[index]),
        _scalar(inputs[7]),
    )


def _sum(node: Any, inputs: list[Any]) -> Exact:
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = inputs
    left, right = np.broadcast_arrays(_less(a, a_zero), _less(b, b_zero))
    first, second = _fraction(a_scale) / _fraction(y_scale), _fraction(b_scale) / _fraction(y_scale)
    parts = left * float(first), right * float(second)
    return Exact(
        np.asarray(parts[0] + parts[1]),
        np.abs(parts[0]) + np.abs(parts[1]),
        lambda index: first * int(left[index]) + second * int(right[index]),
        _scalar(y_zero),
    )


def _product(node: Any, inputs: list[Any]) -> Exact:
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = inputs
    products = np.asarray(_less(a, a_zero) * _less(b, b_zero))
    return _scaled(products, _fraction(a_scale) * _fraction(b_scale) / _fraction(y_scale), y_zero)


def _average(node: Any, inputs: list[Any]) -> Exact:
    """QLinearAveragePool, over its windows; padding counts where the node says so."""
    x, x_scale, x_zero, y_scale, y_zero = inputs
    given = _given(node)
    if x.ndim != 4 or given.get("ceil_mode", 0) or given.get("channels_last", 0):
        raise Problem("This pooling cannot be traced: only those of pictures can, channels in front.")
    kernel = list(given["kernel_shape"])
    strides = list(given.get("strides", [1, 1]))
    pads = _pads(given, x.shape[2:], kernel, strides, [1, 1])
    codes = _less(x, x_zero)
    inside = np.ones((1, 1, *x.shape[2:]), np.int64)
    around = ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3]))
    counted = np.pad(inside, around, constant_values=int(given.get("count_include_pad", 0)))
    sums, counts = (_windows(each, kernel, strides) for each in (np.pad(codes, around), counted))
    return _mean(sums, np.broadcast_to(counts, sums.shape), _fraction(x_scale) / _fraction(y_scale), y_zero)


def _global_average(node: Any, inputs: list[Any]) -> Exact:
    x, x_scale, x_zero, y_scale, y_zero = inputs
    axes = tuple(range(1, x.ndim - 1)) if _given(node).get("channels_last", 0) else tuple(range(2, x.ndim))
    sums = _less(x, x_zero).sum(axis=axes, keepdims=True)
    counts = np.broadcast_to(np.int64(x.size // max(1, sums.size)), sums.shape)
    return _mean(sums, counts, _fraction(x_scale) / _fraction(y_scale), y_zero)


def _requantized(node: Any, inputs: list[Any]) -> Exact:
    """QuantizeLinear of floats, one scale for all."""
    x, scale = inputs[0], inputs[1]
    zero_point = inputs[2] if len(inputs) > 2 and inputs[2] is not None else np.uint8(0)
    if np.size(scale) != 1 or not np.isfinite(x).all():
        raise Problem("This node cannot be traced: only one scale for all, and finite values, can.")
    one = _fraction(scale)
    value = np.asarray(x, np.float64) / float(one)
    return Exact(value, np.abs(value), lambda index: Fraction(float(np.asarray(x)[index])) / one, _scalar(zero_point))


EXACT: dict[str, Callable[[Any, list[Any]], Exact]] = {
    "QLinearMatMul": _products,
    "QLinearConv": _products,
    "QLinearAdd": _sum,
    "QLinearMul": _product,
    "QLinearAveragePool": _average,
    "QLinearGlobalAveragePool": _global_average,
    "QuantizeLinear": _requantized,
}
"""Every operator that can be traced."""


def _scaled(sums: Array, multiplier: Fraction, zero_point: Any) -> Exact:
    value = np.asarray(sums * float(multiplier))
    return Exact(value, np.abs(value), lambda index: multiplier * int(sums[index]), _scalar(zero_point))


def _mean(sums: Array, counts: Array, multiplier: Fraction, zero_point: Any) -> Exact:
    value = np.asarray(sums * float(multiplier) / counts)
    return Exact(
        value, np.abs(value), lambda index: multiplier * int(sums[index]) / int(counts[index]), _scalar(zero_point)
    )


def _windows(x: Array, kernel: Sequence[int], strides: Sequence[int]) -> Array:
    """The sums of all windows of pictures."""
    views = np.lib.stride_tricks.sliding_window_view(x, tuple(kernel), axis=(2, 3))
    return np.asarray(views[:, :, :: strides[0], :: strides[1]].sum(axis=(-2, -1)))


def _less(codes: Any, zero_point: Any) -> Array:
    return np.asarray(np.asarray(codes, np.int64) - int(_scalar(zero_point)))


def _fraction(scale: Any) -> Fraction:
    return Fraction(float(np.asarray(scale, np.float32).reshape(-1)[0]))


def _scalar(value: Any) -> Array:
    return np.asarray(np.asarray(value).reshape(-1)[0])


def _given(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def accumulated(node: Any, inputs: list[Any]) -> Array:
    """The sums of products of codes less zero points, with the bias, as int64."""
    x, w = _operands(node, inputs)
    bias = np.asarray(inputs[8], np.int64) if len(inputs) > 8 and inputs[8] is not None else np.int64(0)
    if node.op_type == "QLinearMatMul":
        return np.asarray(np.matmul(x, w) + bias)
    given = _given(node)
    strides, dilations, pads = _geometry(given, x, w)
    padded = np.pad(x, ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    groups, outputs = int(given.get("group", 1)), w.shape[0] // int(given.get("group", 1))
    rows = (padded.shape[2] - dilations[0] * (w.shape[2] - 1) - 1) // strides[0] + 1
    columns = (padded.shape[3] - dilations[1] * (w.shape[3] - 1) - 1) // strides[1] + 1
    sums = np.zeros((x.shape[0], w.shape[0], rows, columns), np.int64)
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            part = padded[
                :,
                :,
                i * dilations[0] : i * dilations[0] + strides[0] * (rows - 1) + 1 : strides[0],
                j * dilations[1] : j * dilations[1] + strides[1] * (columns - 1) + 1 : strides[1],
            ]
            for g in range(groups):
                mine = slice(g * w.shape[1], (g + 1) * w.shape[1])
                here = slice(g * outputs, (g + 1) * outputs)
                sums[:, here] += np.einsum("nchw,oc->nohw", part[:, mine], w[here, :, i, j])
    return np.asarray(sums + bias.reshape(1, -1, 1, 1))


def factors(node: Any, inputs: list[Any]) -> Callable[[Index], tuple[Array, Array]]:
    """The stored codes whose products are added up for an output of QLinearMatMul or QLinearConv, as int64.

    In the order in which ONNX Runtime adds them: of a convolution the rows of the kernel, its columns, then channels.
    """
    x, w = inputs[0].astype(np.int64), inputs[3].astype(np.int64)
    if node.op_type == "QLinearMatMul":
        return lambda index: (
            x[index[:-1]] if x.ndim > 1 else x,
            w[(*index[: w.ndim - 2], slice(None), index[-1])] if w.ndim > 1 else w,
        )
    given = _given(node)
    strides, dilations, pads = _geometry(given, x, w)
    around = ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3]))
    padded = np.pad(x, around, constant_values=int(_scalar(inputs[2])))
    outputs = w.shape[0] // int(given.get("group", 1))

    def of(index: Index) -> tuple[Array, Array]:
        picture, channel, row, column = index
        group = channel // outputs
        top, left = row * strides[0], column * strides[1]
        window = padded[
            picture,
            group * w.shape[1] : (group + 1) * w.shape[1],
            top : top + dilations[0] * (w.shape[2] - 1) + 1 : dilations[0],
            left : left + dilations[1] * (w.shape[3] - 1) + 1 : dilations[1],
        ]
        return window.transpose(1, 2, 0).reshape(-1), w[channel].transpose(1, 2, 0).reshape(-1)

    return of


def _geometry(given: Mapping[str, Any], x: Array, w: Array) -> tuple[list[int], list[int], list[int]]:
    """Strides, dilations and pads of a convolution.

    Raises
    ------
    Problem
        When it is not one of pictures.
    """
    if x.ndim != 4:
        raise Problem("This convolution cannot be traced: only those of pictures can.")
    strides, dilations = list(given.get("strides", [1, 1])), list(given.get("dilations", [1, 1]))
    return strides, dilations, _pads(given, x.shape[2:], w.shape[2:], strides, dilations)


def _pads(
    given: Mapping[str, Any], size: Sequence[int], kernel: Sequence[int], strides: list[int], dilations: list[int]
) -> list[int]:
    """Of a convolution: those that are written, or those that keep the size (``SAME_UPPER``, ``SAME_LOWER``)."""
    auto = given.get("auto_pad", b"NOTSET")
    if auto in (b"NOTSET", b"VALID"):
        return list(given.get("pads", [0, 0, 0, 0])) if auto == b"NOTSET" else [0, 0, 0, 0]
    totals = [
        max(0, (-(-n // stride) - 1) * stride + dilation * (k - 1) + 1 - n)
        for n, k, stride, dilation in zip(size, kernel, strides, dilations, strict=True)
    ]
    small, large = [total // 2 for total in totals], [total - total // 2 for total in totals]
    return [*small, *large] if auto == b"SAME_UPPER" else [*large, *small]


def _operands(node: Any, inputs: list[Any]) -> tuple[Array, Array]:
    x, _, x_zero, w, _, w_zero = inputs[:6]
    axis = (-1, 1, 1, 1) if node.op_type == "QLinearConv" else (-1,)
    zeros = np.asarray(w_zero, np.int64)
    points = zeros.reshape(axis) if zeros.size > 1 else zeros.reshape(-1)[0]
    return x.astype(np.int64) - int(np.asarray(x_zero).reshape(-1)[0]), w.astype(np.int64) - points


def _multipliers(node: Any, inputs: list[Any]) -> list[Fraction]:
    """``x_scale · w_scale / y_scale`` of each output channel, without rounding."""
    x_scale, w_scale, y_scale = (np.asarray(inputs[i], np.float32).reshape(-1) for i in (1, 4, 6))
    return [Fraction(float(x_scale[0])) * Fraction(float(w)) / Fraction(float(y_scale[0])) for w in w_scale]


def _channels(node: Any, shape: tuple[int, ...]) -> Array:
    if node.op_type == "QLinearConv":
        return np.arange(shape[1]).reshape(1, -1, 1, 1)
    return np.arange(shape[-1])
