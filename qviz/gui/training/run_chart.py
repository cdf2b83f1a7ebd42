"""What do the charts of a training share? They show a `Snapshot`, and three networks in three colours."""

from __future__ import annotations

from typing import Any, ClassVar

from PySide6.QtCore import Slot

from qviz.core.problems import N_
from qviz.gui.charts.base import Chart, LinkedCursor
from qviz.session.language import tr
from qviz.training.snapshot import NETWORKS, Snapshot

ROLES = {"float": "original", "ptq": "ptq", "qat": "qat"}
"""The colour of each network."""

NAMES: dict[str, str] = {
    "float": N_("Float"),
    "ptq": N_("PTQ"),
    "qat": N_("QAT"),
}


class RunChart(Chart):
    """A chart of a training under way."""

    judged: ClassVar[bool] = False

    def __init__(self, link: LinkedCursor, **options: Any) -> None:
        super().__init__(link, **options)
        self.snapshot: Snapshot | None = None

    @property  # type: ignore[misc]
    def analysis(self) -> Any:
        """What is shown, for the base: whether there is anything."""
        return self.snapshot

    @Slot(object)
    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show another moment; only hands ready arrays to the items."""
        fresh = self.snapshot is None or snapshot.experiment is not self.snapshot.experiment
        if self.snapshot is None:
            self.canvas.show()
        self.snapshot = snapshot
        self.draw_snapshot(snapshot, fresh)

    def draw_snapshot(self, snapshot: Snapshot, fresh: bool) -> None:
        """Draw a moment; ``fresh`` if it is of another experiment than the one before."""
        raise NotImplementedError

    def names(self) -> dict[str, str]:
        """Colour roles and names of the networks, for a legend."""
        return {ROLES[name]: tr(NAMES[name]) for name in NETWORKS}
