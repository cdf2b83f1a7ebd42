"""What can be done from the command line? Qt is reached only inside the commands that draw."""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import click
from click.core import ParameterSource

from qviz import __version__
from qviz.cli.train import train_command
from qviz.core.formats.codebooks import CODEBOOKS
from qviz.core.formats.floats import FLOATS
from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NumberFormat, format_named
from qviz.core.problems import Problem
from qviz.core.questions.analysis import Analysis, analyze
from qviz.core.ranges.rules import Manual, Percentile, RangeRule
from qviz.core.ranges.table import RANGE_RULES
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.schemes.dynamic import DYNAMIC_RUNTIMES, laid_out
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import GRANULARITIES, Granularity, PerAxis, PerBlock, PerTensor, PerToken
from qviz.core.tensors.tensor import Tensor
from qviz.files.entry import TensorEntry
from qviz.files.readers import list_tensors
from qviz.files.results import read_scheme
from qviz.files.writers import WRITERS, save_as

EXIT_BAD_INPUT = 2
_OUTPUTS = f"The {', '.join(WRITERS)} to write."
_FORMATS = f"int, {', '.join([*FLOATS, *CODEBOOKS])}."
EXPORT_FORMATS = ("png", "svg", "pdf", "csv")


class WindowByDefault(click.Group):
    """``qviz FILE…`` is ``qviz open FILE…``; the word is needed only for a file named like a command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "--version")):
            args = ["open", *args]
        return super().parse_args(ctx, args)


@click.group(cls=WindowByDefault, context_settings={"help_option_names": ["--help"]})
@click.version_option(__version__, prog_name="qviz")
def cli() -> None:
    """See, exactly and live, what quantization does to a tensor.

    qviz [FILE]... opens the window; the commands below need none.
    """


@cli.command("open")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
def open_window(files: tuple[Path, ...]) -> None:
    """Open the window, with FILES or folders in it."""
    gc.disable()  # nothing made while starting is garbage; `run` turns it on again
    from qviz.gui.window import display

    lost = [file.name for file in files if not file.exists()]
    if files and len(lost) == len(files):
        raise Problem(f"{', '.join(lost)} does not exist: give a file, a folder, or a command (qviz --help).")
    if missing := display.missing_display():
        _leave(missing, display.EXIT_NO_DISPLAY)
    try:
        from qviz.app.app import run
    except ImportError as error:
        _leave(display.missing_library(error), display.EXIT_NO_DISPLAY)
    sys.exit(run(files))


def scheme_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that make a scheme, on every command that needs one."""
    options = [
        click.option("--scheme", "scheme_file", type=click.Path(path_type=Path), help="A scheme saved as JSON."),
        click.option("--number-format", default=IntFormat.kind, show_default=True, help=_FORMATS),
        click.option("--bits", type=int, default=8, show_default=True, help="2 to 16; of integers."),
        click.option("--signed/--unsigned", default=True, show_default=True),
        click.option("--symmetric/--asymmetric", default=True, show_default=True),
        click.option("--convention", type=click.Choice(list(CONVENTIONS)), default="onnxruntime", show_default=True),
        click.option(
            "--per",
            type=click.Choice(list(GRANULARITIES)),
            default="tensor",
            help="By itself tensor, or the blocks of a convention that has nothing else.",
        ),
        click.option("--axis", type=int, help="With --per axis (0 by itself) or --per block (-1 by itself)."),
        click.option("--block-size", type=int, default=32, show_default=True, help="With --per block."),
        click.option(
            "--range", "range_rule", type=click.Choice(list(RANGE_RULES)), default="minmax", show_default=True
        ),
        click.option("--percentile", type=float, default=99.9, show_default=True, help="With --range percentile."),
        click.option("--batch-axis", type=int, help="The axis along which calibration batches lie."),
        click.option("--low", type=float, help="With --range manual."),
        click.option("--high", type=float, help="With --range manual."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def tensor_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The file, and which of its tensors."""
    command = click.option("--tensor", "tensor_name", help="Its name, where the file holds several.")(command)
    return click.argument("file", type=click.Path(path_type=Path))(command)


@cli.command("analyze")
@tensor_options
@scheme_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def analyze_command(file: Path, tensor_name: str | None, as_json: bool, **options: Any) -> None:
    """Print what a scheme does to the tensor in FILE."""
    result = _analyze(file, tensor_name, options)
    if as_json:
        click.echo(json.dumps(result.to_dict()))
        return
    q = result.qparams
    for key, value in result.to_dict().items():
        many = {"scale": q.scale, "zero_point": q.zero_point}.get(key) if q.groups > 8 else None
        text = value if many is None else f"{many.size:,} values, {many.min():.6g} to {many.max():.6g}"
        click.echo(f"{key:<18}{text}")


@cli.command("quantize")
@tensor_options
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help=_OUTPUTS)
@scheme_options
def quantize_command(file: Path, tensor_name: str | None, output: Path, **options: Any) -> None:
    """Write the quantized tensor of FILE.

    To an .npz: codes, scale, zero_point and dequantized values; to an .onnx: a model with the codes and
    DequantizeLinear; to a .json: scale and zero_point as ONNX Runtime's TensorQuantOverrides.
    """
    result = _analyze(file, tensor_name, options)
    save_as(output, result)
    s = result.storage
    click.echo(f"{output}: {s.elements} codes, {s.quantized_bytes} bytes when packed, {100 * s.ratio:.4g} % of float32")


@cli.command("render")
@tensor_options
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The folder to write into.")
@click.option("--format", "formats", type=click.Choice(EXPORT_FORMATS), multiple=True, help="Several are fine; png.")
@click.option("--theme", type=click.Choice(["light", "dark"]), default="light", show_default=True)
@click.option("--scale", type=click.FloatRange(0.5, 8), default=2.0, show_default=True, help="PNG pixels a point.")
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
    from qviz.gui.window import display

    result = _analyze(file, tensor_name, options)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Problem(f"{output} cannot be made a folder ({error.strerror}): choose another one.") from None
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    try:
        from qviz.app.app import make_application
        from qviz.gui.tensor.rendering import render_charts
    except ImportError as error:
        _leave(display.missing_library(error), display.EXIT_NO_DISPLAY)
    application = make_application()
    for path in render_charts(application, result, output, formats or ("png",), theme_name=theme, scale=scale):
        click.echo(path)


@cli.command("product")
@click.argument("activation", type=click.Path(path_type=Path))
@click.argument("weight", type=click.Path(path_type=Path))
@click.option("--activation-tensor", help="Its name, where the file holds several.")
@click.option("--weight-tensor", help="Its name, where the file holds several.")
@click.option(
    "--runtime",
    type=click.Choice(list(DYNAMIC_RUNTIMES)),
    default="onnxruntime",
    show_default=True,
    help="How both are quantized.",
)
@click.option("--activation-scheme", type=click.Path(path_type=Path), help="A scheme saved as JSON, instead.")
@click.option("--weight-scheme", type=click.Path(path_type=Path), help="A scheme saved as JSON, instead.")
@click.option("--transposed", is_flag=True, help="WEIGHT is outputs × features, as PyTorch's Linear has it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def product_command(
    activation: Path,
    weight: Path,
    activation_tensor: str | None,
    weight_tensor: str | None,
    runtime: str,
    activation_scheme: Path | None,
    weight_scheme: Path | None,
    transposed: bool,
    as_json: bool,
) -> None:
    """Print what the output of ACTIVATION × WEIGHT loses as a product of integers."""
    from qviz.core.questions.product import multiply

    preset = DYNAMIC_RUNTIMES[runtime]
    x, w = (
        _tensor(_entry(file, name, f"--{what}-tensor"))
        for file, name, what in ((activation, activation_tensor, "activation"), (weight, weight_tensor, "weight"))
    )
    result = multiply(
        x,
        w,
        read_scheme(activation_scheme) if activation_scheme else preset.activation,
        read_scheme(weight_scheme) if weight_scheme else laid_out(preset.weight, transposed),
        transposed=transposed,
    ).to_dict()
    if as_json:
        click.echo(json.dumps(result))
        return
    for key, value in result.items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        click.echo(f"{key:<18}" + ", ".join(f"{name} {figure}".strip() for name, figure in parts))


cli.add_command(train_command)


def main(arguments: list[str] | None = None) -> None:
    """Run a command; a problem is one line on stderr and exit code 2."""
    try:
        code = cli.main(args=arguments, prog_name="qviz", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.UsageError as error:
        hint = f" Try: {error.ctx.command_path} --help" if error.ctx else ""
        _leave(error.format_message() + hint, EXIT_BAD_INPUT)
    except click.Abort:
        sys.exit(130)
    except Problem as problem:
        _leave(" ".join(str(problem).split()), EXIT_BAD_INPUT)
    except MemoryError:
        _leave("there is not enough memory for this tensor: close other programs and try again.", EXIT_BAD_INPUT)
    except BrokenPipeError:
        # The reader of our output has left; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _leave(message: str, code: int) -> Any:
    click.echo(f"qviz: {message}", err=True)
    sys.exit(code)


def _analyze(file: Path, tensor_name: str | None, options: dict[str, Any]) -> Analysis:
    scheme = _scheme(options)
    return analyze(_tensor(_entry(file, tensor_name)), scheme)


def _tensor(entry: TensorEntry) -> Tensor:
    return Tensor(entry.load(), entry.name, dtype=entry.dtype)


def _entry(file: Path, name: str | None, option: str = "--tensor") -> TensorEntry:
    entries = list_tensors(file)
    chosen = [entry for entry in entries if name is None or name in (entry.key, entry.name)]
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(entry.key or entry.name for entry in entries[:12]) + (", …" if len(entries) > 12 else "")
    if name is not None:
        raise Problem(f"{file.name} has no tensor “{name}”: choose one of {names}.")
    raise Problem(f"{file.name} holds {len(entries)} tensors: choose one with {option}: {names}.")


def _scheme(options: dict[str, Any]) -> Scheme:
    if options["scheme_file"] is not None:
        context = click.get_current_context()
        given = [p.opts[0] for p in context.command.params if p.name in options and _is_given(p.name)]
        if len(given) > 1:
            others = ", ".join(name for name in given if name != "--scheme")
            raise click.UsageError(f"--scheme holds the whole scheme: leave out {others}.", context)
        return read_scheme(options["scheme_file"])
    return Scheme(
        number_format=_number_format(options),
        symmetric=options["symmetric"],
        granularity=_granularity(options),
        range_rule=_range_rule(options),
        convention=options["convention"],
    )


def _is_given(name: str) -> bool:
    source = click.get_current_context().get_parameter_source(name.replace("-", "_"))
    return source is ParameterSource.COMMANDLINE


def _refuse_idle(name: str, needs: str, is_used: bool) -> None:
    """An option that would change nothing is a mistake that must not pass in silence."""
    if _is_given(name) and not is_used:
        raise click.UsageError(f"--{name} means nothing without {needs}: give both.", click.get_current_context())


def _number_format(options: dict[str, Any]) -> NumberFormat:
    if options["number_format"] == IntFormat.kind:
        return IntFormat(options["bits"], options["signed"])
    number_format = format_named(options["number_format"])
    for name in ("bits", "signed"):
        _refuse_idle(name, "--number-format int", False)
    return number_format


def _granularity(options: dict[str, Any]) -> Granularity:
    per, axis = options["per"], options["axis"]
    _refuse_idle("axis", "--per axis or --per block", per in (PerAxis.kind, PerBlock.kind))
    _refuse_idle("block-size", "--per block", per == PerBlock.kind)
    if per == PerAxis.kind:
        return PerAxis(0 if axis is None else axis)
    if per == PerBlock.kind:
        return PerBlock(-1 if axis is None else axis, options["block_size"])
    if per == PerToken.kind:
        return PerToken()
    fixed = CONVENTIONS[options["convention"]].block_size
    return PerBlock(-1, fixed) if fixed and not _is_given("per") else PerTensor()


def _range_rule(options: dict[str, Any]) -> RangeRule:
    _refuse_idle("percentile", "--range percentile", options["range_rule"] == Percentile.kind)
    for end in ("low", "high"):
        _refuse_idle(end, "--range manual", options["range_rule"] == Manual.kind)
    if options["range_rule"] == Percentile.kind:
        return Percentile(options["percentile"])
    if options["range_rule"] == Manual.kind:
        if options["low"] is None or options["high"] is None:
            raise Problem("A range by hand needs both ends: give --low and --high.")
        return Manual(options["low"], options["high"])
    rule: Any = RANGE_RULES[options["range_rule"]]()
    if options["batch_axis"] is None:
        return cast(RangeRule, rule)
    if not hasattr(rule, "batch_axis"):
        raise Problem(f"--range {rule.kind} looks at all batches together: leave --batch-axis out.")
    return cast(RangeRule, replace(rule, batch_axis=options["batch_axis"]))
