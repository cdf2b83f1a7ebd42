"""What of a network is looked at on other pages? A weight, what flows through a layer, and what it multiplies."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.printable import brief, printable
from qviz.gui.model.layers_panel import Layer
from qviz.gui.model.parts import ModelParts
from qviz.gui.words.schemes import format_word
from qviz.models.graph_layout import Box
from qviz.models.network import array_of
from qviz.models.units import Unit
from qviz.models.weights import quantized_weight, weights_of
from qviz.session.capturer import INPUT, OUTPUT
from qviz.session.networks import Networks
from qviz.session.weight_audit import Constant


class Looking(QObject):
    """Takes what was opened to the pages that show it.

    Signals
    -------
    tensor_requested(str, array)
    problem(str)
    """

    tensor_requested = Signal(str, object)
    problem = Signal(str)

    def __init__(self, networks: Networks, parts: ModelParts) -> None:
        super().__init__(parts)
        self.networks = networks
        parts.layers.opened.connect(self._on_layer_opened)
        parts.layers.look_requested.connect(self._on_look)
        parts.graph.opened.connect(self._on_box_opened)
        parts.weights.opened.connect(self._on_constant)

    @Slot(object)
    def _on_layer_opened(self, row: Layer) -> None:
        if row.unit.weights:
            self._open_constant(row.unit.weights[0].name)

    @Slot(object, str)
    def _on_look(self, unit: Unit, what: str) -> None:
        """What a layer reads, multiplies and gives, on other pages."""
        state, node = self.networks.state, unit.nodes[0]
        if what in (INPUT, OUTPUT):
            self.networks.capturer.capture(state, node if what == INPUT else unit.nodes[-1], what)
        elif what == "pair":
            self.networks.capturer.pair(state, node)
        elif not unit.weights:
            self.problem.emit(self.tr("“{name}” has no weight of its own.").format(name=brief(unit.name)))
        else:
            self._open_constant(unit.weights[0].name, quantized=what == "quantized")

    @Slot(object)
    def _on_box_opened(self, box: Box) -> None:
        weights = [weight for unit in box.units for weight in unit.weights]
        if weights:
            self._open_constant(weights[0].name)

    @Slot(object)
    def _on_constant(self, constant: Constant) -> None:
        self._open_constant(constant.name)

    def _open_constant(self, name: str, *, quantized: bool = False) -> None:
        """A weight on the Tensor page, as it is or as its scheme makes it."""
        prepared = self.networks.state.prepared
        if prepared is None:
            return
        tensor = next((each for each in prepared.network.model.graph.initializer if each.name == name), None)
        if tensor is None:
            return
        array = array_of(tensor)
        if array.dtype.kind not in "fiub" or not array.size:
            self.problem.emit(self.tr("“{name}” holds no numbers that could be shown.").format(name=brief(name)))
            return
        title = printable(f"{prepared.network.name}: {name}")
        weight = next((each for each in weights_of(prepared.network) if each.name == name), None)
        scheme = self.networks.state.own.get(name, self.networks.state.scheme)
        if quantized and weight is not None and scheme is not None:
            array = quantized_weight(weight, array.astype(np.float32), scheme)
            title += f" ({format_word(scheme.number_format)})"
        self.tensor_requested.emit(title, np.array(array))
