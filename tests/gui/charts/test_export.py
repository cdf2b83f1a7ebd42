"""What leaves a chart is what it shows: pictures that can be printed, numbers with all their digits."""

from __future__ import annotations

import csv
import re
import struct
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication, QFileDialog

from qviz.core.formats.integers import IntFormat
from qviz.core.problems import Problem
from qviz.core.questions.analysis import Analysis, analyze
from qviz.core.questions.loss_curves import Losses, compare_ranges
from qviz.core.questions.speed import Speed
from qviz.core.ranges.mse import MSE
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import PerAxis
from qviz.core.tensors.tensor import Tensor
from qviz.files.writers import EXPORT_FORMATS, TABLE_FORMATS
from qviz.gui.charts import drawing, export
from qviz.gui.charts.base import Chart
from qviz.gui.charts.export import chart_image, copy_chart, export_chart, paper_for
from qviz.gui.kit.theme import apply, load_theme
from qviz.gui.tensor.charts import CHARTS
from qviz.gui.tensor.rendering import render_charts
from tests.gui.conftest import Desk, Gallery
from tests.gui.pictures import dots

NAMES = [kind.name for kind in CHARTS]
TITLE_HEIGHT = 15
"""At least this much is added above the chart, for its title."""


@pytest.fixture
def filled(gallery: Gallery) -> Gallery:
    """Every chart has something to show."""
    x = np.random.default_rng(1).normal(0, 1, (12, 40)).astype(np.float32)
    gallery.present(x, Scheme(number_format=IntFormat(4), granularity=PerAxis(0)))
    gallery["speed"].show_speed(Speed(480, "int8", 1e-7, 0.3e-7))
    analysis, losses = of_losses(x.tobytes(), x.shape)
    gallery["loss"].present(analysis)
    gallery["loss"].show_losses(losses)
    return gallery


@cache
def of_losses(data: bytes, shape: tuple[int, ...]) -> tuple[Analysis, Losses]:
    """What the chart of losses shows, found once."""
    x = np.frombuffer(data, np.float32).reshape(shape)
    return analyze(x, Scheme()), compare_ranges(Tensor(x), Scheme(), MSE())


