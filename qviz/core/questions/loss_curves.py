"""What would each threshold lose, and which of them do the range estimators choose?"""

from __future__ import annotations

from dataclasses import replace

from qviz.core.frozen import frozen
from qviz.core.questions.calibration import choose_qparams, range_input, range_of
from qviz.core.questions.effort import Limits, plan
from qviz.core.ranges.entropy import Entropy
from qviz.core.ranges.mse import MSE, mse_curves
from qviz.core.ranges.rules import LossCurve, MinMax, Percentile
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import PerTensor
from qviz.core.tensors.sorted_tensor import SortedTensor, prepare, prepare_sample
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled, never


def loss_curves(
    x: object, scheme: Scheme, rule: MSE | Entropy, *, cancelled: IsCancelled = never
) -> tuple[LossCurve, ...]:
    """What each threshold would lose, for one scale: one curve, or one for each end of the range.

    Parameters
    ----------
    x : array_like, Tensor or SortedTensor
    scheme : Scheme
        Its own range rule does not matter; its granularity is taken to be per tensor.
    rule : MSE or Entropy
        Whose loss.

    Raises
    ------
    Problem
        When ``x`` holds nothing to quantize.
    Cancelled
        When asked to stop.
    """
    prepared = prepare(x, cancelled=cancelled)
    key = ("curves", scheme.number_format, scheme.symmetric, rule, scheme.convention)
    if key not in prepared.answers:
        whole = Scheme(scheme.number_format, scheme.symmetric, PerTensor(), rule, scheme.convention)
        given = range_input(prepared, whole, cancelled=cancelled)
        if isinstance(rule, Entropy):
            prepared.answers[key] = (rule.curve(prepared, cancelled=cancelled),)
        else:
            prepared.answers[key] = mse_curves(given, range_of(given, whole))
    curves: tuple[LossCurve, ...] = prepared.answers[key]
    return curves


@frozen(eq=False)
class Losses:
    """What the thresholds lose, and which of them the range estimators choose.

    Attributes
    ----------
    tensor : Tensor
    scheme : Scheme
    loss : str
        ``"mse"`` or ``"entropy"``.
    curves : tuple of LossCurve
    ranges : dict of str to (float, float)
        The low and the high end under ``"best"`` (the least loss), ``"minmax"`` and ``"percentile"``.
    exact : bool
        Whether every element was counted.
    """

    tensor: Tensor
    scheme: Scheme
    loss: str
    curves: tuple[LossCurve, ...]
    ranges: dict[str, tuple[float, float]]
    exact: bool


def compare_ranges(
    x: Tensor | SortedTensor,
    scheme: Scheme,
    rule: MSE | Entropy,
    *,
    limits: Limits | None = None,
    cancelled: IsCancelled = never,
) -> Losses:
    """The loss curves of ``rule``, with its own choice beside those of min-max and percentile.

    A tensor that is not in order is put in order if it is small, else judged from a sample. The
    percentile is the scheme's own where that has one.

    Raises
    ------
    Cancelled
        When asked to stop.
    """
    tensor, ordered = (x.tensor, x) if isinstance(x, SortedTensor) else (x, None)
    whole = replace(scheme, range_rule=rule, granularity=PerTensor())
    exact = plan(tensor, ordered, whole, limits).exact
    prepared = prepare(x, cancelled=cancelled) if exact else prepare_sample(tensor, cancelled=cancelled)
    percentile = scheme.range_rule if isinstance(scheme.range_rule, Percentile) else Percentile()
    ranges = {}
    for name, each in (("best", rule), ("minmax", MinMax()), ("percentile", percentile)):
        q = choose_qparams(prepared, replace(whole, range_rule=each), cancelled=cancelled)
        ranges[name] = float(q.low), float(q.high)
    return Losses(tensor, scheme, rule.kind, loss_curves(prepared, scheme, rule, cancelled=cancelled), ranges, exact)
