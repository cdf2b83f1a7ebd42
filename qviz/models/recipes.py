"""In which ways can a network be quantized for ONNX Runtime, and which of them serves best?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from qviz.core.frozen import frozen
from qviz.core.problems import Problem
from qviz.core.ranges.paddle import AbsMax
from qviz.core.ranges.rules import MinMax, RangeRule
from qviz.models.network import Network

CORE = ("Conv", "ConvTranspose", "MatMul", "Gemm", "Gather")
"""What gains; quantizing everything else as well costs 5 to 20 dB and seldom a microsecond."""


CONVOLUTIONS = ("Conv", "ConvTranspose")


@frozen
class Recipe:
    """One way of quantizing a network; the defaults of each `METHODS` row are what served best.

    Attributes
    ----------
    method : str
        ``"dynamic"``, ``"static"``, ``"weights"`` or ``"float16"``.
    weight_type, activation_type : str
        ``"int8"``, ``"uint8"``, ``"int16"``, ``"uint16"``, ``"int4"``, ``"uint4"``.
    per_channel : bool
    reduce_range : bool
        7 bits for weights, for processors without VNNI.
    form : str
        ``"qdq"`` or ``"operator"``, of a static network.
    operators : tuple of str
        The kinds of nodes that are quantized; empty for all that the tool knows.
    range_rule : RangeRule
        Of the activations of a static network: any estimator of qviz.
    symmetric_activations : bool
    block_size : int
        Of 4-bit weights.
    symmetric_weights : bool
        Of 4-bit weights.
    algorithm : str
        Of 4-bit weights: ``"default"``, ``"hqq"``, ``"k_quant"``, ``"rtn"`` or ``"gptq"``.
    excluded : tuple of str
        Names of nodes that stay float.
    overrides : mapping of str to list of mappings
        ``TensorQuantOverrides`` of ONNX Runtime, by the names of tensors.
    """

    method: str
    weight_type: str = "int8"
    activation_type: str = "uint8"
    per_channel: bool = True
    reduce_range: bool = False
    form: str = "qdq"
    operators: tuple[str, ...] = CORE
    range_rule: RangeRule = field(default_factory=MinMax)
    symmetric_activations: bool = False
    block_size: int = 32
    symmetric_weights: bool = True
    algorithm: str = "default"
    excluded: tuple[str, ...] = ()
    overrides: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)


METHODS = ("dynamic", "static", "weights", "float16")


LIBRARY_DEFAULTS = {
    "dynamic": Recipe("dynamic", per_channel=False, operators=()),
    "static": Recipe("static", activation_type="int8", per_channel=False, operators=()),
    "weights": Recipe("weights", block_size=128, symmetric_weights=False),
    "float16": Recipe("float16"),
}
"""What ONNX Runtime's tools do when nothing is said."""


def best_recipe(method: str, network: Network) -> Recipe:
    """What served best for such a network.

    Raises
    ------
    Problem
        When there is no such method.
    """
    if method not in METHODS:
        raise Problem("There is no method “{method}”: choose one of {known}.", method=method, known=", ".join(METHODS))
    if method != "dynamic":
        return Recipe(method)
    operators = network.operators
    if any(operators[name] for name in CONVOLUTIONS) and not operators["MatMul"] and not operators["LSTM"]:
        # ConvInteger has no fast kernel for signed weights: 4 to 8 times as slow as float.
        return Recipe("dynamic", weight_type="uint8", per_channel=False, operators=("Conv", "MatMul", "Gemm"))
    return Recipe("dynamic", per_channel=False, operators=("MatMul", "Gemm", "LSTM", "Gather", "Attention"))


def with_range_rule(recipe: Recipe, rule: RangeRule) -> Recipe:
    """The recipe with another estimator of ranges, and codes of the kind that this one chooses thresholds for.

    Paddle's choose them from −T to T for signed codes: with unsigned ones that need not be symmetric, a threshold
    would say nothing about the other end, and half of the codes would be lost behind a ReLU.
    """
    if rule.kind.startswith("paddle_") or isinstance(rule, AbsMax):
        bits = recipe.activation_type.removeprefix("u").removeprefix("int")
        return replace(recipe, range_rule=rule, activation_type=f"int{bits}", symmetric_activations=True)
    return replace(recipe, range_rule=rule)
