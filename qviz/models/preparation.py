"""What has to be done to a network before it can be quantized? Each step is said, can be left out, and is checked.

ONNX Runtime's own ``quant_pre_process`` fails on most networks that people have. These steps are small and each
leaves the outputs as they were; `compare` measures that on data.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qviz.core.frozen import frozen
from qviz.core.problems import Phrase, Problem
from qviz.models.network import Network, copied, filled, is_large, with_stubs
from qviz.models.preparation_steps import FAILED, NO_CHOICES, STEPS, Choices, Step
from qviz.models.sessions import Feeds, first_line, open_session, random_feeds, run


@frozen(eq=False)
class Comparison:
    """How far the outputs of two networks are from each other on the same data.

    Attributes
    ----------
    largest : float
        The largest absolute difference of all outputs.
    relative : float
        That of ‖a − b‖ / ‖a‖, the largest of all outputs; 0 for equal ones.
    changed : int
        Elements that differ at all.
    elements : int
    """

    largest: float
    relative: float
    changed: int
    elements: int


@frozen(eq=False)
class Prepared:
    """A network that is ready, and what was done to it.

    Attributes
    ----------
    network : Network
    original : Network
    steps : tuple of Step
    comparison : Comparison or None
        Of both on the same data; None where they could not be run.
    problem : Problem or None
        Why not.
    """

    network: Network
    original: Network
    steps: tuple[Step, ...]
    comparison: Comparison | None
    problem: Problem | None = None


def prepare_network(
    original: Network, choices: Choices = NO_CHOICES, *, feeds: Feeds | None = None, compared: bool = True
) -> Prepared:
    """Take every step that helps, and compare the outcome with the original.

    Parameters
    ----------
    original : Network
    choices : Choices
    feeds : mapping of str to array, optional
        A sample to compare both on; random values otherwise.
    compared : bool
        Whether both are run; without, `Prepared.comparison` is None.

    Raises
    ------
    Problem
        When a dimension or an input that is set does not exist.
    """
    _check_choices(original, choices)
    # No step looks at the values of large constants in a network of gigabytes: they are copied once, at the end.
    large = is_large(original.model)
    model = with_stubs(original.model) if large else copied(original.model)
    steps: list[Step] = []
    for key, take in STEPS.items():
        if key in choices.left_out:
            continue
        before = copied(model)
        try:
            step, model = take(model, choices)
        except Exception as error:  # a converter or the runtime gave up: what it was given still stands
            said = Phrase("{what}: {reason}", what=Phrase(FAILED[key]), reason=first_line(error))
            model, step = before, Step(key, said, False)
        if step is not None:
            steps.append(step)
    network = replace(original, model=filled(model, original.model) if large else model)
    if not compared:
        return Prepared(network, original, tuple(steps), None)
    try:
        comparison = compare(original, network, feeds or random_feeds(original, choices.dimensions), choices)
    except Problem as found:
        still = [name for port in network.inputs for name in port.open_dimensions]
        # One that is open was taken for a length of 1, which few networks can be run with.
        why = Problem("these dimensions are open: {names}.", names=", ".join(dict.fromkeys(still))) if still else found
        return Prepared(network, original, tuple(steps), None, why)
    return Prepared(network, original, tuple(steps), comparison)


def compare(original: Network, other: Network, feeds: Feeds, choices: Choices = NO_CHOICES) -> Comparison:
    """Run both on the same sample, without optimizations that would hide a difference.

    Raises
    ------
    Problem
        When one of them cannot be run.
    """
    full = {**feeds, **choices.inputs}
    wanted = [port.name for port in original.outputs]
    ours = {port.name for port in other.inputs}
    # The prepared one first: what it does not load is said of nodes that have names.
    after, before = (open_session(each.model, optimized="basic") for each in (other, original))
    first = run(before, full, wanted)
    second = run(after, {k: v for k, v in full.items() if k in ours}, wanted)
    largest = relative = 0.0
    changed = elements = 0
    for a, b in zip(first, second, strict=True):
        if a.dtype.kind not in "fiub" or a.shape != b.shape:
            same = a.shape == b.shape and bool(np.all(a == b))
            largest, relative = (largest, relative) if same else (np.inf, np.inf)
            continue
        x, y = a.astype(np.float64), b.astype(np.float64)
        differs = ~((x == y) | (np.isnan(x) & np.isnan(y)))
        changed, elements = changed + int(np.count_nonzero(differs)), elements + x.size
        if differs.any():
            difference = np.abs(np.where(differs, x - y, 0.0))
            largest = max(largest, float(np.nan_to_num(difference, nan=np.inf).max()))
            norm = float(np.linalg.norm(np.nan_to_num(x)))
            relative = max(relative, float(np.linalg.norm(difference)) / norm if norm else np.inf)
    return Comparison(largest, relative, changed, elements)


def _check_choices(network: Network, choices: Choices) -> None:
    ports = {port.name: port for port in network.inputs}
    known = {name for port in ports.values() for name in port.open_dimensions}
    for name, value in choices.dimensions.items():
        if name not in known:
            nothing = Phrase("every dimension has a number already")
            said = Phrase("choose one of {known}", known=", ".join(sorted(known))) if known else nothing
            raise Problem("This network has no open dimension “{name}”: {said}.", name=name, said=said)
        if value < 1:
            raise Problem("The dimension {name} cannot be {value}: give a number of 1 or more.", name=name, value=value)
    for name in choices.inputs:
        if name not in ports:
            raise Problem("This network has no input “{name}”: it has {known}.", name=name, known=", ".join(ports))
