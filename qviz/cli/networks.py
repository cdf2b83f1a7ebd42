"""Which network and which data do the options of a command mean?"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qviz.cli.interrupts import at_once
from qviz.cli.options import NUMBER
from qviz.core.printable import printable
from qviz.core.problems import Phrase, Problem

if TYPE_CHECKING:  # what runs networks is imported when one is run
    from qviz.models.data import FileSamples
    from qviz.models.network import Network

Command = Callable[..., Any]


IMPORTED = ("qviz.models", "onnxruntime", "onnx", "numpy.random")
"""What is written in C and read as soon as there is a network; the first says what the runtime may do."""


def data_options(command: Command) -> Command:
    """The options that say how files become inputs; `prepared_network` and `samples_of` read them."""
    options: list[Callable[[Command], Command]] = [
        click.option("--dimension", "dimensions", multiple=True, metavar="NAME=N", help="For an open dimension."),
        click.option("--set-input", "fixed", multiple=True, metavar="NAME=VALUE", help="An input with one value."),
        click.option("--layout", type=click.Choice(["NCHW", "NHWC"]), default="NCHW", help="Of pictures."),
        click.option("--colours", type=click.Choice(["RGB", "BGR", "L"]), default="RGB", help="Of pictures."),
        click.option("--pixel-scale", type=NUMBER, default=1 / 255, help="Bytes are multiplied by it; default 1/255."),
        click.option("--mean", default="0", help="Taken away after scaling: one number, or one a colour."),
        click.option("--deviation", default="1", help="Divided by: one number, or one a colour."),
        click.option("--keep-aspect", is_flag=True, help="Pictures keep their shape, with grey beside them."),
        click.option("--tokenizer", type=click.Path(path_type=Path), help="A tokenizer.json, for lines of text."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def prepared_network(path: Path, options: dict[str, Any]) -> Network:
    """The network in a file, prepared, with numbers for its open dimensions.

    Raises
    ------
    Problem
        When it cannot be read, or an open dimension has no number.
    """
    with at_once():  # ONNX Runtime would make an error of its own of KeyboardInterrupt, others a crash
        for name in IMPORTED:
            import_module(name)
    from qviz.models.network import open_network
    from qviz.models.opening import CONVERTED, open_as_onnx
    from qviz.models.preparation import prepare_network
    from qviz.models.preparation_steps import Choices

    network = open_as_onnx(path) if path.suffix.lower() in CONVERTED else open_network(path)
    dimensions = {name: _whole(name, value) for name, value in _pairs(options["dimensions"], "--dimension")}
    fixed = {name: _value(name, value) for name, value in _pairs(options["fixed"], "--set-input")}
    for port in network.inputs:
        if port.name in fixed:
            continue
        for place, name in enumerate(port.open_dimensions):
            if name not in dimensions and place == 0 and (port.shape or (0,))[0] in (name, None):
                dimensions[name] = 1  # one sample at a time
    prepared = prepare_network(network, Choices(dimensions, fixed))
    still = [name for port in prepared.network.inputs for name in port.open_dimensions]
    if still:
        raise Problem(
            "The dimension {name} of {network} is open: give it a number with --dimension {name}=N.",
            name=still[0],
            network=network.name,
        )
    if prepared.comparison is None and prepared.problem is not None:
        raise prepared.problem
    return prepared.network


def samples_of(network: Network, paths: tuple[Path, ...], options: dict[str, Any]) -> FileSamples:
    """The samples in files and folders, in the way that the options say.

    Raises
    ------
    Problem
        When they do not fit the network.
    """
    from qviz.models.data import open_samples
    from qviz.models.data_settings import DataSettings, PictureSettings

    picture = PictureSettings(
        options["layout"],
        options["colours"],
        options["pixel_scale"],
        _numbers(options["mean"], "--mean"),
        _numbers(options["deviation"], "--deviation"),
        options["keep_aspect"],
    )
    return open_samples(network, paths, DataSettings(picture, options["tokenizer"]))


def told_on_stderr(name: str, remarks: Iterable[Phrase]) -> tuple[str, ...]:
    """What stands beside figures, whether these are read by people or by programs."""
    said = tuple(map(str, remarks))
    for each in said:
        click.echo(f"qviz: {printable(name)}: {each}", err=True)
    return said


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[float], None]]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda fraction: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=1.0)
        yield lambda fraction: bar.update(task, completed=fraction)


def _pairs(texts: tuple[str, ...], option: str) -> list[tuple[str, str]]:
    found = []
    for text in texts:
        name, equals, value = text.rpartition("=")
        if not equals or not name:
            raise click.UsageError(f"{option} {text} has no value: give NAME=VALUE.", click.get_current_context())
        found.append((name, value))
    return found


def _whole(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise Problem("The dimension {name} cannot be {value}: give a whole number.", name=name, value=value) from None


def _value(name: str, value: str) -> Any:
    import numpy as np

    try:
        numbers = [float(part) for part in value.split(",")]
    except ValueError:
        raise Problem("The input {name} cannot be {value}: give numbers.", name=name, value=value) from None
    return np.array(numbers[0] if len(numbers) == 1 else numbers)


def _numbers(text: str, option: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise Problem(
            "{option} {text} is no number: give one, or one for each colour.", option=option, text=text
        ) from None
