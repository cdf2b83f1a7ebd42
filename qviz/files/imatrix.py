"""How is an importance matrix read? What llama.cpp's ``llama-imatrix`` measured, as ``.dat`` or as GGUF.

The formats: ``tools/imatrix/README.md`` and ``load_imatrix`` of llama.cpp. No size in a file is believed before
there are as many bytes.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.frozen import frozen
from qviz.core.problems import N_
from qviz.files import gguf
from qviz.files.entry import TensorEntry
from qviz.files.problems import FileProblem, shortened, system_errors

_DAMAGED = N_("Make it again with llama-imatrix.")
_MOST_ENTRIES, _LONGEST_NAME = 1 << 20, 1 << 12
SUMS, COUNTS = ".in_sum2", ".counts"


@frozen(eq=False)
class ImportanceMatrix:
    """What an error of each column of a weight costs: the mean square of what it is multiplied by.

    Attributes
    ----------
    columns : dict of str to float32 array
        By the name of the weight (``blk.0.attn_q.weight``): shape (columns,), of stacked experts (experts, columns).
    """

    columns: dict[str, FloatArray]

    def of(self, name: str, columns: int) -> FloatArray | None:
        """float32 array of shape (columns,) for a weight, or None where nothing, or something else, was measured."""
        found = self.columns.get(name)
        return found if found is not None and found.shape == (columns,) else None


def read_imatrix(path: Path) -> ImportanceMatrix:
    """The importances in a file.

    Raises
    ------
    FileProblem
        When it is no importance matrix, or damaged.
    OSError
    """
    with path.open("rb") as file:
        magic = file.read(4)
    found = _of_gguf(path) if magic == gguf.MAGIC else _of_dat(path)
    for name, values in found.columns.items():
        if not (values >= 0).all() or not np.isfinite(values).all():  # they are means of squares
            raise FileProblem(
                path,
                N_("is damaged: the importances of '{name}' are not all numbers from 0 on"),
                _DAMAGED,
                name=shortened(name),
            )
    return found


def columns_of(path: Path) -> dict[str, FloatArray]:
    """Importances of each tensor's columns, by its name; those of experts, a row each, are left out.

    Raises
    ------
    FileProblem
        When it is no importance matrix, or can't be read.
    """
    with system_errors(path):
        return {name: values for name, values in read_imatrix(path).columns.items() if values.ndim == 1}


def _array(entry: TensorEntry) -> FloatArray:
    return np.asarray(entry.load(), np.float32)


def _of_gguf(path: Path) -> ImportanceMatrix:
    entries = {entry.key: entry for entry in gguf.list_entries(path)}
    found: dict[str, FloatArray] = {}
    for name, entry in entries.items():
        if name is None or not name.endswith(SUMS):
            continue
        sums = _array(entry)
        counted = entries.get(name.removesuffix(SUMS) + COUNTS)
        if counted is None:
            raise FileProblem(path, N_("is damaged: it has sums without a count"), _DAMAGED)
        counts = _array(counted).reshape(-1, 1)
        sums = sums.reshape(len(counts), -1)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            means = np.where(counts > 0, sums / counts, np.float32(1))
        found[name.removesuffix(SUMS)] = means[0] if len(means) == 1 else means
    if not found:
        raise FileProblem(path, N_("is a GGUF file without importances"), N_("Choose what llama-imatrix wrote."))
    return ImportanceMatrix(found)


def _of_dat(path: Path) -> ImportanceMatrix:
    data = path.read_bytes()
    place = 0

    def number(at: int) -> int:
        if at + 4 > len(data):
            raise FileProblem(path, N_("is no importance matrix, or ends too early"), _DAMAGED)
        value: int = struct.unpack_from("<i", data, at)[0]
        return value

    entries, place = number(0), 4
    if not 0 < entries <= _MOST_ENTRIES:
        raise FileProblem(path, N_("is no importance matrix"), N_("Choose what llama-imatrix wrote."))
    found: dict[str, FloatArray] = {}
    for _ in range(entries):
        length, place = number(place), place + 4
        if not 0 < length <= _LONGEST_NAME or place + length > len(data):
            raise FileProblem(path, N_("is no importance matrix, or is damaged"), _DAMAGED)
        name, place = data[place : place + length].decode("utf-8", "replace"), place + length
        calls, size, place = number(place), number(place + 4), place + 8
        if size < 1 or place + 4 * size > len(data):
            raise FileProblem(path, N_("is no importance matrix, or is damaged"), _DAMAGED)
        values = np.frombuffer(data, "<f4", size, place).astype(np.float32)
        with np.errstate(invalid="ignore"):  # what is no number is refused afterwards
            found[name] = values / np.float32(calls) if calls > 0 else values
        place += 4 * size
    return ImportanceMatrix(found)
