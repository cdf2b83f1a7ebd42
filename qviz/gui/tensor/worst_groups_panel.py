"""Which groups suffer most? The worst of them, one a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QModelIndex, Signal, Slot
from PySide6.QtWidgets import QWidget

from qviz.core.frozen import frozen
from qviz.gui.kit.copying import Copied
from qviz.gui.kit.figure_model import Column
from qviz.gui.kit.figure_table import FigureTable
from qviz.gui.kit.judgement import judged
from qviz.gui.kit.theme import Theme
from qviz.gui.kit.widgets import column
from qviz.gui.words.groups import group_words, place_numbers, place_text
from qviz.gui.words.numbers import number
from qviz.session.language import tr

if TYPE_CHECKING:
    from qviz.core.questions.analysis import Analysis


@frozen
class Suffering:
    """One group and its figures."""

    group: int
    place: str
    whole_place: str
    sqnr_db: float
    max_abs_error: float
    scale: float
    saturated: int


def _columns(title: str) -> list[Column]:
    return [
        Column(
            title,
            lambda s: s.place,
            lambda s: s.group,
            tr("Its place in the array of scales: of blocks, row and block."),
            left=True,
            cell_tip=lambda s: f"#{s.group:,}: {s.whole_place}",
            copies=(Copied(title, lambda s: s.whole_place), Copied(tr("Number"), lambda s: s.group)),
        ),
        Column(tr("SQNR"), lambda s: number(s.sqnr_db), lambda s: s.sqnr_db, judged(tr("In dB."), 1), unit="dB"),
        Column(
            tr("Max"),
            lambda s: number(s.max_abs_error, 3),
            lambda s: s.max_abs_error,
            judged(tr("The largest error, in the tensor's unit."), -1),
        ),
        Column(tr("Scale"), lambda s: number(s.scale, 3), lambda s: s.scale, tr("The width of one step.")),
        Column(
            tr("Clip"),
            lambda s: f"{s.saturated:,}",
            lambda s: s.saturated,
            tr("Elements whose code was changed by clipping."),
        ),
    ]


class WorstGroupsPanel(QWidget):
    """The groups with the lowest SQNR; a click looks at one alone.

    Signals
    -------
    channel_clicked(int)
    """

    channel_clicked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.table = FigureTable(_columns(""), self.tr("The worst groups"), opening=self.tr("Look at it alone"))
        self.table.setObjectName("tightFigures")
        layout = column(self, margin=2)
        layout.addWidget(self.table)
        self._chosen: int | None = None
        self._title = ""
        self.table.clicked.connect(self._on_clicked)
        self.table.opened.connect(self._on_opened)

    def apply_theme(self, theme: Theme) -> None:
        """The colours of the table."""
        self.table.apply_theme(theme)

    def present(self, analysis: Analysis) -> None:
        """List the worst groups of an answer; none where there is one scale."""
        groups, q, granularity = analysis.groups, analysis.qparams, analysis.scheme.granularity
        if groups is None:
            if self.table.figures.rows:
                self.table.set_rows([])
            return
        scale, shape = q.scale.reshape(-1), analysis.tensor.shape
        rows = [
            Suffering(
                group,
                place_numbers(granularity, shape, group),
                place_text(granularity, shape, group),
                groups.sqnr_db_of(group),
                float(groups.max_abs_error[group]),
                float(scale[group]),
                int(groups.saturated[group]),
            )
            for group in groups.worst_ones
        ]
        title = group_words(granularity).title
        if title == self._title:
            self.table.change_rows(rows)
        else:
            self._title = title
            self.table.set_rows(rows, _columns(title))
        self.choose(self._chosen)

    def choose(self, channel: int | None) -> None:
        """Mark the group that is looked at alone, where it is in the list."""
        self._chosen = channel
        self.table.point_to(next((row for row in self.table.figures.rows if row.group == channel), None))

    @Slot(QModelIndex)
    def _on_clicked(self, index: QModelIndex) -> None:
        self._on_opened(self.table.current())

    @Slot(object)
    def _on_opened(self, row: Any) -> None:
        if row is not None:
            self.channel_clicked.emit(row.group)
