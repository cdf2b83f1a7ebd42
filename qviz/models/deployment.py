"""How do choices made here reach ONNX Runtime's own tools? As ``nodes_to_exclude`` and ``TensorQuantOverrides``.

``onnxruntime.quantization.quantize_static`` takes both: the list as it is, the overrides among its ``extra_options``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from qviz.core.problems import Problem
from qviz.core.questions.calibration import choose_qparams
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import PerAxis
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.overrides import tensor_overrides
from qviz.models.network import Network, array_of
from qviz.models.weights import Weight, weights_of


def excluded_nodes(network: Network, own: Mapping[str, Scheme | None]) -> tuple[str, ...]:
    """The names of the nodes that read a weight which was left in float.

    Parameters
    ----------
    network : Network
    own : mapping of str to (Scheme or None)
        By the names of weights; None for float.
    """
    left = {name for name, scheme in own.items() if scheme is None}
    return tuple(node.name for node in network.model.graph.node if left.intersection(node.input))


def deployment_choices(
    network: Network,
    scheme: Scheme,
    own: Mapping[str, Scheme | None],
    *,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> dict[str, Any]:
    """What ONNX Runtime's tools can be told of the schemes of all weights.

    Parameters
    ----------
    network : Network
        Prepared.
    scheme : Scheme
        Of the weights that have none of their own.
    own : mapping of str to (Scheme or None)

    Returns
    -------
    dict
        ``nodes_to_exclude``, a list of names; ``TensorQuantOverrides``, scales and zero points by the names of
        weights; ``not_expressible``, why weights are not among these, by their names.

    Raises
    ------
    Cancelled
        When asked to stop.
    """
    constants = {each.name: each for each in network.model.graph.initializer}
    overrides: dict[str, Any] = {}
    not_expressible: dict[str, str] = {}
    weights = weights_of(network)
    for done, weight in enumerate(weights):
        check(cancelled)
        progress(done / len(weights))
        chosen = own.get(weight.name, scheme)
        if chosen is None:
            continue
        try:
            values = array_of(constants[weight.name]).astype(np.float32, copy=False)
            overrides[weight.name] = tensor_overrides(choose_qparams(values, as_it_lies(chosen, weight)))
        except Problem as problem:
            not_expressible[weight.name] = str(problem)
    return {
        "nodes_to_exclude": list(excluded_nodes(network, own)),
        "TensorQuantOverrides": overrides,
        "not_expressible": not_expressible,
    }


def as_it_lies(scheme: Scheme, weight: Weight) -> Scheme:
    """A scale for each output means its axis in the network's own layout."""
    if not isinstance(scheme.granularity, PerAxis):
        return scheme
    if len(weight.outputs) != 1:
        raise Problem("ONNX Runtime's overrides know one axis of channels; this weight has several of outputs.")
    return replace(scheme, granularity=PerAxis(weight.outputs[0]))
