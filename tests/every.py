"""How does one test hold for many cases without being many tests? pytest alone takes two milliseconds for each."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest


def every(
    names: str | Sequence[str], cases: Iterable[Any], *, ids: Callable[[Any], str] | Iterable[str] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """`pytest.mark.parametrize` in one test: each case is run, and those that fail are told together.

    For many quick cases that share nothing between them but fixtures which they leave as they are.
    """
    given = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    listed = [
        case if isinstance(case, _Case) else pytest.param(*(case if len(given) > 1 else [case])) for case in cases
    ]
    labels = [each.id or ", ".join(map(ids if callable(ids) else repr, each.values)) for each in listed]
    if ids is not None and not callable(ids):
        labels = list(ids)

    def gather(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(**others: Any) -> None:
            failed: list[str] = []
            skipped: list[str] = []
            first: Exception | None = None
            for case, label in zip(listed, labels, strict=True):
                try:
                    test(**dict(zip(given, case.values, strict=True)), **others)
                except pytest.skip.Exception as reason:
                    skipped.append(str(reason))
                except Exception as error:
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


_Case = type(pytest.param())
