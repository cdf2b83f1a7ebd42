"""When is it measured what the scheme does to each weight? While somebody looks, as often as a scheme moves."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, QTimer, Slot

from qviz.gui.model.layers_panel import own_word
from qviz.gui.model.parts import ModelParts
from qviz.models.preparation import Prepared
from qviz.models.units import Unit
from qviz.session.networks import Networks
from qviz.session.weight_audit import Constant, constants_of

REFRESH_MILLISECONDS = 80
"""Weights that come in quick succession are shown together."""


class Auditing(QObject):
    """Asks about the weights of the network, and shows what comes."""

    def __init__(self, networks: Networks, parts: ModelParts) -> None:
        super().__init__(parts)
        self.networks, self._parts = networks, parts
        self._units: Sequence[Unit] = ()
        self._of: Prepared | None = None
        self._constants: tuple[Constant, ...] = ()
        self._found: dict[str, float] = {}
        self._asked: tuple[object, ...] = ()
        self._due = QTimer(self)
        self._due.setSingleShot(True)
        self._due.setInterval(REFRESH_MILLISECONDS)
        self._due.timeout.connect(self._show)
        networks.audit.found.connect(self._on_found)
        self._show()

    def refresh(self, units: Sequence[Unit]) -> None:
        """Ask about every weight whose answer is not of the present schemes, while somebody looks."""
        state, self._units = self.networks.state, units
        if state.prepared is not self._of:
            self._of = state.prepared
            self._constants = constants_of(state.prepared.network) if state.prepared is not None else ()
        if self._parts.stack.currentIndex() != 1:
            return
        key = (state.prepared, state.scheme, tuple(state.own.items()))
        if key != self._asked:
            self._asked, self._found = key, {}
            names = tuple(constant.name for constant in self._constants if constant.weight is not None)
            if state.prepared is not None and names:
                self.networks.audit.ask(state, names)
        self._show()

    @Slot(str, float)
    def _on_found(self, name: str, value: float) -> None:
        self._found[name] = value
        if not self._due.isActive():
            self._due.start()

    @Slot()
    def _show(self) -> None:
        own = self.networks.state.own
        words = {weight.name: own_word(unit, own) for unit in self._units for weight in unit.weights}
        self._parts.weights.show_constants(self._constants, self._found, words)
        self._parts.weights_place.say(
            ""
            if self._constants
            else self.tr(
                "Drop a checkpoint here (.safetensors, .gguf, .pt, .onnx and others, or a folder of its parts): all "
                "its tensors, what a scheme does to each, and where in the model they suffer."
            )
        )
