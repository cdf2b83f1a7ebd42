"""Why a quantized network is not faster is read off its profile."""

from __future__ import annotations

import pytest

from qviz.models.latency import OperatorTime, reasons
from qviz.models.recipes import Recipe

FLOAT = (OperatorTime("Conv", 1e-3, 10),)


@pytest.mark.parametrize(
    ("operators", "recipe", "said"),
    [
        ({"ConvInteger": 5e-3}, Recipe("dynamic"), "take unsigned weights"),
        ({"ConvInteger": 5e-3}, Recipe("dynamic", weight_type="uint8"), "take static quantization"),
        ({"Conv": 1e-3, "QuantizeLinear": 4e-4}, Recipe("static", activation_type="uint16"), "no integer kernels"),
        ({"Conv": 1e-3, "DequantizeLinear": 4e-4}, Recipe("static"), "fewer kinds of nodes"),
        ({"Conv": 1e-3, "Cast": 3e-4}, Recipe("float16"), "computes in float32"),
        ({"MatMulInteger": 1e-3, "DynamicQuantizeLinear": 5e-4}, Recipe("dynamic"), "finding ranges anew"),
        ({"Conv": 2e-3}, Recipe("static"), "Conv takes longer than in float"),
    ],
)
def test_each_cause_has_its_sentence(operators, recipe, said):
    rows = tuple(OperatorTime(name, seconds, 10) for name, seconds in operators.items())
    assert said in " ".join(str(each) for each in reasons(FLOAT, rows, recipe))


def test_unsigned_weights_are_not_recommended_where_they_are_there_already():
    rows = (OperatorTime("ConvInteger", 5e-3, 10),)
    (only,) = reasons(FLOAT, rows, Recipe("dynamic", weight_type="uint8"))
    assert "unsigned" not in str(only)
