"""What does ``qviz budget`` do? It chooses a format for each tensor, so that all fit with the least error."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import click

from qviz.cli.networks import progress_bar
from qviz.cli.options import json_option
from qviz.core.formats.integers import IntFormat
from qviz.core.problems import Problem
from qviz.core.schemes.scheme import Scheme
from qviz.core.sizes import byte_text
from qviz.core.tensors.granularity import PerBlock
from qviz.files.printable import printable
from qviz.files.results import read_scheme


@click.command("budget")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--megabytes", type=click.FloatRange(min=0, min_open=True), help="For all tensors together, in 10⁶ bytes."
)
@click.option("--at-least", type=float, help="In dB of SQNR: formats below are no choice.")
@click.option(
    "--bits", type=click.IntRange(2, 16), multiple=True, help="Integers to choose from; default: 8, 6, 5, 4, 3."
)
@click.option("--block-size", type=click.IntRange(min=1), default=32, show_default=True, help="Of these integers.")
@click.option("--scheme", "schemes", type=click.Path(path_type=Path), multiple=True, help="Or schemes saved as JSON.")
@json_option
def budget_command(
    files: tuple[Path, ...],
    megabytes: float | None,
    at_least: float | None,
    bits: tuple[int, ...],
    block_size: int,
    schemes: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Choose a format for each tensor of FILES, exactly: the least squared error in so many bytes.

    Tensors that runtimes fuse (q, k and v; gate and up; the experts of a layer) share one. With --at-least alone the
    smallest formats are chosen. Weight error is not accuracy: qviz sensitivity measures what the output loses.
    """
    from qviz.models.audit import audit
    from qviz.models.budget import allocate, smallest, units_of
    from qviz.models.checkpoint import open_checkpoint

    if megabytes is None and at_least is None:
        raise click.UsageError("Say what to keep to: --megabytes, --at-least, or both.", click.get_current_context())
    named = _schemes(bits, block_size, schemes)
    checkpoint = open_checkpoint(files)
    if checkpoint.problems:
        raise checkpoint.problems[0]
    with progress_bar("measuring") as tell:
        rows = list(audit(checkpoint.weights, list(named), progress=tell))
    unread = next((row.problem for row in rows if row.problem is not None), None)
    if unread is not None:
        raise unread
    units, rest = units_of(rows, named, at_least_db=-math.inf if at_least is None else at_least)
    if megabytes is None:
        chosen = smallest(units)
    else:
        room = int(megabytes * 1e6) - rest
        if room < 0:
            raise Problem(
                "What is left as it is takes {rest} alone, more than {asked}: allow more.",
                rest=byte_text(rest),
                asked=byte_text(int(megabytes * 1e6)),
            )
        chosen = allocate(units, room)
    options = [unit.options[choice] for unit, choice in zip(units, chosen.choices, strict=True)]
    if as_json:
        plan = [
            {"tensors": list(unit.names), "format": option.name, "bytes": option.nbytes, "squared_error": option.error}
            for unit, option in zip(units, options, strict=True)
        ]
        answer: dict[str, Any] = {"bytes": chosen.nbytes + rest, "left_bytes": rest, "squared_error": chosen.error}
        click.echo(json.dumps(answer | {"exact": chosen.is_exact, "schemes": _plain(named), "units": plan}))
        return
    width = max((len(option.name) for option in options), default=0)
    for unit, option in zip(units, options, strict=True):
        more = f" and {len(unit.names) - 1} more" if len(unit.names) > 1 else ""
        click.echo(f"{option.name:<{width}}  {byte_text(option.nbytes):>10}  {printable(unit.names[0])}{more}")
    counts = ", ".join(f"{count} {name}" for name, count in Counter(option.name for option in options).most_common())
    click.echo(f"{byte_text(chosen.nbytes + rest)} in all, {byte_text(rest)} of it left as it is; {counts}")
    click.echo("the best choice" if chosen.is_exact else "a good choice, not known to be the best")


def _schemes(bits: tuple[int, ...], block_size: int, files: tuple[Path, ...]) -> dict[Scheme, str]:
    found = {
        Scheme(IntFormat(each), granularity=PerBlock(-1, block_size)): f"int{each}, blocks of {block_size}"
        for each in bits or (() if files else (8, 6, 5, 4, 3))
    }
    return found | {read_scheme(file): file.stem for file in files}


def _plain(named: dict[Scheme, str]) -> dict[str, Any]:
    return {name: scheme.to_dict() for scheme, name in named.items()}
