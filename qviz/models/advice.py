"""Which layer hurts most, why, and what would help? One sentence from what was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from qviz.core.formats.integers import IntFormat
from qviz.core.frozen import frozen
from qviz.core.problems import Phrase
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import PerAxis, PerTensor
from qviz.models.network import Network, array_of
from qviz.models.node_errors import NodeError
from qviz.models.sensitivity import ALONE, RESTORED, UnitLoss
from qviz.models.units import Unit

MOST_OF_IT = 0.4
"""The share of a layer's error that makes one channel the culprit."""

UNEVEN = 8.0
"""How many times farther the widest output reaches than the middle one, where one scale for both is a poor one."""

SATURATED = 0.999
TINY = 1e-3
NOTICED = 0.05
"""dB that are worth a word."""

UNNOTICED = 100.0
"""dB that float32 itself does not keep much better."""

ENOUGH = 8
"""Bits at which a layer is seldom the one that hurts."""


@frozen
class Advice:
    """The layer that hurts most.

    Attributes
    ----------
    unit : Unit
    sentences : tuple of Phrase
        Which one and how much, the cause as far as it was seen, what would help, and what leaving it in float gains.
    scheme : Scheme or None
        What its weights would get; None leaves them in float.
    """

    unit: Unit
    sentences: tuple[Phrase, ...]
    scheme: Scheme | None


def advice(
    network: Network,
    losses: Mapping[tuple[str, str], UnitLoss],
    errors: Mapping[str, NodeError],
    scheme: Scheme,
    own: Mapping[str, Scheme | None],
    whole_db: float,
) -> Advice | None:
    """What a sweep says of the worst layer; None where none was measured, or nothing is lost.

    Parameters
    ----------
    network : Network
        Prepared.
    losses : mapping of (mode, unit's name) to UnitLoss
    errors : mapping of str to NodeError
        By node.
    scheme : Scheme
        Of all weights but those in ``own``.
    own : mapping of str to (Scheme or None)
    whole_db : float
        The output's SQNR with everything quantized.
    """
    alone = [loss for (mode, _), loss in losses.items() if mode == ALONE and math.isfinite(loss.sqnr_db)]
    if not alone:
        return None
    worst = min(alone, key=lambda loss: loss.sqnr_db)
    unit = worst.unit
    restored = losses.get((RESTORED, unit.name))
    sentences: tuple[Phrase, ...]
    what = Phrase("{name} hurts most: quantized alone it leaves {db} dB.", name=unit.name, db=_tenths(worst.sqnr_db))
    present = own.get(unit.weights[0].name, scheme) if unit.weights else scheme
    uneven = _unevenness(network, unit) if present is not None and isinstance(present.granularity, PerTensor) else 1.0
    why = _why(network, unit, errors, uneven)
    gained = restored.sqnr_db - whole_db if restored is not None and math.isfinite(whole_db) else math.nan
    if present is not None and uneven > UNEVEN:
        chosen: Scheme | None = replace(present, granularity=PerAxis(0))
        remedy = Phrase("A scale for each output would help.")
    elif present is not None and present.number_format.bits < ENOUGH:
        chosen = replace(present, number_format=IntFormat(ENOUGH), convention="onnxruntime", granularity=PerAxis(0))
        remedy = Phrase("8 bits for it would cost {bytes:,} bytes more.", bytes=_more(unit, present))
    else:
        chosen = None
        remedy = Phrase("Leaving it in float would help.")
    sentences = (what, why, remedy)
    if restored is not None and restored.sqnr_db > UNNOTICED:
        sentences += (Phrase("With it in float nothing is lost."),)
    elif math.isfinite(gained) and gained >= NOTICED:
        sentences += (Phrase("Left in float it gives back {gained:.1f} dB.", gained=gained),)
    return Advice(unit, sentences, chosen)


def _tenths(value: float) -> str:
    return f"{value:.1f}".replace("-", "−")


def _more(unit: Unit, present: Scheme) -> int:
    return round(sum(weight.elements for weight in unit.weights) * (ENOUGH - present.number_format.bits) / 8)


def _why(network: Network, unit: Unit, errors: Mapping[str, NodeError], uneven: float) -> Phrase:
    seen = [errors[name] for name in unit.nodes if name in errors]
    worst = min(seen, key=lambda error: error.isolated_db, default=None)
    if uneven > UNEVEN:
        return Phrase(
            "One scale covers all its outputs, and the widest of them reaches {times:.0f} × as far as the middle one.",
            times=uneven,
        )
    if worst is not None and len(worst.shares) > 4 and worst.shares[0] > MOST_OF_IT:
        return Phrase("One output channel makes {share:.0f} % of its error.", share=100 * worst.shares[0])
    softmax = _softmax_behind(network, unit)
    if softmax in errors and errors[softmax].high > SATURATED:
        return Phrase("The softmax behind it is saturated: small errors before it turn the largest weight around.")
    if worst is not None and 0 < worst.high - worst.low < TINY:
        return Phrase("Its output spans no more than {span:.2g}.", span=worst.high - worst.low)
    if worst is not None and math.isfinite(worst.isolated_db):
        return Phrase("Its own error is {db} dB, and what follows passes it on.", db=_tenths(worst.isolated_db))
    return Phrase("What follows passes its error on.")


def _unevenness(network: Network, unit: Unit) -> float:
    """How many times farther the widest output of a weight reaches than the middle one."""
    constants = {each.name: each for each in network.model.graph.initializer}
    found = 1.0
    for weight in unit.weights:
        reach = np.abs(weight.matrix(array_of(constants[weight.name]))).max(axis=1)
        middle = float(np.median(reach))
        if middle > 0:
            found = max(found, float(reach.max()) / middle)
    return found


def _softmax_behind(network: Network, unit: Unit, steps: int = 4) -> str:
    """The name of a softmax that a unit's output runs into within a few nodes; empty for none."""
    reached = {name for node in network.model.graph.node if node.name in unit.nodes for name in node.output}
    for _ in range(steps):
        behind = [node for node in network.model.graph.node if reached.intersection(node.input)]
        for node in behind:
            if node.op_type == "Softmax":
                return str(node.name)
        reached = {name for node in behind for name in node.output}
    return ""
