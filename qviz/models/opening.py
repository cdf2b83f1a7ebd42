"""Is a network safe to run beside the window? It is opened, prepared and run once in another process first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from qviz.core.frozen import frozen
from qviz.core.problems import N_, Problem
from qviz.core.work import IsCancelled, Progress, ignore, never
from qviz.files.problems import FileProblem, system_errors
from qviz.files.stamp import Stamp
from qviz.models.network import MOST_IN_ONE, Network, constant_bytes, open_again, open_network, with_stubs
from qviz.models.preparation import Comparison, Prepared, prepare_network
from qviz.models.preparation_steps import NO_CHOICES, WANTED_OPSET, Choices
from qviz.models.sessions import first_line, open_session, random_feeds, run
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
    path = Path(path).absolute()  # the other process works in a folder of its own
    found: Prepared | Trial = in_worker(_work, str(path), choices, progress=progress, cancelled=cancelled)
    if isinstance(found, Prepared):
        return found
    # Too large to be sent: the trial went well, so that it can be done here, once more but for running it.
    original = open_again(path, found.stamps)
    prepared = prepare_network(original, with_batches(original, choices), compared=False)
    return replace(
        prepared,
        original=replace(original, model=with_stubs(original.model)),
        comparison=found.comparison,
        problem=found.problem,
    )


@frozen(eq=False)
class Trial:
    """What is sent of a network that is too large to be sent itself."""

    comparison: Comparison | None
    problem: Problem | None
    stamps: tuple[tuple[Path, Stamp], ...]


CONVERTED = (".pdmodel", ".pdiparams", ".tflite")
"""Endings of networks that are no ONNX."""


def open_as_onnx(path: str | Path, *, cancelled: IsCancelled = never) -> Network:
    """A network of another kind as ONNX, converted in a process of its own: converters may end theirs.

    Raises
    ------
    Problem
        When it cannot be converted here.
    Cancelled
        When asked to stop.
    """
    found: Network = in_worker(_convert, str(Path(path).absolute()), cancelled=cancelled)
    return found


def _convert(folder: Path, tell: Callable[[Any], None], path: str) -> Network:
    original = Path(path)
    network = open_network(onnx_of(original, folder))
    stamps = network.stamps if network.path == original else ()
    return replace(network, name=original.name, path=original, stamps=stamps)


def onnx_of(path: Path, folder: Path) -> Path:
    """The network as ONNX: itself, or what paddle2onnx makes of a Paddle inference model, in ``folder``.

    Raises
    ------
    FileProblem
        When that package is not installed, cannot convert it, or it is a network of another kind.
    """
    ending = path.suffix.lower()
    if ending == ".tflite":
        raise FileProblem(
            path,
            N_("is a TFLite network, which ONNX Runtime cannot run"),
            N_("Open it for its weights, or convert it with tf2onnx."),
        )
    if ending not in CONVERTED:
        return path
    program, values = path.with_suffix(".pdmodel"), path.with_suffix(".pdiparams")
    if not program.exists() and path.with_suffix(".json").exists():  # as Paddle 3 writes it
        program = path.with_suffix(".json")
    for part in (program, values):
        with system_errors(part):
            part.stat()
    try:
        import paddle2onnx
    except ImportError:
        raise FileProblem(
            path,
            N_("is a Paddle network, which needs the package paddle2onnx"),
            N_("Install it (pip install paddle2onnx), or export the network to ONNX with it."),
        ) from None
    made = folder / f"{path.stem}.onnx"
    try:
        paddle2onnx.export(str(program), str(values), str(made), opset_version=WANTED_OPSET, auto_upgrade_opset=True)
    except Exception as error:
        raise FileProblem(
            path, N_("cannot be converted by paddle2onnx: {reason}"), N_("Export it to ONNX."), reason=first_line(error)
        ) from None
    return made


def with_batches(network: Network, choices: Choices) -> Choices:
    """The choices with 1 for every open dimension in front, where nobody chose."""
    dimensions = dict(choices.dimensions)
    for port in network.inputs:
        if port.name in choices.inputs or not port.shape or isinstance(port.shape[0], int):
            continue
        dimensions.setdefault(port.open_dimensions[0], 1)
    return replace(choices, dimensions=dimensions)


def _work(folder: Path, tell: Callable[[Any], None], path: str, choices: Choices) -> Prepared | Trial:
    network = _convert(folder, tell, path)
    tell(0.3)
    prepared = prepare_network(network, with_batches(network, choices))
    tell(0.8)
    if prepared.comparison is None and not any(
        port.open_dimensions or port.dtype == "string" for port in prepared.network.inputs
    ):
        run(open_session(prepared.network.model), random_feeds(prepared.network))
    size = constant_bytes(prepared.network.model) + constant_bytes(network.model)
    return prepared if size < MOST_IN_ONE else Trial(prepared.comparison, prepared.problem, network.stamps)
