"""What does a person choose on the Model page? Schemes for all layers and for single ones, each a step of undo."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject, Slot

from qviz.core.formats.integers import IntFormat
from qviz.core.frozen import frozen
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import PerAxis, PerBlock
from qviz.gui.model.parts import ModelParts
from qviz.models.advice import Advice
from qviz.models.frontier import FrontierPoint
from qviz.models.units import Unit
from qviz.session.history import History
from qviz.session.networks import Networks

BLOCK = 32


@frozen
class Chosen:
    """What undo and redo act on."""

    scheme: Scheme
    own: dict[str, Scheme | None]
    activations: bool
    by_group: bool
    calibration_share: float


class Choosing(QObject):
    """Takes what the panels ask for to the networks, and keeps its history."""

    def __init__(self, networks: Networks, parts: ModelParts) -> None:
        super().__init__(parts)
        self.networks = networks
        self.history = History(self._chosen(), self._go_to, self)
        self._bits = parts.bits
        parts.data.share_changed.connect(self._on_share)
        parts.scheme.scheme_changed.connect(self._on_scheme)
        parts.scheme.activations_changed.connect(self._on_activations)
        parts.scheme.by_group_changed.connect(self._on_by_group)
        parts.scheme.own_cleared.connect(self._on_own_cleared)
        parts.layers.applied.connect(self._on_advice)
        parts.layers.own_requested.connect(self._on_own)
        parts.bits.applied.connect(self._on_point)

    def begin_anew(self) -> None:
        """With another network there is nothing to go back to."""
        self.history.settle(self._chosen())
        self.history.clear()

    def _chosen(self) -> Chosen:
        state = self.networks.state
        return Chosen(state.scheme, dict(state.own), state.activations, state.by_group, state.calibration_share)

    def _go_to(self, chosen: Chosen) -> Chosen:
        self.networks.update(**vars(chosen))
        return self._chosen()

    def _update(self, what: str | None = None, **changes: Any) -> None:
        """Change what is chosen, as one step of undo."""
        self.networks.update(**changes)
        self.history.note(self._chosen(), what)

    @Slot(float)
    def _on_share(self, share: float) -> None:
        self._update("share", calibration_share=share)

    @Slot(object)
    def _on_scheme(self, scheme: Scheme) -> None:
        self._update("scheme", scheme=scheme)

    @Slot(bool)
    def _on_activations(self, on: bool) -> None:
        self._update(activations=on)

    @Slot(object)
    def _on_by_group(self, on: bool) -> None:
        self._update(by_group=bool(on))

    @Slot()
    def _on_own_cleared(self) -> None:
        self._update(own={})

    @Slot(object)
    def _on_advice(self, given: Advice) -> None:
        own = {weight.name: given.scheme for weight in given.unit.weights}
        self._update(own={**self.networks.state.own, **own})

    @Slot(object, str)
    def _on_own(self, unit: Unit, key: str) -> None:
        names = [weight.name for weight in unit.weights]
        own = {name: scheme for name, scheme in self.networks.state.own.items() if name not in names}
        if key != "all":
            schemes: dict[str, Scheme | None] = {
                "float": None,
                "8": Scheme(IntFormat(8), granularity=PerAxis(0)),
                "4": Scheme(IntFormat(4), granularity=PerBlock(-1, BLOCK)),
            }
            own.update(dict.fromkeys(names, schemes[key]))
        self._update(own=own)

    @Slot(object)
    def _on_point(self, point: FrontierPoint) -> None:
        found = self._bits.frontier
        if found is not None:
            self._update(own={**self.networks.state.own, **found.schemes(point)})
