"""Which tensors of a checkpoint are one quantized weight, and which numbers do its codes stand for?

Each rule knows how one library names and packs them; what contradicts it stays as the file has it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.problems import N_, Problem
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files import encoding_floats, encoding_integers
from qviz.files.encoding_parts import Array, Found, Rule
from qviz.files.entry import Encoding, Note, TensorEntry, with_changes
from qviz.files.memory import check_room
from qviz.files.problems import FileProblem, shortened

_LARGEST_CONFIG = 1 << 22


def decoded(entries: Sequence[TensorEntry]) -> tuple[TensorEntry, ...]:
    """The entries of a file, each quantized weight as one of them in place of its parts.

    Parameters
    ----------
    entries : sequence of TensorEntry
        As the file has them.
    """
    if not any(str(each.key).endswith(_MARKS) for each in entries):
        return tuple(entries)
    modules: dict[str, dict[str, TensorEntry]] = {}
    for entry in entries:
        module, part = _split(str(entry.key))
        modules.setdefault(module, {})[part] = entry
    config = _config(entries[0].path.parent)
    weights: dict[str, TensorEntry] = {}
    gone: set[str] = set()
    for module, parts in modules.items():
        for mark, rule in _RULES:
            found = rule(parts, config) if mark in parts else None
            if found is None:
                continue
            used = [parts[name] for name in found.used]
            weights[str(used[0].key)] = _entry(module, found, used)
            gone |= {str(each.key) for each in used[1:]}
            break
    return tuple(weights.get(str(each.key), each) for each in entries if str(each.key) not in gone)


_MARKS = (
    ".qweight",
    ".weight_packed",
    ".weight_scale",
    ".weight_scale_inv",
    "_blocks",
    ".SCB",
    ".weight.absmax",
    "._weight_qdata",
    "._weight_int_data",
    ".biases",
)
"""Some part of each encoding: files without any are left alone at once."""


def _split(key: str) -> tuple[str, str]:
    """The module and the part of a name; parts of bitsandbytes and gpt-oss have names of their own."""
    for mark in (".weight.",):
        at = key.find(mark)
        if at >= 0:
            return key[:at], key[at + 1 :]
    for end in ("_blocks", "_scales"):
        if key.endswith(end):
            return key.removesuffix(end), end
    module, _, part = key.rpartition(".")
    return module, part


def _config(folder: Path) -> Mapping[str, Any]:
    """What the file beside the weights says of their quantization; nothing where it says nothing."""
    places = (("config.json", "quantization_config"), ("config.json", "quantization"), ("quantize_config.json", None))
    for name, key in places:
        try:
            path = folder / name
            if not path.is_file() or path.stat().st_size > _LARGEST_CONFIG:
                continue
            said = json.loads(path.read_bytes())
            said = said.get(key) if key and isinstance(said, dict) else said
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(said, dict):
            return said
    return {}


def _entry(module: str, found: Found, used: Sequence[TensorEntry]) -> TensorEntry:
    first = used[0]
    key = f"{module}.weight" if found.used[0] != "_blocks" else module
    name = first.name.removesuffix(str(first.key)) + key
    refused = next((each.refused for each in used if each.refused is not None), None)
    return with_changes(
        first,
        name=name,
        key=key,
        shape=found.shape,
        dtype=f"{found.encoding.codes} ({found.encoding.name})",
        load=partial(_load, key, found, tuple(used)),
        note=partial(_noted, found.encoding),
        refused=refused,
        nbytes=sum(_nbytes(each) for each in used),
        encoding=found.encoding,
        counted=None,
        bits=None,
    )


def _noted(encoding: Encoding) -> Note:
    return encoding.note


def _nbytes(entry: TensorEntry) -> int:
    from qviz.files.region import bytes_of

    if entry.nbytes is not None or entry.shape is None or entry.dtype is None:
        return entry.nbytes or 0
    return bytes_of(entry.dtype, entry.shape)


def _load(
    key: str,
    found: Found,
    used: tuple[TensorEntry, ...],
    *,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Array:
    path = used[0].path
    check_room(path, key, 12 * math.prod(found.shape), N_("Close other programs, or choose a smaller tensor."))
    arrays = []
    for number, each in enumerate(used):
        check(cancelled)
        arrays.append(np.asarray(each.load(cancelled=cancelled)[:]).reshape(each.shape or (1,)))
        progress(0.5 * (number + 1) / len(used))
    check(cancelled)
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # a damaged scale makes numbers that are not finite
            values = found.decode(*arrays)
    except Problem:
        raise
    except (ValueError, IndexError, TypeError, OverflowError):
        raise FileProblem(
            path,
            N_("holds '{key}', whose codes and scales do not fit together"),
            N_("Save the checkpoint again."),
            key=shortened(key),
        ) from None
    progress(1.0)
    return np.ascontiguousarray(values, np.float32).reshape(found.shape)


_RULES: tuple[tuple[str, Rule], ...] = (
    ("qweight", encoding_integers.gptq),
    ("qweight", encoding_integers.awq),
    ("weight_packed", encoding_integers.pack_quantized),
    ("weight_packed", encoding_floats.fp4_packed),
    ("weight_scale_inv", encoding_floats.fp8_blocks),
    ("weight.absmax", encoding_floats.bitsandbytes4),
    ("SCB", encoding_integers.bitsandbytes8),
    ("weight_scale", encoding_integers.scaled),
    ("_blocks", encoding_floats.gpt_oss),
    ("_weight_qdata", encoding_integers.torchao),
    ("_weight_int_data", encoding_integers.torchao),
    ("biases", encoding_integers.mlx),
)
"""The part that a rule looks for, and the rule; a new encoding is a row."""
