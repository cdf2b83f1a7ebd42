"""What can be done from the command line, and how does it end? Qt is reached only inside the commands that draw."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import click

from qviz import __version__
from qviz.cli.analyze import analyze_command
from qviz.cli.audit import audit_command
from qviz.cli.budget import budget_command
from qviz.cli.card import card_command
from qviz.cli.diff import diff_command
from qviz.cli.inspect import inspect_command
from qviz.cli.product import product_command
from qviz.cli.ptq import compare_command, ptq_command
from qviz.cli.quantize import quantize_command
from qviz.cli.render import render_command
from qviz.cli.sensitivity import sensitivity_command
from qviz.cli.train import train_command
from qviz.cli.window import open_command
from qviz.core.printable import printable
from qviz.core.problems import Problem

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
"""What a shell says of a program that Ctrl+C ended."""

COMMANDS = (
    open_command,
    inspect_command,
    analyze_command,
    audit_command,
    budget_command,
    card_command,
    diff_command,
    quantize_command,
    render_command,
    product_command,
    sensitivity_command,
    ptq_command,
    compare_command,
    train_command,
)


class OutputFailed(Exception):
    """What is printed could not be: the reader has left, the disk is full."""


@contextmanager
def _printing() -> Iterator[None]:
    """Before click sees what an output refuses, and ends with 1 without a word."""
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:
            raise
        raise OutputFailed(error.errno, error.strerror) from error


class WindowByDefault(click.Group):
    """``qviz FILE…`` is ``qviz open FILE…``; the word is needed only for a file named like a command."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _printing():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _printing():
            return super().invoke(ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "--version")):
            args = ["open", *args]
        return super().parse_args(ctx, args)


@click.group(cls=WindowByDefault, context_settings={"help_option_names": ["--help"]}, commands=COMMANDS)
@click.version_option(__version__, prog_name="qviz")
def cli() -> None:
    """See, exactly and live, what quantization does to a tensor.

    qviz [FILE]... opens the window; the commands below need none.
    """


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command; a problem is one line on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names need not be text that the terminal can show
            stream.reconfigure(errors="backslashreplace")
    try:
        code = cli.main(args=arguments, prog_name="qviz", standalone_mode=False)
        with _printing():  # the help, after which click leaves
            pass
        sys.exit(code if isinstance(code, int) else 0)
    except click.UsageError as error:
        hint = f" Try: {error.ctx.command_path} --help" if error.ctx else ""
        _leave(_sentence(error) + hint, EXIT_BAD_INPUT)
    except click.ClickException as error:
        _leave(error.format_message(), error.exit_code)
    except click.Abort:
        sys.exit(EXIT_INTERRUPTED)
    except Problem as problem:
        _leave(" ".join(str(problem).split()), EXIT_BAD_INPUT)
    except MemoryError:
        _leave("there is not enough memory for this tensor: close other programs and try again.", EXIT_BAD_INPUT)
    except OutputFailed as failure:
        code, reason = failure.args
        # Python would try, and complain, once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if code == errno.EPIPE:  # the reader has what it wanted
            sys.exit(0)
        _leave(f"the output cannot be written: {reason}.", EXIT_BAD_INPUT)
    except OSError as error:
        _leave(f"{error.filename or 'a file'}: {error.strerror or error}.", EXIT_BAD_INPUT)


def _sentence(error: click.UsageError) -> str:
    """What click says, which lists choices a line each, as a sentence."""
    said = error.format_message().replace("\n\t", " ")
    return said if said.endswith((".", "?", ")")) else f"{said}."


def _leave(message: str, code: int) -> NoReturn:
    with suppress(OSError):
        click.echo(f"qviz: {printable(message)}", err=True)
    sys.exit(code)
