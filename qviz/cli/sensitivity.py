"""What does ``qviz sensitivity`` do? It says which layer of a network hurts its output, and what each restores."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qviz.cli.interrupts import cleared_up
from qviz.cli.network_report import check_report, report_option, save_sweep_report
from qviz.cli.networks import data_options, prepared_network, progress_bar, samples_of, told_on_stderr
from qviz.cli.options import json_option, scheme_of, scheme_options
from qviz.core.printable import printable
from qviz.files.atomic import check_spared, check_writable

if TYPE_CHECKING:
    from qviz.models.units import Unit


@click.command("sensitivity")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), multiple=True, required=True, help="Samples: files, folders.")
@click.option("--by", type=click.Choice(["node", "group"]), default="node", show_default=True)
@click.option("--netron", type=click.Path(path_type=Path), help="Write the figures as an attachment for Netron.")
@click.option("--model-explorer", type=click.Path(path_type=Path), help="Write them as node data for Model Explorer.")
@click.option("--activations", is_flag=True, help="Quantize what enters Conv, MatMul and Gemm to uint8 as well.")
@report_option
@data_options
@json_option
@scheme_options
@cleared_up()
def sensitivity_command(
    model: Path,
    data: tuple[Path, ...],
    by: str,
    netron: Path | None,
    model_explorer: Path | None,
    activations: bool,
    report: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Run MODEL with each of its layers quantized alone, and with each left in float.

    alone_db is the output's SQNR with this one quantized alone, restored_db with all others quantized; higher is
    better. isolated_db and accumulated_db are the errors behind the layer, which say little about the output.
    changed_answers has the share of answers (boxes, texts, largest classes) that change with a layer quantized alone:
    the loss of PaddleSlim's sensitivity analysis.
    """
    from qviz.core.formats.integers import IntFormat
    from qviz.core.schemes.scheme import Scheme
    from qviz.models.activations import activation_parameters, ranges
    from qviz.models.node_errors import node_errors
    from qviz.models.sensitivity import ALONE, RESTORED, Sensitivity
    from qviz.models.targets import share_of
    from qviz.models.units import units_by_group, units_by_node

    for written in filter(None, (netron, model_explorer)):
        check_spared(written, [model, *data])
        check_writable(written)
    check_report(report, [model, *data])
    network = prepared_network(model, options)
    samples = samples_of(network, data, options)
    calibration, held_out = samples.split()
    scheme = scheme_of(options)
    units = (units_by_node if by == "node" else units_by_group)(network, activations)
    parameters = {}
    if activations:
        codes = IntFormat(8, signed=False)
        points = [point for unit in units for point in unit.points]
        known = ranges(network, calibration, Scheme(codes, symmetric=False), sorted({p.value for p in points}))
        parameters = {point: activation_parameters(*known[point.value], codes) for point in points}
    asked = Sensitivity(network, held_out, scheme, activations=parameters, units=units)
    with progress_bar("sweeping") as tell:
        everything = asked.everything()
        everything.check()
        alone = {loss.unit.name: loss for loss in asked.sweep(ALONE, progress=lambda f: tell(f / 2))}
        restored = {loss.unit.name: loss for loss in asked.sweep(RESTORED, progress=lambda f: tell(0.5 + f / 2))}
        errors = {error.node: error for error in node_errors(asked)}
    remarks = told_on_stderr(network.name, asked.not_finite(everything.figures()))
    rows: list[dict[str, Any]] = []
    for unit in units:
        last = next((errors[node] for node in reversed(unit.nodes) if node in errors), None)
        rows.append(
            {
                "name": unit.name,
                "isolated_db": min((errors[n].isolated_db for n in unit.nodes if n in errors), default=math.inf),
                "accumulated_db": last.accumulated_db if last else math.inf,
                "alone_db": alone[unit.name].sqnr_db,
                "restored_db": restored[unit.name].sqnr_db,
                "bytes": unit.bytes,
            }
        )
    _write_for_viewers(units, rows, netron, model_explorer)
    rows.sort(key=lambda row: -math.inf if math.isnan(row["alone_db"]) else row["alone_db"])  # NaN hurts most
    if report is not None:
        save_sweep_report(report, network.name, scheme, everything.figures(), len(held_out), rows, remarks)
    if as_json:
        output = {
            "sqnr_db": _finite(everything.sqnr_db),
            "samples": len(held_out),
            "outputs": [{key: _finite(value) for key, value in vars(each).items()} for each in everything.figures()],
        }
        kept = {unit.name: share_of(alone[unit.name].outputs, "agreement") for unit in units}
        changed = {name: 1 - share for name, share in kept.items() if share is not None}
        told = [{key: _finite(value) for key, value in row.items()} for row in rows]
        click.echo(json.dumps({"output": {**output, "changed_answers": changed}, "units": told}))
        return
    click.echo(f"{'all quantized':<48}{_text(everything.sqnr_db)}")
    click.echo(f"{'':<48}{'alone':>10}{'restored':>10}{'isolated':>10}{'accum.':>10}{'bytes':>12}")
    for row in rows:
        figures = "".join(_text(row[key]) for key in ("alone_db", "restored_db", "isolated_db", "accumulated_db"))
        click.echo(f"{printable(str(row['name'])[-47:]):<48}{figures}{row['bytes']:>12,}")


def _write_for_viewers(
    units: Sequence[Unit], rows: Sequence[dict[str, Any]], netron: Path | None, model_explorer: Path | None
) -> None:
    from qviz.models.node_data import FIGURES, model_explorer_data, netron_attachment, save_node_data

    by_node = {
        node: {name: row[name] for name in FIGURES if math.isfinite(row[name])}
        for unit, row in zip(units, rows, strict=True)
        for node in unit.nodes
    }
    if netron is not None:
        save_node_data(netron, netron_attachment(by_node))
    if model_explorer is not None:
        save_node_data(model_explorer, model_explorer_data(by_node))


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: float) -> str:
    said = "NaN" if math.isnan(value) else f"{value:.2f} dB" if math.isfinite(value) else "exact"
    return f"{said:>10}"
