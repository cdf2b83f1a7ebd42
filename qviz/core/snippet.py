"""How would a person write this with NumPy alone? The code that gives the same codes."""

from __future__ import annotations

from qviz.core.affine import QParams
from qviz.core.granularity import PerAxis
from qviz.core.ranges import Manual, MinMax, Percentile

DIGITS_FOR = 8
"""Up to this many scales are written out; more are computed from the data."""


def python_snippet(qparams: QParams, source: str = "tensor.npy") -> str:
    """A script that quantizes an array exactly as qviz did, with NumPy and nothing else.

    Parameters
    ----------
    qparams : QParams
    source : str
        The ``.npy`` file that the script reads.
    """
    scheme, convention, fmt = qparams.scheme, qparams.convention, qparams.scheme.number_format
    axis = scheme.granularity.axis if isinstance(scheme.granularity, PerAxis) else None
    lines = [
        "import numpy as np",
        "",
        f"# {fmt.name}, {'symmetric' if scheme.symmetric else 'asymmetric'}, "
        f"{'per tensor' if axis is None else f'per axis {axis}'}, {convention.label} arithmetic",
        f"x = np.load({source!r}).astype(np.float32)",
        f"qmin, qmax = {fmt.quant_min}, {fmt.quant_max}",
        "",
        *_range_lines(qparams, axis),
        *_scale_lines(qparams),
        "",
        *_code_lines(qparams),
        "x_hat = (codes - zero_point) * scale",
        f"codes = codes.astype(np.{fmt.dtype})",
        "mse = np.mean((x_hat.astype(np.float64) - x) ** 2)",
        'print("codes", codes.reshape(-1)[:10], "MSE", mse)',
    ]
    return "\n".join(lines) + "\n"


def _range_lines(qparams: QParams, axis: int | None) -> list[str]:
    rule, symmetric = qparams.scheme.range_rule, qparams.scheme.symmetric
    others = "" if axis is None else f"axes = tuple(a for a in range(x.ndim) if a != {axis} % x.ndim)"
    keep = "" if axis is None else ", axis=axes, keepdims=True"
    lines = [others] if others else []
    if isinstance(rule, Manual):
        lines.append(f"low, high = np.float32({rule.low!r}), np.float32({rule.high!r})")
    elif isinstance(rule, Percentile):
        p = rule.percentile
        if symmetric:
            lines.append(f"high = np.percentile(np.abs(x).astype(np.float64), {p!r}{keep}).astype(np.float32)")
            lines.append("low = -high")
        else:
            lines.append(
                f"low, high = (np.percentile(x.astype(np.float64), p{keep}).astype(np.float32) "
                f"for p in ((1 - (1 + {p!r} / 100) / 2) * 100, (1 + {p!r} / 100) / 2 * 100))"
            )
    elif isinstance(rule, MinMax):
        lines.append(f"low, high = x.min({keep[2:]}), x.max({keep[2:]})")
    lines.append(
        "low, high = np.float64(low), np.float64(high)"
        if axis is None
        else "low, high = low.astype(float), high.astype(float)"
    )
    if axis is not None and isinstance(rule, Manual):
        lines[-1] = "low, high = np.float64(low), np.float64(high)"
    return lines


def _scale_lines(qparams: QParams) -> list[str]:
    scheme, convention, fmt = qparams.scheme, qparams.convention, qparams.scheme.number_format
    lines = []
    if scheme.symmetric:
        lines.append("absmax = np.maximum(np.abs(low), np.abs(high))")
        lines.append(f"exact = 2 * absmax / {convention.symmetric_steps(fmt):g}")
        lines.append(f"zero_point = {convention.symmetric_zero_point(fmt):g} + 0 * exact")
        degenerate = "0"
    else:
        if convention.range_includes_zero:
            lines.append("low, high = np.minimum(low, 0), np.maximum(high, 0)")
        lines.append("exact = (high - low) / (qmax - qmin)")
        lines.append("with np.errstate(all='ignore'):")
        rounded = convention.range_includes_zero
        lines.append(f"    zero_point = {'np.rint(qmin - low / exact)' if rounded else 'qmax - high / exact'}")
        degenerate = "0" if rounded else "-high"
    lines += [
        "degenerate = exact < np.finfo(np.float32).tiny",
        f"zero_point = np.float32(np.where(degenerate, {degenerate}, zero_point))",
        "scale = np.float32(np.where(degenerate, 1, exact))",
    ]
    return lines


def _code_lines(qparams: QParams) -> list[str]:
    convention = qparams.convention
    divided = "x * (np.float32(1) / scale)" if convention.multiplies_by_reciprocal else "x / scale"
    if convention.zero_point_before_rounding:
        return [f"codes = np.clip(np.rint({divided} + zero_point), qmin, qmax)"]
    return [f"codes = np.clip(np.rint({divided}) + zero_point, qmin, qmax)"]
