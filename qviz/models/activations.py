"""What flows between the nodes of a network on a person's data, and which ranges follow from it?

Samples come one at a time and only so many tensors are kept that memory stays the same however many samples there
are: the network is run again for the next tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from qviz.core.arithmetic.scaling import qparams_from_range
from qviz.core.arrays import Array, FloatArray
from qviz.core.formats.integers import IntFormat
from qviz.core.frozen import frozen
from qviz.core.problems import Problem
from qviz.core.questions.calibration import choose_qparams
from qviz.core.ranges.entropy import Entropy
from qviz.core.ranges.onnxruntime import OnnxRuntimePercentile
from qviz.core.ranges.rules import MinMax
from qviz.core.schemes.scheme import Scheme
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.models.network import Network, outer_names
from qviz.models.pieces import ActivationParameters
from qviz.models.sessions import Samples, open_session, run

HELD_BYTES = 1 << 28
"""Of captured activations, at once."""


@frozen
class Span:
    """The ends of one tensor over all samples.

    Attributes
    ----------
    low, high : float
        Smallest and largest finite value.
    batches : tuple of (float, float)
        The same of each sample, in order.
    constant : bool
        Whether every sample had the same single value everywhere.
    missing : int
        Elements that are NaN or infinite.
    """

    low: float
    high: float
    batches: tuple[tuple[float, float], ...]
    constant: bool
    missing: int

    @property
    def still_growing(self) -> bool:
        """Whether the last sample still widened the range by more than 1 %: more data would change the scale."""
        if len(self.batches) < 2:
            return False
        before = [b for b in self.batches[:-1] if b[0] <= b[1]]
        if not before:
            return False
        low, high = min(b[0] for b in before), max(b[1] for b in before)
        return (self.high - self.low) > 1.01 * (high - low)


def float_tensors(network: Network) -> tuple[str, ...]:
    """The names of float tensors that the nodes of a prepared network read or write, inputs first; no constants."""
    constants = {each.name for each in network.model.graph.initializer}
    known = {
        each.name: each.type.tensor_type.elem_type
        for part in (network.model.graph.value_info, network.model.graph.input, network.model.graph.output)
        for each in part
    }
    names = [port.name for port in network.inputs]
    names += [name for node in network.model.graph.node for name in (*outer_names(node), *node.output)]
    return tuple(name for name in dict.fromkeys(names) if name and name not in constants and known.get(name, 1) == 1)


def capture(network: Network, samples: Samples, names: Sequence[str]) -> Iterator[dict[str, Array]]:
    """The values of tensors between the nodes, a sample at a time.

    Raises
    ------
    Problem
        When the network cannot be run on a sample, or there is no such tensor.
    """
    inputs = {port.name for port in network.inputs}
    outputs = tuple(name for name in names if name not in inputs)
    session = open_session(network.model, optimized="basic", outputs=outputs) if outputs else None
    there = {each.name for each in session.get_outputs()} if session is not None else set()
    unknown = [name for name in outputs if name not in there]
    if unknown:
        raise Problem("This network has no tensor “{name}”.", name=unknown[0])
    for sample in samples:
        found = run(session, sample, list(outputs)) if outputs else []
        values = dict(zip(outputs, found, strict=True))
        yield {name: np.asarray(sample[name] if name in inputs else values[name]) for name in names}


def spans(
    network: Network,
    samples: Samples,
    names: Sequence[str] | None = None,
    *,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> dict[str, Span]:
    """The ends of tensors over all samples; memory holds one sample's values.

    Raises
    ------
    Problem
        When the network cannot be run on a sample.
    Cancelled
        When asked to stop.
    """
    names = list(names if names is not None else float_tensors(network))
    batches: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    missing = dict.fromkeys(names, 0)
    for done, values in enumerate(capture(network, samples, names)):
        check(cancelled)
        for name, array in values.items():
            finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array.reshape(-1)
            missing[name] += array.size - finite.size
            ends = (float(finite.min()), float(finite.max())) if finite.size else (np.inf, -np.inf)
            batches[name].append(ends)
        progress((done + 1) / len(samples))
    found = {}
    for name in names:
        low, high = min(b[0] for b in batches[name]), max(b[1] for b in batches[name])
        if not low <= high:
            low = high = 0.0
        found[name] = Span(low, high, tuple(batches[name]), low == high, missing[name])
    return found


def ranges(
    network: Network,
    samples: Samples,
    scheme: Scheme,
    names: Sequence[str] | None = None,
    *,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
    held_bytes: int = HELD_BYTES,
) -> dict[str, tuple[float, float]]:
    """The range that a scheme's estimator chooses for each tensor, from all samples.

    Parameters
    ----------
    network : Network
        Prepared.
    samples : Samples
    scheme : Scheme
        Of the activations; its granularity does not count. Estimators that average over batches take each sample for
        one.
    names : sequence of str, optional
        Of the tensors; all float ones otherwise.
    held_bytes : int
        How much of the activations is kept at once.

    Raises
    ------
    Problem
        When the network cannot be run on a sample.
    Cancelled
        When asked to stop.
    """
    names = list(names if names is not None else float_tensors(network))
    if isinstance(scheme.range_rule, MinMax):
        found = spans(network, samples, names, progress=progress, cancelled=cancelled)
        return {name: (span.low, span.high) for name, span in found.items()}
    chosen: dict[str, tuple[float, float]] = {}
    for part in _parts(network, samples, names, held_bytes):
        held: dict[str, list[Array]] = {name: [] for name in part}
        for values in capture(network, samples, part):
            check(cancelled)
            for name, array in values.items():
                held[name].append(np.asarray(array, np.float32))
        for name in part:
            check(cancelled)
            chosen[name] = _range(held.pop(name), scheme)
            progress(len(chosen) / len(names))
    return chosen


def _parts(network: Network, samples: Samples, names: list[str], held_bytes: int) -> Iterator[list[str]]:
    """Tensors that fit into memory together, by their sizes on the first sample."""
    sizes: dict[str, int] = {}
    for values in capture(network, samples[:1], names):
        sizes = {name: 4 * array.size * len(samples) for name, array in values.items()}
    part: list[str] = []
    held = 0
    for name in names:
        if part and held + sizes[name] > held_bytes:
            yield part
            part, held = [], 0
        part.append(name)
        held += sizes[name]
    if part:
        yield part


def _range(batches: list[FloatArray], scheme: Scheme) -> tuple[float, float]:
    kept = [batch for batch in batches if batch.size and np.isfinite(batch).any()]
    if not kept:
        return 0.0, 0.0
    rule = scheme.range_rule
    # A calibrator of ONNX Runtime collects all samples together, as quantize_static asks it.
    if hasattr(rule, "batch_axis") and not isinstance(rule, Entropy | OnnxRuntimePercentile):
        values = _side_by_side(kept)
        scheme = replace(scheme, range_rule=replace(rule, batch_axis=0))  # type: ignore[type-var]
    else:
        values = np.concatenate([batch.reshape(-1) for batch in kept])
    q = choose_qparams(values, scheme)
    return float(q.low.reshape(-1)[0]), float(q.high.reshape(-1)[0])


def _side_by_side(batches: list[FloatArray]) -> FloatArray:
    """Batches along a first axis, in their own shapes; shorter ones are filled up with NaN, which no estimator counts.

    Rows matter: Paddle's average takes the largest magnitude of each.
    """
    if len({batch.ndim for batch in batches}) > 1:
        batches = [batch.reshape(-1) for batch in batches]
    shape = tuple(max(sizes) for sizes in zip(*(batch.shape for batch in batches), strict=True))
    together = np.full((len(batches), *shape), np.nan, np.float32)
    for row, batch in zip(together, batches, strict=True):
        row[tuple(slice(size) for size in batch.shape)] = batch
    return together


def activation_parameters(
    low: float, high: float, number_format: IntFormat, *, symmetric: bool = False
) -> ActivationParameters:
    """Scale and zero point of one tensor of activations, as ONNX Runtime chooses them from a range."""
    scheme = Scheme(number_format, symmetric)
    q = qparams_from_range(np.array(low, np.float32), np.array(high, np.float32), scheme)
    return ActivationParameters(
        np.asarray(q.scale, np.float32).reshape(()), q.zero_point.astype(number_format.dtype).reshape(())
    )
