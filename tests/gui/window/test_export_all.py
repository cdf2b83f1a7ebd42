"""*Export all* loses nothing: names of tensor and scheme, captions, one question about what is there, every tab."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QAbstractButton, QApplication, QFileDialog
from shiboken6 import isValid

from qviz.core import PerAxis
from qviz.files.writers import EXPORT_FORMATS
from qviz.gui.charts import export
from qviz.gui.charts.base import Table
from qviz.gui.charts.export import chart_image, export_chart
from qviz.gui.kit.in_the_way import InTheWay
from qviz.session.settings import DEFAULTS
from tests.gui.conftest import Desk
from tests.gui.pictures import picture

pytestmark = pytest.mark.unpainted

OTHER = np.linspace(-2, 2, 60, dtype=np.float32).reshape(6, 10)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the person exports to; what is drawn small is written quickly."""
    monkeypatch.setitem(DEFAULTS, "png_scale", 1.0)
    made = tmp_path / "out"
    made.mkdir()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(made))
    return made


def contents(folder: Path) -> dict[str, bytes]:
    idle = ("_speed", "_loss")  # found when nobody does anything, whenever that is
    return {path.name: path.read_bytes() for path in folder.iterdir() if not any(name in path.name for name in idle)}


def asked(desk: Desk) -> InTheWay:
    found = desk.window.saving.in_the_way
    assert found.question is not None
    return found


def answer(desk: Desk, button: QAbstractButton) -> None:
    button.click()
    desk.exported()


def clear(desk: Desk) -> None:
    """Nothing is told, and everything has its place."""
    desk.banner.clear()
    QApplication.processEvents()
    QApplication.processEvents()


def words(path: Path) -> str:
    root = ET.fromstring(path.read_text(encoding="utf-8"))  # what this program wrote itself
    return " ".join("".join(e.itertext()) for e in root.iter("{http://www.w3.org/2000/svg}text"))


# -- names


def test_another_tensor_and_another_scheme_have_files_of_their_own(desk: Desk, folder: Path) -> None:
    desk.do("export_all")
    first = contents(folder)
    desk.show(OTHER, "other")
    desk.do("export_all")
    second = contents(folder)
    desk.gesture(lambda: desk.session.update(bits=4))
    desk.do("export_all")
    third = contents(folder)
    assert desk.window.saving.in_the_way.question is None
    assert len(third) == 3 * len(first)
    assert first.items() <= second.items() <= third.items()
    assert {name.split("_")[0] for name in third} == {"given", "other"}
    assert {name.split("_")[1][:5] for name in third if name.startswith("other")} == {"int8-", "int4-"}


def test_one_channel_alone_is_not_taken_for_the_whole(desk: Desk, folder: Path) -> None:
    desk.gesture(lambda: desk.session.update(granularity=PerAxis(0)))
    desk.do("export_all")
    whole = contents(folder)
    desk.gesture(lambda: desk.session.update(channel=2))
    desk.do("export_all")
    answer(desk, asked(desk).cancel)  # the charts of all channels have not changed
    assert contents(folder) == whole
    desk.do("export_all")
    answer(desk, asked(desk).keep)
    alone = [name for name in contents(folder) if "channel-2" in name]
    assert any(name.endswith("_values (2).png") for name in alone)
    assert not any("heat_map" in name for name in alone)


@pytest.mark.parametrize("name", ["../../up", "<h1>big</h1>", "x" * 3000, "a\nb\x1b[2J", "权重" * 300])
def test_a_hostile_name_makes_files_in_the_folder_and_words_in_the_caption(desk: Desk, folder: Path, name: str) -> None:
    desk.show(OTHER, name)
    desk.do("export_all")
    assert desk.banner.kind == "notice"
    assert len(list(folder.glob("*_values.png"))) == 1
    assert all(len(path.name.encode()) <= 143 for path in folder.iterdir())
    (svg,) = folder.glob("*_values.svg")
    if name.startswith("<"):
        assert name in words(svg)


# -- captions


def test_a_picture_says_of_which_tensor_and_scheme_it_is_unless_that_is_turned_off(desk: Desk, folder: Path) -> None:
    desk.do("export_all")
    (svg,) = folder.glob("*_error.svg")
    assert "given · int8 · symmetric · tensor · min–max · ONNX Runtime" in words(svg)
    desk.do("captions")
    assert not desk.app.settings.get("captions")
    desk.do("export_all")
    answer(desk, asked(desk).overwrite)
    assert "ONNX Runtime" not in words(svg)
    assert "Error histogram" in words(svg)
    desk.do("captions")


