"""What can be taken home? Quantized tensors, metrics, schemes and the charts' data, each whole or not at all."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qviz.core.arithmetic.quantize import dequantize, quantize
from qviz.core.problems import N_, Problem
from qviz.core.schemes.scheme import Scheme
from qviz.files.atomic import atomic_write
from qviz.files.problems import FileProblem, system_errors

if TYPE_CHECKING:
    from qviz.core.questions.analysis import Analysis

MAX_SCHEME_BYTES = 1 << 20


def save_quantized(path: Path, analysis: Analysis) -> None:
    """Write ``codes``, ``scale``, ``zero_point``, ``dequantized`` and ``scheme`` to an ``.npz``.

    ``scheme`` is the scheme's JSON as a string array of shape (); codes and dequantized have the
    shape of the tensor, scale and zero_point are () per tensor and (channels,) per axis.

    Raises
    ------
    FileProblem
        When the file cannot be written.
    """
    q = analysis.qparams
    with atomic_write(path) as temporary:
        codes = quantize(analysis.tensor, q)  # in here, for memory may run out
        arrays = {
            "codes": codes,
            "scale": q.scale,
            "zero_point": q.zero_point.astype(codes.dtype) if q.whole_zero_point else q.zero_point,
            "dequantized": dequantize(codes, q),
            "scheme": np.array(json.dumps(analysis.scheme.to_dict())),
        }
        write_archive(temporary, arrays)


def write_archive(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Write named arrays as ``numpy.savez`` does, under any name, but never a pickled object.

    NumPy 2.0 takes the ``allow_pickle`` of ``savez`` for the name of one more array.

    Raises
    ------
    ValueError
        When an array holds Python objects.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def save_tensor(path: Path, values: np.ndarray[Any, Any]) -> None:
    """Write a tensor as ``.npy``."""
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.save(file, values, allow_pickle=False)


def save_metrics(path: Path, analysis: Analysis) -> None:
    """Write the metrics as JSON or, by the ending of the name, as CSV with one row a metric."""
    metrics = analysis.to_dict()
    if path.suffix.lower() == ".csv":
        rows = [(k, json.dumps(v) if isinstance(v, list) else v) for k, v in metrics.items()]
        save_table(path, {"metric": [r[0] for r in rows], "value": ["" if r[1] is None else r[1] for r in rows]})
    else:
        save_json(path, {**metrics, "scheme": analysis.scheme.to_dict()})


def save_table(path: Path, columns: Mapping[str, Any]) -> None:
    """Write columns of one length as CSV; floats with all their digits, NaN and infinities as words."""
    rows = zip(*(np.asarray(c).tolist() if not isinstance(c, list) else c for c in columns.values()), strict=True)
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def save_lines(path: Path, lines: Iterable[Iterable[str]]) -> None:
    """Write cells line by line, with commas between them, or with tabs where the name ends in ``.tsv``."""
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, "excel-tab" if path.suffix.lower() == ".tsv" else "excel").writerows(lines)


def save_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write an object as JSON that people can read."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def save_scheme(path: Path, scheme: Scheme) -> None:
    """Write a scheme as JSON."""
    save_json(path, scheme.to_dict())


def read_scheme(path: Path) -> Scheme:
    """Read the scheme that `save_scheme` wrote.

    Raises
    ------
    FileProblem
        When the file cannot be read or holds no scheme.
    """
    with system_errors(path), path.open("rb") as file:
        content = file.read(MAX_SCHEME_BYTES + 1)
    if len(content) > MAX_SCHEME_BYTES:
        raise FileProblem(path, N_("is too large for a scheme"), N_("Choose a scheme that qviz saved as JSON."))
    try:
        return Scheme.from_dict(json.loads(content))
    except Problem as problem:
        raise FileProblem(
            path, N_("holds no scheme that can be used: {why}"), N_("Save the scheme again."), why=problem
        ) from None
    except (ValueError, RecursionError):
        raise FileProblem(path, N_("is not JSON"), N_("Choose a scheme that qviz saved as JSON.")) from None
