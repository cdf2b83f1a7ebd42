"""How do runtimes that quantize activations as they arrive quantize both operands of a product?"""

from __future__ import annotations

from dataclasses import replace

from qviz.core.formats.integers import IntFormat
from qviz.core.frozen import frozen
from qviz.core.problems import N_
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import PerAxis, PerBlock, PerToken


@frozen
class DynamicRuntime:
    """One row: what a runtime does to an activation (tokens, features) and a weight (features, outputs)."""

    name: str
    label: str
    summary: str
    activation: Scheme
    weight: Scheme


DYNAMIC_RUNTIMES: dict[str, DynamicRuntime] = {
    runtime.name: runtime
    for runtime in (
        DynamicRuntime(
            "torchao_int8",
            N_("torchao int8, dynamic per token"),
            N_("Int8DynamicActivationInt8WeightConfig: a symmetric scale for each token, and for each output channel."),
            Scheme(IntFormat(8), True, PerToken(), convention="pytorch"),
            Scheme(IntFormat(8), True, PerAxis(1), convention="pytorch"),
        ),
        DynamicRuntime(
            "onnxruntime",
            N_("ONNX Runtime dynamic"),
            N_(
                "quantize_dynamic: DynamicQuantizeLinear finds one uint8 scale for all tokens, MatMulInteger "
                "multiplies with a symmetric int8 weight of one scale."
            ),
            Scheme(IntFormat(8, signed=False), False, convention="onnxruntime_dynamic"),
            Scheme(IntFormat(8), True, convention="onnxruntime"),
        ),
        DynamicRuntime(
            "onnxruntime_per_channel",
            N_("ONNX Runtime dynamic, per channel"),
            N_(
                "quantize_dynamic with per_channel: one uint8 scale for all tokens, "
                "an int8 scale for each output channel."
            ),
            Scheme(IntFormat(8, signed=False), False, convention="onnxruntime_dynamic"),
            Scheme(IntFormat(8), True, PerAxis(1), convention="onnxruntime"),
        ),
        DynamicRuntime(
            "int4_groups",
            N_("int4 in groups × int8 per token"),
            N_(
                "The weight in half the bytes: symmetric int4 of a scale for each 32 features of an output; "
                "activations asymmetric int8 per token; in torchao's arithmetic."
            ),
            Scheme(IntFormat(8), False, PerToken(), convention="torchao"),
            Scheme(IntFormat(4), True, PerBlock(0, 32), convention="torchao"),
        ),
    )
}
"""Every preset by its name; a new one is a row."""


def laid_out(weight: Scheme, transposed: bool) -> Scheme:
    """A weight's scheme for (outputs, features) if ``transposed``, else for (features, outputs)."""
    granularity = weight.granularity
    if isinstance(granularity, PerAxis):
        return replace(weight, granularity=PerAxis(0 if transposed else 1))
    if isinstance(granularity, PerBlock):
        return replace(weight, granularity=PerBlock(1 if transposed else 0, granularity.block_size))
    return weight
