"""How would a person write this with NumPy alone? The code that gives the same codes."""

from __future__ import annotations

import numpy as np

from qviz.core.arithmetic.formula_values import follow_from_range, formulas_of, single_precision, too_narrow
from qviz.core.arithmetic.qparams import FP4_BITS, QParams
from qviz.core.arrays import FloatArray
from qviz.core.formats.codebooks import Codebook
from qviz.core.formats.floats import FloatFormat
from qviz.core.problems import Problem
from qviz.core.ranges.mse import MSE
from qviz.core.ranges.rules import Manual, MinMax, Percentile
from qviz.core.runtimes.expressions import as_python, helpers_of, keys_of, literal
from qviz.core.runtimes.formulas import ABSMAX, EXTREME, MIN, Formulas, S, absmax_of
from qviz.core.runtimes.record import AT_ZERO, MIDDLE
from qviz.core.scripts.common import granularity_words, named
from qviz.core.scripts.encoding import encoded, encoding_helper
from qviz.core.tensors.granularity import PerAxis, PerBlock, PerTile, PerToken

MOST_GROUPS = 4096
"""Of how many groups a script may hold numbers that it cannot compute."""


def python_snippet(qparams: QParams, source: str = "tensor.npy", *, all_finite: bool = True) -> str:
    """A script that quantizes an array exactly as qviz did, with NumPy and nothing else.

    Parameters
    ----------
    qparams : QParams
    source : str
        The ``.npy`` file that the script reads.
    all_finite : bool
        False adds the lines that leave NaN and infinities out of the range and of the MSE, as `Tensor` does.

    Raises
    ------
    Problem
        When it would have to hold a range or a scale for thousands of groups.
    """
    return _NumPyScript(qparams, all_finite).text(source)


