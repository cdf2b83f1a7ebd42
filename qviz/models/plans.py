"""How does a choice of formats reach the tools that quantize? In the words of each."""

from __future__ import annotations

import csv
import fnmatch
import io
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.arithmetic.quantize import fake_quantize
from qviz.core.arrays import FloatArray, Floats
from qviz.core.formats.floats import FloatFormat
from qviz.core.formats.integers import IntFormat
from qviz.core.frozen import frozen
from qviz.core.problems import N_, Problem
from qviz.core.questions.calibration import choose_qparams
from qviz.core.questions.figures import sqnr_db
from qviz.core.ranges import ggml
from qviz.core.ranges.ggml_types import TYPES
from qviz.core.schemes.presets import GGUF, PRESETS
from qviz.core.schemes.scheme import Scheme, convention_of
from qviz.core.tensors.granularity import PerBlock
from qviz.core.work import IsCancelled, check, never
from qviz.files.networks import is_network
from qviz.models.audit import Row
from qviz.models.budget import KEEP, Option, Unit
from qviz.models.node_data import model_explorer_data, netron_attachment
from qviz.models.renamings import llama_name, plain_name

GGUF_SCHEMES: dict[str, Scheme] = {
    preset.name.removeprefix("GGUF ").lower(): preset.scheme for preset in PRESETS if preset.group == GGUF
}
"""llama.cpp's types, by the names that it has for them."""


@frozen
class Choice:
    """One tensor, and the scheme that was chosen for it; None where it stays as it is."""

    name: str
    scheme: Scheme | None


def choices_of(units: Sequence[Unit], options: Sequence[Option], schemes: Mapping[Scheme, str]) -> list[Choice]:
    """A choice for each tensor."""
    by_name = {name: scheme for scheme, name in schemes.items()}
    return [
        Choice(name, None if option.name == KEEP else by_name[option.name])
        for unit, option in zip(units, options, strict=True)
        for name in unit.names
    ]


CSV, LLAMA, COMPRESSED_TENSORS, ONNXRUNTIME = "csv", "llama.cpp", "compressed-tensors", "onnxruntime"
NETRON, MODEL_EXPLORER = "netron", "model-explorer"
FORMS = (CSV, LLAMA, COMPRESSED_TENSORS, ONNXRUNTIME, NETRON, MODEL_EXPLORER)
"""The words of the tools that a choice is written for."""


def exported(form: str, choices: Sequence[Choice], files: Sequence[Path]) -> str:
    """A choice in the words of a tool.

    Parameters
    ----------
    form : str
        One of `FORMS`.
    choices : sequence of Choice
    files : sequence of Path
        Of the checkpoint: the nodes of ONNX models are looked up in them.

    Raises
    ------
    Problem
        When the tool has no such format.
    """
    if form == LLAMA:
        return llama_lines(choices)
    if form == COMPRESSED_TENSORS:
        return json.dumps({"quantization_config": compressed_tensors_recipe(choices)}, indent=1) + "\n"
    if form == ONNXRUNTIME:
        return json.dumps(onnxruntime_options(choices, readers_of(files)), indent=1) + "\n"
    if form in (NETRON, MODEL_EXPLORER):
        bits = bits_of_nodes(choices, readers_of(files))
        data = netron_attachment(bits) if form == NETRON else model_explorer_data(bits, "weight_bits")
        return json.dumps(data, indent=1) + "\n"
    target = io.StringIO()
    writer = csv.writer(target)
    writer.writerow(["tensor", "scheme"])
    writer.writerows([each.name, "" if each.scheme is None else json.dumps(each.scheme.to_dict())] for each in choices)
    return target.getvalue()


def readers_of(files: Sequence[Path]) -> dict[str, list[str]]:
    """The nodes of ONNX models that read each tensor."""
    found: dict[str, list[str]] = {}
    for file in files:
        if is_network(file):
            import onnx

            for node in onnx.load(file, load_external_data=False).graph.node:
                for name in node.input:
                    found.setdefault(name, []).append(node.name)
    return found


def bits_of_nodes(choices: Sequence[Choice], readers: Mapping[str, Sequence[str]]) -> dict[str, dict[str, float]]:
    """The bits of a code of the weights that each node reads, where one was chosen.

    Raises
    ------
    Problem
        When no node reads any: these viewers show graphs.
    """
    found: dict[str, dict[str, float]] = {}
    for choice in choices:
        for node in readers.get(choice.name, ()):
            if choice.scheme is not None:
                found.setdefault(node, {})["weight_bits"] = float(choice.scheme.number_format.bits)
    if not found:
        raise Problem("Viewers of graphs need nodes that read these tensors: open the ONNX model itself.")
    return found


