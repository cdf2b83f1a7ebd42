"""Which tensor and which scheme do the options of a command mean?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import click
from click.core import ParameterSource

from qviz.core.arrays import FloatArray
from qviz.core.formats.codebooks import CODEBOOKS
from qviz.core.formats.floats import FLOATS
from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NumberFormat, format_named
from qviz.core.printable import printable
from qviz.core.problems import Problem
from qviz.core.ranges.entropy import Entropy
from qviz.core.ranges.known import Known
from qviz.core.ranges.onnxruntime import OnnxRuntimePercentile
from qviz.core.ranges.rules import Manual, Percentile, RangeRule
from qviz.core.ranges.table import RANGE_RULES
from qviz.core.runtimes.precision import AUTO, COMPUTE_DTYPES
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import GRANULARITIES, Granularity, PerAxis, PerBlock, PerTensor, PerTile, PerToken
from qviz.core.tensors.tensor import Tensor
from qviz.files.addresses import is_address
from qviz.files.entry import TensorEntry
from qviz.files.raw import RawForm
from qviz.files.readers import Reading, list_tensors
from qviz.files.results import read_scheme
from qviz.files.tables.form import TableOptions

Command = Callable[..., Any]

_READING = "qviz.reading"

MOST_NAMES = 12
"""Tensors that a message names."""

_FORMATS = f"int, {', '.join([*FLOATS, *CODEBOOKS])}."

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


class Number(click.FloatRange):
    """A number, perhaps within bounds: not NaN, which no comparison notices, nor an infinity."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click calls it."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not finite: give a number.", param, ctx)
        return number


NUMBER = Number()


class FileOrAddress(click.Path):
    """A path, or the address of something in object storage, which stays a text."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click calls it."""
        return value if is_address(value) else super().convert(value, param, ctx)


def importances_of(path: Path) -> dict[str, FloatArray]:
    """What ``llama-imatrix`` measured of each tensor's columns; those of experts, a row each, are left out.

    Raises
    ------
    FileProblem
        When it is no importance matrix.
    """
    from qviz.files.imatrix import columns_of

    return columns_of(path)


def runtime_options(runtimes: Iterable[str], text: str) -> Callable[[Command], Command]:
    """``--runtime``, and ``--convention`` as it was called once; `chosen_runtime` reads them."""
    choice = click.Choice(list(runtimes))

    def add(command: Command) -> Command:
        command = click.option("--convention", type=choice, hidden=True)(command)
        return click.option("--runtime", type=choice, default="onnxruntime", show_default=True, help=text)(command)

    return add


def chosen_runtime(options: dict[str, Any]) -> str:
    """The runtime, under whichever of its two names it was given."""
    if options["convention"] is None:
        return cast(str, options["runtime"])
    if _is_given("runtime"):
        context = click.get_current_context()
        raise click.UsageError("--convention is the old name of --runtime: give --runtime alone.", context)
    return cast(str, options["convention"])


