"""Which ranges do other people's estimators choose? Their answers to a set of tensors, to be compared with ours.

``python -m tests.golden.record_ranges`` asks the installed ONNX Runtime and writes ``ranges.npz`` and
``ranges.json`` beside this file. PyTorch and Paddle are no dependency: an interpreter that has one of them adds its
answers with ``python -m tests.golden.record_ranges torch`` and ``… paddle``. `load` reads all of it.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from qviz.core import IntFormat, Manual

Array = np.ndarray[Any, Any]

FOLDER = Path(__file__).parent
VECTORS, ANSWERS = FOLDER / "ranges.npz", FOLDER / "ranges.json"

FORMATS = tuple(IntFormat(bits, signed) for bits in (8, 4) for signed in (True, False))
SCHEMES = tuple((number_format, symmetric) for number_format in FORMATS for symmetric in (True, False))
"""One row each of what depends on more than the range."""

ENTROPIES = {
    f"entropy {bins}/{targets}": (bins, targets)
    for bins, targets in ((128, 128), (512, 128), (1001, 128), (2048, 128), (2048, 16), (2048, 256))
}
"""ONNX Runtime's entropy calibration by its bins and its quantized bins; it does not look at ``symmetric``."""

PERCENTILES = {
    f"percentile {percentile}{' symmetric' if symmetric else ''}": (percentile, symmetric)
    for percentile in (99.99, 99.9)
    for symmetric in (True, False)
}

ONNXRUNTIME_RULES = ("minmax", "minmax symmetric", *ENTROPIES, *PERCENTILES)
TORCH_RULES = ("minmax", "histogram")

PERCENTILE_BINS = TORCH_BINS = PADDLE_BINS = 2048
PADDLE_FORMATS = (IntFormat(8), IntFormat(4))


