"""What do ``qviz ptq`` and ``qviz compare`` do? They quantize a network, and hold two against each other."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qviz.cli.interrupts import at_once, cleared_up
from qviz.cli.network_report import check_report, report_option, save_pair_report
from qviz.cli.networks import data_options, prepared_network, progress_bar, samples_of, told_on_stderr
from qviz.cli.options import NUMBER, Number, json_option
from qviz.core.printable import printable
from qviz.core.problems import Problem
from qviz.core.ranges.table import RANGE_RULES

if TYPE_CHECKING:
    from qviz.models.data import FileSamples
    from qviz.models.network import Network
    from qviz.models.output_figures import OutputFigures

EXIT_BELOW = 1
"""A gate failed."""

_TYPES = ["int8", "uint8", "int16", "uint16", "int4", "uint4"]


def gate_options(command: Any) -> Any:
    """What is measured afterwards, and what is too little."""
    command = click.option("--fail-below", type=NUMBER, metavar="DB", help="Exit with 1 where the output keeps less.")(
        command
    )
    command = click.option(
        "--threads",
        type=click.IntRange(0, 256),
        default=1,
        show_default=True,
        help="With how many the time is measured; 0 for one a core.",
    )(command)
    return click.option(
        "--seconds",
        type=Number(0, 3600),
        default=2.0,
        show_default=True,
        help="How long to measure; 0 for not.",
    )(command)


@click.command("ptq")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--method", type=click.Choice(["dynamic", "static", "weights", "float16"]), required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
@click.option("--calibration", type=click.Path(path_type=Path), multiple=True, help="Samples: files, folders.")
@click.option("--library-defaults", is_flag=True, help="As ONNX Runtime's tool does it when nothing is said.")
@click.option("--weight-type", type=click.Choice(_TYPES))
@click.option("--activation-type", type=click.Choice(_TYPES[:4]))
@click.option("--per-channel/--per-tensor", default=None)
@click.option("--reduce-range", is_flag=True)
@click.option("--form", type=click.Choice(["qdq", "operator"]))
@click.option("--operators", help="Kinds of nodes, with commas; “all” for all that the tool knows.")
@click.option(
    "--range",
    "range_rule",
    type=click.Choice([kind for kind in RANGE_RULES if kind != "known"]),
    help="Of activations.",
)
@click.option("--block-size", type=int, help="Of 4-bit weights.")
@click.option("--algorithm", type=click.Choice(["default", "hqq", "k_quant", "rtn", "gptq"]), help="Of 4-bit weights.")
@click.option("--exclude", multiple=True, metavar="NODE", help="Stays in float; several are fine.")
@gate_options
@report_option
@data_options
@json_option
@cleared_up()
def ptq_command(
    model: Path,
    method: str,
    output: Path,
    calibration: tuple[Path, ...],
    library_defaults: bool,
    seconds: float,
    threads: int,
    fail_below: float | None,
    report: Path | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Quantize MODEL for ONNX Runtime, run what comes out, and count it."""
    from qviz.models.ptq import quantize_network
    from qviz.models.recipes import LIBRARY_DEFAULTS, best_recipe, with_range_rule

    check_report(report, [model, *calibration, output])
    network = prepared_network(model, options)
    samples = samples_of(network, calibration, options) if calibration else None
    recipe = LIBRARY_DEFAULTS[method] if library_defaults else best_recipe(method, network)
    given: dict[str, Any] = {
        name: options[name]
        for name in ("weight_type", "activation_type", "per_channel", "form", "block_size", "algorithm")
        if options[name] is not None
    }
    if options["reduce_range"]:
        given["reduce_range"] = True
    if options["operators"] is not None:
        given["operators"] = (
            () if options["operators"] == "all" else tuple(name.strip() for name in options["operators"].split(","))
        )
    if options["range_rule"] is not None:
        recipe = with_range_rule(recipe, RANGE_RULES[options["range_rule"]]())
    recipe = replace(recipe, excluded=tuple(options["exclude"]), **given)
    unknown = set(recipe.excluded) - {node.name for node in network.model.graph.node}
    if unknown:
        raise Problem("{network} has no node {name}.", network=network.name, name=sorted(unknown)[0])
    chosen, held_out = samples.split() if samples is not None else (None, None)
    with progress_bar("quantizing") as tell:
        outcome = quantize_network(
            network,
            output,
            recipe,
            list(chosen) if chosen is not None else [],
            sample=None if held_out is None else held_out[0],
            progress=tell,
        )
    found: dict[str, Any] = {
        "output": str(outcome.path),
        "nodes": outcome.nodes,
        "quantized": outcome.quantized,
        "left_in_float": outcome.left,
        "float_bytes": outcome.original_bytes,
        "quantized_bytes": outcome.bytes,
        "notes": [str(note) for note in outcome.notes],
    }
    figures: tuple[OutputFigures, ...] = ()
    remarks: tuple[str, ...] = ()
    if held_out is not None:
        from qviz.models.network import open_network

        measured, figures, remarks = _measured(network, open_network(output), held_out, seconds, threads)
        found |= measured
    if report is not None:
        save_pair_report(
            report, network.name, output.name, [str(outcome.summary), *found["notes"]], found, figures, remarks
        )
    return _told(found, str(outcome.summary), fail_below, as_json)


