"""What does ``qviz analyze`` do? It prints what a scheme does to a tensor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from qviz.cli.figures import text_of
from qviz.cli.options import json_option, scheme_of, scheme_options, tensor_of, tensor_options
from qviz.core.questions.analysis import analyze
from qviz.core.questions.breakdown import caveats
from qviz.core.questions.fineness import fineness

MOST_SCALES = 8
"""More of them than this are told as a range, to people."""


@click.command("analyze")
@tensor_options
@scheme_options
@json_option
def analyze_command(file: Path, tensor_name: str | None, as_json: bool, **options: Any) -> None:
    """Print what a scheme does to the tensor in FILE."""
    scheme = scheme_of(options)
    tensor = tensor_of(file, tensor_name)
    result = analyze(tensor, scheme)
    for caveat in caveats(result):
        click.echo(f"qviz: {file.name}: {caveat}", err=True)
    if as_json:
        click.echo(json.dumps(result.to_dict()))
        return
    q = result.qparams
    for key, value in result.listed().items():
        many = {"scale": q.scale, "zero_point": q.zero_point}.get(key) if q.groups > MOST_SCALES else None
        text = text_of(value)
        if many is not None:
            low, high = (text_of(float(end), ".6g") for end in (many.min(), many.max()))
            text = f"{many.size:,} values, {low} to {high}"
        click.echo(f"{key:<18}{text}")
    searched = fineness(tensor, scheme)
    if searched is not None:
        click.echo(f"{'range':<18}{searched}")
