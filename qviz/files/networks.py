"""Is a file a network? Decided by what is in it, without reading more than its beginning."""

from __future__ import annotations

from pathlib import Path

from qviz.files.readers import FORMATS, SUFFIXES

SUFFIX = ".onnx"
NEWEST_IR = 32
"""Versions of ONNX's file format that there may be: 13 in 2026."""

SECOND_FIELDS = frozenset({0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72})
"""What follows the version in a model as protobuf writes it: producer, domain, model version, graph, operator sets."""


def is_network(path: Path) -> bool:
    """Whether a file is an ONNX model: it begins like one, or is called one and begins like nothing else.

    Parameters
    ----------
    path : Path
        Anything; False for what cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return False
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            start = file.read(16)
    except OSError:
        return suffix == SUFFIX
    if any(form.magic and start.startswith(form.magic) for form in FORMATS):
        return False
    return suffix == SUFFIX or _begins_like_one(start)


def _begins_like_one(start: bytes) -> bool:
    return len(start) > 2 and start[0] == 0x08 and 0 < start[1] <= NEWEST_IR and start[2] in SECOND_FIELDS
