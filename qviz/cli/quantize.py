"""What does ``qviz quantize`` do? It writes a quantized tensor, in the form that the name's ending says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qviz.cli.options import scheme_of, scheme_options, tensor_of, tensor_options
from qviz.core.questions.analysis import analyze
from qviz.core.questions.breakdown import caveats
from qviz.files.atomic import check_spared
from qviz.files.writers import WRITERS, save_as

_OUTPUTS = f"The {', '.join(WRITERS)} to write."


@click.command("quantize")
@tensor_options
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help=_OUTPUTS)
@scheme_options
def quantize_command(file: Path, tensor_name: str | None, output: Path, **options: Any) -> None:
    """Write the quantized tensor of FILE.

    To an .npz: codes, scale, zero_point and dequantized values; to an .onnx: a model with the codes and
    DequantizeLinear; to a .json: scale and zero_point as ONNX Runtime's TensorQuantOverrides.
    """
    scheme = scheme_of(options)
    check_spared(output, [file])
    result = analyze(tensor_of(file, tensor_name), scheme)
    for caveat in caveats(result):
        click.echo(f"qviz: {file.name}: {caveat}", err=True)
    save_as(output, result)
    s = result.storage
    codes = "1 code" if s.elements == 1 else f"{s.elements} codes"
    click.echo(f"{output}: {codes}, {s.quantized_bytes} bytes when packed, {100 * s.ratio:.4g} % of float32")
