"""What core says in English is said in the language of the window."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QCoreApplication, QTranslator

from qviz.core.problems import N_, Phrase, Problem
from qviz.session.language import told, tr


class Shouting(QTranslator):
    """Every text in capitals, but for the names of its values."""

    def translate(self, context: str, text: str, disambiguation: str | None = None, n: int = -1) -> str:
        if context:  # Qt's own
            return ""
        return "".join(part if "}" in part else part.upper() for part in text.replace("}", "}\0").split("\0")) + "!"

    def isEmpty(self) -> bool:
        return False


@pytest.fixture
def shouting(qapp):
    translator = Shouting()
    QCoreApplication.installTranslator(translator)
    yield
    QCoreApplication.removeTranslator(translator)


def test_it_is_english_without_a_language_file(qapp):
    assert told(Problem("{n:,} bits of {what}.", n=1000, what=Phrase("zeros"))) == "1,000 bits of zeros."
    assert tr(N_("Bits")) == "Bits"


def test_problems_and_the_words_in_them_are_translated(qapp, shouting):
    assert tr(N_("Bits")) == "BITS!"
    assert told(Problem("{n:,}{what}", n=1000, what=Phrase("zeros"))) == "1,000ZEROS!!"
