"""What does the report of a network say that was swept, quantized or compared from the command line?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qviz.cli.interrupts import at_once
from qviz.core.problems import Problem
from qviz.core.sizes import byte_text
from qviz.files.atomic import check_spared, check_writable

if TYPE_CHECKING:  # a report needs the words of the window, and these are imported when one is written
    from qviz.core.schemes.scheme import Scheme
    from qviz.files.reports import Section
    from qviz.models.output_figures import OutputFigures

Command = Callable[..., Any]


def report_option(command: Command) -> Command:
    """Where the report goes."""
    return click.option(
        "--report", type=click.Path(path_type=Path), metavar="HTML", help="Write the figures as one page, too."
    )(command)


def check_report(report: Path | None, used: Sequence[Path]) -> None:
    """Nothing, where a report has a file of its own.

    Raises
    ------
    Problem
        When it would take the place of something that is read or written, or cannot be written.
    """
    if report is None:
        return
    check_spared(report, used)
    check_writable(report)
    if report.resolve() in [path.resolve() for path in used]:
        raise Problem("The report and the network cannot both be {name}: choose another name.", name=report.name)


def save_sweep_report(
    path: Path,
    name: str,
    scheme: Scheme,
    outputs: Sequence[OutputFigures],
    samples: int,
    rows: Sequence[Mapping[str, Any]],
    remarks: Sequence[str],
) -> None:
    """Which layer hurts, the one that hurts most first.

    Parameters
    ----------
    rows : sequence of mapping
        As ``--json`` has them, but with infinite dB where nothing is lost.
    remarks : sequence of str
        What else is said of the outputs.

    Raises
    ------
    FileProblem
        When it cannot be written.
    """
    from qviz.files.reports import Report, ReportTable, Section, save_report

    with at_once():  # Qt is imported
        from qviz.gui.words.schemes import line

    keys = ("alone_db", "restored_db", "isolated_db", "accumulated_db")
    head = ("Layer", "Alone", "Restored", "Isolated", "Accumulated", "Bytes")
    cells = tuple((str(row["name"]), *(_decibels(row[key]) for key in keys), byte_text(row["bytes"])) for row in rows)
    layers = Section(
        "Layers",
        (
            "Alone: the SQNR of the output with this layer quantized alone. Restored: with all layers quantized but "
            "this one. Isolated and accumulated: the errors behind the layer itself.",
        ),
        (ReportTable(head, cells),),
    )
    about = f"Weights: {line(scheme)}. Measured on {samples:,} held-out {_samples(samples)}."
    save_report(path, Report(f"Layers of {name}", about, (_outputs(outputs, remarks), layers)))


def save_pair_report(
    path: Path,
    name: str,
    other: str,
    sentences: Sequence[str],
    found: Mapping[str, Any],
    outputs: Sequence[OutputFigures],
    remarks: Sequence[str],
) -> None:
    """What a quantized network costs and gains beside its float one.

    Parameters
    ----------
    sentences : sequence of str
        What else is said of it.
    found : mapping
        As ``--json`` has it.
    remarks : sequence of str
        What else is said of the outputs.

    Raises
    ------
    FileProblem
        When it cannot be written.
    """
    from qviz.files.reports import Report, ReportTable, Section, save_report

    with at_once():  # Qt is imported
        from qviz.gui.words.networks import compared, computer
        from qviz.gui.words.numbers import NONE, percent, time_text

    before, after = found["float_bytes"], found["quantized_bytes"]
    rows: list[tuple[str, ...]] = [
        ("Bytes", byte_text(before), byte_text(after), percent(after, before) if before else NONE)
    ]
    latency = found.get("latency")
    if latency is not None:
        times = (time_text(latency[f"{which}_seconds"]) for which in ("float", "quantized"))
        rows.append(("Time of a run", *times, compared(latency["ratio"])))
    said = list(sentences)
    if "samples" in found:
        said.append(f"Measured on {found['samples']:,} {_samples(found['samples'])}.")
    if latency is not None:
        low, high = latency["ratio_range"]
        count = latency["threads"]
        threads = "a thread a core" if not count else "1 thread" if count == 1 else f"{count} threads"
        said.append(f"In fifths of the runs, with {threads}, the times' ratio is {low:.3g} to {high:.3g}.")
    pair = Section("Cost and gain", tuple(said), (ReportTable(("", name, other, "Compared"), tuple(rows)),))
    sections = (pair, _outputs(outputs, remarks)) if outputs else (pair,)
    save_report(path, Report(f"{other} beside {name}", computer(), sections))


def _samples(count: int) -> str:
    return "sample" if count == 1 else "samples"


def _outputs(outputs: Sequence[OutputFigures], remarks: Sequence[str]) -> Section:
    from qviz.files.reports import ReportTable, Section
    from qviz.gui.words.networks import FIGURES

    known = [figure for figure in FIGURES if any(figure.value(output) is not None for output in outputs)]
    head = ("Output", *(figure.heading for figure in known))
    rows = tuple((output.name, *(figure.read(output) for figure in known)) for output in outputs)
    broken = tuple(
        f"{output.name}: {output.broken:,} elements are NaN, infinite, or of another shape."
        for output in outputs
        if output.broken
    )
    return Section("Outputs", (*remarks, *broken), (ReportTable(head, rows),))


def _decibels(value: float) -> str:
    from qviz.gui.words.numbers import decibels

    return "exact" if value == math.inf else decibels(value)
