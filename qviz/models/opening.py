"""Is a network safe to run beside the window? It is opened, prepared and run once in another process first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from qviz.core.work import IsCancelled, Progress, ignore, never
from qviz.models.network import MOST_IN_ONE, Network, open_network
from qviz.models.preparation import NO_CHOICES, Choices, Prepared, prepare_network
from qviz.models.sessions import open_session, random_feeds, run
from qviz.models.worker import in_worker


def open_prepared(
    path: str | Path,
    choices: Choices = NO_CHOICES,
    *,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Prepared:
    """Open and prepare a network in a process of its own, where a crash of the runtime is a sentence.

    Parameters
    ----------
    path : str or Path
    choices : Choices
        Open dimensions that stand in front and were not given are taken for 1: a sample at a time.

    Raises
    ------
    Problem
        When it cannot be read, or crashes the runtime.
    Cancelled
        When asked to stop; no process is left.
    """
    progress(0.1)
    found: Prepared | None = in_worker(_work, str(path), choices, progress=progress, cancelled=cancelled)
    if found is not None:
        return found
    network = open_network(path)  # too large to be sent: the trial went well, so that it can be done here
    return prepare_network(network, with_batches(network, choices))


def with_batches(network: Network, choices: Choices) -> Choices:
    """The choices with 1 for every open dimension in front, where nobody chose."""
    dimensions = dict(choices.dimensions)
    for port in network.inputs:
        if port.name in choices.inputs or not port.shape or isinstance(port.shape[0], int):
            continue
        dimensions.setdefault(port.open_dimensions[0], 1)
    return replace(choices, dimensions=dimensions)


def _work(folder: Path, tell: Callable[[Any], None], path: str, choices: Choices) -> Prepared | None:
    network = open_network(path)
    tell(0.3)
    prepared = prepare_network(network, with_batches(network, choices))
    tell(0.8)
    if not any(port.open_dimensions or port.dtype == "string" for port in prepared.network.inputs):
        run(open_session(prepared.network.model), random_feeds(prepared.network))
    size = prepared.network.model.ByteSize() + network.model.ByteSize()
    return prepared if size < MOST_IN_ONE else None
