"""Does a test of many cases fail when one of them does?"""

from __future__ import annotations

import inspect
import os
from pathlib import Path

import pytest

from tests.every import TRACED, every, tells


def test_each_case_that_fails_is_told_and_the_others_are_run() -> None:
    ran: list[int] = []

    @every("n", range(5))
    def small(n: int) -> None:
        ran.append(n)
        assert n not in (1, 3), "too large"

    with pytest.raises(AssertionError, match=r"2 of 5 cases fail\n1: .*too large.*\n3: ") as failed:
        small()
    assert ran == [0, 1, 2, 3, 4]
    assert isinstance(failed.value.__cause__, AssertionError)


def test_an_error_is_a_failure_and_so_is_one_that_does_not_come() -> None:
    @every("n", [0, 2])
    def divided(n: int) -> None:
        with pytest.raises(ValueError, match="two"):
            assert 1 / n

    with pytest.raises(AssertionError, match=r"2 of 2 cases fail\n0: ZeroDivisionError.*\n2: .*DID NOT RAISE"):
        divided()


def test_one_above_the_other_they_give_every_pair_and_fixtures_are_asked_for() -> None:
    ran: list[tuple[int, str, str]] = []

    @every("n", [1, 2])
    @every(("letter", "unused"), [("a", None), pytest.param("b", None, id="the second")])
    def paired(n: int, letter: str, unused: None, fixture: str) -> None:
        ran.append((n, letter, fixture))

    assert list(inspect.signature(paired).parameters) == ["fixture"]
    paired(fixture="f")
    assert ran == [(1, "a", "f"), (1, "b", "f"), (2, "a", "f"), (2, "b", "f")]


def test_no_case_finds_files_or_patches_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[list[Path], str | None]] = []

    @every("n", [1, 2])
    @every("letter", "ab")
    def leaving(n: int, letter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        seen.append((list(tmp_path.iterdir()), os.environ.get("LEFT")))
        (tmp_path / "left").touch()
        monkeypatch.setenv("LEFT", letter)
        assert n == 1

    with pytest.raises(AssertionError, match="1 of 2 cases fail"):
        leaving(tmp_path=tmp_path, monkeypatch=monkeypatch)
    assert seen == 4 * [([], None)]
    assert "LEFT" not in os.environ


def test_marked_cases_are_refused() -> None:
    with pytest.raises(AssertionError, match="marked"):
        every("n", [pytest.param(1, marks=pytest.mark.skip)])


def test_it_is_skipped_where_every_case_is() -> None:
    @every("n", [1, 2])
    def some(n: int) -> None:
        if n == 1:
            pytest.skip("not here")

    @every("n", [1, 2])
    def none(n: int) -> None:
        pytest.skip("nowhere")

    some()
    with pytest.raises(pytest.skip.Exception, match="nowhere"):
        none()


@pytest.mark.parametrize("cases", [1, TRACED, TRACED + 1, 1000])
def test_a_few_cases_tell_which_lines_are_reached(cases: int) -> None:
    told = sum(tells(at, cases) for at in range(cases))
    assert min(cases, TRACED) / 2 < told <= TRACED
