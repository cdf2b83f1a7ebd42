"""What does ``qviz audit`` do? It measures a scheme on every tensor of a checkpoint, and ends with 1 below a limit."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qviz.cli.kernels import compile_for
from qviz.cli.networks import progress_bar
from qviz.cli.options import NUMBER, FileOrAddress, importances_of, json_option, scheme_of, scheme_options
from qviz.core.printable import printable
from qviz.core.problems import N_, Problem
from qviz.core.questions.breakdown import not_finite
from qviz.core.schemes.presets import PRESETS
from qviz.core.schemes.scheme import Scheme
from qviz.core.work import THREADS
from qviz.files.atomic import check_spared
from qviz.files.problems import FileProblem, system_errors

if TYPE_CHECKING:
    from qviz.models.audit import Row
    from qviz.models.checkpoint import Checkpoint

EXIT_BELOW = 1
"""A tensor fell below the limit."""

WEIGHTED = "weighted_sqnr_db"
"""What --imatrix adds."""

_NAME_WIDTH = 56


@click.command("audit")
@click.argument("files", nargs=-1, required=True, type=FileOrAddress())
@json_option
@click.option(
    "--csv", "csv_file", type=click.Path(path_type=Path), help="Write a line for each tensor, as it is found."
)
@click.option("--resume", is_flag=True, help="Leave out what --csv's file has already.")
@click.option("--fail-below", type=NUMBER, help="In dB of SQNR: exit with 1 when a tensor is below.")
@click.option("--one-axis", is_flag=True, help="Quantize biases and other tensors with one axis, too.")
@click.option("--preset", "presets", multiple=True, help="Schemes by name, several at once, in place of options.")
@click.option("--imatrix", type=click.Path(path_type=Path), help="Add an SQNR weighed by what llama-imatrix measured.")
@click.option("--scheduler", metavar="ADDRESS", help="Audit on the Dask cluster there, such as tcp://10.0.0.1:8786.")
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Audit in N processes here, as a cluster does."
)
@scheme_options
def audit_command(
    files: tuple[Path | str, ...],
    as_json: bool,
    csv_file: Path | None,
    resume: bool,
    fail_below: float | None,
    one_axis: bool,
    presets: tuple[str, ...],
    imatrix: Path | None,
    scheduler: str | None,
    workers: int | None,
    **options: Any,
) -> int:
    """Measure a scheme on every tensor of FILES, or of the files in folders, worst first.

    FILES may be addresses of safetensors files, or of folders of them, in object storage: s3://, gs://, az://. With
    --scheduler the workers of a cluster read their shares themselves; the answer is the same.

    Tensors with one axis and those of whole numbers are left as they are, and marked. Weight error is not accuracy:
    qviz sensitivity measures what a network's output loses.
    """
    from qviz.models.plans import Importances

    context = click.get_current_context()
    if as_json and csv_file is not None:
        raise click.UsageError("--json and --csv are two answers: give one of them.", context)
    if resume and csv_file is None:
        raise click.UsageError("--resume means nothing without --csv: give both.", context)
    if scheduler is not None and workers is not None:
        raise click.UsageError("--scheduler and --workers are two clusters: give one of them.", context)
    named = _schemes(presets) if presets else {scheme_of(options): ""}
    checkpoint = _opened(files, csv_file)
    importances = Importances(importances_of(imatrix)) if imatrix is not None else None

    def told(row: Row) -> dict[str, Any]:
        said = row.to_dict()
        if importances is not None:
            value = importances.sqnr_db(row)
            said[WEIGHTED] = value if math.isfinite(value) else None
        return said | ({"preset": named[row.scheme]} if presets else {})

    known = _known(csv_file, named) if resume and csv_file is not None else {}
    compile_for(checkpoint.nbytes)
    with _auditor(scheduler, workers) as measure, progress_bar("auditing") as tell:
        asked = measure(checkpoint.weights, list(named), one_axis=one_axis, done=known.keys(), progress=tell)
        found = ((row.scheme, told(row)) for row in asked)
        if csv_file is None:
            rows = [row for _, row in found]
        else:
            rows = [*known.values(), *_written(csv_file, found, resume and bool(known))]
    if as_json:
        first, *_ = schemes = [(name, scheme.to_dict()) for scheme, name in named.items()]
        about: dict[str, Any] = {"schemes": dict(schemes)} if presets else {"scheme": first[1]}
        click.echo(json.dumps(about | {"tensors": rows}))
    elif csv_file is None and presets:
        parts = [[row for row in rows if row["preset"] == name] for name in named.values()]
        tables = zip(named.values(), map(_table, parts), strict=True)
        click.echo("\n\n".join(f"{name}\n{table}" for name, table in tables))
    elif csv_file is None:
        click.echo(_table(rows))
    lost = {row["name"]: (row["not_finite"], math.prod(row["shape"] or ())) for row in rows if row.get("not_finite")}
    for name, counts in lost.items():
        click.echo(f"qviz: {printable(name)}: {not_finite(*counts)}", err=True)
    unread = [*(str(problem) for problem in checkpoint.problems), *(row["problem"] for row in rows if row["problem"])]
    below = _below(rows, fail_below)
    if below:
        worst = below[0]
        count = "1 tensor is" if len(below) == 1 else f"{len(below):,} tensors are"
        said = f"qviz: {count} below {fail_below:g} dB; the worst is {worst['name']} with {worst['sqnr_db']:.2f} dB."
        click.echo(printable(said), err=True)
    for said in unread[:-1]:
        click.echo(f"qviz: {printable(said)}", err=True)
    if unread:
        raise Problem("{said}", said=unread[-1])
    return EXIT_BELOW if below else 0


@contextmanager
def _auditor(scheduler: str | None, workers: int | None) -> Iterator[Callable[..., Iterator[Row]]]:
    """Who measures: this process, or a cluster."""
    if scheduler is None and workers is None:
        from qviz.models.audit import audit

        yield partial(audit, threads=THREADS)
        return
    from qviz.models.cluster import audit_on, connected

    with connected(scheduler, workers or 1) as client:
        yield partial(audit_on, client)


def _opened(files: tuple[Path | str, ...], csv_file: Path | None) -> Checkpoint:
    """What is audited, which the table of its figures is no part of, though it may lie in the same folder."""
    from qviz.models.checkpoint import files_of, open_checkpoint

    if csv_file is None:
        return open_checkpoint(files)
    check_spared(csv_file, files)
    checkpoint = open_checkpoint(files, but=csv_file)
    check_spared(csv_file, files_of(checkpoint))
    return checkpoint


def _below(rows: Iterable[dict[str, Any]], limit: float | None) -> list[dict[str, Any]]:
    """Those below a limit, the worst first; a tensor without error has no SQNR, and is above every limit."""
    if limit is None:
        return []
    found = [row for row in rows if row["sqnr_db"] is not None and row["sqnr_db"] < limit]
    return sorted(found, key=lambda row: float(row["sqnr_db"]))


# -- tables


def _table(rows: list[dict[str, Any]]) -> str:
    measured = [row for row in rows if row["bits_per_element"] is not None]
    measured.sort(key=lambda row: math.inf if row["sqnr_db"] is None else row["sqnr_db"])
    width = max((min(_NAME_WIDTH, len(printable(row["name"]))) for row in measured), default=4)
    is_weighted = any(WEIGHTED in row for row in measured)
    more = f"  {'weighted':>8}" if is_weighted else ""
    lines = [
        f"{'tensor':<{width}}  {'SQNR dB':>8}{more}  {'rel. RMSE':>9}  {'max error':>10}  {'saturated':>10}"
        f"  {'bits':>6}"
    ]
    for row in measured:
        name = printable(row["name"])
        name = name if len(name) <= width else "…" + name[1 - width :]
        sqnr = "exact" if row["sqnr_db"] is None else f"{row['sqnr_db']:.2f}"
        relative = "" if row["relative_rmse"] is None else f"{row['relative_rmse']:.3g}"
        largest = "" if row["max_abs_error"] is None else f"{row['max_abs_error']:.4g}"
        weighted = row.get(WEIGHTED)
        more = f"  {'' if weighted is None else format(weighted, '.2f'):>8}" if is_weighted else ""
        lines.append(
            f"{name:<{width}}  {sqnr:>8}{more}  {relative:>9}  {largest:>10}  {row['saturated']:>10,}"
            f"  {row['bits_per_element']:>6.3f}"
        )
    reasons = Counter(row["left_in_float"].rstrip(".") for row in rows if row["left_in_float"])
    if reasons:
        why = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common(3))
        lines.append(f"left as they are: {reasons.total():,} ({printable(why)})")
    return "\n".join(lines)


_TEXTS = ("name", "preset", "dtype", "left_in_float", "problem")


def _written(path: Path, rows: Iterable[tuple[Scheme, dict[str, Any]]], follows: bool) -> list[dict[str, Any]]:
    """The rows, each written as soon as it is known: what is cancelled leaves a file that can be gone on with."""
    kept = []
    if path.exists() and not path.is_file() and not path.is_dir():
        raise FileProblem(path, N_("can't be written: it is a device or a pipe"), N_("Choose an ordinary file."))
    before = _columns(path) if follows else []
    with system_errors(path, writing=True), path.open("a" if follows else "w", newline="", encoding="utf-8") as file:
        writer = None
        for scheme, row in rows:
            if writer is None:
                writer = csv.DictWriter(file, before or [*row, "scheme"], extrasaction="ignore")
                if not follows:
                    writer.writeheader()
            shape = "" if row["shape"] is None else "x".join(map(str, row["shape"]))
            writer.writerow(row | {"shape": shape, "scheme": json.dumps(scheme.to_dict())})
            file.flush()
            kept.append(row)
    return kept


def _columns(path: Path) -> list[str]:
    """Those that a file has already: another release may have had fewer."""
    with system_errors(path), path.open(newline="", encoding="utf-8", errors="replace") as file:
        return next(csv.reader(file), [])


def _schemes(names: tuple[str, ...]) -> dict[Scheme, str]:
    """Presets by their names, whatever the case."""
    known = {preset.name.lower(): preset for preset in PRESETS}
    found = {}
    for name in names:
        preset = known.get(name.lower())
        if preset is None:
            raise Problem(
                "There is no preset “{name}”: choose one of {names}.",
                name=printable(name),
                names=", ".join(each.name for each in PRESETS),
            )
        found[preset.scheme] = preset.name
    return found


def _known(path: Path, named: dict[Scheme, str]) -> dict[tuple[str, Scheme], dict[str, Any]]:
    """The rows of these schemes that a file has; those that could not be read are asked for again."""
    if not path.exists():
        return {}
    wanted = {json.dumps(scheme.to_dict()): scheme for scheme in named}
    with system_errors(path), path.open(newline="", encoding="utf-8", errors="replace") as file:
        try:
            found = [row for row in csv.DictReader(file) if row.get("scheme") in wanted and not row.get("problem")]
        except csv.Error:
            found = []
    if not found:
        raise Problem("{file} has no rows of this scheme: leave --resume out, or name another file.", file=path.name)
    return {
        (str(row["name"]), wanted[row["scheme"]]): {key: _value(key, row[key]) for key in row if key != "scheme"}
        for row in found
    }


def _value(key: str | None, text: str | None) -> Any:
    if not text:
        return None
    if key in _TEXTS:
        return text
    if key == "shape":
        return [int(length) for length in text.split("x") if length.isdigit()]
    convert: Callable[[str], Any] = int if text.lstrip("-").isdigit() else float
    try:
        return convert(text)
    except ValueError:
        return None
