"""Which modules use names that PySide6 can switch? None here: so it need not read every module's source to find out."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


def read_no_sources() -> None:
    """Let modules be imported without PySide6 searching their source for its own name.

    It remembers of each module whether ``from __feature__ import snake_case`` may stand in it, and for that reads the
    source of whatever is imported after it: of 380 modules before the first picture, which takes a quarter of the time
    beyond that of a bare window. Where there are no sources, as in a bundle, it remembers that nothing is switched;
    so it does here.
    """
    feature: Any = sys.modules.get("shibokensupport.feature")
    if feature is not None and hasattr(feature, "_mod_uses_pyside"):
        feature._mod_uses_pyside = _uses_no_features


def _uses_no_features(module: ModuleType) -> bool:
    return False
