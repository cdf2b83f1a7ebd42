"""Where are the icons, themes and fonts? In a wheel, a bundle, or beside the package in a checkout."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


@cache
def resource(*parts: str) -> Path:
    """The path of a file or folder below ``resources``.

    Raises
    ------
    FileNotFoundError
        When the installation is incomplete.
    """
    for root in (_PACKAGE / "resources", _PACKAGE.parent / "resources"):
        path = root.joinpath(*parts)
        if path.exists():
            return path
    raise FileNotFoundError(f"qviz is not installed completely: {'/'.join(parts)} is missing; install it again")