def tensors() -> dict[str, Array]:
    """Float32 tensors whose best ranges are far apart."""
    rng = np.random.default_rng(20240301)
    outliers = rng.standard_normal(6000)
    outliers[:: len(outliers) // 12] *= 60
    made = {
        "normal": rng.standard_normal(10_000),
        "laplace": rng.laplace(0, 0.02, 8000),
        "student t": rng.standard_t(3, 8000),
        "far from zero": 12 + 0.5 * rng.standard_normal(6000),
        "ties": np.round(2 * rng.standard_normal(50_000), 1),
        "half zeros": np.maximum(rng.standard_normal(10_000), 0),
        "one outlier": np.append(np.full(1999, 0.3), 40),
        "bimodal": rng.choice([-3.0, 1.0], 5000) + 0.1 * rng.standard_normal(5000),
        "uniform": rng.uniform(-1, 1, 4000),
        "scales about the smallest normal": 1e-36 * rng.standard_normal(3000),
        "heavy outliers": outliers,
        "lognormal": rng.lognormal(0, 1, 5000),
        "weights": rng.standard_normal((64, 32)) / np.sqrt(32) * rng.uniform(0.3, 2, (64, 1)),
    }
    return {name: values.astype(np.float32) for name, values in made.items()}


@dataclass(frozen=True)
class Choice:
    """What a library chose for one scheme; Paddle answers with a threshold alone."""

    library: str
    rule: str
    number_format: IntFormat
    symmetric: bool
    low: float
    high: float
    scale: float | None = None
    zero_point: int | None = None
    mse: float | None = None

    @property
    def manual(self) -> Manual | None:
        """The same range as one a person draws, which has its ends in order.

        A range that lies beside 0 is widened to it, as the ONNX Runtime convention does. None when nothing is
        left: ``cal_kl_threshold`` answers "one outlier" with a threshold below 0.
        """
        low, high = min(self.low, 0.0), max(self.high, 0.0)
        return Manual(low, high) if low < high else None

    def __str__(self) -> str:
        symmetry = "symmetric" if self.symmetric else "asymmetric"
        return f"{self.library} {self.rule}, {self.number_format.name} {symmetry}"


@dataclass(frozen=True, eq=False)
class Entropy:
    """An entropy calibration of ONNX Runtime: its histogram, its divergence of each candidate, its choice."""

    targets: int
    counts: Array
    edges: Array
    divergence: Array
    low: np.float32
    high: np.float32

    @property
    def bins(self) -> int:
        return int(self.counts.size)

    @property
    def bin_width(self) -> float:
        return float(self.edges[-1] - self.edges[0]) / self.bins


@dataclass(frozen=True, eq=False)
class Search:
    """PyTorch's search: its histogram between ``low`` and ``high``, and the loss of each pair of bins it tried."""

    counts: Array
    low: np.float32
    high: np.float32
    start: Array
    end: Array
    loss: Array


@dataclass(frozen=True, eq=False)
class Vector:
    """A tensor and everything that was recorded of it."""

    x: Array
    choices: tuple[Choice, ...]
    entropies: dict[str, Entropy]
    search: Search
    paddle_counts: Array
    paddle_edges: Array

    def of(self, number_format: IntFormat, symmetric: bool) -> list[Choice]:
        """The choices for one scheme."""
        return [c for c in self.choices if (c.number_format, c.symmetric) == (number_format, symmetric)]


def load() -> dict[str, Vector]:
    """Everything recorded, by the name of the tensor."""
    with np.load(VECTORS) as file:
        recorded = dict(file)
    return {key.removesuffix("/x"): _vector(recorded, key.removesuffix("/x")) for key in recorded if key[-2:] == "/x"}


def _vector(recorded: dict[str, Array], name: str) -> Vector:
    choices = []
    for library, rules in (("onnxruntime", ONNXRUNTIME_RULES), ("torch", TORCH_RULES)):
        low_high, scale, zero_point, mse = (
            recorded[f"{name}/{library}/{key}"] for key in ("range", "scale", "zero_point", "mse")
        )
        for i, rule in enumerate(rules):
            low, high = (float(end) for end in low_high[i])
            choices += [
                Choice(library, rule, f, symmetric, low, high, float(scale[i, j]), int(zero_point[i, j]), mse[i, j])
                for j, (f, symmetric) in enumerate(SCHEMES)
            ]
    for f, threshold in zip(PADDLE_FORMATS, recorded[f"{name}/paddle/threshold"], strict=True):
        choices.append(Choice("paddle", "kl", f, True, -float(threshold), float(threshold)))
    entropies = {
        rule: Entropy(
            targets,
            *(recorded[f"{name}/onnxruntime/{bins}/{key}"] for key in ("counts", "edges")),
            recorded[f"{name}/onnxruntime/{rule}/divergence"],
            *recorded[f"{name}/onnxruntime/range"][ONNXRUNTIME_RULES.index(rule)],
        )
        for rule, (bins, targets) in ENTROPIES.items()
    }
    search = Search(
        recorded[f"{name}/torch/counts"],
        *recorded[f"{name}/torch/range"][TORCH_RULES.index("minmax")],
        *(recorded[f"{name}/torch/{key}"] for key in ("start", "end", "loss")),
    )
    paddle = (recorded[f"{name}/paddle/{key}"] for key in ("counts", "edges"))
    return Vector(recorded[f"{name}/x"], tuple(choices), entropies, search, *paddle)


def onnxruntime_answers(x: Array) -> dict[str, Array]:
    """The ranges of its calibrators, and what it makes of each under `SCHEMES`."""
    from onnxruntime.quantization.quant_utils import compute_scale_zp, get_qmin_qmax_for_qType

    from tests.golden.record_onnxruntime import _onnx_type, operator_answer

    answers: dict[str, Array] = {}
    ranges = [_minmax_calibrater(x, symmetric) for symmetric in (False, True)]
    for rule, (bins, targets) in ENTROPIES.items():
        with _watch_divergence() as divergence:
            collector, chosen = _histogram_collector(x, "entropy", num_bins=bins, num_quantized_bins=targets)
        ranges.append(chosen)
        answers[f"{bins}/counts"], answers[f"{bins}/edges"] = collector.get_histogram_dict()["x"][:2]
        answers[f"{rule}/divergence"] = np.array(divergence, np.float32)
    for percentile, symmetric in PERCENTILES.values():
        ranges.append(
            _histogram_collector(x, "percentile", num_bins=PERCENTILE_BINS, percentile=percentile, symmetric=symmetric)[
                1
            ]
        )
    rows: dict[str, list[list[Any]]] = {"scale": [], "zero_point": [], "mse": []}
    for low, high in ranges:
        for column in rows.values():
            column.append([])
        for number_format, symmetric in SCHEMES:
            codes = get_qmin_qmax_for_qType(_onnx_type(number_format), symmetric=symmetric)
            zero_point, scale = compute_scale_zp(low, high, *codes, symmetric)
            _, dequantized = operator_answer(x, scale, zero_point, number_format, None)
            rows["scale"][-1].append(scale)
            rows["zero_point"][-1].append(int(zero_point))
            rows["mse"][-1].append(_mse(x, dequantized))
    answers["range"] = np.array(ranges, np.float32)
    answers["scale"] = np.array(rows["scale"], np.float32)
    answers["zero_point"] = np.array(rows["zero_point"], np.int32)
    answers["mse"] = np.array(rows["mse"], np.float64)
    return answers


def _minmax_calibrater(x: Array, symmetric: bool) -> tuple[Array, Array]:
    import onnx
    from onnx import TensorProto, helper
    from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(x.shape)) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "range", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(model, path)
        calibrator = create_calibrator(
            path,
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"symmetric": symmetric},
        )
        calibrator.collect_data(_reader({"x": x}))
        low, high = calibrator.compute_data()["x"].range_value
    return np.float32(low.item()), np.float32(high.item())


