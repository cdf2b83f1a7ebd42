"""How would a person write this with NumPy alone? The code that gives the same codes."""

from __future__ import annotations

import re

import numpy as np

from qviz.core.arithmetic.qparams import SMALLEST_SCALE, QParams
from qviz.core.arrays import LARGEST
from qviz.core.formats.integers import IntFormat
from qviz.core.problems import Problem
from qviz.core.ranges.rules import Manual, MinMax, Percentile
from qviz.core.tensors.granularity import PerAxis, PerTensor

_PYTHON = {
    "Q": "codes",
    "R": "x",
    "S": "scale",
    "T": "threshold",
    "Z": "zero_point",
    "min": "low",
    "max": "high",
    "round": "np.rint",
    "clip": "np.clip",
    "−": "-",
    "·": "*",
}


def python_snippet(qparams: QParams, source: str = "tensor.npy", *, all_finite: bool = True) -> str:
    """A script that quantizes an array exactly as qviz did, with NumPy and nothing else.

    Parameters
    ----------
    qparams : QParams
    source : str
        The ``.npy`` file that the script reads.
    all_finite : bool
        False adds the lines that leave NaN and infinities out, as `Tensor` does.
    """
    scheme, number_format = qparams.scheme, qparams.scheme.number_format
    if not isinstance(number_format, IntFormat) or not isinstance(scheme.granularity, PerTensor | PerAxis):
        raise Problem("There is a NumPy script for integers per tensor and per axis alone: choose one of these.")
    axis = scheme.granularity.axis if isinstance(scheme.granularity, PerAxis) else None
    how = [
        number_format.name,
        "symmetric" if scheme.symmetric else "asymmetric",
        "per tensor" if axis is None else f"per axis {axis}",
        f"{qparams.convention.label} arithmetic",
    ]
    lines = [
        "import numpy as np",
        "",
        f"# {', '.join(how)}",
        f"x = np.load({source!r}).astype(np.float32)",
    ]
    if not all_finite:
        lines.append("x[~np.isfinite(x)] = np.nan")
    if axis is not None and not isinstance(scheme.range_rule, Manual):
        lines.append(f"axes = tuple(a for a in range(x.ndim) if a != {axis if axis >= 0 else f'x.ndim - {-axis}'})")
    lines += [
        f"qmin, qmax = {qparams.quant_min}, {qparams.quant_max}",
        "",
        *_range_lines(qparams, ", axis=axes, keepdims=True" if axis is not None else "", "" if all_finite else "nan"),
        *(_symmetric_lines(qparams) if scheme.symmetric else _asymmetric_lines(qparams)),
        "scale, zero_point = np.float32(scale), np.float32(zero_point)",
        "",
        _python(qparams.convention.code_formula),
    ]
    if not all_finite:
        lines.append("codes = np.where(np.isnan(x), np.clip(np.rint(zero_point), qmin, qmax), codes)")
    lines += [
        "x_hat = (codes - zero_point) * scale",
        f"codes = codes.astype(np.{number_format.dtype})",
        f"mse = np.{'' if all_finite else 'nan'}mean((x_hat.astype(float) - x) ** 2)",
        'print("codes", codes.ravel()[:10], "MSE", mse)',
    ]
    return "\n".join(lines) + "\n"


def _range_lines(qparams: QParams, axes: str, nan: str) -> list[str]:
    """``absmax``, or ``low`` and ``high``: float32 numbers, in the precision of what follows from them."""
    rule, symmetric = qparams.scheme.range_rule, qparams.scheme.symmetric
    if isinstance(rule, Manual):
        low, high = float(rule.low), float(rule.high)
        lines = [f"absmax = {max(abs(low), abs(high))}" if symmetric else f"low, high = {low}, {high}"]
    elif isinstance(rule, Percentile) and symmetric:
        lines = [f"absmax = np.{nan}quantile(np.abs(x).astype(float), {rule.percentile} / 100{axes})"]
    elif isinstance(rule, Percentile):
        lines = [
            f"upper = (1 + {rule.percentile} / 100) / 2",
            f"low, high = np.{nan}quantile(x.astype(float), [1 - upper, upper]{axes})",
        ]
    elif not isinstance(rule, MinMax):  # a search is no script: what it found
        shape = ".reshape([-1 if a not in axes else 1 for a in range(x.ndim)])" if axes else ""
        found = [f"np.array({end.tolist()}){shape}" for end in (qparams.low, qparams.high)]
        lines = [f"absmax = {found[1]}" if symmetric else f"low, high = {found[0]}, {found[1]}"]
    elif symmetric:
        lines = [f"absmax = np.{nan}max(np.abs(x){axes})"]
    else:
        lines = [f"low, high = np.{nan}min(x{axes}), np.{nan}max(x{axes})"]
    names, values = ("absmax", "absmax") if symmetric else ("low, high", "[low, high]")
    exact = f"np.float32({values})" + ("" if qparams.convention.single_precision else ".astype(float)")
    # A channel without a finite value has no range either.
    return [*lines, f"{names} = {f'np.nan_to_num({exact})' if nan else exact}"]


