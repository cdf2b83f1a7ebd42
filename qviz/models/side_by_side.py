"""What is left of a network's answer in another one, both run on the same samples?"""

from __future__ import annotations

from qviz.core.problems import Problem
from qviz.core.work import IsCancelled, check, never
from qviz.models.network import Network
from qviz.models.not_finite import counted
from qviz.models.output_figures import Answers
from qviz.models.sessions import Samples, open_session, run


def side_by_side(network: Network, other: Network, samples: Samples, *, cancelled: IsCancelled = never) -> Answers:
    """The sums of what ``other`` answers, beside what ``network`` does.

    Parameters
    ----------
    network, other : Network
        In float, and quantized; the latter may ask for fewer inputs.
    samples : Samples

    Raises
    ------
    Problem
        When they have other inputs or outputs, one of them cannot be run, or the answer is no number in float already.
    Cancelled
        When asked to stop.
    """
    names = [port.name for port in network.outputs]
    missing = [name for name in names if name not in {port.name for port in other.outputs}]
    if missing:
        raise Problem("{file} has no output called {name}: is it the same network?", file=other.name, name=missing[0])
    known, asked = {port.name for port in network.inputs}, [port.name for port in other.inputs]
    foreign = [name for name in asked if name not in known]
    if foreign:
        raise Problem(
            "{file} asks for the input {name}, which {network} does not have: is it the same network?",
            file=other.name,
            name=foreign[0],
            network=network.name,
        )
    first, second = open_session(network.model), open_session(other.model)
    answers = Answers(names)
    for sample in samples:
        check(cancelled)
        answers.inputs.update(counted(sample))
        answers.add(run(first, sample, names), run(second, {name: sample[name] for name in asked}, names))
    answers.check()
    return answers
