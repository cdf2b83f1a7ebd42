"""Which question does each module answer? ``python -m tests.rooms`` writes the tables of CONTRIBUTING.md anew."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.sources import tree

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- rooms: written by python -m tests.rooms -->", "<!-- end of rooms -->"

ROOMS = (
    "core",
    *(f"core/{room}" for room in ("questions", "passes", "scripts", "arithmetic", "schemes", "ranges", "runtimes")),
    *(f"core/{room}" for room in ("tensors", "formats")),
    "files",
    "files/tables",
    "models",
    "training",
    "session",
    *(
        f"gui/{room}"
        for room in ("window", "tensor", "compare", "product", "model", "training", "charts", "words", "kit")
    ),
    "app",
    "cli",
)
"""Every room, in the order of the tables; a test finds one that is missing."""


def question(path: Path) -> str:
    """The first line of a module."""
    said = ast.get_docstring(tree(path)) or "?"
    return said.splitlines()[0].replace("|", "\\|")


def tables() -> str:
    """The tables of all rooms, as they stand in the guide."""
    parts = [BEGIN]
    for room in ROOMS:
        folder = ROOT / "qviz" / room
        if not folder.is_dir():
            continue
        parts += ["", f"**`{room}`** — {question(folder / '__init__.py')}", "", "| module | question |", "|---|---|"]
        modules = sorted(path for path in folder.glob("*.py") if path.stem != "__init__")
        parts += [f"| `{path.stem}` | {question(path)} |" for path in modules]
    return "\n".join([*parts, "", END])


def written(guide: str) -> str:
    """A guide with the tables of today."""
    start, stop = guide.index(BEGIN), guide.index(END) + len(END)
    return guide[:start] + tables() + guide[stop:]


if __name__ == "__main__":
    GUIDE.write_text(written(GUIDE.read_text(encoding="utf-8")), encoding="utf-8")
