"""Is a file a network? Decided by what is in it, without reading more than its beginning."""

from __future__ import annotations

from pathlib import Path

from qviz.files.registry import FORMATS
from qviz.files.start import Start

SUFFIX = ".onnx"


def is_network(path: Path) -> bool:
    """Whether a file is an ONNX model: it begins like one, or is called one and begins like nothing else.

    Parameters
    ----------
    path : Path
        Anything; what cannot be read is what it is called.
    """
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            return False
        start = Start.of(path)
    except OSError:
        return path.suffix.lower() == SUFFIX
    found = next((form for form in FORMATS if form.is_it(start)), None)
    return SUFFIX in found.suffixes if found is not None else start.name.endswith(SUFFIX)
