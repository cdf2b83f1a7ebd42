"""Which tensors does a Parquet file offer? Its columns of numbers as one table, and each column of vectors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.problems import N_, Phrase
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.entry import Note, TensorEntry
from qviz.files.memory import check_room
from qviz.files.problems import FileProblem, shortened

MAGIC = b"PAR1"
_DAMAGED = N_("Copy or download it again.")


def list_entries(path: Path) -> tuple[TensorEntry, ...]:
    """The columns of numbers as one table, then each column of vectors (embeddings).

    Raises
    ------
    FileProblem
        When the file is damaged, or has no numbers.
    """
    with _opened(path) as file:
        rows, schema = file.metadata.num_rows, file.schema_arrow
    numbers, vectors, others = _columns(schema)
    entries = []
    if numbers and rows:
        shape = (rows,) if len(numbers) == 1 else (rows, len(numbers)) if rows > 1 else (len(numbers),)
        note = partial(_note, tuple(numbers), tuple(others))
        entries.append(TensorEntry(path.name, path, None, shape, "float64", partial(_load_table, path), note))
    entries += [
        TensorEntry(f"{path.stem}/{name}", path, name, None, None, partial(_load_vectors, path, name))
        for name in vectors
        if rows
    ]
    if not entries:
        raise FileProblem(path, N_("has no columns of numbers"), N_("Choose a file with numbers in it."))
    return tuple(entries)


def _columns(schema: Any) -> tuple[list[str], list[str], list[str]]:
    import pyarrow as pa

    numbers, vectors, others = [], [], []
    for field in schema:
        kind = field.type
        is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        if field.name.startswith("__index_level_"):
            others.append(field.name)
        elif _is_number(kind):
            numbers.append(field.name)
        elif is_list and _is_number(kind.value_type):
            vectors.append(field.name)
        else:
            others.append(field.name)
    return numbers, vectors, others


def _is_number(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _note(numbers: tuple[str, ...], others: tuple[str, ...]) -> Note | None:
    if not others:
        return None
    names = ", ".join(shortened(name) for name in others[:3]) + (", …" if len(others) > 3 else "")
    return Note(Phrase(N_("{count} columns of numbers are taken; left out: {names}."), count=len(numbers), names=names))


def _load_table(path: Path, *, progress: Progress = ignore, cancelled: IsCancelled = never) -> np.ndarray[Any, Any]:
    import pyarrow as pa
    from pyarrow import compute

    with _opened(path) as file:
        rows, (names, _, _) = file.metadata.num_rows, _columns(file.schema_arrow)
        if not names or not rows:
            raise FileProblem(path, N_("has no columns of numbers any more"), N_("Open the file again."))
        check_room(path, path.name, 16 * rows * len(names), N_("Choose a smaller file."))
        values = np.empty((rows, len(names)))
        at = 0
        for batch in file.iter_batches(columns=names):
            check(cancelled)
            part = values[at : at + batch.num_rows]
            for place, column in enumerate(batch.columns):
                part[:, place] = compute.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
            at += batch.num_rows
            progress(at / rows)
    return values.ravel() if 1 in values.shape else values


def _load_vectors(
    path: Path, name: str, *, progress: Progress = ignore, cancelled: IsCancelled = never
) -> np.ndarray[Any, Any]:
    from pyarrow import compute

    check(cancelled)
    with _opened(path) as file:
        if name not in file.schema_arrow.names:
            raise FileProblem(
                path, N_("has no column '{name}' any more"), N_("Open the file again."), name=shortened(name)
            )
        check_room(path, name, 2 * file.metadata.row_group(0).total_byte_size, N_("Choose a smaller file."))
        column = file.read([name]).column(0).combine_chunks()
        lengths = compute.unique(compute.list_value_length(column)).to_pylist()
        values: np.ndarray[Any, Any] = column.flatten().to_numpy(zero_copy_only=False)
    if len(lengths) != 1 or not lengths[0]:
        raise FileProblem(
            path,
            N_("holds '{name}', whose vectors are of different lengths"),
            N_("Give all of them the same length."),
            name=shortened(name),
        )
    progress(1.0)
    return values.reshape(-1, lengths[0]) if values.size > lengths[0] else values


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with path.open("rb") as raw:
            if not raw.read(1):
                raise FileProblem(path, N_("is empty"), _DAMAGED)
            with parquet.ParquetFile(raw) as file:
                yield file
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, FileProblem) or (isinstance(error, OSError) and error.errno):
            raise
        detail = shortened(str(error), 80)
        raise FileProblem(
            path, N_("is not a Parquet file, or a damaged one ({detail})"), _DAMAGED, detail=detail
        ) from error
