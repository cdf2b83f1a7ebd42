"""What does ``qviz card`` do? It counts a checkpoint once, into a file that answers for it without its weights."""

from __future__ import annotations

from pathlib import Path

import click

from qviz.cli.kernels import compile_for
from qviz.cli.networks import progress_bar
from qviz.cli.options import FileOrAddress
from qviz.core.printable import printable
from qviz.core.problems import Problem
from qviz.core.sizes import byte_text
from qviz.files.atomic import check_spared


@click.command("card")
@click.argument("files", nargs=-1, required=True, type=FileOrAddress())
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The card; beside the first file by default.")
def card_command(files: tuple[Path | str, ...], output: Path | None) -> None:
    """Count the values of every 16-bit tensor of FILES, and write names, shapes, counts and the extremes of rows.

    A card of some kilobytes a tensor answers what a scheme with one scale does to each, exactly and in milliseconds:
    qviz audit CARD. It says what it cannot answer: blocks, axes, tensors of 32 bits.
    """
    from qviz.files.cards import SUFFIX, write_card
    from qviz.models.cards import card_rows
    from qviz.models.checkpoint import files_of, open_checkpoint

    checkpoint = open_checkpoint(files)
    first = files[0]
    beside = first.parent if isinstance(first, Path) else Path()
    target = output or beside / f"{Path(first).name.split('.')[0]}{SUFFIX}"
    check_spared(target, files_of(checkpoint))
    compile_for(checkpoint.nbytes)
    with progress_bar("counting") as tell:
        counted = write_card(target, card_rows(checkpoint.weights, progress=tell))
    total = len(checkpoint.weights)
    what = "tensor" if total == 1 else "tensors"
    click.echo(printable(f"{target}: {counted:,} of {total:,} {what} counted, {byte_text(target.stat().st_size)}"))
    for problem in checkpoint.problems[:-1]:
        click.echo(printable(f"qviz: {problem}"), err=True)
    if checkpoint.problems:
        last: Problem = checkpoint.problems[-1]
        raise last
