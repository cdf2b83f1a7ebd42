"""When are loops compiled before a command begins? When so much is to be looked at that it pays."""

from __future__ import annotations

from qviz.core import compiler

WORTH = 1 << 29
"""Bytes: NumPy takes as long for so many as compiling takes, the first time."""


def compile_for(nbytes: int) -> None:
    """Compile, or load what was compiled before, in front of work on so many bytes."""
    if nbytes >= WORTH:
        compiler.warm_up()
