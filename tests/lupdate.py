"""Write what is to be translated into a language file: ``python -m tests.lupdate qviz_de.ts``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import PySide6

QVIZ = Path(__file__).parents[1] / "qviz"
LUPDATE = Path(PySide6.__file__).parent / ("lupdate.exe" if sys.platform == "win32" else "lupdate")

OURS = ("N_", "Problem", "OperandProblem", "Phrase")
"""What marks a text beside Qt's own ``tr``; its context is empty."""


def update(language: Path) -> None:
    """Write every text of qviz into a ``.ts`` file, or bring one up to date that is there.

    Raises
    ------
    OSError, subprocess.CalledProcessError
        When lupdate does not run here, as where it lacks a library.
    """
    aliases = ",".join(f"QT_TR_NOOP+={name}" for name in OURS)
    files = sorted(str(path) for path in QVIZ.rglob("*.py"))
    command = [str(LUPDATE), *files, "-locations", "relative", "-tr-function-alias", aliases, "-ts", str(language)]
    subprocess.run(command, check=True, capture_output=True, text=True)


def texts(language: Path) -> set[tuple[str, str]]:
    """The context and the English of each text in a language file."""
    contexts = ElementTree.parse(language).getroot().iter("context")
    return {
        (context.findtext("name") or "", message.findtext("source") or "")
        for context in contexts
        for message in context.iter("message")
    }


if __name__ == "__main__":
    update(Path(sys.argv[1]))
