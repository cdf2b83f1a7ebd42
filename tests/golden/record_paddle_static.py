"""What does PaddleSlim's ``quant_post_static`` store of a layer, as it is by default and with KL divergence?

``python -m tests.golden.record_paddle_static`` with paddlepaddle and paddleslim writes ``paddle_static.npz`` and
``paddle_static.json`` beside this file. Its quantization knows the older programs alone, which this asks Paddle for.
"""

from __future__ import annotations

import json
import os
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.update(FLAGS_enable_pir_api="0")

import numpy as np
import paddle
from paddleslim.quant import quant_post_static

FOLDER = Path(__file__).parent
MODEL = {"model_filename": "m.pdmodel", "params_filename": "m.pdiparams"}


def program(folder: str, weight: Any) -> Any:
    """A layer, saved; what runs it."""
    main, start = paddle.static.Program(), paddle.static.Program()
    initial = paddle.nn.initializer.Assign(weight)
    with paddle.static.program_guard(main, start):
        x = paddle.static.data("x", [None, len(weight)], "float32")
        attributes = paddle.ParamAttr(name="w", initializer=initial)
        y = paddle.static.nn.fc(x, weight.shape[1], weight_attr=attributes, bias_attr=False)
    executor = paddle.static.Executor(paddle.CPUPlace())
    executor.run(start)
    paddle.static.save_inference_model(f"{folder}/m", [x], [y], executor, program=main)
    return executor


def stored(weight: Any, batches: Any, **options: Any) -> dict[str, Any]:
    """Thresholds of the activation and of each output's weights, and codes of both."""
    with tempfile.TemporaryDirectory() as folder, paddle.static.scope_guard(paddle.static.Scope()):
        executor = program(folder, weight)
        given = {"data_loader": lambda: [{"x": batch} for batch in batches], "batch_nums": len(batches)}
        quant_post_static(executor, folder, f"{folder}/q", **given, **MODEL, **options)
        names = {"model_filename": "model.pdmodel", "params_filename": "model.pdiparams"}
        made, _, _ = paddle.static.load_inference_model(f"{folder}/q", executor, **names)
        scope = paddle.static.global_scope()
        found = {name: np.array(scope.find_var(name).get_tensor()) for name in ("x@scale", "w@scale", "w")}
        codes = made.global_block().var("x.quantized")
        every = np.concatenate(list(batches))
        (of_x,) = executor.run(made, feed={"x": every}, fetch_list=[codes])
    return {
        "threshold": found["x@scale"],
        "weight_thresholds": found["w@scale"],
        "weight_codes": found["w"],
        "codes": np.asarray(of_x).reshape(batches.shape).astype(np.int8),
    }


def main() -> None:
    """Write both files."""
    paddle.enable_static()
    rng, arrays, cases = np.random.default_rng(8), {}, []
    weight = (rng.standard_normal((64, 16)) * 0.1).astype(np.float32)
    weight[:, 3] = 0
    tensors = {
        "normal": rng.standard_normal((6, 20, 64)),
        "relu": np.maximum(rng.standard_normal((6, 20, 64)), 0),
        "long tails": rng.standard_t(3, (6, 20, 64)),
        "one batch": rng.standard_normal((1, 40, 64)) * 3,
    }
    for name, values in tensors.items():
        x = values.astype(np.float32)
        for algo in ("default", "KL"):
            i = len(cases)
            answer = stored(weight, x, **({} if algo == "default" else {"algo": algo}))
            arrays |= {f"{i} {part}": each for part, each in answer.items()}
            arrays |= {f"{i} x": x, f"{i} weight": weight}
            cases.append({"tensor": name, "algo": algo})
    np.savez_compressed(FOLDER / "paddle_static.npz", **arrays)
    versions = {each: version(each) for each in ("paddlepaddle", "paddleslim", "numpy")}
    told = json.dumps({"recorded_with": versions, "cases": cases})
    (FOLDER / "paddle_static.json").write_text(told + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
