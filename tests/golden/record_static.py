"""What do ``quantize_static`` and ``quantize_dynamic`` store when they are called as they are by default?

``python -m tests.golden.record_static`` writes ``static_onnxruntime.npz`` and ``static_onnxruntime.json``: for a MatMul
of each activation with one weight, scale and zero point of both and the codes of the weight.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

FOLDER = Path(__file__).parent
SAVED, TOLD = FOLDER / "static_onnxruntime.npz", FOLDER / "static_onnxruntime.json"
METHODS = ("MinMax", "Percentile", "Entropy")


def activations() -> dict[str, Array]:
    """Batches along the first axis."""
    rng = np.random.default_rng(20261128)
    z = rng.standard_normal((3, 40, 16))
    made = {
        "normal": z,
        "relu": np.maximum(z, 0),
        "one outlier": np.where(np.arange(z.size).reshape(z.shape) == 700, 40, z),
        "lognormal": np.exp(z),
        "negative": -np.abs(z) - 0.25,
        "zeros": np.zeros_like(z),
        "tiny": z * 1e-30,
    }
    return {name: each.astype(np.float32) for name, each in made.items()}


def weight() -> Array:
    return np.random.default_rng(7).standard_normal((16, 6)).astype(np.float32)


def model(w: Array) -> Any:
    from onnx import helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "one",
        [helper.make_tensor_value_info("x", 1, ["n", w.shape[0]])],
        [helper.make_tensor_value_info("y", 1, ["n", w.shape[1]])],
        [numpy_helper.from_array(w, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def stored(path: Path) -> dict[str, Array]:
    """Constants of a quantized model by their names."""
    import onnx
    from onnx import numpy_helper

    return {each.name: numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer}


def static(batches: Array, w: Array, method: str, folder: Path, **options: Any) -> dict[str, Array]:
    import onnx
    from onnxruntime.quantization import CalibrationMethod, quantize_static

    onnx.save(model(w), folder / "m.onnx")
    rest = iter([{"x": batch} for batch in batches])

    class Reader:
        def get_next(self) -> Any:
            return next(rest, None)

    quantize_static(
        folder / "m.onnx", folder / "q.onnx", Reader(), calibrate_method=CalibrationMethod[method], **options
    )
    return stored(folder / "q.onnx")


def dynamic(w: Array, folder: Path) -> dict[str, Array]:
    import onnx
    from onnxruntime.quantization import quantize_dynamic

    onnx.save(model(w), folder / "m.onnx")
    quantize_dynamic(folder / "m.onnx", folder / "q.onnx")
    return stored(folder / "q.onnx")


def main() -> None:
    from onnxruntime.quantization import QuantType

    logging.disable(logging.WARNING)
    w, arrays = weight(), {f"x {name}": x for name, x in activations().items()}
    arrays["w"] = w
    ranges: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as given, contextlib.redirect_stdout(io.StringIO()):
        folder = Path(given)
        for name, x in activations().items():
            for method in METHODS:
                with contextlib.suppress(ValueError):  # too few float32 numbers for its bins
                    found = static(x, w, method, folder)
                    ranges.setdefault(method, {})[name] = [float(found["x_scale"]), int(found["x_zero_point"])]
            found = static(x, w, "MinMax", folder, activation_type=QuantType.QUInt8)
            ranges.setdefault("QUInt8", {})[name] = [float(found["x_scale"]), int(found["x_zero_point"])]
        for kind, found in (("static", static(x, w, "MinMax", folder)), ("dynamic", dynamic(w, folder))):
            arrays |= {f"{kind} {name}": each for name, each in found.items() if name.startswith("w_")}
    np.savez_compressed(SAVED, **arrays)
    told = {"recorded_with": {name: version(name) for name in ("onnxruntime", "onnx", "numpy")}, "ranges": ranges}
    TOLD.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