def _symmetric_lines(qparams: QParams) -> list[str]:
    convention, number_format = qparams.convention, qparams.scheme.number_format
    zero_point = f"{convention.middle(number_format):g}"
    steps = 2 * convention.half_span(number_format)
    range_ = f"np.maximum(absmax, {convention.smallest_range})" if convention.smallest_range else "absmax"
    halves = convention.single_precision or convention.divides_by_threshold
    lines = [f"scale = {range_} / {steps / 2:g}" if halves else f"scale = 2 * absmax / {steps:g}"]
    lines += _floor_lines(qparams)
    threshold = "absmax"
    if _degenerate(qparams):
        lines += _NARROW
        zero_point = f"np.where(narrow, 0, {zero_point})"
        threshold = "np.where(narrow, qmax, absmax)"
    if convention.divides_by_threshold:
        lines.append(f"threshold = np.float32({threshold})")
    return [*lines, f"zero_point = {zero_point}"]


def _asymmetric_lines(qparams: QParams) -> list[str]:
    convention = qparams.convention
    lines = ["low, high = np.minimum(low, 0), np.maximum(high, 0)"] if convention.range_includes_zero else []
    number_format = qparams.number_format
    assert isinstance(number_format, IntFormat)
    first, last = convention.scale_range(number_format)
    ends = "(qmax - qmin)"
    if "first" in convention.zero_point_formula:
        lines.append(f"first, last = {first}, {last}")
        ends = "(last - first)"
    width = "high - low"
    if convention.single_precision and np.any(qparams.high.astype(np.float64) - qparams.low > LARGEST):
        width = "np.minimum(high.astype(float) - low, np.finfo(np.float32).max).astype(np.float32)"
    if convention.smallest_range:
        width = f"np.maximum({width}, {convention.smallest_range})"
    lines += [f"scale = ({width}) / {ends}", *_floor_lines(qparams)]
    zero_point = _python(convention.zero_point_formula)
    if _degenerate(qparams):
        lines += _NARROW
        name, _, formula = zero_point.partition(" = ")
        instead = "-high" if convention.degenerate_zero_point(np.ones(1)).any() else "0"
        zero_point = f"{name} = np.where(narrow, {instead}, {formula})"
    return [*lines, zero_point]


_NARROW = [
    "narrow = scale < np.finfo(np.float32).tiny  # too narrow for a scale",
    "scale = np.where(narrow, 1, scale)",
]


def _floor_lines(qparams: QParams) -> list[str]:
    smallest = qparams.convention.smallest_scale
    return [f"scale = np.maximum(scale, np.float32({smallest}))"] if smallest else []


def _degenerate(qparams: QParams) -> bool:
    """Whether a range is too narrow: most scripts can do without the lines that take care of it."""
    convention, number_format = qparams.convention, qparams.scheme.number_format
    assert isinstance(number_format, IntFormat)
    if convention.smallest_scale or convention.smallest_range:
        return False
    first, last = convention.scale_range(number_format)
    steps = convention.symmetric_span(number_format) if qparams.scheme.symmetric else last - first
    width = qparams.high.astype(np.float64) - qparams.low
    return bool(np.any(width / steps < SMALLEST_SCALE))


def _python(formula: str) -> str:
    """A convention's formula in the names of the script."""
    return re.sub(r"[A-Za-z]+|[−·]", lambda word: _PYTHON.get(word[0], word[0]), formula)