def _histogram_collector(
    x: Array,
    method: str,
    *,
    num_bins: int,
    symmetric: bool = False,
    num_quantized_bins: int = 128,
    percentile: float = 99.99,
) -> tuple[Any, tuple[Array, Array]]:
    from onnxruntime.quantization.calibrate import HistogramCollector

    collector = HistogramCollector(method, symmetric, num_bins, num_quantized_bins, percentile, "same")
    with contextlib.redirect_stdout(io.StringIO()):
        collector.collect({"x": [x]})
        low, high = collector.compute_collection_result()["x"][:2]
    return collector, (low, high)


@contextlib.contextmanager
def _watch_divergence() -> Iterator[list[float]]:
    """The divergence of every candidate, as ``get_entropy_threshold`` compares them."""
    from onnxruntime.quantization import calibrate

    seen: list[float] = []
    smoothed = 0

    def smooth(*arguments: Any) -> Any:
        # Two distributions a candidate; one that cannot be smoothed leaves it at infinity.
        nonlocal smoothed
        smoothed += 1
        if smoothed % 2 == 0:
            seen.append(np.inf)
        return smooth_distribution(*arguments)

    def divergence(*arguments: Any) -> Any:
        seen[-1] = entropy(*arguments)
        return seen[-1]

    smooth_distribution, entropy = calibrate.smooth_distribution, calibrate.entropy
    with mock.patch.multiple(calibrate, smooth_distribution=smooth, entropy=divergence):
        yield seen


def torch_answers(x: Array) -> dict[str, Array]:
    """The ranges of its observers, and what its ``fake_quantize_per_tensor_affine`` makes of each."""
    import torch
    from torch.ao.quantization import HistogramObserver, MinMaxObserver

    torch.set_num_threads(1)
    given = torch.from_numpy(x)
    answers: dict[str, Array] = {}
    ranges: list[list[tuple[float, float]]] = []
    rows: dict[str, list[list[Any]]] = {"scale": [], "zero_point": [], "mse": []}
    for observer_class in (MinMaxObserver, HistogramObserver):
        ranges.append([])
        for column in rows.values():
            column.append([])
        for number_format, symmetric in SCHEMES:
            codes = {"quant_min": number_format.quant_min, "quant_max": number_format.quant_max}
            observer = observer_class(
                dtype=torch.qint8 if number_format.signed else torch.quint8,
                qscheme=torch.per_tensor_symmetric if symmetric else torch.per_tensor_affine,
                reduce_range=False,
                **({} if number_format.bits == 8 else codes),
            )
            observer(given)
            if observer_class is MinMaxObserver:
                chosen = (observer.min_val, observer.max_val)
            else:
                chosen, answers_of_search = _watched_search(observer)
                answers |= answers_of_search
            ranges[-1].append((chosen[0].item(), chosen[1].item()))
            scale, zero_point = observer._calculate_qparams(*chosen)
            dequantized = torch.fake_quantize_per_tensor_affine(given, scale.item(), zero_point.item(), *codes.values())
            rows["scale"][-1].append(scale.item())
            rows["zero_point"][-1].append(zero_point.item())
            rows["mse"][-1].append(_mse(x, dequantized.numpy()))
        # Its search knows neither the bits nor the symmetry: one range a rule says all.
        assert len(set(ranges[-1])) == 1
    answers["range"] = np.array([of_rule[0] for of_rule in ranges], np.float32)
    answers["scale"] = np.array(rows["scale"], np.float32)
    answers["zero_point"] = np.array(rows["zero_point"], np.int32)
    answers["mse"] = np.array(rows["mse"], np.float64)
    return answers


