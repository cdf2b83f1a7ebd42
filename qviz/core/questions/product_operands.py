"""Which activation and weight can be multiplied as integers, and with which parameters?"""

from __future__ import annotations

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.formats.integers import IntFormat
from qviz.core.frozen import frozen
from qviz.core.problems import Phrase, Problem
from qviz.core.questions.calibration import choose_qparams
from qviz.core.questions.pair_sums import adds_in_pairs
from qviz.core.schemes.scheme import Scheme, convention_of
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled

OPERAND_NAMES = {"activation": Phrase("activation"), "weight": Phrase("weight")}


class OperandProblem(Problem):
    """What is wrong with one operand; ``operand`` is ``"activation"`` or ``"weight"``."""

    def __init__(self, template: str, operand: str, /, **values: object) -> None:
        super().__init__(template, **values)
        self.args = (template, operand)
        self.operand = operand

    @classmethod
    def of(cls, operand: str, problem: Problem) -> OperandProblem:
        """The same problem, of which it is known that it lies with `operand`."""
        return cls("{problem}.", operand, problem=problem)


def fits(activation: tuple[int, ...], weight: tuple[int, ...], transposed: bool) -> bool:
    """Whether tensors of such shapes can be multiplied."""
    return len(weight) == 2 and activation[-1] == weight[1 if transposed else 0]


def lies_transposed(
    activation: tuple[int, ...], weight: tuple[int, ...], stored: bool | None, otherwise: bool = False
) -> bool:
    """Which way round a weight is taken: the only way that fits, or else as its file has it.

    Parameters
    ----------
    activation, weight : tuple of int
        Shapes.
    stored : bool or None
        Whether files of its kind store (outputs, features); None where nobody can tell.
    otherwise : bool
        What is returned then.
    """
    fitting = [way for way in (False, True) if fits(activation, weight, way)]
    if len(fitting) == 1:
        return fitting[0]
    return otherwise if stored is None or not fitting else stored


@frozen(eq=False)
class Pair:
    """Two operands that fit each other, their parameters, and the stretches of features that share a scale.

    ``in_pairs`` says whether it is asked what kernels do that add up in pairs.
    """

    activation: Tensor
    weight: Tensor
    transposed: bool
    activation_qparams: QParams
    weight_qparams: QParams
    features: int
    shape: tuple[int, int]
    stretches: tuple[slice, ...]
    in_pairs: bool


def _checked(tensor: Tensor, scheme: Scheme, operand: str) -> tuple[int, ...]:
    """The block that shares a scale, of codes that can be multiplied."""
    convention = convention_of(scheme)
    if not isinstance(scheme.number_format, IntFormat) or convention.block_size is not None:
        raise OperandProblem(
            "Codes of {number_format} under “{runtime}” are no plain integers: choose an integer format, "
            "and a runtime without blocks.",
            operand,
            number_format=scheme.number_format.name,
            runtime=convention.label,
        )
    try:
        return scheme.granularity.block_shape(tensor.shape)
    except Problem as problem:
        raise OperandProblem.of(operand, problem) from None


def operand_pair(
    activation: object,
    weight: object,
    activation_scheme: Scheme,
    weight_scheme: Scheme,
    transposed: bool,
    cancelled: IsCancelled,
) -> Pair:
    x, w = _finite(activation, "activation", cancelled), _finite(weight, "weight", cancelled)
    if not fits(x.shape, w.shape, transposed):
        raise _misfit(x.shape, w.shape, transposed)
    features = x.shape[-1]
    x = x.reshaped((x.elements // features, features))
    across = 0 if transposed else 1
    checked = _checked(x, activation_scheme, "activation"), _checked(w, weight_scheme, "weight")
    if checked[0] not in (x.shape, (1, features)):
        raise OperandProblem(
            "Scales of an activation that differ along the features cannot be taken out of the sum: choose "
            "per tensor or per token.",
            "activation",
        )
    if checked[1] != w.shape and checked[1][across] != 1:
        raise OperandProblem(
            "Scales of a weight that many outputs share, but not all features, cannot be taken out of the "
            "sum: choose per tensor, per output channel, or per block along the features.",
            "weight",
        )
    stretch = checked[1][1 - across]
    stretches = tuple(slice(a, min(a + stretch, features)) for a in range(0, features, stretch))
    qx = choose_qparams(x, activation_scheme, cancelled=cancelled)
    qw = choose_qparams(w, weight_scheme, cancelled=cancelled)
    for q, operand in ((qx, "activation"), (qw, "weight")):
        if q.breaks:
            raise OperandProblem(
                "{count:,} of the {what}'s {groups:,} scales are {scale:g} under “{runtime}”, which makes NaN of what "
                "they scale: multiply the {what} by a constant that brings them into range.",
                operand,
                count=int(q.broken.sum()),
                what=OPERAND_NAMES[operand],
                groups=q.groups,
                scale=float(q.scale[q.broken][0]),
                runtime=q.convention.label,
            )
        if not np.array_equal(q.zero_point, np.rint(q.zero_point)):
            raise OperandProblem(
                "Under “{runtime}” the zero point is not a whole number, so that integers cannot be multiplied: "
                "choose symmetric, or another runtime.",
                operand,
                runtime=q.convention.label,
            )
    return Pair(x, w, transposed, qx, qw, features, (x.shape[0], w.shape[across]), stretches, adds_in_pairs(qx, qw))


def _finite(operand: object, what: str, cancelled: IsCancelled) -> Tensor:
    tensor = operand.count(cancelled=cancelled) if isinstance(operand, Tensor) else Tensor(operand, what)
    if not tensor.all_finite:
        missing = tensor.elements - tensor.finite
        raise OperandProblem(
            "{missing:,} of the {what}'s {elements:,} elements are not finite, which spoils every output "
            "they go into: choose a tensor without.",
            what,
            missing=missing,
            what=OPERAND_NAMES[what],
            elements=tensor.elements,
        )
    return tensor


def _misfit(activation: tuple[int, ...], weight: tuple[int, ...], transposed: bool) -> OperandProblem:
    if len(weight) != 2:
        return OperandProblem(
            "The weight has shape {weight}: choose one with two axes, features and outputs.", "weight", weight=weight
        )
    if fits(activation, weight, not transposed):
        return OperandProblem(
            "An activation of shape {activation} does not fit a weight of shape {weight}: "
            "choose the weight's layout {order}.",
            "weight",
            activation=activation,
            weight=weight,
            order=Phrase("features × outputs") if transposed else Phrase("outputs × features"),
        )
    return OperandProblem(
        "An activation of shape {activation} does not fit a weight of shape {weight}: choose an activation whose "
        "last axis has {wanted:,} features, or a weight whose {axis} axis has {features:,}.",
        "weight",
        activation=activation,
        weight=weight,
        wanted=weight[1 if transposed else 0],
        axis=Phrase("last") if transposed else Phrase("first"),
        features=activation[-1],
    )