def llama_lines(choices: Sequence[Choice]) -> str:
    """Options of ``llama-quantize``, one a line: ``--tensor-type blk\\.0\\.ffn_up\\.weight=q4_0``.

    Raises
    ------
    Problem
        When a format is none of llama.cpp's.
    """
    types = {scheme: name for name, scheme in GGUF_SCHEMES.items()}
    lines = []
    for choice in choices:
        name = "f16" if choice.scheme is None else types.get(choice.scheme)
        if name is None:
            raise Problem(
                "llama.cpp has no such format as that of {name}: choose from its own ones with --gguf.",
                name=choice.name,
            )
        lines.append(f"--tensor-type {re.escape(llama_name(choice.name))}={name}")
    return "".join(line + "\n" for line in lines)


def compressed_tensors_recipe(choices: Sequence[Choice]) -> dict[str, Any]:
    """A ``quantization_config`` of compressed-tensors: a group of modules for each scheme, and what is ignored.

    Raises
    ------
    Problem
        When a format has no place in it.
    """
    groups: dict[Scheme, list[str]] = {}
    ignored = []
    for choice in choices:
        module = choice.name.removesuffix(".weight")
        if choice.scheme is None:
            ignored.append(module)
        else:
            groups.setdefault(choice.scheme, []).append(module)
    return {
        "quant_method": "compressed-tensors",
        "format": "mixed-precision" if len(groups) > 1 else "pack-quantized",
        "config_groups": {
            f"group_{place}": {"targets": modules, "weights": _arguments(scheme)}
            for place, (scheme, modules) in enumerate(groups.items())
        },
        "ignore": ignored,
    }


_STRATEGIES = {"tensor": "tensor", "axis": "channel", "block": "group"}


def _arguments(scheme: Scheme) -> dict[str, Any]:
    codes, granularity = scheme.number_format, scheme.granularity
    strategy = _STRATEGIES.get(granularity.kind)
    if strategy is None or not isinstance(codes, IntFormat | FloatFormat):
        raise Problem(
            "compressed-tensors has no such format as {format}: choose integers or floats.", format=codes.name
        )
    found: dict[str, Any] = {
        "num_bits": codes.bits,
        "type": "int" if isinstance(codes, IntFormat) else "float",
        "symmetric": scheme.symmetric,
        "strategy": strategy,
    }
    if isinstance(granularity, PerBlock):
        found["group_size"] = granularity.block_size
    return found


