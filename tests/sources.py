"""What does the source of each module say? Parsed once for all tests that read it."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path


@cache
def tree(path: Path) -> ast.Module:
    """A module as Python understands it."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Everything in a module, as `ast.walk` goes through it."""
    return tuple(ast.walk(tree(path)))


def dotted(called: ast.expr) -> str:
    """A name with what it is an attribute of, as `ast.unparse` writes it; quickly where that is all."""
    if isinstance(called, ast.Name):
        return called.id
    if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
        return f"{called.value.id}.{called.attr}"
    return ast.unparse(called)
