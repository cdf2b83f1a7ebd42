"""What is told of the runs of a network when they leave the window together?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from PySide6.QtCore import QBuffer, QByteArray, QIODevice
from PySide6.QtGui import QImageWriter

from qviz.files.reports import Picture, Report, ReportTable, Section
from qviz.gui.charts.export import chart_image
from qviz.gui.kit.figure_model import Column
from qviz.gui.model import runs_panel, times_panel
from qviz.gui.model.runs_chart import ACROSS, RunsChart
from qviz.gui.words.networks import FIGURES, computer
from qviz.gui.words.numbers import NONE
from qviz.session.language import tr
from qviz.session.network_state import DeployedRun

LONGEST_NODES = 12
"""Nodes of each run whose times are told."""


def report_of(name: str, runs: Sequence[DeployedRun], chart: RunsChart) -> Report:
    """All runs of a network side by side, the chart of them over both of its axes, and all that is said of each."""
    table = _table([column for column in runs_panel.columns() if not column.action], runs)
    sections = [Section(tr("Side by side"), (), (table,), _pictures(chart)), *(_of_run(run) for run in runs)]
    theme = chart.theme
    colors: dict[str, Any] = {}
    if theme is not None:
        colors = {"background": theme.chart["background"], "text": theme.ui["text"], "line": theme.ui["border"]}
    return Report(tr("Runs of {name}").format(name=name), computer(), tuple(sections), **colors)


def _pictures(chart: RunsChart) -> tuple[Picture, ...]:
    if chart.empty:
        return ()
    before, found = chart.across, []
    for across in ACROSS:
        chart.show_across(across)
        if chart.runs:
            buffer = QBuffer()
            buffer.open(QIODevice.OpenModeFlag.WriteOnly)
            QImageWriter(buffer, QByteArray(b"png")).write(chart_image(chart))
            found.append(Picture(bytes(buffer.data().data()), chart.title()))
    chart.show_across(before)
    return tuple(found)


def _of_run(run: DeployedRun) -> Section:
    said = [runs_panel.about(run)]
    moment = run.moment
    if moment is not None:
        said.append(tr("Measured on {date}.").format(date=datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M")))
    tables = []
    known = [figure for figure in FIGURES if any(figure.value(output) is not None for output in run.outputs)]
    if run.outputs:
        head = (tr("Output"), *(figure.heading for figure in known))
        rows = tuple((output.name, *(figure.read(output) for figure in known)) for output in run.outputs)
        tables.append(ReportTable(head, rows))
    if run.times:
        tables.append(_table(times_panel.columns(), times_panel.rows_of(run)[:LONGEST_NODES]))
    return Section(run.outcome.path.name, tuple(said), tuple(tables))


def _table(columns: Sequence[Column], rows: Sequence[Any]) -> ReportTable:
    lines = tuple(tuple(column.text(row) or NONE for column in columns) for row in rows)
    words = tuple(place for place, column in enumerate(columns) if column.left)
    return ReportTable(tuple(column.title for column in columns), lines, words)
