"""What in a network, its samples or its answers is NaN or infinite? The sentences that stand beside its figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from qviz.core.arrays import Array
from qviz.core.printable import brief
from qviz.core.problems import Phrase
from qviz.models.network import Network, array_of
from qviz.models.output_figures import OutputFigures
from qviz.models.sessions import Feeds
from qviz.models.weights import weights_of

Counts = Mapping[str, int]
"""How many elements are NaN or infinite, by the names of those tensors that have any."""


def counted(arrays: Mapping[str, Array]) -> dict[str, int]:
    """Of some arrays."""
    lost = {name: a.size - int(np.count_nonzero(np.isfinite(a))) for name, a in arrays.items() if a.dtype.kind == "f"}
    return {name: count for name, count in lost.items() if count}


def of_weights(network: Network) -> dict[str, int]:
    """Of what nodes multiply with."""
    names = {weight.name for weight in weights_of(network)}
    found: dict[str, int] = {}
    for each in network.model.graph.initializer:
        if each.name in names:
            found |= counted({each.name: array_of(each).astype(np.float32)})
    return found


def of_samples(samples: Iterable[Feeds]) -> Counts:
    """Of all samples together, by input."""
    found: Counter[str] = Counter()
    for sample in samples:
        found.update(counted(sample))
    return found


def of_outputs(outputs: Sequence[OutputFigures]) -> dict[str, int]:
    """Of the float network's answers."""
    return {output.name: output.missing for output in outputs if output.missing}


def sentences(weights: Counts, inputs: Counts, outputs: Counts) -> tuple[Phrase, ...]:
    """What is said of them: of weights in one sentence, of each input and output in one of its own."""
    said: list[Phrase] = []
    if len(weights) > 1:
        first = brief(next(iter(weights)))
        said.append(
            Phrase("{number:,} weights hold NaN or infinities ({name}, …).", number=len(weights), name=first),
        )
    else:
        said += [
            Phrase("The weight {name} holds {what}.", name=brief(name), what=_what(count))
            for name, count in weights.items()
        ]
    said += [
        Phrase("The input {name} holds {what}.", name=brief(name), what=_what(count)) for name, count in inputs.items()
    ]
    said += [
        Phrase(
            "The float network itself answers {what} ({name}): what quantizing costs there cannot be told.",
            name=brief(name),
            what=_what(count),
        )
        for name, count in outputs.items()
    ]
    return tuple(said)


def _what(count: int) -> Phrase:
    return Phrase("1 NaN or infinity") if count == 1 else Phrase("{count:,} NaN or infinities", count=count)
