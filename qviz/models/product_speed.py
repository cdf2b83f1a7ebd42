"""How long does multiplying with a matrix of this shape take here: in float32, in int8, in blocks of 4 bits?

ONNX Runtime's own kernels, each with the weight as a constant that it may pack as it likes, run in turn.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.problems import Problem
from qviz.core.questions.speed import ProductSpeed
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.models.latency import PERCENTILE
from qviz.models.sessions import open_session, run

MAX_ELEMENTS = 1 << 24
"""A larger weight is measured in a piece of this size, with fewer outputs: it is beyond every cache already."""

RUNS = 12
RUN_SECONDS = 0.008
BLOCK = 32
MICROSOFT = "com.microsoft"

KINDS = ("float32", "dynamic u8", "dynamic s8", "QLinear", "4 bits")
"""Dynamic int8 with unsigned and with signed weights, QLinearMatMul of u8 × s8, and MatMulNBits in blocks of 32."""


def measure_products(
    outputs: int, inputs: int, batch: int, *, progress: Progress = ignore, cancelled: IsCancelled = never
) -> ProductSpeed:
    """Multiply ``batch`` rows with a random weight in every way there is, on all cores.

    Raises
    ------
    Problem
        When the runtime has no multiplication at all.
    Cancelled
        When asked to stop, between runs.
    """
    measured = max(1, min(outputs, MAX_ELEMENTS // inputs))
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((batch, inputs), np.float32)
    sessions: dict[str, Any] = {}
    for number, kind in enumerate(KINDS):
        check(cancelled)
        try:
            session = open_session(_model(kind, measured, inputs, batch, rng))
            given = np.clip(np.rint(rows * 40 + 128), 0, 255).astype(np.uint8) if kind == "QLinear" else rows
            run(session, {"x": given})
            sessions[kind] = session, {"x": given}
        except Problem:
            if kind == "float32":
                raise
        progress(0.4 * (number + 1) / len(KINDS))
    repeats = {kind: _repeats(*each) for kind, each in sessions.items()}
    seconds: dict[str, list[float]] = {kind: [] for kind in sessions}
    for number in range(RUNS):
        for kind, (session, feeds) in sessions.items():  # in turn, so that a slow moment hits all
            check(cancelled)
            seconds[kind].append(_time(session, feeds, repeats[kind]) / repeats[kind])
        progress(0.4 + 0.6 * (number + 1) / RUNS)
    times = tuple((kind, float(np.percentile(s, PERCENTILE)) * outputs / measured) for kind, s in seconds.items())
    return ProductSpeed(outputs, inputs, batch, times, measured / outputs)


def _repeats(session: Any, feeds: dict[str, Any]) -> int:
    once = min(_time(session, feeds, 1) for _ in range(3))
    return max(1, min(10_000, int(RUN_SECONDS / max(once, 1e-9))))


def _time(session: Any, feeds: dict[str, Any], repeats: int) -> float:
    started = time.perf_counter()
    for _ in range(repeats):
        session.run(None, feeds)
    return time.perf_counter() - started


def _model(kind: str, outputs: int, inputs: int, batch: int, rng: np.random.Generator) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    constants: dict[str, Any]
    scale, u8, s8 = np.float32(0.01), np.uint8(128), np.int8(0)
    element, answer = TensorProto.FLOAT, TensorProto.FLOAT
    if kind == "float32":
        weight: FloatArray = rng.standard_normal((inputs, outputs), np.float32)
        constants, node = {"w": weight}, helper.make_node("MatMul", ["x", "w"], ["y"])
    elif kind.startswith("dynamic"):
        unsigned = kind.endswith("u8")
        codes = rng.integers(0, 256, (inputs, outputs), np.uint8).view(np.uint8 if unsigned else np.int8)
        constants = {"w": codes, "s": scale, "z": u8 if unsigned else s8}
        node = helper.make_node("DynamicQuantizeMatMul", ["x", "w", "s", "z"], ["y"], domain=MICROSOFT)
    elif kind == "QLinear":
        codes = rng.integers(-127, 128, (inputs, outputs), np.int8)
        constants = {"w": codes, "s": scale, "zx": u8, "zw": s8, "zy": u8}
        node = helper.make_node("QLinearMatMul", ["x", "s", "zx", "w", "s", "zw", "s", "zy"], ["y"])
        element = answer = TensorProto.UINT8
    else:
        blocks = -(-inputs // BLOCK)
        constants = {
            "w": rng.integers(0, 256, (outputs, blocks, BLOCK // 2), np.uint8),
            "s": np.full(outputs * blocks, scale, np.float32),
        }
        node = helper.make_node(
            "MatMulNBits", ["x", "w", "s"], ["y"], domain=MICROSOFT, K=inputs, N=outputs, bits=4, block_size=BLOCK
        )
    graph = helper.make_graph(
        [node],
        kind,
        [helper.make_tensor_value_info("x", element, [batch, inputs])],
        [helper.make_tensor_value_info("y", answer, [batch, outputs])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)])
    model.ir_version = 8
    return model