def chunks(png: bytes) -> dict[bytes, bytes]:
    """The parts of a PNG, whose sums must be right."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    found, at = {}, 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + data)
        found.setdefault(kind, data)
        at += 12 + length
    return found


def colours(image: QImage) -> int:
    return np.unique(dots(image)[::3, ::2]).size


# -- pictures


@pytest.mark.parametrize("name", NAMES)
def test_a_png_is_the_chart_with_its_resolution(filled: Gallery, tmp_path: Path, name: str) -> None:
    chart = filled[name]
    resolutions = {1.0: 3780, 3.125: 11811} if name == "values" else {2.0: 7559}  # 96, 300 and 192 dpi
    for scale, dots_per_metre in resolutions.items():
        (path,) = export_chart(chart, tmp_path / f"{scale}.png", scale=scale)
        parts = chunks(path.read_bytes())
        width, height = struct.unpack(">II", parts[b"IHDR"][:8])
        assert width == pytest.approx(chart.canvas.width() * scale, abs=2 * scale)
        assert height == pytest.approx(chart.canvas.height() * scale, abs=2 * scale)
        assert struct.unpack(">IIB", parts[b"pHYs"]) == (dots_per_metre, dots_per_metre, 1)
        assert colours(QImage(str(path))) > 20


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_picture_has_the_background_of_the_theme_and_its_title(filled: Gallery, theme: str) -> None:
    chart, chosen = filled["values"], load_theme(theme)
    chart.apply_theme(chosen)
    image = chart_image(chart, 1.0)
    assert image.pixelColor(1, image.height() - 1) == chosen.color("background")
    assert np.unique(dots(image)[:TITLE_HEIGHT]).size > 3


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_large_picture_is_painted_in_slices_that_nobody_sees(
    gallery: Gallery, theme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(1).normal(0, 1, 20_000).astype(np.float32)
    gallery.present(x, Scheme(number_format=IntFormat(8)))
    for chart, scale in ((gallery["values"], 3.125), (gallery["distribution"], 2.0)):
        chart.apply_theme(load_theme(theme))
        sliced = chart_image(chart, scale)
        monkeypatch.setattr(drawing, "CORNERS", 1 << 30)
        assert sliced == chart_image(chart, scale)
        monkeypatch.undo()


@pytest.mark.parametrize("name", NAMES)
def test_exporting_leaves_the_chart_on_the_screen_as_it_was(filled: Gallery, tmp_path: Path, name: str) -> None:
    chart = filled[name]
    QApplication.processEvents()
    before, view = chart.grab().toImage(), chart.view.viewRange()
    for ending in EXPORT_FORMATS:
        export_chart(chart, tmp_path / f"x.{ending}")
    QApplication.processEvents()
    assert chart.view.viewRange() == view
    assert chart.grab().toImage() == before


@pytest.mark.parametrize("name", NAMES)
def test_an_svg_is_xml_that_names_the_chart(filled: Gallery, tmp_path: Path, name: str) -> None:
    chart = filled[name]
    (path,) = export_chart(chart, tmp_path / "x.svg")
    root = ET.fromstring(path.read_text(encoding="utf-8"))  # what this program wrote itself
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    words = " ".join("".join(e.itertext()) for e in root.iter("{http://www.w3.org/2000/svg}text"))
    assert chart.title() in words
    for side in ("left", "bottom"):
        axis = chart.plot.getAxis(side)
        if axis.isVisible() and axis.labelText and "<" not in axis.labelText:
            assert axis.labelText in words
    drawn = sum(1 for e in root.iter() if e.tag.endswith(("path", "polyline", "rect", "line")))
    assert drawn > 3
    assert "nan" not in path.read_text(encoding="utf-8").lower().replace("dominant", "")


@pytest.mark.parametrize("name", NAMES)
def test_a_pdf_is_one_page_as_large_as_the_chart(filled: Gallery, tmp_path: Path, name: str) -> None:
    chart = filled[name]
    (path,) = export_chart(chart, tmp_path / "x.pdf")
    data = path.read_bytes()
    assert data.startswith(b"%PDF-")
    assert data.rstrip().endswith(b"%%EOF")
    assert len(re.findall(rb"/Type\s*/Page\b", data)) == 1
    box = re.search(rb"/MediaBox \[\s*0 0 ([\d.]+) ([\d.]+)", data)
    assert box is not None
    dots = chart.screen().logicalDotsPerInch()
    assert float(box[1]) == pytest.approx(chart.canvas.width() * 72 / dots, abs=2)
    assert float(box[2]) == pytest.approx(chart.canvas.height() * 72 / dots, abs=2)
    assert b"/Font" in data  # words stay words
    streams = [
        zlib.decompressobj().decompress(s)
        for s in re.findall(rb"FlateDecode.*?stream\r?\n(.*?)\r?\nendstream", data, re.S)
    ]
    assert sum(s.count(b" l\n") + s.count(b" re\n") for s in streams) > 3  # lines stay lines


def test_the_picture_goes_to_the_clipboard(filled: Gallery) -> None:
    copy_chart(filled["error"])
    image = QApplication.clipboard().image()
    assert image.size() == chart_image(filled["error"]).size()
    assert colours(image) > 20


# -- numbers


@pytest.mark.parametrize("name", NAMES)
def test_csv_holds_the_numbers_of_the_chart_with_all_their_digits(filled: Gallery, tmp_path: Path, name: str) -> None:
    chart = filled[name]
    written = export_chart(chart, tmp_path / "x.csv")
    assert len(written) == len(chart.tables())
    for path, table in zip(written, chart.tables().values(), strict=True):
        with path.open(encoding="utf-8", newline="") as file:
            head, *rows = csv.reader(file)
        assert head == list(table.columns)
        for read, shown in zip(zip(*rows, strict=True), table.columns.values(), strict=True):
            if shown.dtype.kind == "U":
                assert list(read) == shown.tolist()
            else:
                assert np.array_equal(np.array(read, np.float64), shown.astype(np.float64), equal_nan=True)


def test_a_chart_of_two_tables_makes_two_files(gallery: Gallery, tmp_path: Path) -> None:
    gallery.present(np.linspace(-1, 1, 50))
    written = export_chart(gallery["distribution"], tmp_path / "d.csv")
    assert [path.name for path in written] == ["d.csv", "d-levels.csv"]
    assert all(path.exists() for path in written)


# -- what can't be written


def test_another_ending_is_refused_with_those_there_are(filled: Gallery, tmp_path: Path) -> None:
    for name in ("x.jpg", "x", "x.png.exe"):
        with pytest.raises(Problem, match=r"end the name in one of \.png, \.svg, \.pdf, \.csv"):
            export_chart(filled["error"], tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_an_ending_in_capitals_is_the_same_ending(filled: Gallery, tmp_path: Path) -> None:
    (path,) = export_chart(filled["error"], tmp_path / "X.PNG")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_an_empty_chart_is_refused(new_gallery: Gallery, tmp_path: Path) -> None:
    with pytest.raises(Problem, match="“Speed” is empty"):
        export_chart(new_gallery["speed"], tmp_path / "x.png")


@pytest.mark.parametrize("ending", EXPORT_FORMATS)
def test_a_folder_that_is_not_there_is_a_problem_with_a_reason(filled: Gallery, tmp_path: Path, ending: str) -> None:
    with pytest.raises(Problem, match=r"x\.\w+ can't be written: there is no folder"):
        export_chart(filled["error"], tmp_path / "nowhere" / f"x.{ending}")


@pytest.mark.parametrize("ending", EXPORT_FORMATS)
def test_a_failure_leaves_the_file_that_was_there(
    filled: Gallery, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"x.{ending}"
    path.write_bytes(b"from before")
    before = filled["error"].grab().toImage()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("qviz.files.atomic._flush_to_disk", full)
    with pytest.raises(Problem, match="the disk is full"):
        export_chart(filled["error"], path)
    assert path.read_bytes() == b"from before"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert filled["error"].grab().toImage() == before  # its title is gone from the screen


# -- all of them


def test_the_window_exports_every_chart_that_has_something_to_show(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    desk.window.saving.export_all_to(folder)
    desk.exported()
    shown = ("values", "distribution", "error", "transfer", "memory")
    expected = {f"{name}.{ending}" for name in shown for ending in EXPORT_FORMATS}
    expected |= {f"distribution-levels.{ending}" for ending in TABLE_FORMATS}
    prefix = "given_int8-symmetric-tensor-min-max-ONNX-Runtime_"
    assert {path.name for path in folder.iterdir()} == {prefix + name for name in expected}


def test_the_menu_exports_all_into_a_folder(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    desk.do("export_all")
    assert len(list(tmp_path.glob("*_values.pdf"))) == 1
    assert desk.banner.kind == "notice"
    assert desk.banner.text.startswith("Saved ")


def test_a_folder_that_vanished_is_told_in_the_banner(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "gone"))
    desk.do("export_all")
    assert desk.banner.kind == "error"
    assert "there is no folder" in desk.banner.text


@pytest.mark.parametrize("ending", EXPORT_FORMATS)
def test_the_menu_of_a_chart_exports_it(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    asked: list[tuple[object, ...]] = []

    def answer(*arguments: object) -> tuple[str, str]:
        asked.append(arguments)
        return str(tmp_path / "mine"), ""  # without an ending

    monkeypatch.setattr(QFileDialog, "getSaveFileName", answer)
    chosen(desk.page.error, desk, f"Export as {ending.upper()}…")()
    assert (tmp_path / f"mine.{ending}").stat().st_size > 100
    assert desk.banner.text == f"Saved mine.{ending}."
    assert asked[0][1] == "Error histogram"
    assert str(asked[0][2]).endswith(f"error.{ending}")
    assert desk.app.settings.get("last_folder") == str(tmp_path)


def chosen(chart: Chart, desk: Desk, text: str) -> Callable[[], None]:
    """An entry of a chart's own menu."""
    menu = desk.page.menus.menu(chart)
    (action,) = [a for a in menu.actions() if a.text() == text]
    return action.trigger


