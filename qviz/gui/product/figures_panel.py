"""How good is the integer product, in figures, and which tokens fare worst?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QHBoxLayout, QWidget

from qviz.core.frozen import frozen
from qviz.core.problems import N_
from qviz.core.questions.pair_sums import PairSaturation
from qviz.core.questions.product import Product
from qviz.gui.kit.copying import copy_lines, ends
from qviz.gui.kit.figure_model import Column
from qviz.gui.kit.figure_rows import FigureRows, Headline
from qviz.gui.kit.figure_table import FigureTable
from qviz.gui.kit.judgement import judgement
from qviz.gui.kit.theme import Theme
from qviz.gui.kit.widgets import column, named_label
from qviz.gui.words.numbers import cosine, decibels, number, spread, time_text, whole
from qviz.session.language import tr

WORST = 24
"""Rows of the table."""


@frozen
class Token:
    """One row of the output and its figures."""

    row: int
    sqnr_db: float
    max_abs_error: float
    scale: float


@frozen
class Figure:
    """One row: how it is called, read, and judged (``better``: 1 higher, -1 lower, 0 neither)."""

    label: str
    better: int
    read: Callable[[Product], str]
    tip: str


def _largest_sum(p: Product) -> str:
    text = whole(p.largest_sum)
    return text if p.fits_int32 else text + tr(" > int32")


def _pairs(p: Product) -> str:
    if p.pairs is None:
        return tr("no such kernel")
    if p.pairs.pairs and p.pairs.outputs == 1:
        return tr("1 output changes")
    return tr("{outputs} outputs change").format(outputs=whole(p.pairs.outputs)) if p.pairs.pairs else tr("all fit")


def _of_pairs(read: Callable[[PairSaturation], str]) -> Callable[[Product], str]:
    return lambda p: "–" if p.pairs is None else read(p.pairs)


FIGURES: tuple[Figure, ...] = (
    Figure(
        N_("Weight alone"),
        1,
        lambda p: decibels(p.losses["weight"].sqnr_db),
        N_("SQNR of the output when only the weight is quantized."),
    ),
    Figure(
        N_("Activation alone"),
        1,
        lambda p: decibels(p.losses["activation"].sqnr_db),
        N_("SQNR of the output when only the activation is quantized."),
    ),
    Figure(N_("MSE"), -1, lambda p: number(p.loss.mse, 5), N_("Mean squared error, in the output's unit squared.")),
    Figure(N_("Max |error|"), -1, lambda p: number(p.loss.max_abs_error, 5), N_("The largest error of an output.")),
    Figure(
        N_("Cosine"),
        1,
        lambda p: cosine(p.loss.cosine),
        N_("Cosine of the angle between both outputs; 1 is perfect."),
    ),
    Figure(
        N_("Worst token"),
        1,
        lambda p: decibels(float(p.rows.sqnr_db.min())),
        N_("SQNR of the row of the output that fares worst."),
    ),
    Figure(
        N_("Worst output"),
        1,
        lambda p: decibels(float(p.columns.sqnr_db.min())),
        N_("SQNR of the column of the output that fares worst."),
    ),
    Figure(N_("Scale of x"), 0, lambda p: spread(p.activation_qparams.scale, 5), N_("The step of the activation.")),
    Figure(N_("Scale of W"), 0, lambda p: spread(p.weight_qparams.scale, 5), N_("The step of the weight.")),
    Figure(
        N_("Largest sum"),
        0,
        _largest_sum,
        N_("The largest |Σ (Qx − Zx)·(Qw − Zw)|. Runtimes add up in 32 bits; beyond 2,147,483,647 they overflow."),
    ),
    Figure(
        N_("Pairs in int16"),
        0,
        _pairs,
        N_(
            "Processors without VNNI add the products of two neighbouring features up in 16 bits, and saturate there "
            "at −32,768 and 32,767. A scale for 7 bits (reduce_range) avoids it."
        ),
    ),
    Figure(
        N_("Change by pairs"),
        -1,
        _of_pairs(lambda pairs: number(pairs.largest_change, 5)),
        N_("By how much saturating pairs change an output at most, in the output's unit."),
    ),
    Figure(
        N_("SQNR with pairs"),
        1,
        _of_pairs(lambda pairs: decibels(pairs.loss.sqnr_db)),
        N_("SQNR of the output on such a processor."),
    ),
    Figure(
        N_("Multiplied"),
        0,
        lambda p: f"{p.shape[0]:,} × {p.activation.shape[1]:,} × {p.shape[1]:,}",
        N_("Tokens × features × outputs."),
    ),
    Figure(N_("Computed in"), 0, lambda p: time_text(p.seconds), N_("This comparison, on this computer.")),
)
"""Every figure, in its order."""


class ProductFigures(QWidget):
    """The headline, the figures, and the tokens that fare worst."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.product: Product | None = None
        layout = column(self, spacing=4)
        self._headline = Headline(
            "88.88 dB",
            self.tr("SQNR of the output"),
            [judgement(1)],
            self.tr("SQNR of the output in dB"),
            self.tr("20·log₁₀(‖y‖ / ‖y − ŷ‖) in dB, y being the float output."),
        )
        self._rows = FigureRows([(tr(f.label), f.better, tr(f.tip)) for f in FIGURES])
        layout.addWidget(self._headline)
        layout.addWidget(self._rows)
        self._headline.copy_all_requested.connect(self.copy)
        self._rows.copy_all_requested.connect(self.copy)
        layout.addSpacing(8)
        self.table = FigureTable(
            [
                Column(tr("Token"), lambda t: f"{t.row:,}", lambda t: t.row, tr("Its row in the activation.")),
                Column(tr("SQNR"), lambda t: number(t.sqnr_db), lambda t: t.sqnr_db, tr("In dB."), 1, unit="dB"),
                Column(tr("Max |e|"), lambda t: number(t.max_abs_error), lambda t: t.max_abs_error, "", -1),
                Column(tr("Scale"), lambda t: number(t.scale), lambda t: t.scale, tr("The width of one step.")),
            ],
            self.tr("Worst tokens"),
            spread=True,
        )
        self.table.setObjectName("tightFigures")
        self.table.setMinimumHeight(120)
        above = QHBoxLayout()
        above.addWidget(named_label(self.tr("Worst tokens"), "section"))
        above.addStretch(1)
        above.addWidget(self.table.filter_box())
        layout.addLayout(above)
        layout.addWidget(self.table, 1)

    def present(self, product: Product) -> None:
        """Show a new answer."""
        self.product = product
        self._headline.show_figure(decibels(product.loss.sqnr_db), product.loss.sqnr_db)
        figures = _figures_of(product)
        self._rows.show_texts(
            [figure.read(product) for figure in FIGURES],
            [[value for _, value in figures[tr(figure.label)]] for figure in FIGURES],
        )
        rows = product.rows
        worst = rows.worst_first[:WORST]
        scale = product.row_scales
        self.table.set_rows(
            [
                Token(row, float(rows.sqnr_db[row]), float(rows.max_abs_error[row]), float(scale[row]))
                for row in worst.tolist()
            ]
        )

    def apply_theme(self, theme: Theme) -> None:
        """The colours of the table."""
        self.table.apply_theme(theme)

    @Slot()
    def copy(self) -> None:
        """The figures to the clipboard."""
        if self.product is not None:
            pretty = [line.split("\t") for line in self.text().splitlines()]
            head = (tr("Figure"), tr("Value"))
            plain = [figure for figures in _figures_of(self.product).values() for figure in figures]
            copy_lines([head, *plain], [head, *pretty])

    def text(self) -> str:
        """The figures as tab-separated lines."""
        if self.product is None:
            return ""
        rows = [("SQNR", number(self.product.loss.sqnr_db, 6, "dB"))]
        rows += [(tr(f.label), f.read(self.product)) for f in FIGURES]
        return "\n".join("\t".join(row) for row in rows) + "\n"


