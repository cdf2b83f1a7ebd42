"""What does ``qviz render`` do? It draws every chart of a tensor into files, without a display."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from qviz.app import display
from qviz.cli.interrupts import at_once
from qviz.cli.options import Number, scheme_of, scheme_options, tensor_of, tensor_options
from qviz.cli.window import NoDisplay
from qviz.core.problems import Problem
from qviz.core.questions.analysis import analyze
from qviz.files.writers import EXPORT_FORMATS


@click.command("render")
@tensor_options
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The folder to write into.")
@click.option("--format", "formats", type=click.Choice(EXPORT_FORMATS), multiple=True, help="Repeatable; default png.")
@click.option("--theme", type=click.Choice(["light", "dark"]), default="light", show_default=True)
@click.option("--scale", type=Number(0.5, 8), default=2.0, show_default=True, help="PNG pixels a point.")
@scheme_options
def render_command(
    file: Path,
    tensor_name: str | None,
    output: Path,
    formats: tuple[str, ...],
    theme: str,
    scale: float,
    **options: Any,
) -> None:
    """Draw every chart of the tensor in FILE into a folder; needs no display."""
    scheme = scheme_of(options)
    result = analyze(tensor_of(file, tensor_name), scheme)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Problem(
            "{output} cannot be made a folder ({reason}): choose another one.", output=output, reason=error.strerror
        ) from None
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    with at_once():
        try:
            from qviz.app.app import make_application
            from qviz.gui.tensor.rendering import render_charts
        except ImportError as error:
            raise NoDisplay(display.missing_library(error)) from None
        application = make_application()
        endings = formats or ("png",)
        for path in render_charts(application, result, output, endings, theme_name=theme, scale=scale, read=[file]):
            click.echo(path)