@click.command("compare")
@click.argument("float_model", metavar="FLOAT", type=click.Path(path_type=Path))
@click.argument("other_model", metavar="QUANTIZED", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), multiple=True, required=True, help="Samples: files, folders.")
@gate_options
@report_option
@data_options
@json_option
@cleared_up()
def compare_command(
    float_model: Path,
    other_model: Path,
    data: tuple[Path, ...],
    seconds: float,
    threads: int,
    fail_below: float | None,
    report: Path | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Run two networks on the same data: what is left of the answer, and what is gained."""
    from qviz.models.network import open_network

    check_report(report, [float_model, other_model, *data])
    network = prepared_network(float_model, options)
    other = open_network(other_model)
    measured, figures, remarks = _measured(network, other, samples_of(network, data, options), seconds, threads)
    found = {"float_bytes": network.file_bytes, "quantized_bytes": other.file_bytes, **measured}
    if report is not None:
        save_pair_report(report, network.name, other.name, (), found, figures, remarks)
    return _told(found, "", fail_below, as_json)


def _measured(
    network: Network, other: Network, samples: FileSamples, seconds: float, threads: int
) -> tuple[dict[str, Any], tuple[OutputFigures, ...], tuple[str, ...]]:
    from qviz.models.latency import measure_latency
    from qviz.models.not_finite import of_outputs, of_weights, sentences
    from qviz.models.side_by_side import side_by_side

    answers = side_by_side(network, other, samples)
    figures = answers.figures()
    lost = sentences(of_weights(network), answers.inputs, of_outputs(figures))
    remarks = told_on_stderr(network.name, lost)
    found: dict[str, Any] = {
        "sqnr_db": _finite(answers.sqnr_db),
        "samples": len(samples),
        "outputs": [{key: _finite(value) for key, value in vars(each).items()} for each in figures],
    }
    if seconds > 0:
        latency = measure_latency(network.model, other.model, samples, seconds=seconds, threads=threads)
        low, high = latency.spread
        found["latency"] = {
            "float_seconds": latency.seconds[0],
            "quantized_seconds": latency.seconds[1],
            "ratio": latency.ratio,
            "ratio_range": list(latency.ratios),
            "spread": [low, high],
            "threads": threads,
            "load": _finite(latency.load),
        }
    return found, figures, remarks


def _told(found: dict[str, Any], summary: str, fail_below: float | None, as_json: bool) -> int:
    with at_once():  # Qt is imported
        from qviz.gui.words.networks import compared
        from qviz.gui.words.numbers import fixed

    broken = sum(each["broken"] for each in found.get("outputs", ()))
    db = found.get("sqnr_db")  # without one it is exact, unless something is broken
    below = fail_below is not None and (bool(broken) or (db is not None and db < fail_below))
    if as_json:
        click.echo(json.dumps(found))
    else:
        if summary:
            click.echo(summary)
        for note in found.get("notes", ()):
            click.echo(printable(note))
        share = found["quantized_bytes"] / found["float_bytes"] if found["float_bytes"] else math.nan
        click.echo(f"{'bytes':<16}{found['quantized_bytes']:,} of {found['float_bytes']:,} ({share:.2f} ×)")
        if "sqnr_db" in found:
            said = f"{db:.2f} dB" if db is not None else "equal" if not broken else "NaN"
            click.echo(f"{'output':<16}{said}")
            for each in found["outputs"]:
                agreement = {k: each[k] for k in ("top1", "sequences", "detections") if each[k] is not None}
                said = ", ".join(f"{key} {fixed(100 * value, 2, '%')}" for key, value in agreement.items())
                if each["broken"]:
                    said = f"{each['broken']:,} elements are NaN, infinite, or of another shape"
                click.echo(f"  {printable(each['name'][-40:]):<42}{said}")
        if "latency" in found:
            click.echo(f"{'latency':<16}{compared(found['latency']['ratio'])}")
    return EXIT_BELOW if below else 0


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
