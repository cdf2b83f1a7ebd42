"""How does one test hold for many cases without being many tests? pytest alone takes two milliseconds for each."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

TRACED = 10
"""So many cases of a test tell which lines are reached: the others reach the same.

To note it takes half as long as to run them.
"""


def every(
    names: str | Sequence[str], cases: Iterable[Any], *, ids: Callable[[Any], str] | Iterable[str] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """`pytest.mark.parametrize` in one test: each case is run, and those that fail are told together.

    For many quick cases that share nothing between them but fixtures which they leave as they are. Each has a
    ``tmp_path`` and a ``monkeypatch`` of its own.
    """
    given = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    listed = [
        case if isinstance(case, _Case) else pytest.param(*(case if len(given) > 1 else [case])) for case in cases
    ]
    name = ids if callable(ids) else repr
    labels = [each.id or ", ".join(str(name(value) or repr(value)) for value in each.values) for each in listed]
    if ids is not None and not callable(ids):
        labels = list(ids)
    assert not any(each.marks for each in listed), "a case that is marked is a test of its own"

    def gather(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(**others: Any) -> None:
            failed: list[str] = []
            skipped: list[str] = []
            first: BaseException | None = None
            tracer = sys.gettrace()
            for at, (case, label) in enumerate(zip(listed, labels, strict=True)):
                try:
                    with _of_its_own(others, at) as own, traced_by(tracer if tells(at, len(listed)) else None):
                        test(**dict(zip(given, case.values, strict=True)), **own)
                except pytest.skip.Exception as reason:
                    skipped.append(str(reason))
                except (Exception, pytest.fail.Exception) as error:
                    first = first or error
                    failed.append(f"{label}: {error!r}")
            if failed:
                raise AssertionError("\n".join([f"{len(failed)} of {len(listed)} cases fail", *failed])) from first
            if len(skipped) == len(listed):
                pytest.skip(skipped[0] if skipped else "there is no case")

        signature = inspect.signature(test)
        own = [each for name, each in signature.parameters.items() if name not in given]
        run.__signature__ = signature.replace(parameters=own)  # type: ignore[attr-defined]
        return run

    return gather


@contextmanager
def _of_its_own(fixtures: dict[str, Any], case: int) -> Iterator[dict[str, Any]]:
    """Fixtures for one case, which leaves neither files nor patches to the next."""
    own = dict(fixtures)
    if "tmp_path" in own:
        own["tmp_path"] = fixtures["tmp_path"] / str(case)
        own["tmp_path"].mkdir()
    if "monkeypatch" not in own:
        yield own
        return
    with pytest.MonkeyPatch.context() as own["monkeypatch"]:
        yield own


def tells(at: int, cases: int) -> bool:
    """Whether case ``at`` of so many is one of those that tell which lines are reached."""
    return at % -(-cases // TRACED) == 0


@contextmanager
def traced_by(tracer: Any) -> Iterator[None]:
    """Have this thread's lines noted by whoever does it, or by nobody."""
    before = sys.gettrace()
    if tracer is before:
        yield
        return
    sys.settrace(tracer)
    try:
        yield
    finally:
        sys.settrace(before)


_Case = type(pytest.param())
