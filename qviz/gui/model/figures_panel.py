"""What is left of the network's output, and what do its weights take?"""

from __future__ import annotations

import math
from typing import Any

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QWidget

from qviz.core.printable import printable
from qviz.core.sizes import byte_text
from qviz.gui.kit.copying import copy_lines
from qviz.gui.kit.fields import ComboBox
from qviz.gui.kit.figure_rows import FigureRows, Headline
from qviz.gui.kit.judgement import judgement
from qviz.gui.kit.widgets import column, named_label, quiet
from qviz.gui.words.networks import FIGURES
from qviz.gui.words.numbers import NONE, decibels, percent
from qviz.session.language import told, tr
from qviz.session.network_state import Whole


def _samples(whole: Whole) -> str:
    if whole.complete:
        return str(whole.samples)
    return tr("{count} of {total} so far").format(count=whole.samples, total=whole.all_samples)


class OutputPanel(QWidget):
    """The headline over all outputs, the figures of one of them, and bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.whole: Whole | None = None
        self.headline = Headline(
            "888.88 dB",
            self.tr("SQNR of the output"),
            [judgement(1)],
            self.tr("SQNR of the output in dB"),
            self.tr("All outputs together, each with the same weight, on the samples that are held out."),
        )
        self.noise = named_label(self.tr("RANDOM DATA: says nothing about real inputs"), "problem", wrap=True)
        self.noise.hide()
        self.not_finite = named_label("", "problem", wrap=True)
        self.not_finite.setTextFormat(Qt.TextFormat.PlainText)
        self.not_finite.hide()
        self.outputs = ComboBox()
        self.outputs.setAccessibleName(self.tr("Output"))
        self.outputs.stay_narrow(8)
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
        for widget in (self.headline, self.noise, self.not_finite, self.outputs, self.rows, self.sizes, self.hint):
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
        said = "\n".join(map(told, whole.not_finite)) if whole is not None else ""
        self.not_finite.setText(said)
        self.not_finite.setVisible(bool(said))
        names = [printable(output.name) for output in whole.outputs] if whole is not None else []
        if names != [self.outputs.itemText(i) for i in range(self.outputs.count())]:
            with quiet((self.outputs,)):
                self.outputs.clear()
                self.outputs.addItems(names)
                self.outputs.setCurrentIndex(self._worst())
        self.outputs.setVisible(len(names) > 1)
        self._show()

    def _worst(self) -> int:
        """The output that most of the headline is about: some are reached by no weight at all."""
        found = self.whole.outputs if self.whole is not None else ()
        left = [-math.inf if math.isnan(output.sqnr_db) else output.sqnr_db for output in found]
        return left.index(min(left)) if left else -1

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
            plain += [(printable(output.name), figure.heading, figure.value(output)) for figure in FIGURES]
            pretty += [(printable(output.name), tr(figure.label), figure.read(output)) for figure in FIGURES]
        remarks = [("", tr("Not finite"), told(each)) for each in whole.not_finite]
        plain += remarks
        pretty += remarks
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