def _watched_search(observer: Any) -> tuple[tuple[Any, Any], dict[str, Array]]:
    tried: list[tuple[int, int, float]] = []

    def loss(start: int, end: int) -> float:
        tried.append((start, end, quantization_error(start, end)))
        return tried[-1][2]

    quantization_error = observer._compute_quantization_error
    with mock.patch.object(observer, "_compute_quantization_error", loss):
        chosen = observer._non_linear_param_search()
    start, end, losses = zip(*tried, strict=True) if tried else ((), (), ())
    return chosen, {
        "counts": observer.histogram.numpy().astype(np.int64),
        "start": np.array(start, np.int16),
        "end": np.array(end, np.int16),
        "loss": np.array(losses, np.float64),
    }


def paddle_answers(x: Array) -> dict[str, Array]:
    """The thresholds of its ``cal_kl_threshold``, on the histogram its post-training quantization makes."""
    from paddle.static.quantization.cal_kl_threshold import cal_kl_threshold

    magnitudes = np.abs(x)
    ends = float(magnitudes.min()), float(magnitudes.max())
    counts, edges = np.histogram(magnitudes, bins=np.histogram_bin_edges([], PADDLE_BINS, ends))
    width = edges[1] - edges[0]
    thresholds = [cal_kl_threshold(counts, width, number_format.bits) for number_format in PADDLE_FORMATS]
    return {"counts": counts, "edges": edges, "threshold": np.array(thresholds, np.float64)}


def _reader(*batches: dict[str, Array]) -> Any:
    """A calibration data reader of these batches."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rest = iter(batches)

        def get_next(self) -> dict[str, Array] | None:  # type: ignore[override]
            return next(self.rest, None)

    return Reader()


def _mse(x: Array, dequantized: Array) -> float:
    return float(np.mean((dequantized.astype(np.float64) - x.astype(np.float64)) ** 2))


LIBRARIES = {"onnxruntime": onnxruntime_answers, "torch": torch_answers, "paddle": paddle_answers}


def record(library: str = "onnxruntime") -> None:
    """Write the answers of one installed library; those of the others stay."""
    kept = dict(np.load(VECTORS)) if VECTORS.exists() else {}
    answers = json.loads(ANSWERS.read_text(encoding="utf-8")) if ANSWERS.exists() else {"recorded_with": {}}
    if library == "onnxruntime":
        known = {f"{name}/x": x for name, x in tensors().items()}
        if any(key not in kept or not np.array_equal(kept[key], x) for key, x in known.items()):
            kept, answers = {}, {"recorded_with": {}}
        kept |= known
    kept = {key: value for key, value in kept.items() if key.split("/")[1] != library}
    for key in [key for key in kept if key.endswith("/x")]:
        name = key.removesuffix("/x")
        kept |= {f"{name}/{library}/{what}": value for what, value in LIBRARIES[library](kept[key]).items()}
    np.savez_compressed(VECTORS, **{key: _narrow(kept[key]) for key in sorted(kept)})
    answers["recorded_with"][library] = _versions(library)
    answers |= {
        "schemes": [{"type": f.name, "symmetric": symmetric} for f, symmetric in SCHEMES],
        "onnxruntime_rules": list(ONNXRUNTIME_RULES),
        "torch_rules": list(TORCH_RULES),
        "paddle_types": [f.name for f in PADDLE_FORMATS],
    }
    ANSWERS.write_text(json.dumps(answers, indent=2) + "\n", encoding="utf-8")


def _narrow(array: Array) -> Array:
    return array.astype(np.int32) if array.dtype == np.int64 else array


def _versions(library: str) -> dict[str, str]:
    modules = {"onnxruntime": ("onnxruntime", "onnx")}.get(library, (library,))
    return {name: __import__(name).__version__ for name in (*modules, "numpy")}


if __name__ == "__main__":
    record(*sys.argv[1:])
