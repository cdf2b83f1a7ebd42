"""Which ranges, scales and codes do the libraries' own range estimators come to, from batches too?

``python -m tests.golden.record_estimators LIBRARY`` runs under an interpreter that has it and writes
``estimators_LIBRARY.npz`` and ``.json`` beside this file: ``torch``, ``paddle`` (paddlepaddle; with
``FLAGS_enable_pir_api=0`` in the environment, for its quantization knows the older programs alone) or
``onnxruntime``. All read the same tensors, in ``estimators_tensors.npz``, which is made where it is missing.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core import IntFormat

Array = np.ndarray[Any, Any]
Answer = dict[str, Array]

FOLDER = Path(__file__).parent
TENSORS = FOLDER / "estimators_tensors.npz"

INT8, UINT8, INT4 = IntFormat(8), IntFormat(8, signed=False), IntFormat(4)

SPREAD, TAIL = "hundreds of thousands", "a long tail to the left"
COMPUTED = (SPREAD, TAIL)
"""Large enough for NumPy's pairwise sums to go several levels down; not stored, and their codes neither."""

ONE_BATCH_TOO = ("normal", "tiny", "growing", *COMPUTED)
"""Tensors that are also given as a single batch."""


def tensors() -> dict[str, Array]:
    """Float32 tensors whose first axis is batches."""
    rng = np.random.default_rng(20240915)
    outlier = rng.standard_normal((3, 10, 50))
    outlier[1, 4, 20] = 40
    made = {
        "normal": rng.standard_normal((3, 10, 6, 8)),
        "heavy tails": rng.standard_t(2, (4, 20, 25)),
        "one-sided": np.maximum(rng.standard_normal((3, 30, 20)), 0),
        "constant": np.full((2, 5, 20), 0.7),
        "a constant each": np.array([[[0.5]], [[-2]], [[1.25]]]) + np.zeros((3, 4, 10)),
        "zeros": np.zeros((2, 5, 6)),
        "tiny": rng.standard_normal((1, 2, 5)),
        "one outlier": outlier,
        "growing": rng.standard_normal((5, 10, 40)) * 10.0 ** np.arange(-2, 3).reshape(5, 1, 1),
        "shrinking": rng.laplace(0, 1, (3, 10, 40)) * 10.0 ** -np.arange(3).reshape(3, 1, 1),
        "far from zero": 12 + 0.5 * rng.standard_normal((2, 10, 50)),
        "negative": -rng.lognormal(0, 1, (2, 10, 50)),
        "small numbers": 1e-5 * rng.standard_normal((2, 10, 50)),
    }
    return {name: values.astype(np.float32) for name, values in made.items()}


def computed() -> dict[str, Array]:
    """Whole numbers in an order without order, to the third power and as a denominator."""
    numbers = np.arange(400_000, dtype=np.int64) * 2654435761 % (1 << 32)
    x = (numbers - (1 << 31)) / (1 << 31)
    tail = -1 / (numbers / (1 << 32) + 1e-4)
    return {
        name: values.astype(np.float32).reshape(2, 200, 1000) for name, values in ((SPREAD, x * x * x), (TAIL, tail))
    }


def load_tensors() -> dict[str, Array]:
    """The recorded tensors, and the computed ones."""
    with np.load(TENSORS) as file:
        return dict(file) | computed()


@dataclass(frozen=True)
class Case:
    """One question: a rule by its ``kind`` and its options, asked about one tensor.

    ``channel_axis`` counts the axes of a batch, as the libraries do.
    """

    tensor: str
    kind: str
    number_format: IntFormat
    symmetric: bool
    options: tuple[tuple[str, Any], ...] = ()
    batched: bool = True
    channel_axis: int | None = None

    @property
    def key(self) -> str:
        """What its answers are kept under."""
        words = [self.tensor, self.kind, self.number_format.name, "symmetric" if self.symmetric else "asymmetric"]
        words += [f"{name} {value}" for name, value in self.options]
        words += [] if self.batched else ["one batch"]
        words += [] if self.channel_axis is None else [f"channels {self.channel_axis}"]
        return "/".join(words)

    def batches(self, x: Array) -> list[Array]:
        """What the library is given, one after the other."""
        return list(x) if self.batched else [x]


