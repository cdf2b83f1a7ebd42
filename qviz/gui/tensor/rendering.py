"""How are charts drawn into files without a window?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication

from qviz.core.questions.analysis import Analysis
from qviz.core.questions.loss_curves import compare_ranges
from qviz.core.questions.speed import measure_addition
from qviz.core.ranges.entropy import Entropy
from qviz.core.ranges.mse import MSE
from qviz.core.tensors.sorted_tensor import prepare
from qviz.files.atomic import check_spared
from qviz.gui.charts.base import LinkedCursor
from qviz.gui.charts.export import export_chart, paths_of
from qviz.gui.kit import theme
from qviz.gui.tensor.charts import CHARTS
from qviz.gui.tensor.loss_chart import LossChart
from qviz.gui.tensor.memory_speed_charts import SpeedChart

WIDTH, HEIGHT, LOW = 880, 520, 240


def render_charts(
    app: QApplication,
    analysis: Analysis,
    folder: Path,
    formats: Sequence[str],
    *,
    theme_name: str = "light",
    scale: float = 2.0,
    read: Sequence[Path] = (),
) -> list[Path]:
    """Write every chart that has something to show into ``folder``; returns the files.

    Raises
    ------
    Problem
        When a file cannot be written, or is one of those that are ``read``.
    """
    chosen = theme.load_theme(theme_name)
    theme.apply(app, chosen)
    cursor = LinkedCursor()
    written: list[Path] = []
    charts = []  # all are kept: the garbage collector may come in the middle of an export, and Qt dies of it
    for kind in CHARTS:
        chart = kind(cursor)
        charts.append(chart)
        bars = chart.name in ("memory", "speed")
        chart.resize(WIDTH, LOW if bars else HEIGHT)
        chart.apply_theme(chosen)
        chart.show()  # Qt lays out what is shown only; offscreen, nobody sees it
        chart.present(analysis)
        if isinstance(chart, SpeedChart):
            dtype = analysis.scheme.number_format.dtype
            chart.show_speed(measure_addition(analysis.tensor.elements, dtype))
        if isinstance(chart, LossChart) and analysis.groups is None:
            rule = analysis.scheme.range_rule
            loss = rule if isinstance(rule, Entropy) else MSE()
            chart.show_losses(compare_ranges(prepare(analysis.tensor), analysis.scheme, loss))
        app.processEvents()
        if chart.tables():
            for ending in formats:
                path = folder / f"{chart.name}.{ending}"
                for target in paths_of(chart, path):
                    check_spared(target, read)
                written += export_chart(chart, path, scale=scale)
        chart.close()
    for chart in charts:  # in Qt's own order: the garbage collector's, after an export as SVG or PDF, is fatal
        chart.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    return written
