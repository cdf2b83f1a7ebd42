"""How is an English text said in the language of the window?"""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from qviz.core.problems import Phrase, Problem


def tr(text: str) -> str:
    """A text that is marked by `N_`, or given here as a literal; English where no language file has it."""
    return QCoreApplication.translate("", text)


def told(said: Problem | Phrase | str) -> str:
    """What core, files and training say, which know no languages."""
    return tr(said) if isinstance(said, str) else said.told(tr)