def _asked(kinds: list[tuple[Any, ...]], *, all_together: bool = True) -> Iterator[Case]:
    for name in load_tensors():
        for kind in kinds:
            yield Case(name, *kind)
            if all_together and name in ONE_BATCH_TOO:
                yield Case(name, *kind, batched=False)


def torch_cases() -> Iterator[Case]:
    """Observers of signed and unsigned codes."""
    kinds: list[tuple[Any, ...]] = []
    for kind, options in (
        ("torch_histogram", ()),
        ("moving_average", ()),
        ("moving_average", (("averaging_constant", 0.3),)),
    ):
        kinds += [(kind, f, s, options) for f, s in ((INT8, True), (UINT8, False), (INT4, True))]
    yield from _asked(kinds)
    for axis in (0, 1, 2):
        for symmetric in (True, False):
            options = (("averaging_constant", 0.3),)
            yield Case("normal", "moving_average", INT8, symmetric, options, channel_axis=axis)


def torch_answer(case: Case, x: Array) -> Answer:
    """What the observer chooses, and what the operators of exported programs make of it."""
    import torch
    from torch.ao.quantization import (
        HistogramObserver,
        MovingAverageMinMaxObserver,
        MovingAveragePerChannelMinMaxObserver,
    )
    from torch.ao.quantization.fx import _decomposed  # noqa: F401  (registers the operators)

    torch.set_num_threads(1)
    f, axis = case.number_format, case.channel_axis
    codes = {"quant_min": f.quant_min, "quant_max": f.quant_max}
    form = f"per_{'tensor' if axis is None else 'channel'}_{'symmetric' if case.symmetric else 'affine'}"
    options = {"dtype": torch.qint8 if f.signed else torch.quint8, "qscheme": getattr(torch, form)}
    options |= dict(case.options) | ({} if f.bits == 8 else codes) | ({} if axis is None else {"ch_axis": axis})
    observer_class = {
        "torch_histogram": HistogramObserver,
        "moving_average": MovingAverageMinMaxObserver if axis is None else MovingAveragePerChannelMinMaxObserver,
    }[case.kind]
    observer = observer_class(**options)
    for batch in case.batches(x):
        observer(torch.from_numpy(batch))
    if case.kind == "torch_histogram":
        low, high = observer._non_linear_param_search()
    else:
        low, high = observer.min_val, observer.max_val
    scale, zero_point = observer.calculate_qparams()
    given, ends = torch.from_numpy(x), (*codes.values(), torch.int32)
    if axis is None:
        scale, zero_point = scale[0], zero_point[0]
        quantized = torch.ops.quantized_decomposed.quantize_per_tensor.tensor(given, scale, zero_point, *ends)
    else:
        quantized = torch.ops.quantized_decomposed.quantize_per_channel(given, scale, zero_point, axis + 1, *ends)
    return {
        "low": low.numpy(),
        "high": high.numpy(),
        "scale": scale.numpy(),
        "zero_point": zero_point.numpy().astype(np.int32),
        "codes": quantized.numpy(),
    }


PADDLE_ALGORITHMS = {
    "paddle_kl": "KL",
    "paddle_hist": "hist",
    "paddle_avg": "avg",
    "paddle_mse": "mse",
    "paddle_emd": "emd",
    "paddle_ptf": "ptf",
    "abs_max": "abs_max",
    "minmax": "min_max",
}


def paddle_cases() -> Iterator[Case]:
    """Every algorithm at 8 and at 4 bits, those with an option in both ways."""
    kinds: list[tuple[Any, ...]] = []
    for f in (INT8, INT4):
        kinds += [(kind, f, True) for kind in PADDLE_ALGORITHMS]
        kinds += [(kind, f, True, (("onnx_format", True),)) for kind in ("paddle_mse", "paddle_emd")]
        kinds.append(("paddle_hist", f, True, (("hist_percent", 0.99),)))
    yield from _asked(kinds)
    yield from (Case("normal", "abs_max", INT8, True, batched=False, channel_axis=axis) for axis in (0, 1))


