"""lupdate finds every text that a person can read: nothing is translated that it does not know of."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lupdate import OURS, QVIZ, texts, update
from tests.sources import dotted, nodes, tree

MARKS = {"tr", *OURS}
COMPUTED = (ast.JoinedStr, ast.BinOp, ast.Call)


@dataclass(frozen=True)
class Marked:
    """A call that marks or translates a text, and the class around it."""

    file: str
    line: int
    name: str
    context: str
    text: str | None
    computed: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.name}({self.text!r})"


def marked(path: Path) -> Iterator[Marked]:
    """Every call in a module that takes a text for people."""
    yield from _within(tree(path), "", str(path.relative_to(QVIZ.parent)))


def _within(node: ast.AST, context: str, file: str) -> Iterator[Marked]:
    for child in ast.iter_child_nodes(node):
        inside = child.name if isinstance(child, ast.ClassDef) else context
        if isinstance(child, ast.Call) and child.args:
            called, first = child.func, child.args[0]
            text = first.value if isinstance(first, ast.Constant) else None
            computed = isinstance(first, COMPUTED) and not ast.unparse(first).startswith("N_(")
            if isinstance(called, ast.Name) and called.id in MARKS:
                yield Marked(file, child.lineno, called.id, "", text, computed)
            elif isinstance(called, ast.Attribute) and called.attr in ("tr", "translate"):
                yield Marked(file, child.lineno, dotted(called), inside, text, computed)
        yield from _within(child, inside, file)


@pytest.fixture(scope="module")
def calls() -> list[Marked]:
    return [call for path in sorted(QVIZ.rglob("*.py")) if path.name != "language.py" for call in marked(path)]


@pytest.fixture(scope="module")
def literals(calls: list[Marked]) -> list[Marked]:
    return [call for call in calls if call.text is not None]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    language = tmp_path_factory.mktemp("languages") / "qviz.ts"
    try:
        update(language)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"lupdate does not run here: {getattr(error, 'stderr', error)}")
    return texts(language)


def test_it_finds_every_marked_text(found, literals):
    lost = [str(call) for call in literals if (call.context, call.text) not in found]
    assert lost == []


def test_there_are_as_many_as_there_were(found, literals):
    assert len({call.text for call in literals}) > 1000
    assert len(found) > 1000


def test_bytes_are_told_in_powers_of_1024_and_called_so(literals):
    """But a person may type MB, and is told so."""
    of_1000 = [each for each in literals if re.search(r"(?<!to take \(4 )\b[KMGT]B\b", each.text or "")]
    assert not of_1000, "\n".join(map(str, of_1000))


def test_what_is_marked_is_a_literal(calls):
    """Or a row of a table, whose text is marked there; no language file can have an f-string or a sum."""
    assert [f"{call.file}:{call.line}" for call in calls if call.computed] == []
    assert [f"{call.file}:{call.line}" for call in calls if call.name == "N_" and call.text is None] == []


PROSE = re.compile(r"[^\W\d_]{2,} [^\W\d_]{2,}")

NAMES_OF_QT = QVIZ / "session" / "guard.py"
"""Methods that Qt calls, by their names: nobody reads them."""

BEFORE_QT = QVIZ / "app" / "display.py"
"""What the terminal is told where there is no window: nothing can be translated without Qt."""


def unmarked_prose(path: Path) -> Iterator[str]:
    """Literals of several words that are neither marked nor for the log nor for programmers."""
    exempt: set[ast.AST] = set()
    for node in nodes(path):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):  # a docstring
            exempt.add(node.value)
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            if name.rpartition(".")[2] in MARKS or name.startswith("log.") or name.endswith("Error"):
                exempt.update(inner for arg in node.args for inner in ast.walk(arg))
    for node in nodes(path):
        text = node.value if isinstance(node, ast.Constant) and node not in exempt else None
        if isinstance(text, str) and PROSE.search(re.sub("<[^>]*>?", " ", text)):
            yield f"{path.name}:{node.lineno} {text!r}"


@pytest.mark.parametrize("room", ["gui", "app", "session"])
def test_no_prose_is_unmarked(room):
    files = sorted(set((QVIZ / room).rglob("*.py")) - {BEFORE_QT, NAMES_OF_QT})
    assert [text for path in files for text in unmarked_prose(path)] == []


def test_a_file_s_sentence_is_marked():
    """What is wrong with a file, and what to do: `N_`, a constant that is, or a phrase."""
    bare = []
    for path in sorted(QVIZ.rglob("*.py")):
        for node in nodes(path):
            if not (isinstance(node, ast.Call) and dotted(node.func) in ("FileProblem", "NoNumbers", "damaged")):
                continue
            parts = node.args if dotted(node.func) == "damaged" else node.args[1:]
            bare += [
                f"{path.name}:{node.lineno} {ast.unparse(part)}"
                for part in parts
                if isinstance(part, (ast.Constant, ast.JoinedStr, ast.BinOp))
            ]
    assert bare == []
