"""What did each swept scheme do? One row each, to be sorted by any figure."""

from __future__ import annotations

from dataclasses import dataclass

from qviz.core.questions.figures import Figures
from qviz.gui.kit.figure_model import Column
from qviz.gui.kit.figure_table import FigureTable
from qviz.gui.words.figures import metric_columns
from qviz.gui.words.schemes import words
from qviz.session.language import tr


@dataclass(eq=False)
class Result:
    """One scheme's figures, its words, and whether no other one beats it."""

    metrics: Figures
    parts: dict[str, str]
    unbeaten: bool = False


class SweepResults(FigureTable):
    """Every result of a sweep."""

    def __init__(self) -> None:
        super().__init__(_columns([]), tr("Schemes that were swept"))
        self._known: dict[int, Result] = {}

    def show_metrics(self, metrics: list[Figures], unbeaten: set[int]) -> None:
        """All results so far; ``unbeaten`` holds the ``id`` of those on the front."""
        for each in metrics:
            if id(each) not in self._known:
                self._known[id(each)] = Result(each, words(each.scheme))
        kept = {id(each) for each in metrics}
        self._known = {key: result for key, result in self._known.items() if key in kept}
        for key, result in self._known.items():
            result.unbeaten = key in unbeaten
        rows = sorted(
            self._known.values(), key=lambda r: (not r.unbeaten, r.metrics.storage.bits_per_element, -r.metrics.sqnr_db)
        )
        self.set_rows(rows, _columns(rows))

    def point_to_metrics(self, metrics: object) -> None:
        """The row of what another part points at."""
        self.point_to(next((r for r in self._known.values() if r.metrics is metrics), None))


def _columns(rows: list[Result]) -> list[Column]:
    def part(at: int) -> Column:
        titles = (tr("Format"), tr("Mode"), tr("Per"), tr("Range"))
        return Column(
            titles[at], lambda r: list(r.parts.values())[at], lambda r: _natural(list(r.parts.values())[at]), left=True
        )

    return [
        Column(
            "★",
            lambda r: "★" if r.unbeaten else "",
            lambda r: 0 if r.unbeaten else 1,
            tr("No other scheme keeps more with as few bits."),
            narrow=True,
        ),
        Column("", lambda r: "", tip=tr("Show this scheme on the Tensor page"), action="↗"),
        Column("", lambda r: "", tip=tr("Pin this scheme"), action="＋"),
        *(part(at) for at in range(4) if len({list(r.parts.values())[at] for r in rows}) != 1),
        *metric_columns(lambda r: r.metrics),
    ]


def _natural(word: str) -> str:
    """int4 before int16."""
    digits = "".join(c for c in word if c.isdigit())
    return word.rstrip("0123456789") + digits.rjust(6, "0")
