"""In what do the pinned schemes differ? One row each, the best of each column marked."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qviz.core.frozen import frozen
from qviz.core.schemes.scheme import Scheme
from qviz.gui.kit.figure_model import Column
from qviz.gui.kit.figure_table import FigureTable
from qviz.gui.words.figures import known, metric_columns, parameter_columns, why_not
from qviz.gui.words.schemes import line, lines, words
from qviz.session.language import tr
from qviz.session.pins import Pin

OPEN, REMOVE = "↗", "✕"


@frozen
class PinRow:
    """A pin, what it is called among the others, and what it does to the tensor: None while that is not known."""

    pin: Pin
    name: str
    found: object = None

    @property
    def role(self) -> str:
        """Its colour."""
        return f"series{self.pin.place + 1}"

    @property
    def dashed(self) -> bool:
        """Every second line is dashed: colours are not all that tells them apart."""
        return self.pin.place % 2 == 1


def pin_rows(pins: tuple[Pin, ...], found: Mapping[Scheme, object]) -> list[PinRow]:
    """A row for each pin; one without a name is called by what is particular about it."""
    names = lines([words(pin.scheme) for pin in pins])
    return [PinRow(pin, pin.name or name, found.get(pin.scheme)) for pin, name in zip(pins, names, strict=True)]


class PinsTable(FigureTable):
    """The pins with their figures."""

    def __init__(self) -> None:
        super().__init__(_columns([]), tr("Pinned schemes"))
        self.figures.mark = lambda row: row.role

    def show_pins(self, rows: list[PinRow]) -> None:
        """Rows as they are now; words that are the same for all have no column."""
        current = self.current()
        self.set_rows(rows, _columns(rows))
        if current is not None:
            self.point_to(next((row for row in rows if row.pin.scheme == current.pin.scheme), None))


def _columns(rows: list[PinRow]) -> list[Column]:
    parts = [words(row.pin.scheme) for row in rows]
    parts_alone = list(parts[0]) if parts else []  # of a single pin there is nothing that differs
    differing = [key for key in (parts[0] if parts else ()) if len({each[key] for each in parts}) > 1]

    def word(key: str) -> Callable[[PinRow], str]:
        return lambda row: words(row.pin.scheme)[key]

    return [
        Column(
            tr("Scheme"),
            lambda row: row.pin.name or tr("Pin {place}").format(place=row.pin.place + 1),
            left=True,
            editable=True,
            tip=tr("F2 or a double click gives it another name."),
            cell_tip=lambda row: why_not(row.found) or line(row.pin.scheme),
            faint=lambda row: bool(why_not(row.found)),
        ),
        Column("", lambda row: "", tip=tr("Show this scheme on the Tensor page"), action=OPEN),
        Column("", lambda row: "", tip=tr("Remove this pin (Delete)"), action=REMOVE),
        *(Column(key, word(key), left=True) for key in differing or parts_alone),
        *metric_columns(lambda row: known(row.found)),
        *parameter_columns(lambda row: known(row.found)),
    ]