def paddle_answer(case: Case, x: Array) -> Answer:
    """What a whole run of `PostTrainingQuantization` chooses for the input of one layer, in the batches given.

    Per channel it is what it chooses for a weight.
    """
    import paddle
    from paddle.static.quantization.utils import quant_tensor

    paddle.enable_static()
    f = case.number_format
    if case.channel_axis is None:
        low, high = _post_training_quantization(case, case.batches(x))
    else:
        low, high = _post_training_quantization(case, [np.ones((1, x.shape[1 - case.channel_axis], 9, 9), "f4")], x)
    threshold = np.float32(np.maximum(np.abs(low), np.abs(high)))
    step = np.asarray(threshold / np.float32(f.quant_max), np.float32)
    given = float(threshold) if threshold.ndim == 0 else [float(t) for t in threshold]
    with np.errstate(divide="ignore", invalid="ignore"):
        codes = quant_tensor(x.copy(), given, case.channel_axis or 0, f.bits, onnx_format=True)
    return {
        "low": np.float32(low),
        "high": np.float32(high),
        # No threshold at all: Paddle divides by 0, and its codes mean nothing.
        "scale": np.where(threshold > 0, step, np.float32(1)),
        "zero_point": np.zeros(step.shape, np.int32),
        "codes": np.nan_to_num(codes).astype(np.int32),
    }


def _post_training_quantization(case: Case, batches: list[Array], weight: Array | None = None) -> tuple[Any, Any]:
    """What is chosen for the input of one layer, or for the weight of a convolution."""
    import paddle
    from paddle import static
    from paddle.static.quantization import PostTrainingQuantization

    main, startup, scope = static.Program(), static.Program(), static.Scope()
    executor = static.Executor(paddle.CPUPlace())
    silent = contextlib.redirect_stderr(io.StringIO())
    with tempfile.TemporaryDirectory() as folder, static.scope_guard(scope), silent:
        with static.program_guard(main, startup):
            sizes = (
                batches[0].shape[1:] if weight is not None else (*[-1] * (batches[0].ndim - 2), batches[0].shape[-1])
            )
            given = static.data("x", [-1, *sizes], "float32")
            if weight is None:
                layer = static.nn.fc(given, 2, num_flatten_dims=batches[0].ndim - 1, bias_attr=False)
            else:  # channels of the weight lie along axis 0, and along axis 1
                convolution = (static.nn.conv2d, static.nn.conv2d_transpose)[case.channel_axis]
                channels, size = weight.shape[case.channel_axis], weight.shape[2:]
                layer = convolution(given, channels, filter_size=size, bias_attr=False)
        executor.run(startup)
        name = "x"
        if weight is not None:
            (name,) = (parameter.name for parameter in main.all_parameters())
            scope.find_var(name).get_tensor().set(weight, paddle.CPUPlace())
        static.save_inference_model(f"{folder}/model", [given], [layer], executor, program=main)
        quantization = PostTrainingQuantization(
            executor=executor,
            scope=scope,
            model_dir=folder,
            model_filename="model.pdmodel",
            params_filename="model.pdiparams",
            data_loader=lambda: iter([{"x": batch} for batch in batches]),
            batch_nums=len(batches),
            algo=PADDLE_ALGORITHMS[case.kind],
            activation_bits=case.number_format.bits,
            weight_bits=case.number_format.bits,
            **dict(case.options),
        )
        quantization.quantize()
    if case.kind == "minmax":
        return quantization._quantized_var_min[name], quantization._quantized_var_max[name]
    histograms = case.kind in ("paddle_kl", "paddle_hist")
    chosen = quantization._quantized_var_threshold if histograms else quantization._quantized_threshold
    threshold = np.array(chosen[name], np.float64)
    return -threshold, threshold


def onnxruntime_cases() -> Iterator[Case]:
    """Its own bins: 2048 of the percentile, 128 of the entropy."""
    kinds: list[tuple[Any, ...]] = []
    for options in ((), (("percentile", 99.0),)):
        kinds += [("onnxruntime_percentile", f, s, options) for f, s in ((INT8, True), (UINT8, False), (INT4, True))]
    kinds.append(("entropy", INT8, True, (("bins", 128),)))
    return _asked(kinds, all_together=False)