class _NumPyScript:
    """The parts of one script."""

    def __init__(self, qparams: QParams, all_finite: bool) -> None:
        self.qparams, self.all_finite = qparams, all_finite
        self.formulas: Formulas = formulas_of(qparams)
        self.nan = "" if all_finite else "nan"
        self.computes = follow_from_range(qparams)
        self.narrow = bool(np.any(too_narrow(qparams)))
        self.scaled = qparams.number_format.scaled
        self.odd = qparams.breaks or not all_finite or not qparams.saturates
        granularity, rule = qparams.scheme.granularity, qparams.scheme.range_rule
        self.made_of = keys_of(*self.formulas.scale.expressions) if self.computes else set()
        tie = EXTREME.key in self.made_of and qparams.low.size and np.any(qparams.low >= -qparams.high)
        # Scales of a range by hand are all alike.
        alike = not self.scaled or (self.computes and isinstance(rule, Manual) and not tie)
        self.axis = granularity.axis if isinstance(granularity, PerAxis) and not alike else None
        self.block = granularity if isinstance(granularity, PerBlock) and not alike else None
        self.tile = granularity if isinstance(granularity, PerTile) and not alike else None
        self.cut = self.block is not None or self.tile is not None
        self.token = isinstance(granularity, PerToken) and not alike

    def text(self, source: str) -> str:
        q, scheme = self.qparams, self.qparams.scheme
        how = [
            q.number_format.name,
            "symmetric" if scheme.symmetric else "asymmetric",
            granularity_words(q),
            f"{q.convention.label} arithmetic",
        ]
        lines = ["import numpy as np", "", *self._helpers()]
        lines.append(f"# {', '.join(how)}")
        if self.odd:
            lines.append('np.seterr(all="ignore")  # what is NaN or infinite is meant so')
        lines.append(f"x = np.load({source!r}).astype(np.float32)")
        if not self.all_finite:
            lines.append("given, x = x, np.where(np.isfinite(x), x, np.nan)  # a range of what is finite")
        lines += self._group_lines()
        lines.append(f"qmin, qmax = {literal(q.quant_min)}, {literal(q.quant_max)}")
        lines += ["", *self._parameter_lines(), "", *self._code_lines()]
        error = "(x_hat.astype(float) - x)"
        lines += [
            f"mse = np.mean({error} ** 2)" if self.all_finite else f"mse = np.mean({error}[np.isfinite(x)] ** 2)",
            'print("codes", codes.ravel()[:10], "MSE", mse)',
        ]
        return "\n".join(lines) + "\n"

    # --- what comes first --------------------------------------------------------------------------

    def _helpers(self) -> list[str]:
        formulas = self.formulas
        used = [*formulas.code.expressions, *formulas.value.expressions]
        if self.computes:
            used += formulas.scale.expressions
            others = (formulas.zero_point, formulas.divisor, formulas.offset)
            used += [each.expression for each in others if each is not None]
        blocks = [_BLOCKED] if self.block else [_TILED] if self.tile else []
        helpers = (
            helpers_of(*used) + encoding_helper(self.qparams.number_format, self.odd, self.qparams.saturates) + blocks
        )
        return ["", "\n\n".join(helpers), ""] if helpers else []  # two empty lines around each

    def _group_lines(self) -> list[str]:
        if self.axis is not None:
            axis = self.axis
            return [f"axes = tuple(a for a in range(x.ndim) if a != {axis if axis >= 0 else f'x.ndim - {-axis}'})"]
        if self.tile is not None:
            return [
                f"tall, wide = min({self.tile.rows}, x.shape[-2]), min({self.tile.columns}, x.shape[-1])",
                "height, width = x.shape[-2:]",
                "whole, x = x, tiled(x, tall, wide)",
            ]
        if self.block is None:
            return []
        return [
            f"axis, size = {self.block.axis} % x.ndim, {self.block.block_size}",
            "length = x.shape[axis]",
            "whole, x = x, blocked(x, axis, size)",
        ]

    @property
    def _axes(self) -> str:
        """Along which axes a range is looked for, as arguments."""
        if self.axis is not None:
            return ", axis=axes, keepdims=True"
        if self.tile is not None:
            return ", axis=(-3, -1), keepdims=True"
        return ", axis=axis + 1, keepdims=True" if self.block else ", axis=-1, keepdims=True" if self.token else ""

    @property
    def _shape(self) -> str:
        """What puts one number a group where the groups are."""
        if self.axis is not None:
            return ".reshape([-1 if a not in axes else 1 for a in range(x.ndim)])"
        if self.block:
            return ".reshape(*x.shape[: axis + 1], 1, *x.shape[axis + 2 :])"
        if self.tile:
            return ".reshape(*x.shape[:-3], 1, x.shape[-2], 1)"
        return ".reshape(*x.shape[:-1], 1)" if self.token else ""

    def _pieces(self, name: str, fill: str = "") -> str:
        """What cuts an array into blocks or tiles."""
        sides = "tall, wide" if self.tile else "axis, size"
        return f"{'tiled' if self.tile else 'blocked'}({name}, {sides}{fill})"

    def _array(self, values: FloatArray, dtype: str = "") -> str:
        """One number a group, written down as it was found."""
        if values.size and (values == values.reshape(-1)[0]).all():
            number = literal(float(values.reshape(-1)[0]))
            return f"np.array({named(number)}{dtype})"
        if values.size > MOST_GROUPS:
            raise Problem(
                "A NumPy script cannot hold the numbers of {groups:,} groups: "
                "choose the range from min to max, or fewer groups.",
                groups=values.size,
            )
        return f"np.array({named(str(values.reshape(-1).tolist()))}{dtype}){self._shape}"

    # --- scale and zero point ----------------------------------------------------------------------

    def _parameter_lines(self) -> list[str]:
        if not self.scaled:
            return ["scale, zero_point = np.float32(1), np.float32(0)"]
        if not self.computes:
            return self._given_lines()
        formulas, q = self.formulas, self.qparams
        lines = [*self._range_lines(), *self._extreme_lines()]
        if q.convention.range_includes_zero and not q.scheme.symmetric:
            lines.append("low, high = np.minimum(low, 0), np.maximum(high, 0)")
        lines += [f"{each.symbol.key} = {as_python(each.expression)}" for each in formulas.scale.where]
        lines.append(f"scale = {as_python(formulas.scale.expression)}")
        if self.narrow:
            lines += self._narrow_lines()
        lines += self._divisor_lines()
        zero_point = f"{float(q.zero_point.reshape(-1)[0]):g}" if q.groups else "0"
        if formulas.zero_point is not None:
            zero_point = as_python(formulas.zero_point.expression)
        elif q.convention.recipe is None:
            zero_point = f"{q.convention.middle(q.number_format):g}"
        if self.narrow:
            keeps = not q.scheme.symmetric and q.convention.degenerate_zero_point(np.ones(1)).any()
            zero_point = f"np.where(narrow, {'-high' if keeps else '0'}, {zero_point})"
        lines += [f"zero_point = {zero_point}", "scale, zero_point = np.float32(scale), np.float32(zero_point)"]
        if formulas.offset is not None:
            lines.append(f"{formulas.offset.symbol.key} = {as_python(formulas.offset.expression)}")
        return lines

    def _given_lines(self) -> list[str]:
        """Parameters that no formula gives."""
        q, formulas = self.qparams, self.formulas
        lines = [
            f"scale = {self._array(q.scale, ', np.float32')}",
            f"zero_point = {self._array(q.zero_point, ', np.float32')}",
        ]
        if self._own_divisor and formulas.divisor is not None:
            lines.append(f"{formulas.divisor.symbol.key} = {self._array(q.divisor, ', np.float32')}")
        if formulas.unstored is not None and q.unstored_zero_point is not None:
            lines.append(f"{formulas.unstored.symbol.key} = {self._array(q.unstored_zero_point, ', np.float32')}")
        if formulas.offset is not None and q.offset is not None and q.shift is not None:
            lines.append(f"{MIN.key} = {self._array(q.shift, ', np.float32')}")
            lines.append(f"{formulas.offset.symbol.key} = {self._array(q.offset, ', np.float32')}")
        return lines

    @property
    def _own_divisor(self) -> bool:
        """Whether values meet anything else than the scale."""
        divisor = self.formulas.divisor
        return divisor is not None and (
            divisor.symbol.name != S.name or not np.array_equal(self.qparams.divisor, self.qparams.scale)
        )

    def _divisor_lines(self) -> list[str]:
        divisor = self.formulas.divisor
        if divisor is None or not self._own_divisor:
            return []
        text = as_python(divisor.expression)
        if self.narrow:
            text = f"np.where(narrow, qmax, {text})"
        return [f"{divisor.symbol.key} = {text if single_precision(self.qparams) else f'np.float32({text})'}"]

    def _narrow_lines(self) -> list[str]:
        q = self.qparams
        narrow = "scale < np.finfo(np.float32).tiny"
        if q.convention.falls_back(q.number_format) == AT_ZERO:
            narrow = "absmax == 0" if q.scheme.symmetric else "high == low"
        return [f"narrow = {narrow}  # too narrow for a scale", "scale = np.where(narrow, 1, scale)"]

    def _range_lines(self) -> list[str]:
        """``absmax``, or ``low`` and ``high``: float32 numbers, in the precision of what follows from them."""
        q, axes, nan = self.qparams, self._axes, self.nan
        rule = q.scheme.range_rule
        mirrored = q.scheme.symmetric and MIN.key in self.made_of and isinstance(rule, Percentile)
        symmetric = q.scheme.symmetric and (mirrored or MIN.key not in self.made_of)
        if isinstance(rule, Manual):
            low, high = float(rule.low), float(rule.high)
            lines = [f"absmax = {max(abs(low), abs(high))}" if symmetric else f"low, high = {low}, {high}"]
        elif isinstance(rule, Percentile):
            lines = self._percentile_lines(rule)
        elif not isinstance(rule, MinMax):  # a search is no script: what it found
            if symmetric:
                lines = [f"absmax = {self._array(absmax_of(q.low, q.high))}"]
            else:
                lines = [f"low, high = {self._array(q.low)}, {self._array(q.high)}"]
        elif symmetric:
            lines = [f"absmax = np.{nan}max(np.abs(x){axes})"]
        else:
            lines = [f"low, high = np.{nan}min(x{axes}), np.{nan}max(x{axes})"]
        names, values = ("absmax", "absmax") if symmetric else ("low, high", "[low, high]")
        exact = f"np.float32({values})" + ("" if single_precision(q) else ".astype(float)")
        # A channel without a finite value has no range either.
        lines.append(f"{names} = {f'np.nan_to_num({exact})' if nan else exact}")
        return [*lines, "low, high = -absmax, absmax"] if mirrored else lines

    def _percentile_lines(self, rule: Percentile) -> list[str]:
        x, nan, lines = "x", self.nan, []
        if self.cut:  # what is missing in the last block must not count
            x, nan, lines = "known", "nan", [f"known = {self._pieces('whole', ', constant_values=np.nan')}"]
        if self.qparams.scheme.symmetric:
            quantile = f"np.{nan}quantile(np.abs({x}).astype(float), {rule.percentile} / 100{self._axes})"
            return [*lines, f"absmax = {quantile}"]
        return [
            *lines,
            f"upper = (1 + {rule.percentile} / 100) / 2",
            f"low, high = np.{nan}quantile({x}.astype(float), [1 - upper, upper]{self._axes})",
        ]

    def _extreme_lines(self) -> list[str]:
        """The end furthest from 0, with its sign; of two as far, that of the element which comes first."""
        if EXTREME.key not in self.made_of:
            return []
        rule = self.qparams.scheme.range_rule
        if isinstance(rule, Manual) and -rule.low != rule.high:
            return [f"extreme = np.float32({rule.low if -rule.low > rule.high else rule.high})"]
        if isinstance(rule, MSE):  # sought with its sign
            sign = np.where(-self.qparams.low >= self.qparams.high, np.float32(-1), np.float32(1))
            return [f"extreme = np.where({self._array(sign)} > 0, {ABSMAX.key}, -{ABSMAX.key})"]
        axis = "axis + 1" if self.block else "-1"
        size = "np.abs(x)" if self.all_finite else "np.nan_to_num(np.abs(x))"
        return [
            f"furthest = np.take_along_axis(x, np.argmax({size}, axis={axis}, keepdims=True), axis={axis})",
            f"extreme = np.where(furthest > 0, {ABSMAX.key}, -{ABSMAX.key})",
        ]

    @property
    def _nan_code(self) -> str:
        """The code that NaN gets, in a format that has none for it."""
        q = self.qparams
        if q.number_format.offers_zero_point and q.convention.nan_code == MIDDLE:
            return "np.clip(np.rint(zero_point), qmin, qmax)"
        if q.breaks and isinstance(q.number_format, FloatFormat) and q.number_format.bits == FP4_BITS:
            return "np.where(np.isnan(x), np.float32(0), np.float32(-2))"
        return literal(float(q.nan_code(np.zeros((), np.float32))))

    # --- codes -------------------------------------------------------------------------------------

    def _code_lines(self) -> list[str]:
        formulas, divisor = self.formulas, self.formulas.divisor
        names = {} if divisor is None or self._own_divisor else {divisor.symbol.key: S.key}
        lines = []
        if not self.all_finite:
            lines.append(f"x = {self._pieces('given')}" if self.cut else "x = given")
        lines.append(f"codes = {as_python(formulas.code.expression, names)}")
        if self.odd and not self.qparams.number_format.has_nan:
            nan = "x" if isinstance(self.qparams.number_format, Codebook) else "codes"
            lines.append(f"codes = np.where(np.isnan({nan}), {self._nan_code}, codes)")
        lines += [
            f"x_hat = {as_python(formulas.value.expression)}",
            f"codes = {encoded(self.qparams.number_format)}",
        ]
        if self.cut:
            whole = "whole" if self.all_finite else "given"
            joined = "untiled(a, height, width)" if self.tile else "unblocked(a, axis, length)"
            lines.append(f"x, codes, x_hat = {whole}, *({joined} for a in (codes, x_hat))")
        return lines


_BLOCKED = """\
def blocked(a, axis, size, **fill):  # an axis for the blocks, and one for what is in each
    pad = [(0, -n % size if i == axis else 0) for i, n in enumerate(a.shape)]
    padded = np.pad(a, pad, **(fill or {"mode": "edge"}))
    return padded.reshape(*a.shape[:axis], -1, size, *a.shape[axis + 1 :])


def unblocked(a, axis, length):
    joined = a.reshape(*a.shape[:axis], -1, *a.shape[axis + 2 :])
    return joined.take(range(length), axis)
"""

_TILED = """\
def tiled(a, tall, wide, **fill):  # rows of tiles, rows in each, tiles of a row, columns in each
    pad = [*((0, 0) for _ in a.shape[:-2]), (0, -a.shape[-2] % tall), (0, -a.shape[-1] % wide)]
    padded = np.pad(a, pad, **(fill or {"mode": "edge"}))
    return padded.reshape(*a.shape[:-2], -1, tall, padded.shape[-1] // wide, wide)


def untiled(a, height, width):
    return a.reshape(*a.shape[:-4], a.shape[-4] * a.shape[-3], -1)[..., :height, :width]
"""
