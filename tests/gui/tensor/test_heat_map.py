"""The map shows each group in its place, by the worst where there are more than pixels; a click picks one."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication

from qviz.core.formats.codebooks import Codebook
from qviz.core.formats.floats import FloatFormat
from qviz.core.formats.integers import IntFormat
from qviz.core.questions import figures
from qviz.core.questions.analysis import Analysis, analyze
from qviz.core.questions.figures import LISTED, worst_groups
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import Granularity, PerAxis, PerBlock, PerTile, PerToken
from qviz.gui.kit.theme import load_theme
from qviz.gui.tensor.group_grid import Grid, worst_of
from qviz.gui.tensor.heat_map_image import QUANTITIES
from qviz.gui.tensor.worst_groups_panel import WorstGroupsPanel
from qviz.gui.words.groups import alone_text, group_columns, place_numbers, place_text
from tests.every import every
from tests.gui.conftest import Desk, Gallery, mouse_over, spot
from tests.gui.pictures import dots, painted_over_the_plot, picture

MX = Scheme(FloatFormat("e2m1fn"), True, PerBlock(-1, 32), convention="mx_floor")
NVFP4 = Scheme(FloatFormat("e2m1fn"), True, PerBlock(-1, 16), convention="nvfp4")
Q4_0 = Scheme(IntFormat(4, signed=False), True, PerBlock(-1, 32), convention="gguf")
Q4_1 = Scheme(IntFormat(4, signed=False), False, PerBlock(-1, 32), convention="gguf")
NF4 = Scheme(Codebook("nf4"), True, PerBlock(-1, 48), convention="textbook")
BLOCKED = {"MX": MX, "NVFP4": NVFP4, "Q4_0": Q4_0, "Q4_1": Q4_1, "NF4, ragged": NF4}


def tensor(*shape: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_t(4, shape) * np.exp(rng.normal(0, 1, (*shape[:-1], 1)))
    return x.astype(np.float32)


def per(granularity: Granularity) -> Scheme:
    return Scheme(IntFormat(4), granularity=granularity)


# -- places


@every(
    ("shape", "granularity", "rows", "columns"),
    [
        ((4, 96), PerBlock(-1, 32), 4, 3),
        ((2, 3, 70), PerBlock(-1, 32), 6, 3),
        ((2, 70, 5), PerBlock(1, 32), 10, 3),
        ((96, 7), PerBlock(0, 32), 7, 3),
        ((12, 5), PerAxis(0), 1, 12),
        ((300, 5), PerAxis(0), 10, 32),
        ((4, 300), PerBlock(-1, 300), 1, 4),
        ((9, 16), PerToken(), 1, 9),
        ((3, 9, 16), PerToken(), 3, 9),
        ((640,), PerBlock(-1, 2), 10, 32),
        ((9, 70), PerTile(4, 32), 3, 3),
        ((2, 9, 70), PerTile(4, 32), 6, 3),
    ],
)
def test_every_group_has_one_cell(shape: tuple[int, ...], granularity: Granularity, rows: int, columns: int) -> None:
    analysis = analyze(tensor(*shape), per(granularity))
    grid, count = Grid.of(analysis), analysis.layout.groups
    assert (grid.rows, grid.columns) == (rows, columns)
    assert [grid.group(*grid.cell(g)) for g in range(count)] == list(range(count))
    image = grid.image(np.arange(count, dtype=np.float32))
    assert image.shape == (rows, columns)
    assert [int(image[grid.cell(g)]) for g in range(count)] == list(range(count))
    inside = [grid.group(r, c) for r in range(rows) for c in range(columns)]
    assert sorted(g for g in inside if g is not None) == list(range(count))
    assert grid.group(rows, 0) is None
    assert grid.group(0, columns) is None


def test_the_place_of_a_group_in_words() -> None:
    assert place_text(PerAxis(0), (12, 5), 7) == "channel 7"
    assert place_text(PerBlock(-1, 32), (4, 96), 5) == "row 1, block 2"
    assert place_text(PerBlock(-1, 32), (2, 3, 96), 17) == "row 1, 2, block 2"
    assert place_text(PerBlock(0, 32), (96, 7), 9) == "[·, 2], block 1"
    assert place_text(PerBlock(-1, 32), (96,), 2) == "block 2"
    assert place_text(PerToken(), (3, 9, 16), 11) == "token 1, 2"
    assert place_numbers(PerToken(), (3, 9, 16), 11) == "1, 2"
    assert place_numbers(PerBlock(0, 32), (96, 7), 9) == "1, 2"
    assert place_text(PerTile(4, 32), (9, 70), 5) == "tile 1, 2"
    assert alone_text(PerBlock(0, 32), 1234) == "block 1,234 alone"


# -- colours


@pytest.mark.parametrize("quantity", list(QUANTITIES))
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_worst_has_the_last_colour_and_the_best_the_first(gallery: Gallery, quantity: str, theme: str) -> None:
    chart, chosen = gallery["heat_map"], load_theme(theme)
    chart.apply_theme(chosen)
    chart.choose_quantity(quantity)
    analysis = gallery.present(tensor(8, 160), MX)
    read = {
        "scale": np.abs(analysis.qparams.scale).reshape(-1),
        "mse": analysis.groups.mse,
        "sqnr": -analysis.groups.sqnr_db,
        "max": analysis.groups.max_abs_error,
    }[quantity]
    cell = chart._grid.cell
    (worst_row, worst_column), (row, column) = cell(int(read.argmax())), cell(int(read.argmin()))
    assert QColor(chart._picture.pixel(worst_column, worst_row)) == chosen.color("heat9")
    assert QColor(chart._picture.pixel(column, row)) == chosen.color("heat1")
    assert chart.note == ""


@pytest.mark.parametrize("quantity", list(QUANTITIES))
def test_colours_have_ends_where_no_group_has_a_logarithm(quantity: str) -> None:
    alike = QUANTITIES[quantity].levels
    for values in ([np.inf, np.inf], [0.0, 0.0], [np.nan, np.nan], [np.inf, 0.0, np.nan], []):
        assert alike(np.array(values)) == (0.0, 1.0)
    for values in ([1.0, 1.0], [np.inf, 1.0, 0.0], [np.nan, 1.0]):
        assert alike(np.array(values)) == (-0.5, 0.5)


GRID = np.arange(-127, 128, dtype=np.float32)[:, None] * np.array([1, 2, 4], np.float32)
"""Columns that 8 bits keep as they are, each with a scale of its own."""


@pytest.mark.parametrize(
    ("quantity", "best"), [("mse", "lossless: 0"), ("sqnr", "lossless: ∞"), ("max", "lossless: 0")]
)
def test_the_legend_says_lossless_where_every_group_is(gallery: Gallery, quantity: str, best: str) -> None:
    chart = gallery["heat_map"]
    chart.choose_quantity(quantity)
    analysis = gallery.present(GRID, Scheme(granularity=PerAxis(1)))
    assert np.isposinf(analysis.groups.sqnr_db).all()
    assert (chart._bar.best, chart._bar.worst) == (best, "")
    assert QColor(chart._picture.pixel(1, 0)) == load_theme("light").color("heat1")
    picture(chart)
    some = np.where(np.arange(3) == 1, GRID + np.float32(0.3), GRID).astype(np.float32)
    gallery.present(some, Scheme(granularity=PerAxis(1)))
    assert "lossless" not in chart._bar.best + chart._bar.worst
    assert chart._bar.worst


def test_no_tick_of_an_axis_lies_in_a_cell(gallery: Gallery) -> None:
    gallery.present(tensor(64, 96), per(PerBlock(-1, 8)))
    for side in ("left", "bottom"):
        axis = gallery["heat_map"].plot.getAxis(side)
        assert axis.ticks().texts
        assert painted_over_the_plot(axis) == 0


def test_the_legend_says_nothing_of_a_loss_where_every_scale_is_alike(gallery: Gallery) -> None:
    chart = gallery["heat_map"]
    chart.choose_quantity("scale")
    gallery.present(GRID, Scheme(granularity=PerAxis(1)))
    assert (chart._bar.best, chart._bar.worst) == ("1", "4")


@pytest.mark.parametrize("quantity", list(QUANTITIES))
def test_a_pixel_shows_the_worst_of_its_groups_whatever_is_looked_at(gallery: Gallery, quantity: str) -> None:
    chart = gallery["heat_map"]
    chart.choose_quantity(quantity)
    x = tensor(3000, 64)
    x[::7] *= 50
    x[5, :32] = np.nan
    x[9, 32:] = 0
    analysis = gallery.present(x, MX)
    groups, tiles = analysis.groups, chart._tiles
    with np.errstate(divide="ignore"):
        badness = {
            "scale": np.log10(np.abs(analysis.qparams.scale).reshape(-1).astype(np.float64)),
            "mse": np.log10(groups.mse),
            "sqnr": -groups.sqnr_db,
            "max": np.log10(groups.max_abs_error),
        }[quantity]
    badness[groups.finite == 0] = np.nan
    cells = badness.reshape(3000, 2)
    assert tiles.tall > 1 and tiles.wide == 1
    expected = [np.fmax.reduce(cells[row : row + tiles.tall]) for row in range(0, 3000, tiles.tall)]
    np.testing.assert_allclose(tiles.worst, expected, rtol=1e-6)
    low, high = chart._image.levels
    known = badness[np.isfinite(badness)]
    assert high == pytest.approx(known.max(), rel=1e-6)
    assert low == pytest.approx(known.min() if quantity == "sqnr" else max(known.min(), high - 8), rel=1e-6)
    row = int(np.nanargmax(np.where(np.isfinite(cells), cells, -np.inf).max(axis=1)))
    worst = int(np.nanargmax(np.where(np.isfinite(badness), badness, -np.inf)))
    assert chart.group_at(QPointF(worst % 2, row // tiles.tall * tiles.tall)) == worst


def test_more_cells_than_pixels_are_joined_by_their_worst(gallery: Gallery) -> None:
    x = tensor(3000, 64)
    x[1234, 33] = 1e4  # one block that has no bits left for the others
    analysis = gallery.present(x, MX)
    chart = gallery["heat_map"]
    chart.choose_quantity("max")
    tiles = chart._tiles
    assert chart.note == f"a pixel is the worst of {tiles.joined}"
    assert tiles.joined > 1
    assert tiles.worst.shape[0] * tiles.tall >= 3000
    assert tiles.worst.max() == pytest.approx(np.log10(analysis.groups.max_abs_error.max()))
    worst = int(analysis.groups.max_abs_error.argmax())
    row, column = chart._grid.cell(worst)
    near = QPointF(column, row // tiles.tall * tiles.tall)
    assert chart.group_at(near) == worst

    chart.view.setYRange(1230, 1240, padding=0)
    assert chart.note == ""
    assert chart.group_at(QPointF(column, row)) == worst
    assert chart.group_at(QPointF(column, 5000)) is None


def test_groups_without_a_finite_value_have_no_colour(gallery: Gallery) -> None:
    x = tensor(4, 96)
    x[2, 32:64] = np.nan
    gallery.present(x, per(PerBlock(-1, 32)))
    chart = gallery["heat_map"]
    chart.choose_quantity("sqnr")
    assert chart._picture.pixelColor(1, 2).alpha() == 0
    assert chart._picture.pixelColor(1, 1).alpha() == 255
    assert ("elements", "none finite") in chart._lines(7)


def test_one_scale_only_leaves_the_map_empty_and_says_so(gallery: Gallery) -> None:
    gallery.present(tensor(4, 96), Scheme())
    chart = gallery["heat_map"]
    assert chart.tables() == {}
    assert chart.note == "one scale only"
    assert chart.group_at(QPointF(0, 0)) is None
    gallery.present(np.ones((4, 96), np.float32), per(PerAxis(0)))  # nothing is worse than the rest
    assert chart.tables()


def test_the_table_has_every_group_with_its_place(gallery: Gallery) -> None:
    analysis = gallery.present(tensor(6, 160), Q4_1)
    columns = gallery["heat_map"].tables()[""].columns
    assert columns["block"].tolist() == list(range(30))
    assert columns["row"].tolist() == [g // 5 for g in range(30)]
    assert columns["column"].tolist() == [g % 5 for g in range(30)]
    assert np.array_equal(columns["scale"], analysis.qparams.scale.reshape(-1))
    assert np.array_equal(columns["minimum"], analysis.qparams.offset.reshape(-1))
    assert np.array_equal(gallery.column("channels", "sqnr_db"), columns["sqnr_db"])
    assert group_columns(analyze(tensor(4, 4), Scheme())) == {}


def test_axes_say_what_is_along_them(gallery: Gallery) -> None:
    def titles() -> tuple[str, str]:
        axes = [gallery["heat_map"].plot.getAxis(side) for side in ("bottom", "left")]
        return axes[0].labelText, axes[1].labelText

    gallery.present(tensor(6, 160), MX)
    assert titles() == ("Block of 32 along axis 1", "Index of axis 0")
    gallery.present(tensor(2, 3, 64), MX)
    assert titles() == ("Block of 32 along axis 2", "Index of axes 0, 1, row by row")
    gallery.present(tensor(2, 3, 64), per(PerToken()))
    assert titles() == ("Token (axis 1)", "Index of axis 0")
    gallery.present(tensor(12, 64), per(PerAxis(0)))
    assert titles() == ("Channel", "")
    gallery.present(tensor(120, 64), per(PerAxis(0)))
    assert titles() == ("Channel within its row", "First channel of the row")


# -- the pointer


def test_the_pointer_reads_a_group_and_a_click_picks_it(gallery: Gallery) -> None:
    analysis = gallery.present(tensor(6, 160), MX)
    chart = gallery["heat_map"]
    words: list[str] = []
    picked: list[int] = []
    chart.read_out.connect(words.append)
    chart.channel_clicked.connect(picked.append)
    mouse_over(chart).move(spot(chart, 3, 2))
    groups = analysis.groups
    expected = f"SQNR {groups.sqnr_db[13]:.2f} dB  MSE {groups.mse[13]:.4g}".replace("-", "−")
    assert words[-1].startswith("row 2, block 3  scale ")
    assert expected in words[-1]
    QApplication.processEvents()
    before = chart.grab().toImage()
    mouse_over(chart).click(spot(chart, 3, 2))
    assert picked == [13]
    chart.leave()
    QApplication.processEvents()
    assert chart.grab().toImage() != before  # the box is gone
    chart.hover(QPointF(99, 99))
    assert words[-1] == ""
    chart.channel_clicked.disconnect(picked.append)
    chart.read_out.disconnect(words.append)


# -- the worst


@every("count", [3, LISTED, 500])
def test_the_worst_are_the_lowest_in_their_order(count: int) -> None:
    groups = analyze(tensor(20, 320), MX).groups
    assert groups is not None
    found = worst_groups(groups, count)
    order = np.argsort(groups.sqnr_db, kind="stable")[: min(count, groups.sqnr_db.size)]
    assert np.array_equal(groups.sqnr_db[found], groups.sqnr_db[order])
    assert len(set(found)) == min(count, groups.sqnr_db.size)


def test_of_very_many_the_worst_are_looked_for_among_the_lowest_of_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    x = tensor(20, 320)
    x[3:5] = 0  # groups without an error
    groups = analyze(x, MX).groups
    assert groups is not None
    expected = [worst_groups(groups, count) for count in (1, 3, LISTED)]
    monkeypatch.setattr(figures, "STRETCH", 4)
    assert [worst_groups(groups, count) for count in (1, 3, LISTED)] == expected


def test_where_all_are_as_low_the_larger_errors_come_first() -> None:
    groups = analyze(np.tile(tensor(1, 32), (40, 1)) * np.float32(2.0) ** np.arange(40)[:, None], MX).groups
    assert groups is not None
    assert worst_groups(groups) == list(range(39, 29, -1))


# -- in the window


@pytest.mark.parametrize("name", list(BLOCKED))
def test_a_block_alone_is_what_it_is_in_the_whole(desk: Desk, name: str) -> None:
    scheme = BLOCKED[name]
    x = tensor(6, 160, seed=2)
    desk.show(x, scheme=scheme)
    docks = desk.page.docks
    assert not any(docks[key].isHidden() for key in ("channels", "heat_map", "worst"))
    assert docks["channels"].windowTitle() == "Blocks"
    assert docks["worst"].windowTitle() == "Worst blocks"
    chart = desk.page.heat_map
    desk.bot.waitUntil(chart.isVisible)
    whole: Analysis = desk.page.frame.whole
    for group in (0, whole.groups.sqnr_db.size - 1):  # of a ragged axis, the last one is shorter
        row, column = chart._grid.cell(group)
        frame = desk.gesture(lambda r=row, c=column: mouse_over(chart).click(spot(chart, c, r)))
        assert frame.channel == group
        assert frame.shown.groups is None
        assert frame.shown.mse == pytest.approx(whole.groups.mse[group], rel=1e-12)
        assert frame.shown.max_abs_error == whole.groups.max_abs_error[group]
        assert float(frame.shown.qparams.scale) == float(whole.qparams.scale.reshape(-1)[group])
        assert frame.shown.tensor.elements == whole.groups.finite[group]
        assert desk.page.values.note == f"block {group:,} alone"
        levels = desk.page.distribution._levels
        assert np.all(np.diff(levels.level) >= 0)  # under a negative scale too
        assert levels.used.sum() == frame.shown.levels_used
        for part in ("values", "distribution", "error", "transfer", "memory"):
            assert getattr(desk.page, part).tables(), part
        curve = desk.page.transfer.tables()[""].columns
        assert np.all(np.diff(curve["x_hat"]) >= 0)
        assert set(np.unique(curve["x_hat"])) <= set(frame.shown.qparams.levels()[0].tolist())
    every = desk.gesture(lambda: mouse_over(chart).click(spot(chart, column, row)))
    assert every.channel is None


def test_the_list_of_the_worst_picks_one_and_marks_it(desk: Desk) -> None:
    desk.show(tensor(6, 160, seed=2), scheme=MX)
    desk.page.docks["worst"].raise_()
    panel: WorstGroupsPanel = desk.page.worst
    desk.bot.waitUntil(panel.isVisible)
    worst = [row.group for row in panel.table.figures.rows]
    assert worst == worst_groups(desk.page.frame.whole.groups)
    assert panel.table.figures.rows[0].place == f"{worst[0] // 5}, {worst[0] % 5}"
    index = panel.table.figures.index(1, 0)
    frame = desk.gesture(
        lambda: desk.click(
            panel.table.viewport(), panel.table.visualRect(panel.table.proxy.mapFromSource(index)).center()
        )
    )
    assert frame.channel == worst[1]
    assert panel.table.current().group == worst[1]
    assert desk.page.heat_map._chosen == worst[1]
    desk.gesture(lambda: desk.do("all_channels"))
    assert panel.table.current() is None


def test_the_switch_changes_what_the_colours_stand_for(desk: Desk) -> None:
    desk.show(tensor(6, 160, seed=2), scheme=MX)
    desk.page.docks["heat_map"].raise_()
    for name in ("scale", "mse", "max", "sqnr"):
        desk.click(desk.page.late.quantities.button(name))
        assert desk.page.heat_map.quantity == name
        assert desk.page.heat_map._bar.heading.startswith(QUANTITIES[name].title)


def test_per_tensor_again_hides_all_that_is_said_of_groups(desk: Desk) -> None:
    desk.show(tensor(6, 160, seed=2), scheme=per(PerToken()))
    assert desk.page.docks["channels"].windowTitle() == "Tokens"
    desk.gesture(lambda: desk.session.update(scheme=Scheme()))
    assert all(desk.page.docks[key].isHidden() for key in ("channels", "heat_map", "worst"))


def test_the_code_of_a_float_in_the_table_is_its_bit_pattern(desk: Desk) -> None:
    desk.show(np.array([[448.0, -5.0, 0.0, 100.0]], np.float32), scheme=Scheme(FloatFormat("e4m3fn")))
    lines = [line.split("\t") for line in desk.page.table.text().splitlines()]
    assert [line[lines[0].index("Q")] for line in lines[1:]] == ["0x7E", "0xCA", "0x00", "0x6C"]
    assert "Codes\t±448" in desk.page.metrics.text()
    assert desk.page.distribution.tables()["levels"].columns["unit_value"].size == 253


def test_the_table_says_what_is_taken_from_a_value_first(desk: Desk) -> None:
    desk.show(tensor(2, 64), scheme=Q4_1)
    assert "(R-min)/S" in desk.page.table.text().splitlines()[0]
    assert "minima" in desk.page.memory.tables()[""].columns["what"]
    desk.gesture(lambda: desk.session.update(symmetric=True))
    assert "R / S" in desk.page.table.text().splitlines()[0]


def test_where_the_scale_follows_a_rule_there_is_no_threshold_to_choose(desk: Desk) -> None:
    desk.show(tensor(2, 64), scheme=MX)
    desk.gesture(lambda: desk.session.update(channel=1))
    assert desk.page.loss.hint.text().startswith("There is no threshold to choose")


@pytest.mark.parametrize(("quantity", "heading"), [("sqnr", "SQNR (dB)"), ("mse", "MSE, log"), ("scale", "|S|, log")])
def test_the_bar_says_what_its_colours_stand_for_and_in_which_unit(
    gallery: Gallery, quantity: str, heading: str
) -> None:
    gallery.present(tensor(6, 160), MX)
    chart = gallery["heat_map"]
    before = chart.quantity
    chart.choose_quantity(quantity)
    assert chart.plot.getAxis("top").heading == heading
    chart.choose_quantity(before)


def test_the_map_is_painted_anew_in_another_theme(gallery: Gallery) -> None:
    gallery.present(tensor(6, 160), MX)
    chart = gallery["heat_map"]
    light = chart._picture.copy()
    chart.apply_theme(load_theme("dark"))
    assert chart._picture != light
    chart.apply_theme(load_theme("light"))
    assert chart._picture == light


def test_the_channel_that_is_looked_at_is_marked_around_its_index(gallery: Gallery) -> None:
    gallery.present(tensor(6, 160), per(PerAxis(0)))
    chart = gallery["channels"]
    before = dots(picture(chart))
    chart.choose(4)
    there = np.flatnonzero((dots(picture(chart)) != before).any(axis=0))
    place = chart.view.mapRectToScene(chart.view.rect()).left() + chart.canvas.x()
    left, right = (place + chart._under.ruler().at_x(x) for x in (3.5, 4.5))
    assert there.size
    assert left - 1 <= there[0] <= left + 1
    assert right - 2 <= there[-1] <= right + 1
    chart.choose(None)
    np.testing.assert_array_equal(dots(picture(chart)), before)


def test_a_pixel_is_the_worst_of_its_cells_and_nothing_of_none() -> None:
    nan = np.nan
    cells = np.array([[1, 5, nan, 2], [3, nan, nan, 7], [nan, 9, 4, 0]], np.float32)
    np.testing.assert_array_equal(worst_of(cells, 1, 1), cells)
    np.testing.assert_array_equal(worst_of(cells, 2, 1), np.array([[3, 5, nan, 7], [nan, 9, 4, 0]], np.float32))
    np.testing.assert_array_equal(worst_of(cells, 2, 3), np.array([[5, 7], [9, 0]], np.float32))
    np.testing.assert_array_equal(worst_of(cells, 9, 9), np.array([[9]], np.float32))
