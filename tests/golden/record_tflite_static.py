"""What does ai-edge-quantizer store of a layer under its own recipes? Files of LiteRT, from end to end.

``python -m tests.golden.record_tflite_static`` with ai-edge-quantizer and ai-edge-litert writes ``tflite_static.npz``
and ``tflite_static.json`` beside this file. The layer is written as the schema has it; no converter is needed.
"""

from __future__ import annotations

import json
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_quantizer import quantizer, recipe

FOLDER = Path(__file__).parent
INT4 = schema.TensorType.INT4


def table(kind: Any, **parts: Any) -> Any:
    """One of the schema's tables."""
    made = kind()
    for name, value in parts.items():
        setattr(made, name, value)
    return made


def model(weight: Any, rows: int) -> bytes:
    """A layer without a bias, of weights outputs × inputs."""
    (outputs, inputs), s = weight.shape, schema
    whole = table(s.BufferT, data=np.frombuffer(weight.tobytes(), np.uint8))
    shapes = {b"x": ([rows, inputs], 0), b"w": ([outputs, inputs], 1), b"y": ([rows, outputs], 0)}
    tensors = [
        table(s.TensorT, name=name, shape=shape, buffer=buffer, type=s.TensorType.FLOAT32)
        for name, (shape, buffer) in shapes.items()
    ]
    dense = s.BuiltinOperator.FULLY_CONNECTED
    options = {"builtinOptionsType": s.BuiltinOptions.FullyConnectedOptions}
    operator = table(
        s.OperatorT, inputs=[0, 1, -1], outputs=[2], builtinOptions=s.FullyConnectedOptionsT(), opcodeIndex=0, **options
    )
    signature = table(
        s.SignatureDefT,
        signatureKey=b"serving_default",
        subgraphIndex=0,
        inputs=[table(s.TensorMapT, name=b"x", tensorIndex=0)],
        outputs=[table(s.TensorMapT, name=b"y", tensorIndex=2)],
    )
    made = table(
        s.ModelT,
        version=3,
        operatorCodes=[table(s.OperatorCodeT, builtinCode=dense, deprecatedBuiltinCode=dense, version=1)],
        buffers=[s.BufferT(), whole],
        subgraphs=[table(s.SubGraphT, tensors=tensors, operators=[operator], inputs=[0], outputs=[2], name=b"main")],
        signatureDefs=[signature],
    )
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(made.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def stored(weight: Any, x: Any, name: str) -> dict[str, Any]:
    """Scales, zero points and codes under one of its recipes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.tflite"
        path.write_bytes(model(weight, x.shape[-2]))
        made = quantizer.Quantizer(str(path))
        made.load_quantization_recipe(getattr(recipe, name)())
        found = made.calibrate({"serving_default": [{"x": each} for each in x]}) if made.need_calibration else None
        read = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytes(made.quantize(found).quantized_model), 0))
    of = {each.name.decode(): each for each in read.subgraphs[0].tensors}
    data = np.asarray(read.buffers[of["w"].buffer].data, np.uint8)
    if of["w"].type == INT4:
        data = np.stack([data << 4, data], -1).reshape(-1)
        codes = data.view(np.int8) >> 4
    else:
        codes = data.view(np.int8)
    answer = {"weight_codes": codes.reshape(weight.shape)}
    if of["w"].quantization is not None and of["w"].quantization.scale is not None:
        answer["weight_scales"] = np.asarray(of["w"].quantization.scale, np.float32)
    else:  # blocks have them in a tensor beside
        scales = np.asarray(read.buffers[of["w_scales"].buffer].data, np.uint8).view(np.float16)
        answer["weight_scales"] = scales.astype(np.float32)
    given = of["x"].quantization
    if given is not None and given.scale is not None:
        answer |= {"scale": np.float32(given.scale), "zero_point": np.asarray(given.zeroPoint)}
    return answer


RECIPES = ("static_wi8_ai8", "static_wi8_ai16", "dynamic_wi8_afp32", "weight_only_wi4_afp32", "dynamic_wi4b32_afp32")


def main() -> None:
    """Write both files."""
    rng, arrays, cases = np.random.default_rng(9), {}, []
    plain = (rng.standard_normal((16, 64)) * 0.1).astype(np.float32)
    weights = {"plain": plain, "zero rows": plain * (np.arange(16) % 3 > 0)[:, None], "tiny": plain * np.float32(1e-6)}
    x = rng.standard_normal((3, 4, 64)).astype(np.float32)
    for weight in weights.values():
        for kind, values in (("normal", x[:1]), ("relu", np.maximum(x[:1], 0)), ("batches", x)):
            for name in RECIPES:
                i = len(cases)
                answer = stored(np.float32(weight), values, name)
                arrays |= {f"{i} {part}": each for part, each in answer.items()}
                arrays |= {f"{i} x": values, f"{i} weight": np.float32(weight)}
                cases.append({"recipe": name, "tensor": kind})
    np.savez_compressed(FOLDER / "tflite_static.npz", **arrays)
    versions = {each: version(each) for each in ("ai-edge-quantizer", "ai-edge-litert", "numpy")}
    told = json.dumps({"recorded_with": versions, "cases": cases})
    (FOLDER / "tflite_static.json").write_text(told + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
