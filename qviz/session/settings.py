"""What is remembered between two starts? Typed reads over one table of defaults."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from typing import Any

from PySide6.QtCore import QByteArray, QSettings

log = logging.getLogger(__name__)

DEFAULTS: dict[str, Any] = {
    "theme": "system",
    "log_counts": False,
    "last_folder": "",
    "recent_files": [],
    "scheme": {},
    "geometry": QByteArray(),
    "layout": QByteArray(),
    "page": "tensor",
    "pins": [],
    "presets": [],
    "readings": [],
    "png_scale": 2.0,
    "captions": True,
    "memory_budget_mb": 0,
    "reload_changed": False,
}
"""Every setting, its type and what it is before anybody chose."""

LIMITS = {"png_scale": (0.25, 16.0), "memory_budget_mb": (0, 1 << 30)}
"""From where to where numbers go: a picture has pixels, and memory has an end."""

MAX_RECENT = 12


class Settings:
    """Reads and writes settings; a damaged file or value counts as absent, and is logged.

    Parameters
    ----------
    path : Path, optional
        An INI file, for tests; the person's own settings otherwise.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        if path is None:
            self._store = QSettings(QSettings.Format.IniFormat, QSettings.Scope.UserScope, "qviz", "qviz")
        else:
            self._store = QSettings(str(path), QSettings.Format.IniFormat)
        if self._store.status() != QSettings.Status.NoError:
            log.info("the settings in %s cannot be read; starting with defaults", self._store.fileName())

    @property
    def data_folder(self) -> Path:
        """Where what is too large for settings is kept: the person's own folder for such things, or beside the file."""
        if self._path is not None:
            return self._path.parent
        import platformdirs

        return platformdirs.user_data_path("qviz", appauthor=False)

    def get(self, key: str) -> Any:
        """The remembered value, of the type of its default."""
        default = copy(DEFAULTS[key])
        try:
            if isinstance(default, QByteArray):
                value = self._store.value(key, default, type=QByteArray)
                return value if isinstance(value, QByteArray) else default  # Qt gives back what it cannot convert
            text = self._store.value(key, None, type=str)
            value = json.loads(str(text)) if text else default
            if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
                value = float(value)
        except Exception:  # whatever a damaged file makes Qt or json raise, the start goes on
            log.info("the setting %s is damaged; using its default", key)
            return default
        return value if isinstance(value, type(default)) and _is_within(key, value) else default

    def set(self, key: str, value: Any) -> None:
        """Remember ``value``."""
        if key not in DEFAULTS:
            raise KeyError(key)
        self._store.setValue(key, value if isinstance(value, QByteArray) else json.dumps(value))

    def add_recent(self, path: Path) -> None:
        """Put a file first among the recent ones."""
        self.add_all_recent([path])

    def add_all_recent(self, paths: Sequence[Path]) -> None:
        """So with several, in their order: one look at the disk, however many there are."""
        self._store.sync()  # another window may have added some
        added = list(dict.fromkeys(map(str, paths[:MAX_RECENT])))
        recent = [*added, *(p for p in self.get("recent_files") if p not in added)]
        self.set("recent_files", recent[:MAX_RECENT])

    def merge(
        self,
        key: str,
        before: list[Any],
        now: list[Any],
        name: Callable[[Any], Any],
        arrange: Callable[[list[Any]], list[Any]] = list,
    ) -> None:
        """Remember a list that other windows change, too: theirs stay, but for what was here ``before`` and went.

        ``name`` says which entries are the same one; ``arrange`` is given all of them at last.
        """
        self._store.sync()
        here = [name(each) for each in now]
        gone = [name(each) for each in before]
        theirs = [each for each in self.get(key) if name(each) not in here and name(each) not in gone]
        self.set(key, arrange([*now, *theirs]))
        self._store.sync()

    def save(self) -> None:
        """Write to disk now."""
        self._store.sync()


def _is_within(key: str, value: Any) -> bool:
    """Whether a number is one that the setting can have; NaN is none."""
    if key not in LIMITS:
        return True
    low, high = LIMITS[key]
    return bool(low <= value <= high)
