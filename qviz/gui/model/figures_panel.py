"""What is left of the network's output, and what do its weights take?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QComboBox, QWidget

from qviz.core.problems import N_
from qviz.core.sizes import byte_text
from qviz.gui.kit.copying import copy_lines
from qviz.gui.kit.fields import ComboBox
from qviz.gui.kit.figure_rows import FigureRows, Headline
from qviz.gui.kit.judgement import judgement
from qviz.gui.kit.widgets import column, named_label, quiet
from qviz.gui.words.numbers import NONE, cosine, decibels, number, percent
from qviz.models.output_figures import OutputFigures
from qviz.session.language import tr
from qviz.session.network_state import Whole


@dataclass(frozen=True)
class Figure:
    """One row: how it is called, read, and judged (``better``: 1 higher, -1 lower, 0 neither)."""

    label: str
    better: int
    read: Callable[[OutputFigures], str]
    value: Callable[[OutputFigures], float | None]
    tip: str
    unit: str = ""

    @property
    def heading(self) -> str:
        """What it is copied under."""
        return f"{tr(self.label)} ({self.unit})" if self.unit else tr(self.label)


def _share(value: float | None) -> str:
    return NONE if value is None else percent(value, 1.0)


def _samples(whole: Whole) -> str:
    if whole.complete:
        return str(whole.samples)
    return tr("{count} of {total} so far").format(count=whole.samples, total=whole.all_samples)


FIGURES: tuple[Figure, ...] = (
    Figure(
        N_("SQNR"),
        1,
        lambda o: decibels(o.sqnr_db),
        lambda o: o.sqnr_db,
        N_("20·log₁₀(‖y‖ / ‖y − ŷ‖) of this output."),
        "dB",
    ),
    Figure(
        N_("Cosine"),
        1,
        lambda o: cosine(o.cosine),
        lambda o: o.cosine,
        N_("Cosine of the angle between both outputs; 1 is perfect."),
    ),
    Figure(
        N_("Max |error|"),
        -1,
        lambda o: number(o.max_abs_error, 4),
        lambda o: o.max_abs_error,
        N_("The largest error of an element."),
    ),
    Figure(
        N_("KL divergence"),
        -1,
        lambda o: NONE if o.kl is None else number(o.kl, 3, "nat"),
        lambda o: o.kl,
        N_("Mean divergence of the softmax of both outputs, in nats."),
        "nat",
    ),
    Figure(
        N_("Same class"),
        1,
        lambda o: _share(o.top1),
        lambda o: o.top1,
        N_("Rows whose largest element is the same (top-1)."),
    ),
    Figure(
        N_("Same five"),
        1,
        lambda o: _share(o.topk),
        lambda o: o.topk,
        N_("How many of the five largest are the same (top-5)."),
    ),
    Figure(
        N_("Same text"),
        1,
        lambda o: _share(o.sequences),
        lambda o: o.sequences,
        N_("Samples whose greedy CTC reading is the same."),
    ),
    Figure(
        N_("Same boxes"),
        1,
        lambda o: _share(o.detections),
        lambda o: o.detections,
        N_("F1 agreement of the boxes that both find."),
    ),
)
"""Every figure of an output, in its order; what an output does not look like has a dash."""


class OutputPanel(QWidget):
    """The headline over all outputs, the figures of one of them, and bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.whole: Whole | None = None
        self.headline = Headline(
            "888.88 dB",
            self.tr("SQNR of the output"),
            judgement(1),
            self.tr("SQNR of the output in dB"),
            self.tr("All outputs together, each with the same weight, on the samples that are held out."),
        )
        self.noise = named_label(self.tr("RANDOM DATA: says nothing about real inputs"), "problem", wrap=True)
        self.noise.hide()
        self.outputs = ComboBox()
        self.outputs.setAccessibleName(self.tr("Output"))
        self.outputs.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.outputs.setMinimumContentsLength(8)
        self.rows = FigureRows([(tr(f.label), f.better, tr(f.tip)) for f in FIGURES])
        self.sizes = FigureRows(
            [
                (self.tr("Weights, quantized"), -1, self.tr("Codes, scales and zero points.")),
                (self.tr("Weights, float"), 0, self.tr("As the file has them.")),
                (self.tr("Samples"), 0, self.tr("Held out: no range was chosen from them.")),
            ]
        )
        self.hint = named_label("", "hint", wrap=True)
        layout = column(self, spacing=4)
        for widget in (self.headline, self.noise, self.outputs, self.rows, self.sizes, self.hint):
            layout.addWidget(widget)
        layout.addStretch(1)
        self.outputs.currentIndexChanged.connect(self._show)
        for part in (self.headline, self.rows, self.sizes):
            part.copy_all_requested.connect(self.copy)
        self.present(None, self.tr("Open a network and give it data: what its output loses stands here."))

    def present(self, whole: Whole | None, hint: str = "") -> None:
        """Show an answer, or say why there is none."""
        self.whole = whole
        for widget in (self.headline, self.rows, self.sizes):
            widget.setVisible(whole is not None)
        self.hint.setText(hint)
        self.hint.setVisible(bool(hint))
        self.noise.setVisible(whole is not None and whole.random)
        names = [output.name for output in whole.outputs] if whole is not None else []
        if names != [self.outputs.itemText(i) for i in range(self.outputs.count())]:
            with quiet((self.outputs,)):
                self.outputs.clear()
                self.outputs.addItems(names)
        self.outputs.setVisible(len(names) > 1)
        self._show()

    def set_stale(self, stale: bool) -> None:
        """Figures of other schemes are pale until their successors arrive."""
        if self.isEnabled() == stale:
            self.setEnabled(not stale)

    @Slot()
    def copy(self) -> None:
        """The figures to the clipboard."""
        whole = self.whole
        if whole is None:
            return
        of = (tr("Output"), tr("Figure"), tr("Value"))
        data = ("", tr("Data"), tr("random") if whole.random else tr("held out"))
        plain: list[tuple[str, str, Any]] = [("", tr("SQNR (dB)"), whole.sqnr_db), data]
        pretty = [("", tr("SQNR"), decibels(whole.sqnr_db)), data]
        for output in whole.outputs:
            plain += [(output.name, figure.heading, figure.value(output)) for figure in FIGURES]
            pretty += [(output.name, tr(figure.label), figure.read(output)) for figure in FIGURES]
        for title, size in ((tr("Bytes"), whole.quantized_bytes), (tr("Float bytes"), whole.float_bytes)):
            plain.append(("", title, round(size)))
            pretty.append(("", title, byte_text(round(size))))
        plain.append(("", tr("Samples"), whole.samples))
        pretty.append(("", tr("Samples"), _samples(whole)))
        copy_lines([of, *plain], [of, *pretty])

    @Slot()
    def _show(self, *_: object) -> None:
        whole = self.whole
        if whole is None or not whole.outputs:
            return
        self.headline.show_figure(decibels(whole.sqnr_db), whole.sqnr_db)
        output = whole.outputs[max(0, min(self.outputs.currentIndex(), len(whole.outputs) - 1))]
        self.rows.show_texts(
            [figure.read(output) for figure in FIGURES], [[figure.value(output)] for figure in FIGURES]
        )
        share = percent(whole.quantized_bytes, whole.float_bytes) if whole.float_bytes else NONE
        self.sizes.show_texts(
            [
                f"{byte_text(round(whole.quantized_bytes))} · {share}",
                byte_text(round(whole.float_bytes)),
                _samples(whole),
            ],
            [[round(whole.quantized_bytes)], [round(whole.float_bytes)], [whole.samples]],
        )
