"""What flows through one layer? Captured beside the window, to be seen on other pages."""

from __future__ import annotations

from typing import Any

import numpy as np
from PySide6.QtCore import Signal

from qviz.core.problems import Phrase, Problem
from qviz.core.work import IsCancelled, Progress, check
from qviz.models.activations import capture
from qviz.models.network import outer_names
from qviz.models.pairs import pair_of
from qviz.session.network_state import NetworkState
from qviz.session.worker import Worker

INPUT, OUTPUT = "input", "output"
HELD_BYTES = 1 << 28
"""Of captured samples, at most."""


class Capturer(Worker):
    """Runs the network for the activations of one layer.

    Signals
    -------
    captured(str, array)
        A name, and the values over the held-out samples, stacked along a first axis.
    paired(str, array, array)
        A name, an activation (tokens, features) and a weight (outputs, features).
    """

    captured = Signal(str, object)
    paired = Signal(str, object, object)

    def capture(self, state: NetworkState, node: str, which: str) -> None:
        """What enters a node (`INPUT`), or leaves it (`OUTPUT`)."""

        def work(progress: Progress, cancelled: IsCancelled) -> tuple[str, Any]:
            network, samples = _ready(state)
            found = next(each for each in network.model.graph.node if each.name == node)
            constants = {each.name for each in network.model.graph.initializer}
            names = [n for n in (outer_names(found) if which == INPUT else found.output) if n and n not in constants]
            if not names:
                raise Problem("Nothing that depends on the data enters “{name}”.", name=node)
            parts: list[Any] = []
            for values in capture(network, samples, names[:1]):
                check(cancelled)
                parts.append(values[names[0]])
                progress(len(parts) / len(samples))
                if sum(part.nbytes for part in parts) > HELD_BYTES:
                    break
            alike = len({part.shape for part in parts}) == 1
            return f"{network.name}: {names[0]}", np.stack(parts) if alike and len(parts) > 1 else parts[0]

        self._submit((node, which), work, urgent=True)

    def pair(self, state: NetworkState, node: str) -> None:
        """What a node multiplies."""

        def work(progress: Progress, cancelled: IsCancelled) -> tuple[str, Any, Any]:
            network, samples = _ready(state)
            x, w = pair_of(network, node, samples, cancelled=cancelled)
            return f"{network.name}: {node}", x, w

        self._submit((node, "pair"), work, urgent=True)

    def _purpose(self, key: Any) -> Phrase:
        return Phrase("this network's activations")

    def _answer(self, key: Any, found: Any) -> None:
        if len(found) == 2:
            self.captured.emit(*found)
        else:
            self.paired.emit(*found)


def _ready(state: NetworkState) -> tuple[Any, Any]:
    if not state.ready or state.prepared is None:
        raise Problem("Open a network and give it data first: its activations come from running it.")
    return state.prepared.network, state.split()[1]
