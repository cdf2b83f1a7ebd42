"""Does each test exist that the table of faults names?"""

from __future__ import annotations

import re
from pathlib import Path

from tests.every import every

TESTS = Path(__file__).parents[1]
ROWS = [
    line
    for line in (TESTS / "monkey" / "README.md").read_text(encoding="utf-8").partition("Games by hand")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| what |")
]
NAMES = sorted(
    name
    for path in TESTS.rglob("test_*.py")
    for name in re.findall(r"^ *def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
)


def exists(named: str) -> bool:
    """Whether there is such a file, or a test whose name begins so; ``…`` stands for the rest of it."""
    if named.endswith(".py"):
        return (TESTS.parent / named).is_file()
    if named.endswith("…"):
        return any(name.startswith(named[:-1]) for name in NAMES)
    return any(name == named or name.startswith(f"{named}_") for name in NAMES)


@every("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_a_fault_is_held_by_a_test_that_exists(row: str) -> None:
    what, how, seen, tests = (cell.strip() for cell in row.strip("|").replace("\\|", "/").split(" | "))
    assert all((what, how, seen))
    named = re.findall("`([^`]+)`", tests)
    assert named
    assert [name for name in named if not exists(name)] == []


def test_a_name_that_there_is_not_is_found() -> None:
    assert exists("tests/monkey/test_faults.py")
    assert exists("test_a_fault_is_held_by_…")
    assert not exists("tests/monkey/test_nothing.py")
    assert not exists("test_nothing_of_the_kind")
    assert not exists("test_no_such_fault_…")
