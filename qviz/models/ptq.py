"""How is a network quantized for ONNX Runtime, with its own tools driven as they should be?

The tools are ``onnxruntime.quantization``; what serves best was measured on 17 ordinary networks. Success means that
the new file was loaded, run on a sample, and that its quantized nodes were counted.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.frozen import frozen
from qviz.core.problems import N_, Phrase, Problem
from qviz.core.work import IsCancelled, Progress, ignore, never
from qviz.files.atomic import check_writable, same_file
from qviz.files.stamp import Stamp
from qviz.models.network import Network, copied, is_large, model_bytes, open_again, open_network
from qviz.models.not_finite import of_samples, of_weights, sentences
from qviz.models.quantizers import TOOLS, check_recipe, weighted_nodes
from qviz.models.recipes import Recipe
from qviz.models.sessions import Feeds, Samples, first_line, open_session, run
from qviz.models.worker import in_worker


@frozen
class Outcome:
    """A network that was quantized, loaded and run.

    Attributes
    ----------
    path : Path
    recipe : Recipe
    nodes, quantized : int
        Nodes with weights of the float network, and how many of these have quantized ones now.
    left : mapping of str to int
        Kinds of nodes with weights that stayed float, and how many.
    original_bytes, bytes : int
        Of the files, external data counted.
    notes : tuple of Phrase
        What the person must know.
    """

    path: Path
    recipe: Recipe
    nodes: int
    quantized: int
    left: dict[str, int]
    original_bytes: int
    bytes: int
    notes: tuple[Phrase, ...] = ()

    @property
    def summary(self) -> Phrase:
        """“212 of 318 nodes with weights were quantized …” in one sentence."""
        if not self.left:
            return Phrase(
                "{quantized} of {nodes} nodes with weights were quantized.", quantized=self.quantized, nodes=self.nodes
            )
        said = ", ".join(f"{count} × {name}" for name, count in self.left.items())
        return Phrase(
            "{quantized} of {nodes} nodes with weights were quantized; {said} stayed in float.",
            quantized=self.quantized,
            nodes=self.nodes,
            said=said,
        )


def quantize_network(
    network: Network,
    output: str | Path,
    recipe: Recipe,
    calibration: Samples = (),
    *,
    sample: Feeds | None = None,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Outcome:
    """Quantize a prepared network into a new file, in a process of its own.

    Parameters
    ----------
    network : Network
        Prepared; neither it nor its file is changed.
    output : str or Path
        The new file; nothing is written there unless all went well.
    recipe : Recipe
    calibration : sequence of mappings of str to array
        For ``"static"``, whose ranges come from it (and for GPTQ).
    sample : mapping, optional
        What the outcome is run on; the first of ``calibration`` otherwise.

    Raises
    ------
    Problem
        When the tool fails, or quantizes nothing, or the runtime does not load or run the outcome.
    Cancelled
        When asked to stop; no process and no half-written file is left.
    """
    output = Path(output).absolute()  # the other process works in a folder of its own
    if network.path is not None and same_file(output, network.path):
        raise Problem("{file} is the network itself: choose another name.", file=output.name)
    if recipe.method == "static" and not len(calibration):
        raise Problem("Static quantization needs data to choose ranges from: give some, or choose dynamic or weights.")
    if network.is_quantized:
        raise Problem("{name} is quantized already: open the network that it was made from.", name=network.name)
    check_recipe(recipe)
    check_writable(output)
    found: Outcome = in_worker(
        _work,
        network.model.SerializeToString() if not is_large(network.model) else None,
        str(network.path.absolute()) if network.path else "",
        network.name,
        network.file_bytes,
        network.stamps,
        str(output),
        recipe,
        list(calibration),
        dict(sample) if sample is not None else None,
        progress=progress,
        cancelled=cancelled,
    )
    return found


def _work(
    folder: Path,
    tell: Callable[[Any], None],
    serialized: bytes | None,
    path: str,
    name: str,
    file_bytes: int,
    stamps: tuple[tuple[Path, Stamp], ...],
    output: str,
    recipe: Recipe,
    calibration: list[Feeds],
    sample: Feeds | None,
) -> Outcome:
    """In the other process."""
    import logging

    import onnx

    logging.disable(logging.CRITICAL)
    if serialized is None:
        network = open_again(path, stamps)
    else:
        network = Network(name, Path(path) if path else None, onnx.ModelProto.FromString(serialized), file_bytes)
    made = folder / "quantized.onnx"
    tool = copied(network.model)  # the tools change what they are given
    try:
        TOOLS[recipe.method](replace(network, model=tool), made, recipe, calibration, tell)
    except (Problem, MemoryError):
        raise
    except ImportError as error:
        raise Problem("This method needs the package {name}: pip install {name}.", name=error.name or "") from None
    except Exception as error:
        why = sentences(of_weights(network), of_samples(calibration), {})
        if why:
            raise Problem(
                "ONNX Runtime's quantizer failed: {reason}. {why}", reason=first_line(error).rstrip("."), why=why[0]
            ) from None
        raise Problem("ONNX Runtime's quantizer failed: {reason}", reason=first_line(error)) from None
    if not made.exists():
        raise Problem("ONNX Runtime's quantizer wrote no file.")
    outcome = check_outcome(network, made, recipe, sample or (calibration[0] if calibration else None))
    target = Path(output)
    for part in sorted(folder.glob("quantized.onnx*")):
        _publish(part, target.with_name(part.name.replace("quantized.onnx", target.name)))
    return replace(outcome, path=target)


def _publish(source: Path, target: Path) -> None:
    """The whole file or nothing, whatever file systems the two are on."""
    from qviz.files.atomic import atomic_write

    with atomic_write(target) as temporary:
        shutil.copyfile(source, temporary)


def check_outcome(network: Network, path: Path, recipe: Recipe, sample: Feeds | None) -> Outcome:
    """Load, run and count what a quantizer wrote.

    Raises
    ------
    Problem
        When it cannot be loaded or run, or nothing in it is quantized.
    """
    made = open_network(path)
    session = open_session(made.model)
    notes: list[Phrase] = []
    if sample is not None:
        found = run(session, {port.name: sample[port.name] for port in made.inputs if port.name in sample})
        if any(a.dtype.kind == "f" and not np.isfinite(a).all() for a in found):
            notes.append(Phrase("The quantized network answers NaN or infinities on the sample."))
    before, after = weighted_nodes(network.model), weighted_nodes(made.model)
    nodes = sum(before.values())
    left = {name: min(count, after[name]) for name, count in before.items() if after[name]}
    quantized = nodes - sum(left.values())
    if recipe.method == "float16":
        left, quantized = {}, nodes
    if not quantized:
        said = ", ".join(f"{count} × {name}" for name, count in before.items()) or N_("no weights at all")
        raise Problem(
            "Nothing was quantized: this method does not know what this network is made of ({said}).", said=said
        )
    size = sum(part.stat().st_size for part in path.parent.glob(path.name + "*"))
    original = network.file_bytes or model_bytes(network.model)
    if size > original:
        notes.append(
            Phrase("The file has grown: {size:,} bytes, the float one {original:,}.", size=size, original=original)
        )
    return Outcome(path, recipe, nodes, quantized, left, original, size, tuple(notes))
