"""Are copied figures numbers?"""

from __future__ import annotations

import math
import subprocess
import sys
import textwrap

import numpy as np
from PySide6.QtWidgets import QApplication

from qviz.gui.kit.copying import MOST_FOR_PEOPLE, Excerpt, copy_lines, ends, plain_cell
from tests.every import every


@every(
    ("value", "copied"),
    [
        (-0.1, "-0.1"),
        (1e-300, "1e-300"),
        (1 / 3, "0.3333333333333333"),
        (-128, "-128"),
        (1234567, "1234567"),
        (np.float32(0.1), repr(float(np.float32(0.1)))),
        (np.int64(-3), "-3"),
        (math.inf, "inf"),
        (math.nan, ""),
        (None, ""),
        ("two\twords\nand a line", "two words and a line"),
        (True, "True"),
    ],
)
def test_a_cell_is_a_number_to_its_last_digit_or_one_word(value: object, copied: str) -> None:
    assert plain_cell(value) == copied


def test_a_program_reads_text_and_a_person_html(qapp: QApplication) -> None:
    copy_lines([["SQNR (dB)"], [28.912345678901232]], [["SQNR <b>"], ["−28.9 dB"]])
    data = qapp.clipboard().mimeData()
    assert data.text() == "SQNR (dB)\n28.912345678901232\n"
    assert "<th>SQNR &lt;b&gt;</th>" in data.html()
    assert "<td>−28.9 dB</td>" in data.html()


def test_many_lines_are_for_programs_alone(qapp: QApplication) -> None:
    many = [["k"], *([k] for k in range(MOST_FOR_PEOPLE + 1))]
    asked: list[bool] = []
    Excerpt("all", many, lambda: asked.append(True) or many).copy()
    data = qapp.clipboard().mimeData()
    assert data.text().splitlines()[-1] == str(MOST_FOR_PEOPLE)
    assert not data.hasHtml() and not asked
    Excerpt("few", many[:9], lambda: many[:9]).copy()
    assert qapp.clipboard().mimeData().hasHtml()


def test_of_many_the_ends_are_copied() -> None:
    assert ends("S", np.float64(2.0)) == [("S", 2.0)]
    assert ends("S", np.array([3.0, 1.0, 2.0])) == [("S, min", 1.0), ("S, max", 3.0)]


def test_what_was_copied_does_not_end_the_process_with_a_signal() -> None:
    script = """
        from PySide6.QtWidgets import QApplication
        from qviz.gui.kit.copying import MOST_FOR_PEOPLE, Excerpt, copy_lines
        app = QApplication(["qviz"])
        for _ in range(3):
            copy_lines([["a"], [1.5]], [["a"], ["1.5 dB"]])
        print(QApplication.clipboard().text())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "a\n1.5\n\n")
