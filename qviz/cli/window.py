"""What does ``qviz`` without a command do? It opens the window, or says why none can be opened here."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import click

from qviz.app import display
from qviz.cli.interrupts import at_once
from qviz.core.problems import Problem


class NoDisplay(click.ClickException):
    """What a command that draws lacks on this machine, in one line."""

    exit_code = display.EXIT_NO_DISPLAY


def _exists(file: Path) -> bool:
    try:
        return file.exists()
    except OSError:  # a name that is too long, a folder that nobody may look into
        return False


@click.command("open")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
def open_command(files: tuple[Path, ...]) -> None:
    """Open the window, with FILES or folders in it."""
    gc.disable()  # nothing made while starting is garbage; `run` turns it on again
    lost = [file.name for file in files if not _exists(file)]
    if files and len(lost) == len(files):
        raise Problem(
            "{files} does not exist: give a file, a folder, or a command (qviz --help).", files=", ".join(lost)
        )
    if missing := display.missing_display():
        raise NoDisplay(missing)
    with at_once():  # until there is a window, which closes
        try:
            from qviz.app.app import run
        except ImportError as error:
            raise NoDisplay(display.missing_library(error)) from None
        sys.exit(run(files))