def test_a_caption_stands_below_and_leaves_the_chart_as_it_was(desk: Desk) -> None:
    chart = desk.page.error
    clear(desk)
    before, view = picture(chart), chart.view.viewRange()
    plain, captioned = chart_image(chart, 1.0), chart_image(chart, 1.0, "of something")
    assert plain.width() == captioned.width()
    assert plain.height() < captioned.height() < plain.height() + 40
    assert captioned.copy(plain.rect()) == plain
    assert picture(chart) == before
    assert chart.view.viewRange() == view


def test_a_caption_in_an_svg_stands_below_a_chart_that_is_not_stretched(desk: Desk, tmp_path: Path) -> None:
    chart = desk.page.error
    plain, captioned = (
        ET.fromstring(export_chart(chart, tmp_path / "x.svg", caption=words)[0].read_bytes())
        for words in ("", "of something")
    )
    height, taller = (float(root.get("viewBox", "").split()[3]) for root in (plain, captioned))
    assert height < taller < height + 40
    titles = [
        next(
            group.get("transform")
            for group in root.iter("{http://www.w3.org/2000/svg}g")
            if "Error histogram" in "".join(group.itertext())
        )
        for root in (plain, captioned)
    ]
    assert titles[0] == titles[1]


def test_a_caption_longer_than_the_chart_is_elided(desk: Desk, tmp_path: Path) -> None:
    (path,) = export_chart(desk.page.error, tmp_path / "x.svg", caption="begin " + "long " * 500 + "end")
    said = words(path)
    assert "begin" in said
    assert "…" in said
    assert "end" in said


def test_the_picture_in_the_clipboard_has_the_caption_too(desk: Desk) -> None:
    chart = desk.page.error
    clear(desk)
    caption = "given · int8 · symmetric · tensor · min–max · ONNX Runtime"
    with_caption, without = chart_image(chart, caption=caption), chart_image(chart)
    desk.window.saving.copy_chart(chart)
    assert QApplication.clipboard().image() == with_caption
    clear(desk)
    desk.do("captions")
    desk.window.saving.copy_chart(chart)
    desk.do("captions")
    assert QApplication.clipboard().image() == without


# -- what is there already


def test_files_that_are_there_are_asked_about_once_and_kept_beside_the_new_ones(desk: Desk, folder: Path) -> None:
    desk.do("export_all")
    first = contents(folder)
    assert desk.window.saving.in_the_way.question is None
    desk.do("export_all")
    question = asked(desk)
    assert question.question.text() == f"{len(list(folder.iterdir()))} of these files are there already."
    assert contents(folder) == first
    answer(desk, question.keep)
    both = contents(folder)
    assert first.items() <= both.items()
    assert len(both) == 2 * len(first)
    desk.do("export_all")
    answer(desk, asked(desk).keep)
    assert {name for name in contents(folder) if " (3)" in name}


def test_they_are_overwritten_when_the_person_says_so(desk: Desk, folder: Path) -> None:
    desk.do("export_all")
    names = set(contents(folder))
    for name in names:
        (folder / name).write_bytes(b"old")
    desk.do("export_all")
    answer(desk, asked(desk).overwrite)
    assert set(contents(folder)) == names
    assert b"old" not in contents(folder).values()


def test_giving_up_leaves_all_as_it_was(desk: Desk, folder: Path) -> None:
    desk.do("export_all")
    for path in folder.glob("*_values.png"):
        path.unlink()
    before = contents(folder)
    desk.do("export_all")
    answer(desk, asked(desk).cancel)
    assert contents(folder) == before
    desk.do("export_all")
    asked(desk).question.reject()  # Escape
    assert contents(folder) == before


@pytest.mark.parametrize("key", ["save_quantized", "save_tensor", "save_metrics", "save_scheme"])
def test_a_file_that_the_dialog_could_not_know_of_is_asked_about_too(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    ending = {"save_quantized": "npz", "save_tensor": "npy"}.get(key, "json")
    path = tmp_path / f"mine.{ending}"
    path.write_bytes(b"old")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "mine"), ""))
    desk.do(key)
    assert path.read_bytes() == b"old"
    answer(desk, asked(desk).keep)
    desk.rest()
    assert path.read_bytes() == b"old"
    assert (tmp_path / f"mine (2).{ending}").stat().st_size > 10
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    desk.do(key)
    desk.rest()
    assert path.read_bytes() != b"old"  # the dialog has asked