def _pairs_of(p: Product) -> dict[str, list[tuple[str, Any]]]:
    if p.pairs is None:
        return {tr("Pairs in int16"): [], tr("Change by pairs"): [], tr("SQNR with pairs"): []}
    return {
        tr("Pairs in int16"): [
            (tr("Outputs changed by pairs"), p.pairs.outputs),
            (tr("Pairs beyond int16"), p.pairs.pairs),
        ],
        tr("Change by pairs"): [(tr("Change by pairs"), p.pairs.largest_change)],
        tr("SQNR with pairs"): [(tr("SQNR with pairs (dB)"), p.pairs.loss.sqnr_db)],
    }


def _figures_of(p: Product) -> dict[str, list[tuple[str, Any]]]:
    """The figures of each row as numbers, with the unit at the name."""
    return {
        "": [(tr("SQNR (dB)"), p.loss.sqnr_db)],
        tr("Weight alone"): [(tr("Weight alone (dB)"), p.losses["weight"].sqnr_db)],
        tr("Activation alone"): [(tr("Activation alone (dB)"), p.losses["activation"].sqnr_db)],
        tr("MSE"): [(tr("MSE"), p.loss.mse)],
        tr("Max |error|"): [(tr("Max |error|"), p.loss.max_abs_error)],
        tr("Cosine"): [(tr("Cosine"), p.loss.cosine)],
        tr("Worst token"): [(tr("Worst token (dB)"), p.rows.sqnr_db.min())],
        tr("Worst output"): [(tr("Worst output (dB)"), p.columns.sqnr_db.min())],
        tr("Scale of x"): ends(tr("Scale of x"), p.activation_qparams.scale),
        tr("Scale of W"): ends(tr("Scale of W"), p.weight_qparams.scale),
        tr("Largest sum"): [(tr("Largest sum"), p.largest_sum)],
        **_pairs_of(p),
        tr("Multiplied"): [
            (tr("Multiplied, tokens"), p.shape[0]),
            (tr("Multiplied, features"), p.activation.shape[1]),
            (tr("Multiplied, outputs"), p.shape[1]),
        ],
        tr("Computed in"): [(tr("Computed in (s)"), p.seconds)],
    }
