"""Presets, formats, granularities and range rules are a gesture each, and a refusal stands under what was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import (
    QApplication,
    QComboBox,
    QFileDialog,
    QInputDialog,
    QLineEdit,
    QStyle,
    QStyleOptionComboBox,
    QWidget,
)

from qviz.core import (
    CONVENTIONS,
    Codebook,
    Entropy,
    FloatFormat,
    IntFormat,
    Known,
    Manual,
    MovingAverage,
    PaddleMSE,
    PerAxis,
    PerBlock,
    PerTensor,
    PerTile,
    PerToken,
    Scheme,
    Tensor,
    range_caveat,
)
from qviz.core.formats.codebooks import CODEBOOKS
from qviz.core.formats.floats import FLOATS
from qviz.core.ranges.table import RANGE_RULES
from qviz.core.schemes.presets import PRESETS
from qviz.session.presets import OWN
from tests.every import every
from tests.gui.conftest import Desk
from tests.gui.cut_texts import cut_texts
from tests.schemes import demand_search

pytestmark = pytest.mark.unpainted

Key = Qt.Key
WIDE = np.random.default_rng(9).normal(0, 1, (6, 256)).astype(np.float32)
FP4 = FloatFormat("e2m1fn")
LESSON = [preset for preset in PRESETS if preset.group == "The lesson"]
BLOCK_RUNTIMES = [name for name, convention in CONVENTIONS.items() if convention.block_size]


@pytest.fixture
def wide(used_desk: Desk) -> Desk:
    """A window on a tensor that has room for all blocks that there are."""
    used_desk.tidy(WIDE)
    return used_desk


def pick(desk: Desk, box: QComboBox, row: int) -> None:
    """Two clicks: one opens the list, the other one chooses."""
    desk.click(box)
    view = box.view()
    desk.bot.waitUntil(view.isVisible)
    place = view.visualRect(box.model().index(row, 0)).center()
    desk.bot.mouseMove(view.viewport(), place)
    desk.bot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place, delay=500)
    desk.bot.waitUntil(lambda: not view.isVisible())


def choose(box: QComboBox, data: object) -> None:
    row = next(i for i in range(box.count()) if box.itemData(i) == data)
    box.setCurrentIndex(row)
    box.activated.emit(row)


def said_under(desk: Desk) -> QWidget:
    """The part of the panel that the visible sentence stands under."""
    panel = desk.scheme
    assert panel.trouble.isVisible()
    return panel._layout.itemAt(panel._layout.indexOf(panel.trouble) - 1).widget()


# -- two clicks to each row of the lesson


@pytest.mark.parametrize("preset", LESSON, ids=lambda preset: preset.name)
def test_from_a_fresh_start_each_row_of_the_lesson_is_two_clicks_away(desks: Callable[..., Desk], preset: Any) -> None:
    desk = desks()
    desk.app.start()
    desk.bot.waitUntil(lambda: desk.session.state.tensor is not None, timeout=10_000)
    desk.settle()
    box = desk.scheme.preset.list
    row = next(i for i in range(box.count()) if box.itemData(i) == preset)
    pick(desk, box, row)
    frame = desk.settle()
    assert frame.scheme == preset.scheme
    assert box.currentText().strip() == preset.name
    assert desk.banner.text == ""


# -- one gesture, one change

GESTURES: dict[str, tuple[Callable[[Desk], object], dict[str, object], Scheme]] = {
    "a small float": (lambda d: d.press(d.scheme.format, Key.Key_Down), {}, Scheme(FloatFormat("e4m3fn"))),
    "a float has no zero point": (
        lambda d: d.press(d.scheme.format, Key.Key_Down),
        {"symmetric": False},
        Scheme(FloatFormat("e4m3fn")),
    ),
    "back to integers": (
        lambda d: d.press(d.scheme.format, Key.Key_Home),
        {"number_format": FP4},
        Scheme(IntFormat(8)),
    ),
    "a codebook": (
        lambda d: d.press(d.scheme.format, Key.Key_End),
        {"convention": "textbook"},
        Scheme(Codebook("fp4_bnb"), convention="textbook"),
    ),
    "more bits of a float": (lambda d: d.do("more_bits"), {"bits": 4}, Scheme(IntFormat(5))),
    "per block": (lambda d: d.click(d.scheme.per.button("block")), {}, Scheme(granularity=PerBlock(-1, 32))),
    "per token": (lambda d: d.click(d.scheme.per.button("token")), {}, Scheme(granularity=PerToken())),
    "per tile": (lambda d: d.click(d.scheme.per.button("tile")), {}, Scheme(granularity=PerTile(128, 128))),
    "the rows of a tile": (
        lambda d: d.type(d.scheme.tile_rows, "4"),
        {"granularity": PerTile(8, 16)},
        Scheme(granularity=PerTile(4, 16)),
    ),
    "the columns of a tile": (
        lambda d: d.press(d.scheme.tile_columns, Key.Key_Up),
        {"granularity": PerTile(8, 16)},
        Scheme(granularity=PerTile(8, 17)),
    ),
    "scales that are powers of two": (
        lambda d: d.scheme.power_of_two.toggle(),
        {},
        Scheme(power_of_two=True),
    ),
    "from blocks to the axis": (
        lambda d: d.click(d.scheme.per.button("axis")),
        {"granularity": PerBlock(-1, 16)},
        Scheme(granularity=PerAxis(0)),
    ),
    "from blocks to one scale": (
        lambda d: d.click(d.scheme.per.button("tensor")),
        {"granularity": PerBlock(-1, 16)},
        Scheme(),
    ),
    "blocks along another axis": (
        lambda d: d.press(d.scheme.axis, Key.Key_Up),
        {"granularity": PerBlock(-1, 6)},
        Scheme(granularity=PerBlock(0, 6)),
    ),
    "blocks along the last axis": (
        lambda d: d.press(d.scheme.axis, Key.Key_Down),
        {"granularity": PerBlock(0, 6)},
        Scheme(granularity=PerBlock(-1, 6)),
    ),
    "block size": (
        lambda d: d.type(d.scheme.block_size, "20"),
        {"granularity": PerBlock(-1, 32)},
        Scheme(granularity=PerBlock(-1, 20)),
    ),
    "a larger block": (
        lambda d: d.press(d.scheme.block_size, Key.Key_Up),
        {"granularity": PerBlock(-1, 32)},
        Scheme(granularity=PerBlock(-1, 33)),
    ),
    "a preset": (
        lambda d: d.press(d.scheme.preset.list, Key.Key_Down),
        {},  # which is called “ONNX Runtime static int8”
        Scheme(IntFormat(8, False), False),
    ),
    "batches": (
        lambda d: d.press(d.scheme.range.batches, Key.Key_Down),
        {"range_rule": MovingAverage()},
        Scheme(range_rule=MovingAverage(batch_axis=0)),
    ),
    "a single batch": (
        lambda d: d.press(d.scheme.range.batches, Key.Key_Home),
        {"range_rule": MovingAverage(batch_axis=1)},
        Scheme(range_rule=MovingAverage()),
    ),
}


@pytest.mark.parametrize("name", GESTURES)
def test_a_gesture_is_one_change_and_one_undo(wide: Desk, name: str) -> None:
    act, before, after = GESTURES[name]
    if before:
        wide.session.update(**before)
        wide.settle()
        wide.session.history._last_change = (None, 0.0)  # that was long ago
    old = wide.session.scheme
    frame = wide.gesture(lambda: act(wide))
    assert frame.scheme == after
    assert not wide.scheme.trouble.isVisible()
    assert wide.banner.text == ""
    wide.session.undo()
    assert wide.session.scheme == old
    wide.settle()


@every("name", [*FLOATS, *CODEBOOKS])
def test_every_format_can_be_chosen(wide: Desk, name: str) -> None:
    wide.session.update(scheme=Scheme(convention="textbook"))
    wide.settle()
    panel = wide.scheme
    frame = wide.gesture(lambda: panel.format.setCurrentIndex(panel.format.findData(name)))
    assert frame.scheme.number_format.to_dict()["format"] == name
    assert not panel._bits_part.isVisible()
    assert not panel.signed.isVisible()
    frame = wide.gesture(lambda: panel.format.setCurrentIndex(0))
    assert frame.scheme.number_format == IntFormat(8)
    assert panel._bits_part.isVisible()
    assert panel.signed.isVisible()


def test_what_a_granularity_needs_is_in_sight(wide: Desk) -> None:
    panel = wide.scheme
    for granularity, axis, size in (
        (PerTensor(), False, False),
        (PerAxis(1), True, False),
        (PerBlock(0, 5), True, True),
        (PerToken(), False, False),
    ):
        wide.session.update(granularity=granularity)
        wide.settle()
        assert panel.per.button(granularity.kind).isChecked()
        assert (panel.axis.isVisible(), panel.block_size.isVisible()) == (axis, size)
        assert not panel.tile_rows.isVisible()
    wide.session.update(granularity=PerTile(4, 9))
    wide.settle()
    assert panel.tile_rows.isVisible() and panel.tile_columns.isVisible()
    assert not panel.axis.isVisible() and not panel.block_size.isVisible()
    assert (panel.tile_rows.value(), panel.tile_columns.value()) == (4, 9)
    wide.session.update(granularity=PerBlock(0, 5))
    assert (panel.axis.currentIndex(), panel.block_size.value()) == (0, 5)
    wide.session.update(granularity=PerBlock(-1, 7))
    assert (panel.axis.currentIndex(), panel.block_size.value()) == (1, 7)


def test_a_block_is_no_longer_than_the_last_axis(desk: Desk) -> None:
    frame = desk.gesture(lambda: desk.click(desk.scheme.per.button("block")))
    assert frame.scheme.granularity == PerBlock(-1, 30)


# -- a runtime of blocks


@pytest.mark.parametrize("name", BLOCK_RUNTIMES)
def test_a_runtime_of_blocks_brings_its_format_and_blocks_in_one_step(wide: Desk, name: str) -> None:
    before = Scheme(IntFormat(3, False), False, PerAxis(1))
    wide.gesture(lambda: wide.session.update(scheme=before))
    box, convention = wide.scheme.convention, CONVENTIONS[name]
    demand_search(name)
    frame = wide.gesture(lambda: box.setCurrentIndex(box.findData(name)))
    scheme = frame.scheme
    assert scheme.convention == name
    assert scheme.granularity == PerBlock(-1, convention.block_size or 0)
    assert convention.knows(scheme.number_format)
    assert wide.scheme.block_size.value() == convention.block_size
    assert not wide.scheme.trouble.isVisible()
    wide.do("undo")
    assert wide.session.scheme == before
    wide.settle()
    wide.do("redo")
    assert wide.session.scheme == scheme
    wide.settle()
    frame = wide.gesture(lambda: box.setCurrentIndex(box.findData("textbook")))
    assert frame.scheme.granularity == scheme.granularity


@pytest.mark.parametrize("name", BLOCK_RUNTIMES)
def test_what_a_runtime_of_blocks_does_not_have_is_said_under_the_control(wide: Desk, name: str) -> None:
    panel = wide.scheme
    demand_search(name)
    panel.convention.setCurrentIndex(panel.convention.findData(name))
    wide.settle()
    scheme, label = wide.session.scheme, CONVENTIONS[name].label
    wide.changes.clear()
    asked: list[tuple[Callable[[], object], QWidget]] = [
        (lambda: wide.click(panel.per.button("tensor")), panel.per),
        (lambda: wide.click(panel.per.button("token")), panel.per),
        (lambda: wide.type(panel.block_size, "5"), panel._axis_part),
        (lambda: wide.press(panel.axis, Key.Key_Up), panel._axis_part),
        (lambda: panel.format.setCurrentIndex(panel.format.findData("nf4")), panel._format_part),
    ]
    if name != "gguf":
        asked.append((lambda: wide.click(panel.mode.button(not scheme.symmetric)), panel.mode))
    for act, part in asked:
        act()
        assert wide.session.scheme == scheme
        assert said_under(wide) is part
        assert label in panel.trouble.text() or "zero point" in panel.trouble.text()
        assert panel.trouble.text().count(". ") == 0
    assert wide.changes == []
    # every control still shows what is so
    assert panel.per.button("block").isChecked()
    assert panel.block_size.value() == CONVENTIONS[name].block_size
    assert panel.mode.button(scheme.symmetric).isChecked()
    assert panel.axis.currentIndex() == 1
    wide.gesture(lambda: panel.convention.setCurrentIndex(panel.convention.findData("textbook")))
    assert not panel.trouble.isVisible()


# -- what cannot be


def test_a_block_longer_than_the_axis_is_said_and_the_next_good_change_takes_it_away(wide: Desk) -> None:
    wide.gesture(lambda: wide.click(wide.scheme.per.button("block")))
    panel = wide.scheme
    wide.type(panel.block_size, "257")
    assert said_under(wide) is panel._axis_part
    assert "choose a block size up to 256" in panel.trouble.text()
    assert panel.block_size.value() == 32
    wide.gesture(lambda: wide.type(panel.block_size, "256"))
    assert not panel.trouble.isVisible()


def test_an_axis_shorter_than_the_block_is_said(wide: Desk) -> None:
    wide.gesture(lambda: wide.click(wide.scheme.per.button("block")))
    wide.press(wide.scheme.axis, Key.Key_Up)
    assert said_under(wide) is wide.scheme._axis_part
    assert "A block of 32 is longer than axis 0" in wide.scheme.trouble.text()
    assert wide.scheme.axis.currentIndex() == 1


def test_what_was_refused_is_gone_when_something_else_is_shown(wide: Desk) -> None:
    for onward in (
        lambda: wide.session.update(bits=5),
        lambda: wide.do("undo"),
        lambda: wide.show(WIDE + 1),
        lambda: wide.click(wide.scheme.per.button("tensor")),
    ):
        wide.session.update(scheme=Scheme(granularity=PerBlock(-1, 32)))
        wide.settle()
        wide.type(wide.scheme.block_size, "1000")
        assert wide.scheme.trouble.isVisible()
        onward()
        assert not wide.scheme.trouble.isVisible()
        wide.settle()


def test_asymmetric_floats_are_refused(wide: Desk) -> None:
    wide.gesture(lambda: wide.press(wide.scheme.format, Key.Key_Down))
    wide.click(wide.scheme.mode.button(False))
    assert said_under(wide) is wide.scheme.mode
    assert "has no zero point" in wide.scheme.trouble.text()
    assert wide.scheme.mode.button(True).isChecked()


def test_a_codebook_that_the_runtime_lacks_is_refused(wide: Desk) -> None:
    wide.press(wide.scheme.format, Key.Key_End)
    assert said_under(wide) is wide.scheme._format_part
    assert "ONNX Runtime has no FP4 bnb (bitsandbytes)" in wide.scheme.trouble.text()
    assert wide.scheme.format.currentIndex() == 0


# -- ranges


SEARCHES = ("mse", "entropy", "paddle_kl", "paddle_mse", "paddle_emd", "tensorrt_entropy")


@every("kind", RANGE_RULES)
def test_every_range_rule_can_be_chosen_and_says_what_is_surprising(wide: Desk, kind: str) -> None:
    wide.session.update(scheme=Scheme(IntFormat(5), symmetric=False))
    wide.settle()
    panel = wide.scheme.range
    if kind != "minmax":
        wide.gesture(lambda: panel.kind.setCurrentIndex(panel.kind.findData(kind)))
    rule = wide.session.scheme.range_rule
    assert rule.kind == kind
    if kind not in ("manual", "known"):
        assert rule == RANGE_RULES[kind]()
    said = range_caveat(rule, wide.session.scheme)
    assert (panel.about.text(), panel.about.isVisible()) == (str(said or ""), said is not None)
    assert panel.searched.isVisible() == (kind in SEARCHES)
    assert panel.batches.isVisible() == any(field.name == "batch_axis" for field in fields(rule))
    assert panel.kept.isVisible() == (kind == "percentile")
    assert panel.low.isVisible() == (kind == "manual")
    assert not wide.scheme.trouble.isVisible()
    tip = panel.kind.itemData(panel.kind.currentIndex(), Qt.ItemDataRole.ToolTipRole)
    assert tip.endswith(".")


def test_a_known_scale_is_typed_in(wide: Desk) -> None:
    wide.session.update(symmetric=False, signed=False)
    wide.settle()
    panel = wide.scheme.range
    frame = wide.gesture(lambda: panel.kind.setCurrentIndex(panel.kind.findData("known")))
    now = frame.whole.qparams
    assert float(panel.scale.text()) == pytest.approx(float(now.scale))
    assert float(panel.zero_point.text()) == now.zero_point

    def type_in(box: QLineEdit, text: str) -> None:
        box.setText(text)
        box.editingFinished.emit()

    assert wide.gesture(lambda: type_in(panel.scale, "0.25")).whole.qparams.scale == 0.25
    assert wide.gesture(lambda: type_in(panel.zero_point, "7")).whole.qparams.zero_point == 7
    type_in(panel.scale, "fine")
    assert "“fine” is no number" in wide.scheme.trouble.text()
    assert wide.session.scheme.range_rule == Known((0.25,), (7.0,))
    frame = wide.gesture(lambda: wide.click(wide.scheme.mode.button(True)))  # which has a zero point of its own
    assert frame.scheme.range_rule == Known((0.25,))
    assert not panel.zero_point.isEnabled()


@every("runtime", CONVENTIONS)
def test_a_known_scale_gives_way_where_a_runtime_has_none(wide: Desk, runtime: str) -> None:
    wide.session.update(scheme=Scheme(IntFormat(8, False), False, range_rule=Known((0.25,), (7.0,))))
    wide.settle()
    runtimes = wide.scheme.convention
    runtimes.setCurrentIndex(runtimes.findData(runtime))
    runtimes.activated.emit(runtimes.currentIndex())
    wide.settle()
    scheme = wide.session.scheme
    record = CONVENTIONS[runtime].of(scheme.number_format, scheme.symmetric, scheme.granularity)
    assert (scheme.convention == runtime) == (not wide.scheme.trouble.isVisible())
    assert wide.page.frame is not None and wide.page.frame.scheme == scheme
    if scheme.number_format.scaled and scheme.convention == runtime:
        assert isinstance(scheme.range_rule, Known) == record.takes_known_scales


def test_a_known_scale_is_read_from_a_model(wide: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "p.npz", x_scale=np.float32(0.5), x_zero_point=np.uint8(3), y_scale=np.float32(2))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "p.npz"), ""))
    monkeypatch.setattr(QInputDialog, "getItem", lambda *given: (given[3][0], True))
    wide.session.update(symmetric=False, signed=False, range_rule=Known())
    wide.settle()
    frame = wide.gesture(lambda: wide.click(wide.scheme.range.read))
    assert frame.scheme.range_rule == Known((0.5,), (3.0,))


def test_the_note_follows_the_rest_of_the_scheme(wide: Desk) -> None:
    wide.session.update(range_rule=RANGE_RULES["paddle_avg"]())
    wide.settle()
    assert not wide.scheme.range.about.isVisible()
    wide.gesture(lambda: wide.click(wide.scheme.per.button("axis")))
    assert "Paddle has this for a whole tensor alone" in wide.scheme.range.about.text()


def test_the_axes_of_batches_are_those_of_the_tensor(wide: Desk) -> None:
    wide.session.update(range_rule=MovingAverage())
    wide.settle()
    box = wide.scheme.range.batches
    assert [box.itemText(i) for i in range(box.count())] == [
        "one: the whole tensor",
        "axis 0 · 6 batches",
        "axis 1 · 256 batches",
    ]
    wide.show(np.ones((2, 3, 1200), np.float32))
    assert box.itemText(box.count() - 1) == "axis 2 · 1,200 batches"
    assert box.currentIndex() == 0


def test_batches_and_scales_along_one_axis_are_one_sentence(wide: Desk) -> None:
    wide.session.update(range_rule=MovingAverage(), granularity=PerAxis(0))
    wide.settle()
    choose(wide.scheme.range.batches, 0)
    assert "cannot tell both batches and scales apart" in wide.scheme.trouble.text()
    assert wide.session.scheme.range_rule == MovingAverage()
    choose(wide.scheme.range.batches, 1)
    assert wide.settle().scheme.range_rule == MovingAverage(batch_axis=1)


def test_the_range_of_a_tensor_of_one_value_by_hand_is_not_empty(wide: Desk) -> None:
    wide.show(np.full((2, 40), 3.0, np.float32), symmetric=False)
    panel = wide.scheme.range
    frame = wide.gesture(lambda: panel.kind.setCurrentIndex(panel.kind.findData("manual")))
    assert frame.scheme.range_rule == Manual(0.0, 6.0)


# -- presets


def own_names(desk: Desk) -> list[str]:
    return [preset.name for preset in desk.app.presets.all if preset.group == OWN]


@pytest.fixture
def no_presets(wide: Desk) -> Desk:
    for name in own_names(wide):
        wide.app.presets.remove(name)
    return wide


def menu_of(desk: Desk) -> dict[str, Any]:
    box = desk.scheme.preset
    box._menu.aboutToShow.emit()
    return {action.text(): action for action in box._menu.actions()}


@every("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_is_chosen_with_its_name_in_sight(wide: Desk, preset: Any) -> None:
    box = wide.scheme.preset.list
    demand_search(preset.scheme.convention)
    choose(box, preset)
    frame = wide.settle()
    assert frame.scheme == preset.scheme
    assert box.currentText().strip() == preset.name
    assert box.itemData(box.currentIndex(), Qt.ItemDataRole.ToolTipRole) == str(preset.about)
    assert not wide.scheme.trouble.isVisible()
    if not CONVENTIONS[preset.scheme.convention].of_elements:
        wide.session.update(range_rule=Manual(-0.125, 0.25))
        assert box.currentIndex() == 0
        assert box.currentText() == "(custom)"
    wide.settle()


def test_headings_cannot_be_chosen(wide: Desk) -> None:
    box = wide.scheme.preset.list
    headings = [i for i in range(1, box.count()) if box.itemData(i) is None]
    assert [box.itemText(i) for i in headings] == list(dict.fromkeys(preset.group for preset in PRESETS))
    assert all(box.model().item(i).flags() == Qt.ItemFlag.NoItemFlags for i in headings)
    wide.changes.clear()
    box.activated.emit(0)
    assert wide.changes == []


def test_a_preset_that_does_not_fit_is_said_under_the_list(desk: Desk) -> None:
    box = desk.scheme.preset.list
    preset = next(p for p in PRESETS if p.name == "MXFP4")
    choose(box, preset)
    assert said_under(desk) is desk.scheme._preset_part
    assert "A block of 32 is longer than axis -1" in desk.scheme.trouble.text()
    assert box.currentText().strip() == "ONNX Runtime static int8"
    assert desk.session.scheme == Scheme()


def test_ones_own_preset_is_saved_chosen_and_deleted(no_presets: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = no_presets
    mine = Scheme(IntFormat(3), granularity=PerBlock(-1, 16))
    desk.gesture(lambda: desk.session.update(scheme=mine))
    monkeypatch.setattr(QInputDialog, "getText", lambda *_: ("  three   bits ", True))
    menu = menu_of(desk)
    assert list(menu) == ["Save this scheme as a preset…"]
    menu["Save this scheme as a preset…"].trigger()
    box = desk.scheme.preset.list
    assert own_names(desk) == ["three bits"]
    assert box.currentText().strip() == "three bits"
    assert box.itemText(1) == OWN
    desk.gesture(lambda: desk.session.update(scheme=Scheme()))
    assert list(menu_of(desk)) == ["Save this scheme as a preset…"]
    frame = desk.gesture(lambda: choose(box, desk.app.presets.all[0]))
    assert frame.scheme == mine
    menu_of(desk)["Delete “three bits”"].trigger()
    assert own_names(desk) == []
    assert box.currentIndex() == 0
    assert desk.session.scheme == mine


def test_nothing_is_saved_when_the_question_is_cancelled(no_presets: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QInputDialog, "getText", lambda *_: ("name", False))
    menu_of(no_presets)["Save this scheme as a preset…"].trigger()
    assert own_names(no_presets) == []


@pytest.mark.parametrize(("name", "said"), [("NVFP4", "“NVFP4” comes with qviz"), ("  ", "a name of 1 to 60 letters")])
def test_a_name_that_is_refused_is_said_until_a_good_one_is_given(no_presets: Desk, name: str, said: str) -> None:
    desk = no_presets
    desk.scheme.preset.save(name)
    assert said_under(desk) is desk.scheme._preset_part
    assert said in desk.scheme.trouble.text()
    assert own_names(desk) == []
    desk.scheme.preset.save("good")
    assert own_names(desk) == ["good"]
    assert not desk.scheme.trouble.isVisible()
    desk.app.presets.remove("good")


def test_ones_own_presets_survive_a_restart(desks: Callable[..., Desk], tmp_path: Path) -> None:
    first = desks(tmp_path / "own.ini")
    first.show(WIDE, scheme=Scheme(FP4, True, PerBlock(-1, 16), convention="nvfp4"))
    first.scheme.preset.save("mine")
    first.show(WIDE, scheme=Scheme(IntFormat(3)))
    first.scheme.preset.save("other")
    first.close()
    second = desks(tmp_path / "own.ini")
    assert own_names(second) == ["mine", "other"]
    second.show(WIDE)
    box = second.scheme.preset.list
    assert [box.itemText(i).strip() for i in (2, 3)] == ["mine", "other"]
    choose(box, second.app.presets.all[1])
    assert second.settle().scheme == Scheme(IntFormat(3))


def test_the_list_is_wide_enough_and_inside_the_panel(wide: Desk) -> None:
    panel, title = wide.scheme, wide.page.docks["scheme"].title
    places = [(each, panel) for each in (panel.preset.list, panel.format, panel.convention, panel.range.kind)]
    for widget, around in [*places, (panel.preset.more, title)]:
        corner = widget.mapTo(around, QPoint(widget.width(), 0))
        assert widget.isVisible()
        assert corner.x() <= around.width()
        assert widget.accessibleName()


def test_the_options_of_an_estimator_have_their_librarys_names(desk: Desk) -> None:
    desk.session.update(range_rule=Entropy())
    desk.settle()
    controls = desk.scheme.range
    bins = controls.options["entropy.bins"]
    bins.setValue(128)
    assert desk.settle().scheme.range_rule == Entropy(bins=128)
    assert "a single candidate: the whole range" in controls.about.text()
    bins.setValue(64)
    desk.settle()
    assert desk.session.scheme.range_rule == Entropy(bins=128)
    assert bins.value() == 128
    assert "64 bins cannot be merged into 128" in desk.scheme.trouble.text()
    desk.session.update(range_rule=PaddleMSE())
    desk.settle()
    assert not bins.isVisible()
    controls.options["paddle_mse.onnx_format"].click()
    assert desk.settle().scheme.range_rule == PaddleMSE(onnx_format=True)


# -- the type that is computed in


def test_a_tensor_of_16_bits_lets_one_choose_what_is_computed_in(desk: Desk) -> None:
    desk.show(WIDE)
    panel = desk.scheme
    assert not panel._compute_part.isVisible()
    desk.session.update(
        tensor=Tensor(WIDE.astype(np.float16), "half"),
        scheme=Scheme("int4", granularity=PerBlock(), convention="torchao"),
    )
    assert panel._compute_part.isVisible()
    assert panel.compute.currentText() == "float16, as the tensor"
    choose(panel.compute, "float32")
    assert desk.session.scheme.compute_dtype == "float32"
    choose(panel.compute, "auto")
    choose(panel.convention, "pytorch")
    assert panel.compute.currentText() == "float32, as the runtime has it"


def test_a_tensor_of_16_bits_does_not_widen_the_panels(desks: Callable[..., Desk]) -> None:
    desk = desks()
    desk.window.resize(1280, 720)
    desk.show(WIDE)
    QApplication.processEvents()
    before = desk.scheme.width(), desk.scheme.minimumSizeHint().width()
    desk.session.update(tensor=Tensor(WIDE.astype(np.float16), "half"))
    desk.settle()
    QApplication.processEvents()
    assert desk.scheme.compute.isVisible()
    assert (desk.scheme.width(), desk.scheme.minimumSizeHint().width()) == before


def test_an_axis_of_a_vocabulary_can_be_read_beside_a_block(desks: Callable[..., Desk]) -> None:
    desk = desks()
    desk.window.resize(1280, 720)
    desk.show(np.zeros((128_256, 2), np.float32))
    desk.session.update(granularity=PerBlock(0, 32))
    desk.settle()
    QApplication.processEvents()
    assert desk.scheme.block_size.isVisible()
    assert desk.scheme.axis.currentText() == "axis 0 · 128,256"
    assert cut_texts(desk.scheme) == []


def test_the_name_of_the_preset_at_the_start_is_not_cut(desks: Callable[..., Desk]) -> None:
    desk = desks()
    desk.window.resize(1280, 720)
    QApplication.processEvents()
    names = desk.scheme.preset.list
    assert names.currentText() == "ONNX Runtime static int8"
    option = QStyleOptionComboBox()
    names.initStyleOption(option)
    field = names.style().subControlRect(
        QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, names
    )
    assert names.fontMetrics().horizontalAdvance(names.currentText()) <= field.width()


# -- while something is dragged


def in_sight(desk: Desk) -> list[tuple[Any, ...]]:
    """What a person sees of the panel: every control that is there, and what stands in it."""
    seen = []
    for child in desk.scheme.findChildren(QWidget):
        if child.isVisibleTo(desk.scheme):
            says = [
                getattr(child, name)() for name in ("text", "currentText", "isChecked", "value") if hasattr(child, name)
            ]
            seen.append((type(child).__name__, child.isEnabled(), *says))
    return [*seen, (desk.scheme.preset.list.toolTip(),)]


def test_what_is_dragged_is_shown_as_if_the_whole_scheme_were_shown_anew(wide: Desk) -> None:
    """Only what has changed is touched; with the bits, a preset's name and what is said of a range may change."""
    desk, wrong = wide, []
    bits, kept = desk.scheme.bits, desk.scheme.range.kept
    line = desk.page.distribution.lines[1]

    def draw_to(place: float) -> None:
        line.setPos(place)
        line.sigDragged.emit(line)

    drawn: list[tuple[dict[str, Any], Callable[[Any], object], tuple[Any, ...]]] = [
        ({"scheme": Scheme()}, bits.setValue, (7, 8, 4, 3)),  # 8 and 4 bits have a name
        ({"scheme": Scheme(range_rule=RANGE_RULES["torch_histogram"]())}, bits.setValue, (7, 8, 6)),
        ({"scheme": Scheme(range_rule=RANGE_RULES["percentile"]())}, kept.setValue, (10, 500, 900)),
        ({"scheme": Scheme(range_rule=Manual(-1.0, 1.0))}, draw_to, (1.5, 2.5, 0.5)),
        ({"scheme": Scheme(IntFormat(8, False), symmetric=False)}, draw_to, (1.5, 2.5, 0.5)),  # by hand from here on
    ]
    for start, move, places in drawn:
        desk.session.update(**start)
        desk.settle()
        bits.setSliderDown(True)
        kept.setSliderDown(True)
        line.moving = True
        for place in places:
            move(place)
            desk.session.settle()
            followed = in_sight(desk)
            desk.scheme.refresh(desk.session.state)
            if in_sight(desk) != followed:
                wrong.append((start, place, set(followed) ^ set(in_sight(desk))))
        bits.setSliderDown(False)
        kept.setSliderDown(False)
        line.moving = False
    assert wrong == []