def onnxruntime_answer(case: Case, x: Array) -> Answer:
    """What the calibrator's collector chooses, and what the operator makes of it. All batches come together."""
    from onnxruntime.quantization.calibrate import HistogramCollector
    from onnxruntime.quantization.quant_utils import compute_scale_zp, get_qmin_qmax_for_qType

    from tests.golden.record_onnxruntime import _onnx_type, operator_answer

    f, options = case.number_format, dict(case.options)
    method, bins = ("entropy", options["bins"]) if case.kind == "entropy" else ("percentile", 2048)
    symmetric = case.symmetric and method == "percentile"
    collector = HistogramCollector(method, symmetric, bins, 128, options.get("percentile", 99.999), "same")
    with contextlib.redirect_stdout(io.StringIO()):
        collector.collect({"x": case.batches(x)})
        low, high = collector.compute_collection_result()["x"][:2]
    ends = get_qmin_qmax_for_qType(_onnx_type(f), symmetric=case.symmetric)
    zero_point, scale = compute_scale_zp(low, high, *ends, case.symmetric)
    codes = operator_answer(x, scale, zero_point, f, None)[0]
    return {"low": low, "high": high, "scale": scale, "zero_point": np.int32(zero_point), "codes": codes}


@dataclass(frozen=True)
class Library:
    """Who is asked, what, and what is to be said about the answers."""

    packages: tuple[str, ...]
    cases: Callable[[], Iterator[Case]]
    answer: Callable[[Case, Array], Answer]
    note: str


LIBRARIES = {
    "torch": Library(
        ("torch",),
        torch_cases,
        torch_answer,
        "On one thread: each thread counts a part in float32 counters of its own, which stop at 2**24 elements a bin, "
        "and torch.linspace of more than 32768 numbers is divided between threads.",
    ),
    "paddle": Library(
        ("paddlepaddle",),
        paddle_cases,
        paddle_answer,
        "On Python 3.11. From 3.12 on Python's sum of floats carries its rounding along, and with it Paddle's KL. "
        "Weights per channel get their largest magnitude whatever the algorithm. mse and emd stop at 0.98 of the "
        "largest magnitude; mse, emd and ptf take negative values for 0 unless onnx_format is on; hist and KL do not "
        "add the smallest magnitude to the threshold.",
    ),
    "onnxruntime": Library(
        ("onnxruntime",),
        onnxruntime_cases,
        onnxruntime_answer,
        "Edges of float32 bins as NumPy 2 rounds them. NumPy refuses to make more bins than there are float32 numbers "
        "between the ends, and so does ONNX Runtime.",
    ),
}


def files(library: str) -> tuple[Path, Path]:
    """The vectors of a library, and what is said about them."""
    return FOLDER / f"estimators_{library}.npz", FOLDER / f"estimators_{library}.json"


def load(library: str) -> Iterator[tuple[Case, Array, Answer]]:
    """Every recorded question, its tensor, and its answer; no codes for the large tensors."""
    x = load_tensors()
    with np.load(files(library)[0]) as file:
        recorded = dict(file)
    at = dict.fromkeys(recorded, 0)
    for case in LIBRARIES[library].cases():
        given = x[case.tensor]
        groups = () if case.channel_axis is None else (given.shape[case.channel_axis + case.batched],)
        answer = {}
        for part in recorded:
            if part == "codes" and case.tensor in COMPUTED:
                continue
            shape = given.shape if part == "codes" else groups
            size = int(np.prod(shape))
            answer[part] = recorded[part][at[part] : at[part] + size].reshape(shape)
            at[part] += size
        yield case, given, answer
    assert at == {part: values.size for part, values in recorded.items()}


def record(library: str) -> None:
    """Ask an installed library."""
    if not TENSORS.exists():
        np.savez_compressed(TENSORS, **tensors())
    asked, x = LIBRARIES[library], load_tensors()
    parts: dict[str, list[Array]] = {}
    for case in asked.cases():
        for part, value in asked.answer(case, x[case.tensor]).items():
            if part != "codes" or case.tensor not in COMPUTED:
                parts.setdefault(part, []).append(np.asarray(value).reshape(-1))
    types = {"codes": np.int16, "zero_point": np.int32}
    together = {part: np.concatenate(values).astype(types.get(part, np.float32)) for part, values in parts.items()}
    vectors, about = files(library)
    np.savez_compressed(vectors, **together)
    packages = {name: version(name) for name in (*asked.packages, "numpy")}
    python = ".".join(str(part) for part in sys.version_info[:2])
    about.write_text(
        json.dumps({"recorded_with": packages | {"python": python}, "note": asked.note}, indent=2) + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    record(sys.argv[1])
