"""How are operators that ONNX gave up before 1.5 written with those that stayed?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def _constant(graph: Any, name: str, values: Any) -> str:
    from onnx import numpy_helper

    graph.initializer.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
    return name


def _lower_image_scaler(node: Any, name: str, graph: Any) -> list[Any]:
    from onnx import helper

    given = _attributes(node)
    scale = _constant(graph, f"{name}_scale", given.get("scale", 1.0))
    bias = _constant(graph, f"{name}_bias", np.asarray(given.get("bias", [0.0]), np.float32).reshape(1, -1, 1, 1))
    return [
        helper.make_node("Mul", [node.input[0], scale], [f"{name}_scaled"], name=f"{name}_mul"),
        helper.make_node("Add", [f"{name}_scaled", bias], list(node.output), name=f"{name}_add"),
    ]


def _lower_affine(node: Any, name: str, graph: Any) -> list[Any]:
    from onnx import helper

    given = _attributes(node)
    alpha = _constant(graph, f"{name}_alpha", given.get("alpha", 1.0))
    beta = _constant(graph, f"{name}_beta", given.get("beta", 0.0))
    return [
        helper.make_node("Mul", [node.input[0], alpha], [f"{name}_scaled"], name=f"{name}_mul"),
        helper.make_node("Add", [f"{name}_scaled", beta], list(node.output), name=f"{name}_add"),
    ]


def _lower_scaled_tanh(node: Any, name: str, graph: Any) -> list[Any]:
    from onnx import helper

    given = _attributes(node)
    alpha, beta = (_constant(graph, f"{name}_{key}", given.get(key, 1.0)) for key in ("alpha", "beta"))
    return [
        helper.make_node("Mul", [node.input[0], beta], [f"{name}_scaled"], name=f"{name}_mul"),
        helper.make_node("Tanh", [f"{name}_scaled"], [f"{name}_tanh"], name=f"{name}_tanh"),
        helper.make_node("Mul", [f"{name}_tanh", alpha], list(node.output), name=f"{name}_times"),
    ]


def _lower_scale(node: Any, name: str, graph: Any) -> list[Any]:
    from onnx import helper

    scale = _constant(graph, f"{name}_scale", _attributes(node).get("scale", 1.0))
    return [helper.make_node("Mul", [node.input[0], scale], list(node.output), name=f"{name}_mul")]


def _lower_crop(node: Any, name: str, graph: Any) -> list[Any] | None:
    from onnx import helper

    given = _attributes(node)
    border = [int(n) for n in given.get("border", ())]
    if len(border) != 4:
        return None
    left, top, right, bottom = border
    if "scale" in given:
        height, width = (int(n) for n in given["scale"])
        ends = [top + height, left + width]
    else:
        most = np.iinfo(np.int32).max
        ends = [-bottom if bottom else most, -right if right else most]
    # Attributes, as the old Slice has them: the version converter turns them into inputs.
    return [
        helper.make_node(
            "Slice",
            [node.input[0]],
            list(node.output),
            name=f"{name}_slice",
            axes=[2, 3],
            starts=[top, left],
            ends=ends,
        )
    ]


LOWERED: dict[str, Callable[[Any, str, Any], list[Any] | None]] = {
    "ImageScaler": _lower_image_scaler,
    "Affine": _lower_affine,
    "ScaledTanh": _lower_scaled_tanh,
    "Scale": _lower_scale,
    "Crop": _lower_crop,
}