def test_the_menu_of_a_chart_copies_its_picture(desk: Desk) -> None:
    QApplication.clipboard().clear()
    chosen(desk.page.values, desk, "Copy picture")()
    assert not QApplication.clipboard().image().isNull()
    assert desk.banner.text == "“Values” is in the clipboard as a picture."


def test_the_menu_of_a_chart_resets_its_zoom(desk: Desk) -> None:
    whole = desk.page.values.view.viewRange()[0]
    desk.page.values.view.setXRange(10, 20, padding=0)
    chosen(desk.page.values, desk, "Reset zoom (double click)")()
    assert desk.page.values.view.viewRange()[0] == whole


def test_giving_the_dialog_up_writes_nothing(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: ([], ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("", ""))
    before = set(tmp_path.iterdir())
    for key in ("export_all", "save_quantized", "save_tensor", "save_metrics", "save_scheme", "load_scheme"):
        desk.do(key)
    desk.do("open_files")
    desk.do("open_folder")
    desk.rest()
    assert set(tmp_path.iterdir()) == before
    assert desk.banner.text == ""


def test_charts_are_drawn_into_files_without_a_window(dressed: QApplication, filled: Gallery, tmp_path: Path) -> None:
    analysis = filled["error"].analysis
    written = render_charts(dressed, analysis, tmp_path, ["png", "csv"], theme_name="dark", scale=1.0)
    apply(dressed, load_theme("light"))
    assert {path.stem for path in written} >= set(NAMES) - {"loss"}  # each channel has its own
    image = QImage(str(tmp_path / "values.png"))
    assert image.pixelColor(1, image.height() - 1) == load_theme("dark").color("background")
    assert colours(image) > 20


@pytest.mark.parametrize("ending", [".svg", ".csv"])
def test_what_needs_no_window_is_left_to_others_where_it_is_much(
    gallery: Gallery, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "WRITTEN_AT_ONCE", 100)
    x = np.random.default_rng(1).normal(0, 1, 20_000).astype(np.float32)
    gallery.present(x, Scheme(number_format=IntFormat(8)))
    chart, left = gallery["values"], []
    (path,) = export_chart(chart, tmp_path / f"left{ending}", beside=left.append)
    assert left and not path.exists()
    for work in left:
        work()
    (at_once,) = export_chart(chart, tmp_path / f"at_once{ending}")
    assert path.read_bytes() == at_once.read_bytes()


def test_a_large_picture_is_painted_on_paper_that_was_made_beside_the_window(filled: Gallery, tmp_path: Path) -> None:
    chart, dark = filled["values"], load_theme("dark")
    make = paper_for(chart, scale=1.0, caption="given")
    with ThreadPoolExecutor(1) as beside:
        paper = beside.submit(make).result()
    (plain,) = export_chart(chart, tmp_path / "plain.png", scale=1.0, caption="given")
    (path,) = export_chart(chart, tmp_path / "on_paper.png", scale=1.0, caption="given", paper=paper)
    assert path.read_bytes() == plain.read_bytes()
    assert paper == QImage(str(path)).convertToFormat(paper.format())  # painted on, not copied

    (other,) = export_chart(chart, tmp_path / "other.png", scale=2.0, caption="given", paper=make())
    (path,) = export_chart(chart, tmp_path / "plain.png", scale=2.0, caption="given")
    assert other.read_bytes() == path.read_bytes()  # of another size: left alone
    chart.apply_theme(dark)
    (other,) = export_chart(chart, tmp_path / "dark.png", scale=1.0, caption="given", paper=make())
    assert QImage(str(other)).pixelColor(0, 0) == dark.color("background")


def test_an_svg_is_clipped_and_its_points_lie_where_they_are_seen(filled: Gallery, tmp_path: Path) -> None:
    (path,) = export_chart(filled["values"], tmp_path / "x.svg")
    room = next(e for e in ET.parse(path).iter() if e.tag.endswith("svg")).get("viewBox", "").split()
    root = ET.parse(path).getroot()
    assert [e for e in root.iter() if e.tag.endswith("clipPath")]
    assert not [e for e in root.iter() if e.tag.endswith("polyline") and e.get("transform")]
    places = [p for e in root.iter() if e.tag.endswith("polyline") for p in e.get("points", "").split()]
    assert places
    assert max(float(p.split(",")[1]) for p in places) <= float(room[3])


def test_a_chart_that_is_low_on_the_screen_has_room_for_its_title_in_a_file(filled: Gallery, tmp_path: Path) -> None:
    chart = filled["memory"]
    chart.resize(300, 90)
    before = chart.plot.geometry()
    (path,) = export_chart(chart, tmp_path / "low.png", scale=1.0)
    (drawn,) = export_chart(chart, tmp_path / "low.svg")
    room = ET.parse(drawn).getroot().get("viewBox", "").split()
    assert QImage(str(path)).height() == float(room[3]) == export.LEAST_HEIGHT
    assert chart.plot.geometry() == before
    words = [e for e in ET.parse(drawn).iter() if e.tag.endswith("text") and "".join(e.itertext()).strip()]
    assert {"float32", "float16", "int4"} <= {"".join(e.itertext()).strip() for e in words}
