"""Which schemes did the person give a name? They survive the session."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject, Signal

from qviz.core.problems import N_, Problem
from qviz.core.schemes.presets import PRESETS, Preset
from qviz.core.schemes.scheme import Scheme

OWN = N_("Your own")
LONGEST_NAME = 60


class Presets(QObject):
    """The presets that come with qviz, and the person's own.

    Signals
    -------
    changed()
        One was added or removed.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._own: dict[str, Scheme] = {}

    @property
    def all(self) -> tuple[Preset, ...]:
        """The person's own come first."""
        own = (Preset(OWN, name, self.tr("Saved by you."), scheme) for name, scheme in self._own.items())
        return (*own, *PRESETS)

    def named(self, scheme: Scheme) -> Preset | None:
        """The preset that is this very scheme."""
        kind = scheme.range_rule.kind  # while a clip line is dragged, no preset's
        alike = (preset for preset in self.all if preset.scheme.range_rule.kind == kind)
        return next((preset for preset in alike if preset.scheme == scheme), None)

    def is_own(self, name: str) -> bool:
        """Whether the person made it."""
        return name in self._own

    def save(self, name: str, scheme: Scheme) -> None:
        """Keep a scheme under a name; an older one of that name gives way.

        Raises
        ------
        Problem
            For a name that is empty, too long, or taken by a preset of qviz, and for a scheme that was saved before.
        """
        accepted = self._accepted(name)
        for other, kept in self._own.items():
            if kept == scheme and other != accepted:
                raise Problem("You have this scheme as “{name}” already: choose that.", name=other)
        self._own[accepted] = scheme
        self.changed.emit()

    def _accepted(self, name: str) -> str:
        name = " ".join(name.split())
        if not name or len(name) > LONGEST_NAME:
            raise Problem("A preset needs a name of 1 to {most} letters.", most=LONGEST_NAME)
        if any(preset.name.casefold() == name.casefold() for preset in PRESETS):
            raise Problem("“{name}” comes with qviz: choose another name.", name=name)
        return name

    def remove(self, name: str) -> None:
        """Forget one of the person's own."""
        if self._own.pop(name, None) is not None:
            self.changed.emit()

    def to_list(self) -> list[dict[str, Any]]:
        """Plain values for the settings; `restore` takes them back."""
        return [{"name": name, "scheme": scheme.to_dict()} for name, scheme in self._own.items()]

    def restore(self, data: object) -> None:
        """What `to_list` gave; a damaged entry is left out."""
        for each in data if isinstance(data, list) else []:
            try:
                self._own[self._accepted(str(each["name"]))] = Scheme.from_dict(each["scheme"])
            except (Problem, KeyError, TypeError):
                continue
        self.changed.emit()
