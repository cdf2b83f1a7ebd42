"""The rules of the house that no other tool looks after."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import qviz
from qviz.gui.window.actions import ACTIONS, SUBMENUS
from qviz.gui.window.again import Again
from qviz.gui.window.main_window import MainWindow
from qviz.gui.window.saving import Saving
from tests import rooms
from tests.sources import nodes, tree

ROOT = Path(qviz.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
QT = ("PySide6", "shiboken6", "pyqtgraph")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[str]:
    """Every module and every name of a module that a file imports, wherever in it."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def below(*folders: str) -> list[Path]:
    found = [path for path in MODULES if path.relative_to(ROOT).parts[0] in folders]
    assert found
    return found


def of_qt(paths: Iterable[Path], allowed: str = "-") -> list[str]:
    return [
        f"{name_of(path)} imports {name}"
        for path in paths
        for name in imports(path)
        if name.split(".")[0] in QT and not name.startswith(allowed)
    ]


def test_core_files_and_training_know_no_qt() -> None:
    assert of_qt(below("core", "files", "training")) == []


def test_the_session_knows_qtcore_alone() -> None:
    assert of_qt(below("session"), "PySide6.QtCore.") == []


def test_the_first_line_says_which_question_a_file_answers() -> None:
    first = {name_of(path): (ast.get_docstring(tree(path)) or "").partition("\n")[0] for path in MODULES}
    assert [name for name, line in first.items() if not line.endswith((".", "?"))] == []
    assert [name_of(path) for path in MODULES if tree(path).body[0].lineno != 1] == []


def test_the_look_at_the_house_finds_what_it_looks_for(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import PySide6.QtGui\ndef f():\n    from PySide6 import QtWidgets\n")
    assert list(imports(tmp_path / "a.py")) == ["PySide6.QtGui", "PySide6.QtWidgets"]


def test_frozen_dataclasses_have_nothing_compiled_at_the_start() -> None:
    standard = [
        f"{name_of(path)}: {each}"
        for path in MODULES
        if name_of(path) != "core/frozen.py"
        for node in nodes(path)
        if isinstance(node, ast.ClassDef)
        for each in map(ast.unparse, node.decorator_list)
        if "frozen=True" in each and "init=False" not in each
    ]
    assert standard == []


def told_and_stopped(path: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """What work that can be watched or stopped takes of the pair, in order: by position, by keyword."""
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef):
            given = node.args
            positional = [a.arg for a in given.posonlyargs + given.args if a.arg in PAIR]
            by_keyword = [a.arg for a in given.kwonlyargs if a.arg in PAIR]
            optional = {a.arg for a in given.args[len(given.args) - len(given.defaults) :]} & set(PAIR)
            if positional or by_keyword:
                yield node.name, [a for a in positional if a in optional], by_keyword


PAIR = ("progress", "cancelled")


def test_progress_and_cancelled_come_by_keyword_and_in_this_order() -> None:
    taken = [(path, *found) for path in below("core", "files", "training") for found in told_and_stopped(path)]
    assert len(taken) > 100
    orders = (["progress", "cancelled"], ["progress"], ["cancelled"], [])
    assert [
        f"{name_of(path)}: {name} takes {optional or by_keyword}"
        for path, name, optional, by_keyword in taken
        if optional or by_keyword not in orders
    ] == []


def test_a_share_is_written_with_a_space_before_its_sign() -> None:
    """``{share:.0%}`` writes 62%; everywhere else it is 62 %."""
    texts = [
        (path, node.value)
        for path in MODULES
        for node in nodes(path)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    written = re.compile(r"\{[^{}]*:[^{}]*%\}|^[-+,]?\.\d*%$")
    assert written.search("{share:.0%} of it")
    assert written.search(".2%")  # as a format of an f-string stands alone
    assert [f"{name_of(path)}: {text}" for path, text in texts if written.search(text)] == []


KEYS = [row.key for row in ACTIONS if row.key != "-"]


def slots(owner: type[MainWindow | Saving | Again]) -> set[str]:
    meta = owner.staticMetaObject
    return {bytes(meta.method(i).name().data()).decode() for i in range(meta.methodCount())}


def test_no_signal_has_qt_copy_a_container_entry_by_entry() -> None:
    """100,000 paths in a ``Signal(list)`` held the window for 170 ms; ``object`` hands on the list itself."""
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in MODULES
        for node in nodes(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Signal", "Slot")
        for argument in node.args
        if isinstance(argument, ast.Name) and argument.id in ("list", "tuple", "dict", "set")
    ]
    assert found == []


def test_every_action_has_a_slot_of_its_name() -> None:
    named = {
        key for owner in (MainWindow, Saving, Again) for key in slots(owner) if callable(getattr(owner, key, None))
    }
    assert {key for key in KEYS if key not in SUBMENUS} - named == set()


def test_every_action_is_there_once() -> None:
    assert len(set(KEYS)) == len(KEYS)
    assert set(SUBMENUS) <= set(KEYS)


def test_every_action_has_a_text_and_keys_of_its_own() -> None:
    assert all(row.text for row in ACTIONS if row.key != "-")
    keys = [row.keys for row in ACTIONS if row.keys]
    assert len(set(keys)) == len(keys)


def test_the_guide_names_every_module_and_its_question() -> None:
    guide = rooms.GUIDE.read_text(encoding="utf-8")
    assert rooms.written(guide) == guide, "run: python -m tests.rooms"
    folders = {path.parent.relative_to(ROOT).as_posix() for path in MODULES if path.name != "__init__.py"}
    assert folders - {".", *rooms.ROOMS} == set()
