"""What does ``qviz product`` do? It prints what a layer's output loses as a product of integers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from qviz.cli.figures import text_of
from qviz.cli.options import chosen_runtime, entry_of, json_option, loaded, runtime_options, tensor_of
from qviz.core.printable import printable
from qviz.core.schemes.dynamic import DYNAMIC_RUNTIMES, laid_out
from qviz.files.results import read_scheme


@click.command("product")
@click.argument("activation", type=click.Path(path_type=Path))
@click.argument("weight", type=click.Path(path_type=Path))
@click.option("--activation-tensor", help="Its name, where the file holds several.")
@click.option("--weight-tensor", help="Its name, where the file holds several.")
@runtime_options(DYNAMIC_RUNTIMES, "How both are quantized.")
@click.option("--activation-scheme", type=click.Path(path_type=Path), help="A scheme saved as JSON, instead.")
@click.option("--weight-scheme", type=click.Path(path_type=Path), help="A scheme saved as JSON, instead.")
@click.option(
    "--transposed/--no-transposed",
    default=None,
    help="WEIGHT is outputs × features, as PyTorch's Linear has it, or not.  [default: as its kind of file stores it]",
)
@json_option
def product_command(
    activation: Path,
    weight: Path,
    activation_tensor: str | None,
    weight_tensor: str | None,
    activation_scheme: Path | None,
    weight_scheme: Path | None,
    transposed: bool | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Print what the output of ACTIVATION × WEIGHT loses as a product of integers."""
    from qviz.core.questions.product import multiply
    from qviz.core.questions.product_operands import fits, lies_transposed

    preset = DYNAMIC_RUNTIMES[chosen_runtime(options)]
    of_activation = read_scheme(activation_scheme) if activation_scheme else preset.activation
    of_weight = read_scheme(weight_scheme) if weight_scheme else None
    x = tensor_of(activation, activation_tensor, "--activation-tensor")
    entry = entry_of(weight, weight_tensor, "--weight-tensor")
    w = loaded(entry)
    if transposed is None:
        stored = entry.outputs_first
        transposed = stored is not None and lies_transposed(x.shape, w.shape, stored)
        if not as_json and all(fits(x.shape, w.shape, way) for way in (False, True)):
            click.echo(printable(_about_square(weight, stored, transposed)), err=True)
    result = multiply(
        x,
        w,
        of_activation,
        of_weight or laid_out(preset.weight, transposed),
        transposed=transposed,
    )
    if as_json:
        click.echo(json.dumps(result.to_dict()))
        return
    listed = result.listed()
    listed["int16_pairs"] = listed["int16_pairs"] or "no kernel adds such codes up in pairs"
    for key, value in listed.items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        click.echo(f"{key:<18}" + ", ".join(f"{name} {text_of(figure)}".strip() for name, figure in parts))


def _about_square(weight: Path, stored: bool | None, transposed: bool) -> str:
    """Which way round a square weight is taken, and why."""
    way, other = ("outputs × features", "--no-transposed") if transposed else ("features × outputs", "--transposed")
    why = "which files of its kind store" if stored is not None else "its file does not say"
    return f"qviz: {weight.name} is square, and taken as {way}, {why}: {other} turns it."
