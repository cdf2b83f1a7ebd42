"""Which rows and labels does a person's own file hold?"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qviz.core.arrays import Array
from qviz.core.problems import N_, Phrase
from qviz.files.entry import TensorEntry
from qviz.files.problems import FileProblem
from qviz.files.readers import list_tensors

MOST_ROWS, MOST_FEATURES, MOST_CLASSES, LEAST_ROWS = 200_000, 4096, 100, 10


def read_table(path: Path, label_column: int = -1) -> tuple[Array, Array, tuple[str, ...]]:
    """Rows, labels and the names of the classes.

    Parameters
    ----------
    path : Path
        An ``.npz`` with ``x`` of shape (rows, …) and ``y`` of shape (rows,), or a table of numbers.
    label_column : int
        Which column of a table holds the labels; negative from the end.

    Returns
    -------
    x : float32 array, shape (rows, features)
    y : intp array, shape (rows,)
        0 … classes − 1, in the order of the labels' values.
    names : tuple of str
        The label that each stands for.

    Raises
    ------
    FileProblem
        When the file cannot be read, or nothing can be learned from what it holds.
    """
    entries = list_tensors(path)
    if entries[0].key is None:
        x, y = _from_table(path, entries[0], label_column)
    else:
        x, y = _from_archive(path, {str(entry.key): entry for entry in entries})
    if not LEAST_ROWS <= y.size <= MOST_ROWS:
        raise FileProblem(
            path,
            N_("has {rows:,} rows"),
            N_("Give it {least_rows} to {most_rows:,}."),
            rows=y.size,
            least_rows=LEAST_ROWS,
            most_rows=MOST_ROWS,
        )
    if not 1 <= x.shape[1] <= MOST_FEATURES:
        raise FileProblem(
            path,
            N_("has {features:,} numbers in a row"),
            N_("Give it 1 to {most_features:,}."),
            features=x.shape[1],
            most_features=MOST_FEATURES,
        )
    with np.errstate(over="ignore"):
        x = np.ascontiguousarray(x, np.float32)
    if not np.isfinite(x).all():
        raise FileProblem(
            path, N_("holds numbers that are missing, infinite or beyond float32"), N_("Leave such rows out.")
        )
    labels, codes = np.unique(y, return_inverse=True)
    if not (np.isfinite(labels).all() and (labels == np.rint(labels)).all()):
        wrong = labels[~(np.isfinite(labels) & (labels == np.rint(labels)))][0]
        raise FileProblem(
            path, N_("has the label {wrong:g}"), N_("Number the classes: 0, 1, 2 and so on."), wrong=wrong
        )
    if not 2 <= labels.size <= MOST_CLASSES:
        what = Phrase("class") if labels.size == 1 else Phrase("classes")
        raise FileProblem(
            path,
            N_("has {count:,} {what}"),
            N_("Give it 2 to {most_classes}."),
            count=labels.size,
            what=what,
            most_classes=MOST_CLASSES,
        )
    return x, codes.astype(np.intp), tuple(f"{label:.0f}" for label in labels)


def _from_table(path: Path, entry: TensorEntry, label_column: int) -> tuple[Array, Array]:
    table = entry.load()
    if table.ndim != 2 or table.shape[1] < 2:
        raise FileProblem(
            path, N_("has no column of labels beside its numbers"), N_("Give each row numbers and a label.")
        )
    columns = table.shape[1]
    if not -columns <= label_column < columns:
        advice = f"Choose one from {-columns} to {columns - 1}."
        raise FileProblem(path, N_("has no column {label_column} for the labels"), advice, label_column=label_column)
    return np.delete(table, label_column, axis=1), table[:, label_column]


def _from_archive(path: Path, entries: dict[str, TensorEntry]) -> tuple[Array, Array]:
    missing = [name for name in ("x", "y") if name not in entries]
    if missing:
        raise FileProblem(
            path, N_("has no array “{name}”"), N_("Save it with numpy.savez(file, x=rows, y=labels)."), name=missing[0]
        )
    for name in ("x", "y"):
        size = entries[name].shape or ()
        if int(np.prod(size, dtype=object)) > MOST_ROWS * MOST_FEATURES:
            raise FileProblem(
                path, N_("holds an “{name}” that is too large to learn from"), N_("Give it fewer rows."), name=name
            )
    x, y = (np.asarray(entries[name].load()) for name in ("x", "y"))
    if x.ndim < 2 or y.ndim != 1 or x.shape[0] != y.size:
        raise FileProblem(
            path,
            N_("holds x of shape {x_shape} and y of shape {y_shape}, which do not belong together"),
            N_("Give x the shape (rows, features) and y the shape (rows,)."),
            x_shape=x.shape,
            y_shape=y.shape,
        )
    return x.reshape(y.size, -1), y.astype(np.float64)