def test_the_second_table_of_a_chart_is_not_overwritten_unasked(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = tmp_path / "mine-levels.csv"
    second.write_bytes(b"old")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "mine.csv"), ""))
    desk.window.saving.export_chart(desk.page.distribution, "csv")
    assert asked(desk).question.text() == "“mine-levels.csv” is there already."
    answer(desk, asked(desk).keep)
    assert second.read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir() if path.suffix == ".csv"} == {
        "mine-levels.csv",
        "mine (2).csv",
        "mine (2)-levels.csv",
    }


# -- every tab


def test_a_chart_behind_a_tab_is_exported_as_large_as_the_one_before_it(desk: Desk, folder: Path) -> None:
    desk.gesture(lambda: desk.session.update(granularity=PerAxis(0)))
    page = desk.page
    page.docks["transfer"].raise_()
    clear(desk)
    scale, front = desk.app.settings.get("png_scale"), page.transfer.canvas.size()
    desk.do("export_all")
    clear(desk)
    sizes = {name: QImage(str(*folder.glob(f"*_{name}.png"))).size() for name in ("channels", "heat_map", "transfer")}
    assert sizes["channels"] == sizes["heat_map"] == sizes["transfer"]
    assert sizes["transfer"].width() == scale * front.width()
    (behind,) = folder.glob("*_channels.png")
    before = QImage(str(behind))
    page.docks["channels"].raise_()
    clear(desk)
    shown = chart_image(page.channels, scale, desk.window.saving._caption(page.channels))
    assert shown.size() == before.size()
    assert shown.convertToFormat(before.format()) == before


def test_exporting_what_is_behind_a_tab_moves_nothing_on_the_page(desk: Desk, folder: Path) -> None:
    desk.gesture(lambda: desk.session.update(granularity=PerAxis(0)))
    clear(desk)
    there = {name: dock for name, dock in desk.page.docks.items() if not dock.isHidden()}
    sizes = {name: dock.size() for name, dock in there.items()}
    before = picture(desk.page)
    desk.do("export_all")
    clear(desk)
    assert {name: dock.size() for name, dock in there.items()} == sizes
    assert picture(desk.page) == before


@pytest.mark.parametrize("ending", EXPORT_FORMATS)
def test_a_part_that_nobody_looked_at_is_exported_in_a_usual_size(desk: Desk, tmp_path: Path, ending: str) -> None:
    desk.app.pin(desk.session.scheme)
    desk.window.pages.show_page("compare")
    page = desk.window.pages.current
    page.show_part("pins")
    desk.bot.waitUntil(lambda: bool(page.pins.errors.tables()), timeout=10_000)
    page.show_part("sweep")
    QApplication.processEvents()
    assert page.pins.errors.visibleRegion().isEmpty()
    for path in export_chart(page.pins.errors, tmp_path / f"x.{ending}", scale=1.0):
        assert path.stat().st_size > 20
        if ending == "png":
            assert QImage(str(path)).width() > 300


def test_beside_a_chart_that_has_the_page_for_itself_the_others_keep_their_size(desk: Desk) -> None:
    page = desk.page
    others = [page.distribution, page.error, page.memory]
    before = [chart_image(chart, 1.0).size() for chart in others]
    alone = page.docks["values"].title
    alone.resize_requested.emit()
    QApplication.processEvents()
    try:
        for _ in range(2):
            assert [chart_image(chart, 1.0).size() for chart in others] == before
        assert page.values.width() > 2 * others[0].width()
    finally:
        alone.resize_requested.emit()
    QApplication.processEvents()
    assert [chart_image(chart, 1.0).size() for chart in others] == before


# -- one after the other


def test_charts_are_written_between_turns_of_the_window(desk: Desk, folder: Path) -> None:
    told: list[float] = []
    saving = desk.window.saving
    saving.exporting.advanced.connect(told.append)
    saving.export_all_to(folder)
    assert saving.exporting.busy
    assert not contents(folder)
    desk.exported()
    assert told == sorted(told)
    assert told[-1] == 1
    assert len(told) == len(EXPORT_FORMATS) * len(list(folder.glob("*.png")))
    assert desk.banner.kind == "notice"


