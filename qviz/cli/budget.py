"""What does ``qviz budget`` do? It chooses a format for each tensor, so that all fit with the least error."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qviz.cli.kernels import compile_for
from qviz.cli.networks import progress_bar
from qviz.cli.options import NUMBER, Number, importances_of, json_option
from qviz.core.formats.integers import IntFormat
from qviz.core.printable import printable
from qviz.core.problems import N_, Problem
from qviz.core.schemes.scheme import Scheme
from qviz.core.sizes import byte_text
from qviz.core.tensors.granularity import PerBlock
from qviz.files.atomic import check_spared
from qviz.files.problems import FileProblem, system_errors
from qviz.files.results import read_scheme

if TYPE_CHECKING:
    from qviz.models.audit import Row
    from qviz.models.plans import Choice

GGUF_TYPES = (
    *("q8_0", "q6_k", "q5_1", "q5_k", "q5_0", "q4_1", "q4_k", "q4_0", "iq4_nl", "iq4_xs", "nvfp4", "mxfp4"),
    *("q3_k", "q2_k", "tq2_0", "tq1_0"),
)
"""llama.cpp's types, the largest first."""

EXPORTS = ("csv", "llama.cpp", "compressed-tensors", "onnxruntime", "netron", "model-explorer")


@click.command("budget")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--megabytes", type=Number(min=0, min_open=True), help="For all tensors together, in 10⁶ bytes.")
@click.option("--at-least", type=NUMBER, help="In dB of SQNR: formats below are no choice.")
@click.option(
    "--bits", type=click.IntRange(2, 16), multiple=True, help="Integers to choose from; default: 8, 6, 5, 4, 3."
)
@click.option("--block-size", type=click.IntRange(min=1), default=32, show_default=True, help="Of these integers.")
@click.option("--scheme", "schemes", type=click.Path(path_type=Path), multiple=True, help="Or schemes saved as JSON.")
@click.option("--gguf", type=click.Choice(list(GGUF_TYPES)), multiple=True, help="Or llama.cpp's types.")
@click.option("--imatrix", type=click.Path(path_type=Path), help="Weigh errors by what llama-imatrix measured.")
@click.option(
    "--sensitivity",
    type=click.Path(path_type=Path),
    help="Weigh errors by factors: JSON, names to numbers.",
)
@click.option("--export", type=click.Path(path_type=Path), help="Write the choice in the form of --export-as.")
@click.option("--export-as", type=click.Choice(list(EXPORTS)), default="csv", show_default=True)
@json_option
def budget_command(
    files: tuple[Path, ...],
    megabytes: float | None,
    at_least: float | None,
    bits: tuple[int, ...],
    block_size: int,
    schemes: tuple[Path, ...],
    gguf: tuple[str, ...],
    imatrix: Path | None,
    sensitivity: Path | None,
    export: Path | None,
    export_as: str,
    as_json: bool,
) -> None:
    """Choose a format for each tensor of FILES, exactly: the least squared error in so many bytes.

    Tensors that runtimes fuse (q, k and v; gate and up; the experts of a layer) share one. With --at-least alone the
    smallest formats are chosen. Rows that blocks of 256 do not divide get the type that llama.cpp takes in place of one
    of these. Weight error is not accuracy: qviz sensitivity measures what the output loses.
    """
    from qviz.models.audit import audit
    from qviz.models.budget import allocate, smallest, units_of
    from qviz.models.checkpoint import files_of, open_checkpoint
    from qviz.models.fallbacks import stand_ins
    from qviz.models.plans import GGUF_SCHEMES, choices_of

    if megabytes is None and at_least is None:
        raise click.UsageError("Say what to keep to: --megabytes, --at-least, or both.", click.get_current_context())
    named = _schemes(bits, block_size, schemes, gguf)
    checkpoint = open_checkpoint(files)
    if export is not None:
        check_spared(export, files_of(checkpoint))
    if checkpoint.problems:
        raise checkpoint.problems[0]
    compile_for(checkpoint.nbytes)
    with progress_bar("measuring") as tell:
        rows = list(audit(checkpoint.weights, list(named), progress=tell))
        for others, weights in stand_ins(checkpoint.weights, named).items():
            rows += audit(weights, others)
            named |= {scheme: name for name, scheme in GGUF_SCHEMES.items() if scheme in others}
    unread = next((row.problem for row in rows if row.problem is not None), None)
    if unread is not None:
        raise unread
    rows = _weighed(rows, imatrix, sensitivity)
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
    if export is not None:
        _export(export, export_as, files, choices_of(units, options, named))
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


def _weighed(rows: list[Row], imatrix: Path | None, sensitivity: Path | None) -> list[Row]:
    """Errors as they count for the objective."""
    from qviz.models.plans import factors_of, importance_factors, weighted

    if imatrix is not None:
        rows = weighted(rows, importance_factors(rows, importances_of(imatrix)))
    if sensitivity is not None:
        with system_errors(sensitivity):
            try:
                said = json.loads(sensitivity.read_bytes())
            except (ValueError, RecursionError):
                raise FileProblem(sensitivity, N_("is no JSON"), N_("Give names of tensors and numbers.")) from None
        rows = weighted(rows, factors_of(said))
    return rows


def _export(path: Path, form: str, files: tuple[Path, ...], choices: list[Choice]) -> None:
    from qviz.files.atomic import atomic_write
    from qviz.models import plans

    text = plans.exported(form, choices, files)
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _schemes(
    bits: tuple[int, ...], block_size: int, files: tuple[Path, ...], gguf: tuple[str, ...]
) -> dict[Scheme, str]:
    from qviz.models.plans import GGUF_SCHEMES

    found = {
        Scheme(IntFormat(each), granularity=PerBlock(-1, block_size)): f"int{each}, blocks of {block_size}"
        for each in bits or (() if files or gguf else (8, 6, 5, 4, 3))
    }
    found |= {GGUF_SCHEMES[name]: name for name in gguf}
    return found | {read_scheme(file): file.stem for file in files}


def _plain(named: dict[Scheme, str]) -> dict[str, Any]:
    return {name: scheme.to_dict() for scheme, name in named.items()}
