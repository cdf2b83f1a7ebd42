"""What does ``qviz train`` do? The same experiment as on the Training page, without a window."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qviz.cli.options import NUMBER, json_option
from qviz.core.problems import Problem

if TYPE_CHECKING:  # what trains is imported when something is trained
    from qviz.training import Experiment, Summary

MOST_SEEDS = 1000


@click.command("train")
@click.option("--data", default="spirals", show_default=True, help="moons, …, digits, or an .npz or .csv file.")
@click.option("--label-column", type=int, default=-1, show_default=True, help="Of a table, negative from the end.")
@click.option("--samples", type=int, default=3000, show_default=True)
@click.option("--noise", type=NUMBER, help="As fits the data, unless given.")
@click.option("--hidden", default="48,48,48", show_default=True, help="Widths of the hidden layers.")
@click.option("--activation", default="relu", show_default=True, help="relu or tanh.")
@click.option("--weight-bits", type=int, default=2, show_default=True, help="1 to 8.")
@click.option("--activation-bits", type=int, default=4, show_default=True, help="1 to 8.")
@click.option("--weights-symmetric/--weights-asymmetric", default=True, show_default=True)
@click.option("--activations-symmetric/--activations-asymmetric", default=False, show_default=True)
@click.option("--per-axis", is_flag=True, help="A scale for each output of a layer.")
@click.option("--spare-ends/--quantize-ends", default=True, show_default=True, help="First and last layer at 8 bits.")
@click.option("--ranges", default="learned", show_default=True, help="While training: learned or minmax.")
@click.option("--ptq-range", default="minmax", show_default=True, help="minmax, percentile, mse or entropy.")
@click.option("--optimizer", default="adam", show_default=True, help="adam or sgd.")
@click.option("--learning-rate", type=NUMBER, default=0.005, show_default=True)
@click.option("--fine-tuning-rate", type=NUMBER, default=0.005, show_default=True)
@click.option("--momentum", type=NUMBER, default=0.9, show_default=True)
@click.option("--batch", type=int, default=128, show_default=True)
@click.option("--steps", type=int, default=2000, show_default=True, help="In float.")
@click.option("--fine-tuning-steps", type=int, default=2000, show_default=True, help="Quantization-aware.")
@click.option("--decay/--constant-rate", default=True, show_default=True, help="Whether the rate falls along a cosine.")
@click.option("--seed", type=int, default=0, show_default=True, help="The first of the seeds.")
@click.option("--seeds", type=click.IntRange(1, MOST_SEEDS), default=5, show_default=True, help="How many to train.")
@click.option("--experiment", "file", type=click.Path(path_type=Path), help="An experiment saved as JSON, instead.")
@json_option
def train_command(file: Path | None, seeds: int, as_json: bool, **options: Any) -> None:
    """Train a small network in float and quantization-aware, and print what each of them gets right.

    float_accuracy, ptq_accuracy (the float network quantized after training) and qat_accuracy are shares of the
    test data: the mean over the seeds and the standard deviation. With --json each of the three is an object
    with mean, std and values (one a seed; null where the training diverged).
    """
    from qviz.training import run_seeds
    from qviz.training.export import read_experiment

    experiment = read_experiment(file) if file is not None else _experiment(options)
    if sys.stderr.isatty():
        with click.progressbar(length=1000, label="training", file=sys.stderr) as bar:
            summary = run_seeds(experiment, seeds, progress=_stepping(bar))
    else:
        summary = run_seeds(experiment, seeds)
    if as_json:
        click.echo(json.dumps(summary.to_dict()))
    else:
        for line in _lines(summary):
            click.echo(line)


def _stepping(bar: Any) -> Callable[[float], None]:
    def step(fraction: float) -> None:
        bar.update(int(1000 * fraction) - bar.pos)

    return step


def _experiment(options: dict[str, Any]) -> Experiment:
    from qviz.training import KINDS, Data, Experiment, Quantization, Training

    name = options["data"]
    known = name in KINDS or not (Path(name).suffix or Path(name).exists())
    data = Data(
        kind=name if known else "file",
        samples=options["samples"],
        noise=options["noise"],
        seed=options["seed"],
        path="" if known else name,
        label_column=options["label_column"],
    )
    quantization = Quantization(
        options["weight_bits"],
        options["activation_bits"],
        options["weights_symmetric"],
        options["activations_symmetric"],
        options["per_axis"],
        options["spare_ends"],
        options["ranges"],
        options["ptq_range"],
    )
    training = Training(
        options["optimizer"],
        options["learning_rate"],
        options["fine_tuning_rate"],
        options["momentum"],
        options["batch"],
        options["steps"],
        options["fine_tuning_steps"],
        options["decay"],
    )
    return Experiment(data, _widths(options["hidden"]), options["activation"], quantization, training, options["seed"])


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.replace(" ", "").split(","))
    except ValueError:
        raise Problem(
            "“{text}” are no widths of layers: give numbers with commas, such as 48,48,48.", text=text
        ) from None


def _lines(summary: Summary) -> list[str]:
    found = summary.to_dict()
    lines = []
    for name in ("float_accuracy", "ptq_accuracy", "qat_accuracy"):
        mean, std = found[name]["mean"], found[name]["std"]
        lines.append(f"{name:<16}{'diverged' if mean is None else f'{mean:.4f} ± {std:.4f}'}")
    if found["recovered"] is not None:
        lines.append(f"{'recovered':<16}{100 * found['recovered']:.1f} % of what quantizing after training loses")
    if summary.diverged:
        lines.append(f"{'diverged':<16}{summary.diverged} of {found['seeds']} seeds: lower the learning rate")
    return lines