def scheme_options(command: Command) -> Command:
    """The options that make a scheme, on every command that needs one; `scheme_of` reads them."""
    options: list[Callable[[Command], Command]] = [
        click.option("--scheme", "scheme_file", type=click.Path(path_type=Path), help="A scheme saved as JSON."),
        click.option("--number-format", default=IntFormat.kind, show_default=True, help=_FORMATS),
        click.option("--bits", type=int, default=8, show_default=True, help="2 to 16; of integers."),
        click.option("--signed/--unsigned", default=True, show_default=True),
        click.option("--symmetric/--asymmetric", default=True, show_default=True),
        runtime_options(CONVENTIONS, "Whose arithmetic the codes come from."),
        click.option(
            "--per",
            type=click.Choice(list(GRANULARITIES)),
            default="tensor",
            help="Default: tensor, or the runtime's fixed blocks.",
        ),
        click.option("--axis", type=int, help="Default: 0 with --per axis, -1 with --per block."),
        click.option("--block-size", type=int, default=32, show_default=True, help="With --per block."),
        click.option("--tile", default="128x128", show_default=True, help="Rows x columns; with --per tile."),
        click.option(
            "--range", "range_rule", type=click.Choice(list(RANGE_RULES)), default="minmax", show_default=True
        ),
        click.option(
            "--percentile",
            type=float,
            help="With --range percentile or onnxruntime_percentile.  [default: 99.9, and 99.999]",
        ),
        click.option(
            "--magnitudes/--values",
            default=True,
            show_default=True,
            help="With --range onnxruntime_percentile: of |x|, or of x (CalibTensorRangeSymmetric=False).",
        ),
        click.option("--bins", type=int, help="With --range entropy: 128 in ONNX Runtime.  [default: 2048]"),
        click.option("--batch-axis", type=int, help="The axis along which calibration batches lie."),
        click.option(
            "--compute-as",
            "compute_dtype",
            type=click.Choice(COMPUTE_DTYPES),
            default=AUTO,
            show_default=True,
            help="auto: as the runtime has it for bfloat16 and float16; float32: as if quantized before the cast.",
        ),
        click.option(
            "--power-of-two/--any-scale", default=False, show_default=True, help="Scales rounded up to powers of two."
        ),
        click.option("--known-scale", help="With --range known: a number, or one for each group, 0.02,0.03."),
        click.option("--known-zero-point", help="With --range known: the same of zero points.  [default: 0]"),
        click.option(
            "--scale-file",
            type=click.Path(path_type=Path),
            help="With --range known: a model or a quantized tensor that holds them.",
        ),
        click.option("--scale-of", help="Of which tensor in --scale-file."),
        click.option("--low", type=float, help="With --range manual."),
        click.option("--high", type=float, help="With --range manual."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def reading_options(command: Command) -> Command:
    """What a person says of a file; `reading` gives it."""
    table = click.option(
        "--table",
        expose_value=False,
        callback=_keep_table,
        help="Of a table: header=1,index=yes,separator=tab,decimal=comma,columns=2-5+7.",
    )
    raw = click.option(
        "--raw",
        expose_value=False,
        callback=_keep_raw,
        help="Of bare numbers: dtype=float16,shape=64x512,offset=0,byteorder=little.",
    )
    return table(raw(command))


def _keep_table(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.meta[_READING] = replace(reading(context), table=TableOptions.parsed(value))


def _keep_raw(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.meta[_READING] = replace(reading(context), raw=RawForm.parsed(value))


def reading(context: click.Context | None = None) -> Reading:
    """What the options say of the files of a command."""
    said: Reading = (context or click.get_current_context()).meta.get(_READING, Reading())
    return said


def tensor_options(command: Command) -> Command:
    """The file, which of its tensors, and how it is written; `tensor_of` reads them."""
    command = reading_options(command)
    command = click.option("--tensor", "tensor_name", help="Its name, where the file holds several.")(command)
    return click.argument("file", type=click.Path(path_type=Path))(command)


def tensor_of(file: Path, name: str | None, option: str = "--tensor") -> Tensor:
    """The tensor of that name, or the only one in the file; ``option`` is where its name is given."""
    return loaded(entry_of(file, name, option))


def loaded(entry: TensorEntry) -> Tensor:
    """What an entry holds; what had to be assumed of it is said."""
    tensor = Tensor(entry.load(), entry.name, dtype=entry.dtype)
    note = entry.note()
    if note and not note.is_plain:
        click.echo(printable(f"qviz: {entry.path.name}: {note.phrase}"), err=True)
    return tensor


def entry_of(file: Path, name: str | None, option: str) -> TensorEntry:
    """The entry of that name, or the only one in the file."""
    entries = list_tensors(file, reading())
    chosen = [entry for entry in entries if name is None or name in (entry.key, entry.name)]
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(entry.key or entry.name for entry in entries[:MOST_NAMES])
    if len(entries) > MOST_NAMES:
        names += f", … (qviz inspect {file.name} lists all)"
    if name is not None:
        raise Problem("{file} has no tensor “{name}”: choose one of {names}.", file=file.name, name=name, names=names)
    raise Problem(
        "{file} holds {count} tensors: choose one with {option}: {names}.",
        file=file.name,
        count=len(entries),
        option=option,
        names=names,
    )


def scheme_of(options: dict[str, Any]) -> Scheme:
    """The scheme of the file, or of the options; what contradicts it, or would change nothing, is refused."""
    if options["scheme_file"] is not None:
        context = click.get_current_context()
        given = [p.opts[0] for p in context.command.params if p.name in options and _is_given(p.name)]
        if len(given) > 1:
            others = ", ".join(name for name in given if name != "--scheme")
            raise click.UsageError(f"--scheme holds the whole scheme: leave out {others}.", context)
        return read_scheme(options["scheme_file"])
    runtime = chosen_runtime(options)
    number_format, symmetric = _number_format(options), options["symmetric"]
    granularity = _granularity(options, runtime)
    if CONVENTIONS[runtime].has_one_format:  # which need not be said
        parts = CONVENTIONS[runtime].nearest(number_format, symmetric, granularity)
        if not any(_is_given(name) for name in ("number-format", "bits", "signed")):
            number_format = parts[0]
        symmetric = symmetric if _is_given("symmetric") else parts[1]
    return Scheme(
        number_format=number_format,
        symmetric=symmetric,
        granularity=granularity,
        range_rule=_range_rule(options),
        convention=runtime,
        compute_dtype=options["compute_dtype"],
        power_of_two=options["power_of_two"],
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


def _granularity(options: dict[str, Any], runtime: str) -> Granularity:
    per, axis = options["per"], options["axis"]
    _refuse_idle("axis", "--per axis or --per block", per in (PerAxis.kind, PerBlock.kind))
    _refuse_idle("block-size", "--per block", per == PerBlock.kind)
    _refuse_idle("tile", "--per tile", per == PerTile.kind)
    if per == PerAxis.kind:
        return PerAxis(0 if axis is None else axis)
    if per == PerBlock.kind:
        return PerBlock(-1 if axis is None else axis, options["block_size"])
    if per == PerTile.kind:
        return _tile(options["tile"])
    if per == PerToken.kind:
        return PerToken()
    fixed = CONVENTIONS[runtime].default_block
    return PerBlock(-1, fixed) if fixed and not _is_given("per") else PerTensor()


def _tile(text: str) -> PerTile:
    rows, _, columns = text.lower().replace("×", "x").partition("x")
    try:
        sides = int(rows), int(columns)
    except ValueError:
        raise Problem("A tile cannot be “{text}”: give rows x columns, such as 128x128.", text=text) from None
    return PerTile(*sides)


def _known(options: dict[str, Any]) -> Known:
    from qviz.files.known_scales import known_of

    if (options["known_scale"] is None) == (options["scale_file"] is None):
        raise Problem("A known scale comes from one place: give either --known-scale or --scale-file.")
    if options["scale_file"] is not None:
        _refuse_idle("known-zero-point", "--known-scale", False)
        return known_of(options["scale_file"], options["scale_of"])
    _refuse_idle("scale-of", "--scale-file", False)
    points = options["known_zero_point"]
    return Known(_listed(options["known_scale"]), (0.0,) if points is None else _listed(points))


def _listed(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError:
        raise Problem(
            "“{text}” is no number, nor several with commas between: give such as 0.02,0.03.", text=text
        ) from None


def _range_rule(options: dict[str, Any]) -> RangeRule:
    counted = (Percentile.kind, OnnxRuntimePercentile.kind)
    _refuse_idle("percentile", "--range percentile", options["range_rule"] in counted)
    _refuse_idle("magnitudes", "--range onnxruntime_percentile", options["range_rule"] == OnnxRuntimePercentile.kind)
    _refuse_idle("bins", "--range entropy", options["range_rule"] == Entropy.kind)
    for end in ("low", "high"):
        _refuse_idle(end, "--range manual", options["range_rule"] == Manual.kind)
    for name in ("known-scale", "known-zero-point", "scale-file", "scale-of"):
        _refuse_idle(name, "--range known", options["range_rule"] == Known.kind)
    if options["range_rule"] == Known.kind:
        return _known(options)
    percent = {} if options["percentile"] is None else {"percentile": options["percentile"]}
    if options["range_rule"] == Percentile.kind:
        return Percentile(**percent)
    if options["range_rule"] == Manual.kind:
        if options["low"] is None or options["high"] is None:
            raise Problem("A range by hand needs both ends: give --low and --high.")
        return Manual(options["low"], options["high"])
    rule: Any = RANGE_RULES[options["range_rule"]]()
    if isinstance(rule, OnnxRuntimePercentile):
        rule = replace(rule, magnitudes=options["magnitudes"], **percent)
    if isinstance(rule, Entropy) and options["bins"] is not None:
        rule = replace(rule, bins=options["bins"])
    if options["batch_axis"] is None:
        return cast(RangeRule, rule)
    if not hasattr(rule, "batch_axis"):
        raise Problem("--range {rule} looks at all batches together: leave --batch-axis out.", rule=rule.kind)
    return cast(RangeRule, replace(rule, batch_axis=options["batch_axis"]))
