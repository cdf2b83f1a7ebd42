"""What if somebody types what nobody would? Each box takes it, or refuses it in a sentence, and nothing breaks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractSpinBox, QLineEdit, QWidget

from qviz.core.ranges.known import LARGEST
from qviz.core.ranges.rules import Manual, Percentile
from qviz.core.ranges.table import RANGE_RULES
from qviz.core.schemes.scheme import Scheme
from qviz.session.library import FIRST_SPEC
from tests.gui.conftest import SMALL, Desk

pytestmark = pytest.mark.unpainted

TEXTS = (
    "", "-", "0", "2147483648", "1e400", "-1e-45", "nan", "9" * 5000, "٣", "½", "1 2", "\u202e7", "e", "−5", "0x7f",
)  # fmt: skip


def half_typed(desk: Desk, box: QWidget, text: str) -> None:
    """Put text into a box, without confirming it."""
    box.setFocus()
    line = box if isinstance(box, QLineEdit) else box.findChild(QLineEdit)
    line.selectAll()
    line.insert(text)  # keyClicks knows no other letters than those of a terminal
    line.textEdited.emit(line.text())


@pytest.mark.parametrize("kind", [k for k in RANGE_RULES if k != "manual"])
def test_an_option_half_typed_goes_with_its_rule(desk: Desk, kind: str) -> None:
    desk.show(SMALL, range_rule=RANGE_RULES[kind]())
    for box in (b for b in desk.scheme.range.findChildren(QAbstractSpinBox) if b.isVisible()):
        desk.session.update(range_rule=RANGE_RULES[kind]())
        desk.settle()
        half_typed(desk, box, "3")
        desk.do("default_scheme")
        assert desk.session.scheme == Scheme()
        desk.window.setFocus()
        desk.settle()
        assert desk.session.scheme == Scheme()


@pytest.mark.parametrize("rule", [Manual(-1, 1), Percentile(99)])
def test_a_range_half_typed_goes_with_its_rule(desk: Desk, rule: Any) -> None:
    desk.show(SMALL)
    for box in (desk.scheme.range.low, desk.scheme.range.high, desk.scheme.range.kept_box):
        desk.session.update(range_rule=rule)
        desk.settle()
        if box.isVisible():
            half_typed(desk, box, "77")
            desk.do("default_scheme")
            desk.window.setFocus()
            desk.settle()
            assert desk.session.scheme == Scheme()


@pytest.fixture
def generated(desk: Desk) -> Desk:
    """A window on the generated tensor that it comes up with."""
    desk.app.library.generate(FIRST_SPEC)
    desk.rest()
    desk.settle()
    return desk


def test_after_the_last_seed_comes_the_first(generated: Desk) -> None:
    panel = generated.page.generator
    generated.do("generate")
    panel.seed.setValue(2**31 - 1)
    generated.settle()
    generated.click(panel.reseed)
    generated.bot.waitUntil(lambda: generated.session.state.current.spec.seed == 0)


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_in_any_box(generated: Desk, text: str) -> None:
    generated.do("generate")
    generated.session.update(range_rule=Manual(-1, 1))
    boxes = [b for b in generated.page.findChildren(QWidget) if isinstance(b, QLineEdit | QAbstractSpinBox)]
    for box in boxes:
        if box.isVisible() and not isinstance(box.parent(), QAbstractSpinBox):
            if box is generated.page.generator.shape and text == "2147483648":
                continue  # so many numbers can be drawn, and take their time
            half_typed(generated, box, text[:60] if isinstance(box, QAbstractSpinBox) else text)
            generated.bot.keyClick(box, Qt.Key.Key_Return)
    generated.rest()
    assert np.isfinite(generated.settle().whole.mse)


def test_a_clip_line_is_not_dragged_out_of_float32(generated: Desk) -> None:
    generated.gesture(lambda: generated.page.loss.clip_moved.emit(-1e39, 1e39))
    assert generated.session.scheme.range_rule == Manual(-LARGEST, LARGEST)
    generated.page.loss.clip_moved.emit(2 * LARGEST, 3 * LARGEST)  # nothing is left between
    assert generated.session.scheme.range_rule == Manual(-LARGEST, LARGEST)
