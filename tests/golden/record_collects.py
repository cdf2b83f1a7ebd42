"""Which ranges do ONNX Runtime's collectors choose when each batch is collected alone?

``python -m tests.golden.record_collects`` writes ``collects_onnxruntime.json``: ranges of the recorded tensors of
`record_estimators`, one ``collect`` for each index of their first axis.
"""

from __future__ import annotations

import contextlib
import io
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tests.golden.record_estimators import load_tensors

ANSWERS = Path(__file__).parent / "collects_onnxruntime.json"
ASKED: dict[str, tuple[str, bool, int, float]] = {
    "percentile of magnitudes 99.999": ("percentile", True, 2048, 99.999),
    "percentile of magnitudes 90": ("percentile", True, 2048, 90.0),
    "percentile of values 99.999": ("percentile", False, 2048, 99.999),
    "percentile of values 90": ("percentile", False, 2048, 90.0),
    "entropy 128": ("entropy", False, 128, 99.999),
    "entropy 512": ("entropy", False, 512, 99.999),
}
"""The method, whether magnitudes are collected, the bins of the first batch and the percentile."""


def answer(x: np.ndarray[Any, Any], method: str, symmetric: bool, bins: int, percentile: float) -> list[float] | None:
    """None where the collector stops with an error, or where it would need more than a million bins."""
    from onnxruntime.quantization.calibrate import HistogramCollector

    collector = HistogramCollector(method, symmetric, bins, 128, percentile, "same")
    try:
        with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
            for batch in x:
                collector.collect({"x": batch})
                if collector.get_histogram_dict()["x"][0].size > 1 << 14:
                    return None
            low, high = collector.compute_collection_result()["x"][:2]
    except (ValueError, IndexError):
        return None
    return [float(low), float(high)]


def main() -> None:
    found = {
        name: {kind: answer(x, *how) for kind, how in ASKED.items()}
        for name, x in load_tensors().items()
        if x.size < 1 << 17
    }
    told = {"recorded_with": {name: version(name) for name in ("onnxruntime", "numpy")}, "ranges": found}
    ANSWERS.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