def onnxruntime_options(choices: Sequence[Choice], readers: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What ``quantize_static`` of ONNX Runtime is told: types of weights, and nodes that stay in float.

    Parameters
    ----------
    choices : sequence of Choice
    readers : mapping of str to sequence of str
        The nodes that read each tensor.
    """
    excluded: dict[str, None] = {}
    overrides = {}
    for choice in choices:
        if choice.scheme is None:
            excluded |= dict.fromkeys(readers.get(choice.name, ()))
        elif isinstance(choice.scheme.number_format, IntFormat) and choice.scheme.number_format.bits in (4, 8, 16):
            kind = choice.scheme.number_format
            word = f"Q{'' if kind.signed else 'U'}Int{kind.bits}"
            overrides[choice.name] = [{"quant_type": word, "symmetric": choice.scheme.symmetric}]
    return {"nodes_to_exclude": list(excluded), "extra_options": {"TensorQuantOverrides": overrides}}


# -- what an error costs


def weighted(rows: Sequence[Row], factor: Callable[[Row], float]) -> list[Row]:
    """Rows whose squared error counts so many times."""
    found = []
    for row in rows:
        if row.figures is None:
            found.append(row)
            continue
        found.append(replace(row, figures=replace(row.figures, mse=row.figures.mse * factor(row))))
    return found


def factors_of(said: Any) -> Callable[[Row], float]:
    """A sensitivity file: factors by the names of tensors, or by patterns such as ``*.down_proj.*``.

    Raises
    ------
    Problem
        When it is no such file.
    """
    if not isinstance(said, dict) or not said:
        raise Problem(N_("A sensitivity file is an object of numbers by the names of tensors."))
    exact: dict[str, float] = {}
    patterns: list[tuple[re.Pattern[str], float]] = []
    for name, value in said.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise Problem("The sensitivity of “{name}” is no number from 0 on.", name=str(name)[:80])
        if any(sign in name for sign in "*?["):
            patterns.append((re.compile(fnmatch.translate(name)), float(value)))
        else:
            exact[plain_name(name)] = float(value)

    def factor(row: Row) -> float:
        name = row.weight.name
        if plain_name(name) in exact:
            return exact[plain_name(name)]
        return next((value for pattern, value in patterns if pattern.fullmatch(name)), 1.0)

    return factor


class Importances:
    """What an importance matrix says of the errors of an audit's rows: columns weighed exactly.

    Parameters
    ----------
    given : mapping of str to float32 array
        By names of tensors, each as long as a row of it.
    """

    def __init__(self, given: Mapping[str, FloatArray]) -> None:
        self._given = {plain_name(name): values for name, values in given.items()}
        self._of, self._values = "", np.zeros((0, 0), np.float32)

    def columns(self, row: Row) -> tuple[Floats, Floats, Floats] | None:
        """Importance, Σx² and Σe² of each column; None without an importance.

        Rows of one tensor are best asked for one after the other: it is read once.
        """
        weight, shape = row.weight, row.weight.shape
        given = self._given.get(plain_name(weight.name))
        if given is None or row.figures is None or shape is None or len(shape) < 2 or given.size != shape[-1]:
            return None
        if self._of != weight.name:
            self._values, self._of = np.asarray(weight.entry.load()[:], np.float32).reshape(shape), weight.name
        values = self._values
        try:
            error = np.square(_quantized(values, row.scheme, given) - values, dtype=np.float64)
        except Problem:
            return None
        squares = np.square(values, dtype=np.float64)
        signal, noise = (np.nansum(each.reshape(-1, shape[-1]), axis=0) for each in (squares, error))
        return given.astype(np.float64), signal, noise

    def sqnr_db(self, row: Row) -> float:
        """10·log10(Σⱼ wⱼ Σᵢ xᵢⱼ² ÷ Σⱼ wⱼ Σᵢ eᵢⱼ²) in dB; NaN without an importance."""
        found = self.columns(row)
        if found is None:
            return math.nan
        importance, signal, noise = found
        return float(sqnr_db(np.float64(importance @ signal), np.float64(importance @ noise)))


def _quantized(values: FloatArray, scheme: Scheme, importances: FloatArray) -> FloatArray:
    """Values as a tool stores them that was given importances: K-quants seek their scales by them."""
    kind = convention_of(scheme).of_elements
    if kind not in TYPES:
        return fake_quantize(values, choose_qparams(values, scheme))
    rows = values.reshape(-1, values.shape[-1])
    return ggml.encode(rows, kind, importances).values().reshape(values.shape)


def weighed(
    rows: Sequence[Row], given: Mapping[str, FloatArray], *, cancelled: IsCancelled = never
) -> tuple[list[Row], dict[str, float]]:
    """Rows whose errors count as an importance matrix says, and Σ w x² of each tensor that it knows.

    Parameters
    ----------
    rows : sequence of Row
        Of an audit, those of one tensor behind each other.
    given : mapping of str to float32 array
        Importances of columns, by names of tensors.

    Raises
    ------
    Cancelled
        When asked to stop.
    """
    asked, signals, found = Importances(given), dict[str, float](), []
    for row in rows:
        check(cancelled)
        columns = asked.columns(row)
        if columns is not None and row.figures is not None:
            importance, signal, noise = columns
            mean = float(importance @ noise) / max(1, row.figures.finite)
            row = replace(row, figures=replace(row.figures, mse=mean))  # noqa: PLW2901
            signals[row.weight.name] = float(importance @ signal)
        found.append(row)
    return found, signals


def importance_factors(
    rows: Sequence[Row], importances: Mapping[str, FloatArray], *, cancelled: IsCancelled = never
) -> Callable[[Row], float]:
    """How much an error costs by an importance matrix: Σⱼ wⱼ Σᵢ eᵢⱼ² ÷ Σ e², columns weighed exactly; 1 without one.

    Parameters
    ----------
    rows : sequence of Row
        Of an audit.
    importances : mapping of str to float32 array
        By names of tensors, each as long as a row of it.

    Raises
    ------
    Cancelled
        When asked to stop.
    """
    asked, factors = Importances(importances), {}
    for row in rows:
        check(cancelled)
        found = asked.columns(row)
        total = row.figures.mse * row.figures.finite if row.figures is not None else 0.0
        if found is not None and total > 0:
            factors[row.key] = float(found[2] @ found[0]) / total
    return lambda row: factors.get(row.key, 1.0)