def test_a_large_picture_is_the_same_with_its_paper_made_in_a_turn_before(
    desk: Desk, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saving, told = desk.window.saving, []

    def begin(name: str) -> None:
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(folder / name), ""))
        saving.export_chart(desk.page.values, "png")

    begin("at_once.png")
    desk.exported()
    monkeypatch.setattr(export, "FILLED_AT_ONCE", 0)
    monkeypatch.setattr(export, "PACKED_AT_ONCE", 0)
    saving.exporting.advanced.connect(told.append)
    begin("in_turns.png")
    desk.exported()
    assert told == [0.5, 1.0]
    assert (folder / "in_turns.png").read_bytes() == (folder / "at_once.png").read_bytes()

    with desk.bot.waitSignal(saving.exporting.advanced):
        begin("stopped.png")  # there is paper, and nothing on it
    saving.exporting.cancel()
    QApplication.processEvents()
    assert not (folder / "stopped.png").exists()


def test_an_export_is_stopped_in_the_status_bar(desk: Desk, folder: Path) -> None:
    saving, activity = desk.window.saving, desk.window.status.activity
    with desk.bot.waitSignal(saving.exporting.advanced):
        saving.export_all_to(folder)
    assert activity.label.text() == "Exporting charts"
    activity.button.click()
    assert not saving.exporting.busy
    written = contents(folder)
    assert len(written) < len(EXPORT_FORMATS) * len(desk.page.charts)
    QApplication.processEvents()
    assert contents(folder) == written


def test_what_is_shown_meanwhile_is_not_exported_under_another_name(desk: Desk, folder: Path) -> None:
    saving = desk.window.saving
    with desk.bot.waitSignal(saving.exporting.advanced):
        saving.export_all_to(folder)
    desk.session.update(bits=3)
    desk.exported()
    assert desk.banner.kind == "error"
    assert "changed before" in desk.banner.text
    assert not [path for path in folder.iterdir() if "int3" in path.name]


@pytest.mark.parametrize("goes_on", [True, False])
def test_the_files_of_a_chart_agree_where_it_goes_on_meanwhile(
    desk: Desk, folder: Path, monkeypatch: pytest.MonkeyPatch, goes_on: bool
) -> None:
    saving, chart = desk.window.saving, desk.page.charts[0]
    with desk.bot.waitSignal(saving.exporting.advanced):
        saving.export_all_to(folder)
    (first,) = list(folder.iterdir())
    first.unlink()
    if goes_on:
        monkeypatch.setattr(chart, "tables", lambda: {"": Table({"x": np.array([1.0, np.nan])})})
    saving.exporting.finish()
    assert first.exists() == goes_on


def test_the_picture_of_a_chart_that_goes_on_and_on_is_painted_once(
    desk: Desk, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chart, steps, written = desk.page.values, itertools.count(), []
    for ending, write in list(export.WRITERS.items()):
        monkeypatch.setitem(
            export.WRITERS, ending, lambda sheet, path, of=write: written.append(path) or of(sheet, path)
        )
    monkeypatch.setattr(chart, "tables", lambda: {"": Table({"x": np.array([float(next(steps))])})})
    desk.window.saving._export([(chart, folder / f"x.{ending}") for ending in EXPORT_FORMATS])
    desk.exported()
    assert [path.name for path in written].count("x.png") == 1
    assert {path.name for path in written[-len(EXPORT_FORMATS) :]} == {f"x.{ending}" for ending in EXPORT_FORMATS}


def test_closing_the_window_finishes_the_export(desk: Desk, folder: Path) -> None:
    saving = desk.window.saving
    saving.export_all_to(folder)
    saving.exporting.finish()
    assert not saving.exporting.busy
    assert len(list(folder.glob("*.png"))) > 3


def test_a_new_question_takes_the_place_of_one_that_nobody_answered(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "x.npy").touch()
    written: list[str] = []
    way = InTheWay(desk.window)
    way.write([tmp_path / "x.npy"], lambda number: written.append(f"first {number}"))
    first = way.question
    way.write([tmp_path / "x.npy"], lambda number: written.append(f"second {number}"))
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert first is not None
    assert not isValid(first)
    assert way.keep is not None
    way.keep.click()
    assert written == ["second 2"]
