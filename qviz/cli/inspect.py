"""What does ``qviz inspect`` do? It lists the tensors of files: their names, shapes, types and bytes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click

from qviz.cli.options import json_option, reading, reading_options
from qviz.core.printable import printable
from qviz.core.problems import Problem
from qviz.core.sizes import byte_text
from qviz.files.entry import TensorEntry
from qviz.files.readers import expand, list_tensors

MOST_PROBLEMS = 6
"""Files that cannot be read, of which each has a line of its own."""


@click.command("inspect")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@reading_options
@json_option
def inspect_command(files: tuple[Path, ...], as_json: bool) -> None:
    """List the tensors of FILES, or of the files in folders."""
    listed = []
    problems: list[Problem] = []
    for file in files:
        try:
            found = expand([file])
        except Problem as problem:
            problems.append(problem)
            continue
        for path in found:
            try:
                rows = [_row(entry) for entry in list_tensors(path, reading())]
            except Problem as problem:
                problems.append(problem)
                continue
            listed.append((path, rows))
            if all("problem" in row for row in rows):
                problems.append(Problem("{said}", said=rows[0]["problem"]))
    if as_json and listed:
        click.echo(json.dumps({"files": [{"path": str(path), "tensors": rows} for path, rows in listed]}))
    elif listed:
        click.echo("\n\n".join(_table(path, rows) for path, rows in listed))
    for said in problems[: MOST_PROBLEMS - 1] if len(problems) > MOST_PROBLEMS else problems[:-1]:
        click.echo(f"qviz: {printable(str(said))}", err=True)
    if len(problems) > MOST_PROBLEMS:
        click.echo(
            f"qviz: … and {len(problems) - MOST_PROBLEMS:,} more files that cannot be read; the last one:", err=True
        )
    if problems:
        raise problems[-1]


def _row(entry: TensorEntry) -> dict[str, Any]:
    shape, dtype, why = entry.shape, entry.dtype, entry.refused
    if shape is None and why is None:  # only reading tells, as of a table
        try:
            array = entry.load()
            shape, dtype = array.shape, array.dtype.name
        except Problem as problem:
            why = problem
    row: dict[str, Any] = {"name": entry.key or entry.name, "shape": None, "dtype": dtype, "bytes": entry.nbytes}
    if shape is not None:
        row["shape"] = list(shape)
        if entry.nbytes is None and dtype is not None:
            row["bytes"] = _nbytes(shape, dtype)
    if entry.encoding is not None and shape is not None:
        row["encoding"] = {"name": entry.encoding.name, "codes": entry.encoding.codes, "group": entry.encoding.group}
        if entry.nbytes is not None:  # codes, scales and zero points
            row["bits_per_element"] = 8 * entry.nbytes / math.prod(shape)
    note = entry.note() if why is None else None
    if note is not None and not note.is_plain:
        row["note"] = str(note.phrase)
    if why is not None:
        row["problem"] = str(why)
    return row


def _nbytes(shape: tuple[int, ...], dtype: str) -> int | None:
    from qviz.files.offers import named_dtype

    try:
        return math.prod(shape) * named_dtype(dtype).itemsize
    except TypeError:
        return None


def _table(path: Path, rows: list[dict[str, Any]]) -> str:
    cells = [
        (
            printable(row["name"]),
            row["dtype"] or "",
            " × ".join(f"{length:,}" for length in row["shape"] or ()),
            "" if row["bytes"] is None else byte_text(row["bytes"]),
            printable(row.get("problem") or row.get("note") or ""),
        )
        for row in rows
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    lines = ["  ".join([*(cell.ljust(w) for cell, w in zip(row[:4], widths, strict=True)), row[4]]) for row in cells]
    count = f"{len(rows):,} tensors" if len(rows) != 1 else "1 tensor"
    return "\n".join([f"{printable(str(path))}: {count}", *(f"  {line.rstrip()}" for line in lines)])
