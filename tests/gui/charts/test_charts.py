"""What a chart draws is what the analysis counted, for every tensor there may be; and it answers the pointer."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from PySide6.QtWidgets import QApplication

from qviz.core.arithmetic.quantize import fake_quantize, quantize
from qviz.core.formats.integers import IntFormat
from qviz.core.questions.analysis import analyze
from qviz.core.questions.calibration import choose_qparams
from qviz.core.questions.speed import ProductSpeed, Speed
from qviz.core.ranges.rules import Manual, Percentile
from qviz.core.schemes.scheme import Scheme
from qviz.core.sizes import byte_text
from qviz.core.tensors.granularity import PerAxis, PerTensor
from qviz.core.tensors.value_histogram import HISTOGRAM_BINS
from qviz.gui.charts.base import Chart
from qviz.gui.charts.view import ChartView
from qviz.gui.kit.theme import load_theme
from qviz.gui.words.numbers import time_text
from tests.gui.conftest import Gallery, mouse_over, spot
from tests.gui.pictures import dots, picture

UINT8 = Scheme(number_format=IntFormat(8, signed=False), symmetric=False)
CLIPPING = Scheme(range_rule=Percentile(95.0))


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def rebuilt(x: np.ndarray, scheme: Scheme) -> np.ndarray:
    """x̂, straight from the formulas."""
    return fake_quantize(x, choose_qparams(x, scheme)).reshape(-1)


# -- the numbers that are drawn


@pytest.mark.parametrize("elements", [20_000, 600_000], ids=["read as it is", "from the pyramid"])
@pytest.mark.parametrize("scheme", [UINT8, Scheme(granularity=PerAxis(1))], ids=["per tensor", "per axis"])
def test_values_zoomed_out_is_the_true_envelope_of_every_element(
    gallery: Gallery, elements: int, scheme: Scheme
) -> None:
    x = normal(elements // 10, 10)
    gallery.present(x, scheme)

    first, last = gallery.column("values", "first_index"), gallery.column("values", "last_index")
    assert first[0] == 0
    assert last[-1] == elements - 1
    assert np.array_equal(first[1:], last[:-1] + 1)
    for what, values in (("original", x.reshape(-1)), ("dequantized", rebuilt(x, scheme))):
        pieces = [values[a : b + 1] for a, b in zip(first, last, strict=True)]
        assert np.array_equal(gallery.column("values", f"{what}_min"), [p.min() for p in pieces])
        assert np.array_equal(gallery.column("values", f"{what}_max"), [p.max() for p in pieces])
    assert "min and max of every" in gallery["values"].note


@pytest.mark.parametrize("scheme", [UINT8, Scheme(granularity=PerAxis(1))], ids=["per tensor", "per axis"])
def test_values_zoomed_in_is_every_sample(gallery: Gallery, scheme: Scheme) -> None:
    x = normal(2000, 10)
    gallery.present(x, scheme)
    chart = gallery["values"]

    chart.view.setXRange(1000, 1100, padding=0)

    index = gallery.column("values", "index")
    assert index[0] <= 1000
    assert index[-1] >= 1100
    assert index.size < 110
    assert np.array_equal(gallery.column("values", "original"), x.reshape(-1)[index])
    assert np.array_equal(gallery.column("values", "dequantized"), rebuilt(x, scheme)[index])
    assert chart.note == ""


def test_distribution_counts_every_element_once_as_numpy_does(gallery: Gallery) -> None:
    x = normal(300, 100)
    gallery.present(x)

    low, high = gallery.column("distribution", "bin_low"), gallery.column("distribution", "bin_high")
    counts = gallery.column("distribution", "elements")
    assert counts.sum() == x.size
    assert np.array_equal(low[1:], high[:-1])
    fine, edges = np.histogram(x.astype(np.float64), HISTOGRAM_BINS, (float(x.min()), float(x.max())))
    assert np.array_equal(counts, fine.reshape(counts.size, -1).sum(axis=1))
    assert np.allclose(np.append(low, high[-1]), edges[:: HISTOGRAM_BINS // counts.size], rtol=0, atol=1e-12)


def test_distribution_zoomed_in_shows_finer_bins_of_the_same_counts(gallery: Gallery) -> None:
    x = normal(300, 100)
    gallery.present(x)
    coarse = gallery.column("distribution", "bin_high")[0] - gallery.column("distribution", "bin_low")[0]

    gallery["distribution"].view.setXRange(-0.1, 0.1, padding=0)

    low, high = gallery.column("distribution", "bin_low"), gallery.column("distribution", "bin_high")
    assert high[0] - low[0] < coarse
    assert low[0] <= -0.1
    assert high[-1] >= 0.1
    counted = [np.count_nonzero((x >= a) & (x < b)) for a, b in zip(low, high, strict=True)]
    assert np.array_equal(gallery.column("distribution", "elements"), counted)


@pytest.mark.parametrize("bits", [2, 4, 8, 12, 16])
def test_distribution_shows_how_many_elements_land_on_each_level(gallery: Gallery, bits: int) -> None:
    x = normal(300, 100)
    scheme = Scheme(number_format=IntFormat(bits))
    gallery.present(x, scheme)

    q = choose_qparams(x, scheme)
    codes = gallery.column("distribution", "code", "levels")
    assert np.array_equal(codes, np.arange(q.quant_min, q.quant_max + 1))
    assert np.array_equal(gallery.column("distribution", "level", "levels"), q.levels()[0].astype(np.float64))
    counted = np.bincount(quantize(x, q).reshape(-1).astype(int) - q.quant_min, minlength=codes.size)
    assert np.array_equal(gallery.column("distribution", "elements", "levels"), counted)
    assert gallery["distribution"].note == f"{np.count_nonzero(counted):,} of {codes.size:,} levels in use"


def test_distribution_of_channels_shows_no_levels_for_there_is_no_one_scale(gallery: Gallery) -> None:
    gallery.present(normal(4, 100), Scheme(granularity=PerAxis(0)))
    assert set(gallery["distribution"].tables()) == {""}
    assert "each channel has its own levels" in gallery["distribution"].note


def test_error_histogram_tells_rounding_and_clipping_apart(gallery: Gallery) -> None:
    x = normal(300, 100)
    gallery.present(x, CLIPPING)

    q = choose_qparams(x, CLIPPING)
    error = rebuilt(x, CLIPPING).astype(np.float64) - x.reshape(-1)
    codes = np.rint(x.reshape(-1) / q.scale)
    clipped = (codes < q.quant_min) | (codes > q.quant_max)
    low, high = gallery.column("error", "error_low"), gallery.column("error", "error_high")
    edges = np.append(low, high[-1])
    assert np.array_equal(gallery.column("error", "clipping"), np.histogram(error[clipped], edges)[0])
    assert np.array_equal(gallery.column("error", "rounding"), np.histogram(error[~clipped], edges)[0])
    assert gallery.column("error", "clipping").sum() > 0


def test_transfer_is_the_quantizer_itself(gallery: Gallery) -> None:
    x = normal(300, 100)
    gallery.present(x, CLIPPING)

    asked, answered = gallery.column("transfer", "x"), gallery.column("transfer", "x_hat")
    assert asked[0] < x.min()
    assert asked[-1] > x.max()
    assert asked.size >= 4 * 400
    assert np.array_equal(answered, fake_quantize(asked, choose_qparams(x, CLIPPING)))


def test_transfer_of_channels_is_that_of_the_worst(gallery: Gallery) -> None:
    x = normal(5, 100)
    x[2, 0] = 40.0  # one outlier: the other values of channel 2 are lost between two levels
    gallery.present(x, Scheme(granularity=PerAxis(0), range_rule=Percentile(98), number_format=IntFormat(4)))

    assert gallery["transfer"].note == "of channel 2, the worst"
    alone = choose_qparams(x[2], Scheme(range_rule=Percentile(98), number_format=IntFormat(4)))
    assert np.array_equal(gallery.column("transfer", "x_hat"), fake_quantize(gallery.column("transfer", "x"), alone))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_channels_shows_each_channel_as_if_it_stood_alone(gallery: Gallery, axis: int) -> None:
    x = normal(4, 5, 60) * np.array([1, 10, 0.1, 3], np.float32).reshape(4, 1, 1)
    gallery.present(x, Scheme(granularity=PerAxis(axis), range_rule=Percentile(98)))

    for channel in range(x.shape[axis]):
        alone = analyze(np.take(x, channel, axis), Scheme(range_rule=Percentile(98)))
        shown = {name: gallery.column("channels", name)[channel] for name in gallery["channels"].tables()[""].columns}
        assert shown["channel"] == channel
        assert shown["scale"] == alone.qparams.scale
        assert shown["zero_point"] == alone.qparams.zero_point
        assert shown["mse"] == pytest.approx(alone.mse, rel=1e-12)
        assert shown["sqnr_db"] == pytest.approx(alone.sqnr_db, rel=1e-12)
        assert shown["max_abs_error"] == alone.max_abs_error
        assert shown["saturated"] == alone.saturated
        assert shown["elements"] == alone.tensor.elements


def test_channels_without_channels_is_empty_and_says_so(gallery: Gallery) -> None:
    gallery.present(normal(4, 50))
    assert gallery["channels"].tables() == {}
    assert gallery["channels"].note == "one channel only"


def test_channels_that_all_lose_nothing_fill_the_chart_and_are_called_so(gallery: Gallery) -> None:
    x = np.arange(-127, 128, dtype=np.float32)[:, None] * np.array([1, 2, 4], np.float32)
    gallery.present(x, Scheme(granularity=PerAxis(1)))
    chart = gallery["channels"]
    axis = chart.plot.getAxis("left")
    assert chart.note == "lossless: ∞ dB"
    assert axis.ticks().texts == []  # a bar has no height that could be read
    assert chart._heights.tolist() == [1.0, 1.0, 1.0]
    all_kept = picture(chart.canvas)
    x[:, 1] += np.float32(0.3)
    gallery.present(x, Scheme(granularity=PerAxis(1)))
    assert chart.note == ""
    assert axis.ticks().texts
    marked = chart.color("clipping").rgba()
    assert (dots(picture(chart.canvas)) == marked).any()
    assert not (dots(all_kept) == marked).any()  # none of them is the worst


def test_more_channels_than_pixels_are_joined_by_their_worst(gallery: Gallery) -> None:
    analysis = gallery.present(normal(3000, 8), Scheme(granularity=PerAxis(0)))
    chart = gallery["channels"]
    assert chart.note.startswith("a bar is the worst of ")
    assert chart._heights.min() == analysis.groups.sqnr_db.min()
    assert gallery.column("channels", "sqnr_db").size == 3000


def test_memory_counts_codes_scales_and_zero_points(gallery: Gallery) -> None:
    scheme = Scheme(number_format=IntFormat(4), symmetric=False, granularity=PerAxis(0))
    gallery.present(normal(6, 50), scheme)
    counted = dict(zip(gallery.column("memory", "what"), gallery.column("memory", "bytes"), strict=True))
    assert counted == {"float32": 1200, "float16": 600, "codes": 150, "scales": 24, "zero_points": 3}
    assert gallery["memory"].note == "4.72 bits per element"


def test_speed_says_what_was_measured_and_nothing_before(new_gallery: Gallery) -> None:
    chart = new_gallery["speed"]
    new_gallery.present(normal(10))
    assert chart.tables() == {}
    assert chart.note == "not measured yet"

    chart.show_progress(0.5)
    assert chart.note == "measuring 50 %"

    chart.show_speed(Speed(10, "int8", 4e-6, 1e-6))
    assert new_gallery.column("speed", "type").tolist() == ["float32", "int8"]
    assert new_gallery.column("speed", "seconds").tolist() == [4e-6, 1e-6]
    assert [bar.text for bar in chart.bars] == ["4 µs", "1 µs · 4.0 × quicker"]

    chart.show_speed(Speed(10, "int8", 1e-6, 1e-6))
    assert chart.bars[1].text == "1 µs · no gain at this size"


def test_products_stand_in_the_place_of_the_addition(new_gallery: Gallery) -> None:
    chart = new_gallery["speed"]
    new_gallery.present(normal(10))
    chart.show_speed(Speed(10, "int8", 4e-6, 1e-6))
    chart.choose(8)
    assert (chart.tables(), chart.note) == ({}, "not measured yet")
    chart.show_products(ProductSpeed(6, 4, 8, (("float32", 4e-6), ("QLinear", 1e-6), ("4 bits", 8e-6)), 0.5))
    assert [bar.text for bar in chart.bars] == ["4 µs", "1 µs · 4.0 × quicker", "8 µs · 2.0 × slower"]
    assert new_gallery.column("speed", "seconds").tolist() == [4e-6, 1e-6, 8e-6]
    assert chart.note == "product with 8 rows, from 50 % of the outputs"
    chart.show_speed(Speed(10, "int8", 1e-6, 1e-6))  # is kept for later
    assert len(chart.bars) == 3
    chart.choose(0)
    assert new_gallery.column("speed", "type").tolist() == ["float32", "int8"]
    chart.choose(0)


def test_bytes_and_seconds_are_told_as_people_read_them() -> None:
    assert [byte_text(n) for n in (10, 1023, 1024, 1536, 5 << 20, 3 << 40)] == [
        "10 B", "1023 B", "1 KiB", "1.5 KiB", "5 MiB", "3 TiB",
    ]  # fmt: skip
    assert [time_text(s) for s in (2.5, 0.0123, 4.56e-5, 7e-9)] == ["2.5 s", "12.3 ms", "45.6 µs", "7 ns"]


# -- every tensor there may be

BIG = np.float32(1e38)
ODD_TENSORS = {
    "with NaN": np.array([[1, np.nan, -2], [np.nan, np.nan, np.nan], [0.5, 3, np.inf]], np.float32),
    "one element": np.array([[0.7]], np.float32),
    "a zero": np.zeros((1, 1), np.float32),
    "constant": np.full((3, 40), 2.5, np.float32),
    "negative constant": np.full((3, 40), -2.5, np.float32),
    "ten elements": normal(2, 5),
    "huge": np.array([[-BIG, BIG, 3], [3.4e38, -3.4e38, 0]], np.float32),
    "tiny": np.array([[1e-38, -1e-38, 0], [5e-39, 1e-45, 0]], np.float32),
    "far from zero": 1e6 + np.arange(60, dtype=np.float32).reshape(3, 20),
    "huge and tiny channels": np.stack([normal(50) * BIG / 10, normal(50) * np.float32(1e-38)]),
    "whole numbers": np.arange(-50, 50).reshape(4, 25),
    "many elements": normal(30, 1000),
}
SCHEMES = [
    Scheme(number_format=IntFormat(bits, signed), symmetric=symmetric, convention=convention)
    for bits, signed, symmetric, convention in [
        (2, True, True, "onnxruntime"),
        (8, False, False, "textbook"),
        (16, True, True, "textbook"),
        (16, False, False, "onnxruntime"),
    ]
]


@pytest.mark.parametrize("name", ODD_TENSORS)
def test_every_chart_shows_every_tensor_under_every_scheme(gallery: Gallery, name: str) -> None:
    x = ODD_TENSORS[name]
    finite = np.count_nonzero(np.isfinite(x))
    for scheme, per in itertools.product(SCHEMES, (None, PerAxis(0))):
        gallery.present(x, replace(scheme, granularity=per) if per else scheme)
        gallery["distribution"].set_logarithmic(per is None)
        assert gallery.column("distribution", "elements").sum() == finite
        counted = gallery.column("error", "rounding").sum() + gallery.column("error", "clipping").sum()
        assert counted == finite or "huge" in name  # where x̂ is infinite there is no bin for its error
        for chart in gallery.charts.values():
            for table in chart.tables().values():
                assert len({column.size for column in table.columns.values()}) == 1
            ranges = np.array(chart.view.viewRange())
            assert np.isfinite(ranges).all(), (chart.name, scheme)
            assert (ranges[:, 0] < ranges[:, 1]).all(), (chart.name, scheme)
            for at in (0.0, 0.5, 1.0):  # hovering must find words for it too
                left, right = ranges[0]
                chart.hover(QPointF(left + at * (right - left), ranges[1].mean()))


def test_a_chart_goes_from_any_tensor_to_any_other(gallery: Gallery) -> None:
    tensors = list(ODD_TENSORS.values())
    for x, per in [*((x, PerTensor()) for x in tensors), *((x, PerAxis(0)) for x in reversed(tensors))]:
        gallery.present(x, Scheme(granularity=per))
        values = gallery["values"].tables()[""].columns
        assert next(reversed(values.values())).size <= x.size


# -- the pointer


def said(chart: Chart) -> list[str]:
    """What the chart reads out from now on."""
    words: list[str] = []
    chart.read_out.connect(words.append)
    return words


def test_hovering_over_values_reads_the_element(gallery: Gallery) -> None:
    x = np.array([0.5, -1.0, 0.25, 2.0, 0.125], np.float32)
    gallery.present(x)
    chart = gallery["values"]
    words = said(chart)
    mouse_over(chart).move(spot(chart, 3))
    assert words == ["#3  x 2  x̂ 2  error 0"]


def test_hovering_over_values_zoomed_out_reads_the_stretch(gallery: Gallery) -> None:
    x = normal(20_000)
    gallery.present(x)
    chart = gallery["values"]
    words = said(chart)
    mouse_over(chart).move(spot(chart, 10_000))
    first, last = gallery.column("values", "first_index"), gallery.column("values", "last_index")
    bucket = int(np.searchsorted(last, 10_000))
    pieces = [(first[b], x[first[b] : last[b] + 1]) for b in (bucket - 1, bucket, bucket + 1)]  # a pixel is as wide
    read = tuple(f"#{start:,}…  x {p.min():.3g}…{p.max():.3g}  ".replace("-", "−") for start, p in pieces)
    assert words[0].startswith(read)


def test_hovering_over_distribution_reads_the_bin(gallery: Gallery) -> None:
    x = normal(20_000)
    gallery.present(x)
    chart = gallery["distribution"]
    words = said(chart)
    mouse_over(chart).move(spot(chart, 0.5))
    low, high = gallery.column("distribution", "bin_low"), gallery.column("distribution", "bin_high")
    value = float(words[0].split()[1])
    bin_ = int(np.searchsorted(low, value, "right")) - 1
    assert abs(value - 0.5) < 0.02
    assert f" {np.count_nonzero((x >= low[bin_]) & (x < high[bin_])):,} in " in words[0]


def test_hovering_over_error_reads_both_kinds(gallery: Gallery) -> None:
    gallery.present(normal(20_000), CLIPPING)
    chart = gallery["error"]
    words = said(chart)
    mouse_over(chart).move(spot(chart, 0.0))
    assert "rounded, 0 clipped" in words[0]


def test_hovering_over_transfer_reads_value_code_and_level(gallery: Gallery) -> None:
    analysis = gallery.present(normal(2000), UINT8)
    chart = gallery["transfer"]
    words = said(chart)
    mouse_over(chart).move(spot(chart, 1.0))
    x = float(words[0].split()[1])
    code = int(quantize(np.array([x]), analysis.qparams)[0])
    assert f"→ code {code} →" in words[0]


def test_the_read_code_under_the_textbook_is_the_code_that_is_stored(gallery: Gallery) -> None:
    analysis = gallery.present(normal(2000), replace(UINT8, convention="textbook"))
    chart = gallery["transfer"]
    words = said(chart)
    for x in np.linspace(-2, 2, 41):
        chart.hover(QPointF(x, 0))
    codes = quantize(np.linspace(-2, 2, 41).astype(np.float32), analysis.qparams)
    assert [int(w.split("code ")[1].split()[0]) for w in words] == codes.tolist()


def test_hovering_over_channels_reads_the_channel(gallery: Gallery) -> None:
    analysis = gallery.present(normal(8, 100), Scheme(granularity=PerAxis(0)))
    chart = gallery["channels"]
    words = said(chart)
    mouse_over(chart).move(spot(chart, 5))
    groups, scale = analysis.groups, analysis.qparams.scale
    expected = f"#5  {groups.sqnr_db[5]:.4g} dB  MSE {groups.mse[5]:.4g}  S {scale[5]:.4g}"
    assert words == [expected.replace("-", "−")]


def test_the_other_charts_point_at_the_value_under_the_pointer(gallery: Gallery) -> None:
    gallery.present(normal(2000))
    mouse = mouse_over(gallery["distribution"])
    mouse.move(spot(gallery["distribution"], 1.0))
    for name in ("values", "transfer"):
        assert gallery[name]._pointer.isVisible()
        assert gallery[name]._pointer.value() == pytest.approx(1.0, abs=0.02)
    mouse.move(spot(gallery["distribution"], 1e9))  # beyond the axes
    assert not gallery["values"]._pointer.isVisible()


def test_nothing_is_read_out_where_there_is_nothing(new_gallery: Gallery) -> None:
    for chart in new_gallery.charts.values():  # not even an answer yet
        words = said(chart)
        mouse_over(chart).move(chart.canvas.viewport().rect().center())
        assert set(words) <= {""}


@pytest.mark.parametrize("name", ["values", "distribution", "error", "transfer", "channels"])
def test_a_double_click_brings_everything_back_into_sight(gallery: Gallery, name: str) -> None:
    gallery.present(normal(8, 500), Scheme(granularity=PerAxis(0)))
    chart = gallery[name]
    whole = np.array(chart.view.viewRange())
    (left, right), _ = chart.view.viewRange()
    chart.view.setXRange(left + 0.4 * (right - left), left + 0.6 * (right - left), padding=0)
    assert not np.allclose(chart.view.viewRange()[0], whole[0])

    mouse_over(chart).double_click(spot(chart, left + 0.5 * (right - left)))

    assert np.allclose(chart.view.viewRange()[0], whole[0])


def test_dragging_moves_the_view_and_a_new_answer_leaves_it_there(gallery: Gallery) -> None:
    x = normal(4000)
    analysis = gallery.present(x)
    chart = gallery["values"]
    chart.view.setXRange(1000, 2000, padding=0)
    mouse_over(chart).drag(spot(chart, 1500), spot(chart, 1400), spot(chart, 1300))
    moved = chart.view.viewRange()[0]
    assert moved[0] == pytest.approx(1200, abs=20)

    chart.present(analyze(analysis.tensor, UINT8))
    assert chart.view.viewRange()[0] == moved


def test_values_cannot_be_moved_out_of_sight(gallery: Gallery) -> None:
    gallery.present(normal(100))
    chart = gallery["values"]
    chart.view.setXRange(5000, 6000, padding=0)
    left, right = chart.view.viewRange()[0]
    assert left < 100
    assert right > 0


# -- the clip lines


def dragged(gallery: Gallery, line: float, *stations: float) -> list[tuple[float, float]]:
    """Drag a clip line of the distribution; the ranges that were asked for."""
    chart = gallery["distribution"]
    moves: list[tuple[float, float]] = []
    chart.clip_moved.connect(lambda low, high: moves.append((low, high)))
    mouse_over(chart).drag(spot(chart, line), *(spot(chart, s) for s in stations))
    return moves


def test_dragging_a_clip_line_asks_for_a_range_and_leaves_the_other_alone(gallery: Gallery) -> None:
    analysis = gallery.present(normal(4000), UINT8)
    low, high = float(analysis.qparams.low), float(analysis.qparams.high)
    moves = dragged(gallery, high, 2.5, 2.0, 1.5)
    assert [m[0] for m in moves] == [low] * len(moves)
    assert moves[-1][1] == pytest.approx(1.5, abs=0.05)


def test_dragging_a_clip_line_of_a_symmetric_scheme_moves_both(gallery: Gallery) -> None:
    analysis = gallery.present(normal(4000))
    moves = dragged(gallery, float(analysis.qparams.low), -2.5, -2.0, -1.5)
    assert all(low == -high for low, high in moves)
    assert moves[-1][1] == pytest.approx(1.5, abs=0.05)


def test_clip_lines_cannot_cross(gallery: Gallery) -> None:
    analysis = gallery.present(normal(4000), replace(UINT8, range_rule=Manual(-1.0, 1.0)))
    moves = dragged(gallery, float(analysis.qparams.high), 0.0, -0.5, -1.5, -2.0)
    assert moves
    assert all(low < high for low, high in moves)


# -- what is looked at


def test_counts_as_powers_of_ten_keep_the_counts(gallery: Gallery) -> None:
    gallery.present(normal(4000))
    before = gallery.column("distribution", "elements")
    for name in ("distribution", "error"):
        chart = gallery[name]
        top = chart.view.viewRange()[1][1]
        chart.set_logarithmic(True)
        chart.grab()
        assert chart.view.viewRange()[1][0] == pytest.approx(np.log10(0.5))
        assert chart.view.viewRange()[1][1] < 5 < top
        chart.set_logarithmic(False)
        assert chart.view.viewRange()[1] == [0, pytest.approx(top)]
    assert np.array_equal(gallery.column("distribution", "elements"), before)


def test_one_element_is_marked_where_it_lies(gallery: Gallery) -> None:
    x = normal(4000)
    analysis = gallery.present(x)
    x_hat = analysis.fake_quantize(17, 18)[0]
    for name in ("values", "transfer"):
        gallery[name].point_to(17)
    assert gallery["values"]._mark.value() == 17
    assert [p.pos().toTuple() for p in gallery["values"]._marked.points()] == [(17, x[17]), (17, x_hat)]
    assert [p.pos().toTuple() for p in gallery["transfer"]._mark.points()] == [(x[17], x_hat)]
    gallery["values"].view.setXRange(1000, 1100, padding=0)
    gallery["values"].point_to(3000)
    left, right = gallery["values"].view.viewRange()[0]
    assert left < 3000 < right
    assert right - left == pytest.approx(100)
    for name in ("values", "transfer"):
        gallery[name].point_to(None)
    assert not gallery["values"]._mark.isVisible()


def test_an_element_that_is_no_number_can_be_looked_at(gallery: Gallery) -> None:
    gallery.present(ODD_TENSORS["with NaN"])
    for index in range(9):
        for name in ("values", "transfer"):
            gallery[name].point_to(index)
            gallery[name].grab()
    assert gallery["values"]._mark.value() == 8


@pytest.mark.parametrize("name", ["light", "dark"])
def test_a_theme_changes_every_chart(gallery: Gallery, name: str) -> None:
    gallery.present(normal(40, 50), Scheme(granularity=PerAxis(0)))
    chosen = load_theme(name)
    for chart in gallery.charts.values():
        chart.apply_theme(chosen)
        image = chart.grab().toImage()
        assert image.pixelColor(image.width() - 12, image.height() - 6) == chosen.color("background"), chart.name


def test_every_chart_teaches_what_it_shows(gallery: Gallery) -> None:
    for chart in gallery.charts.values():
        assert chart.title()
        assert chart.accessibleName() == chart.title()
        assert len(chart.description()) > 40
        assert chart.accessibleDescription() == chart.description()
    for name in ("values", "distribution", "error", "transfer", "channels"):
        assert gallery[name].plot.getAxis("left").labelText
        assert gallery[name].plot.getAxis("bottom").labelText


@pytest.mark.parametrize("ends", [(-math.inf, math.inf), (math.nan, 1.0), (0.0, math.inf)])
def test_a_view_stays_as_it_is_where_an_end_is_infinite(qapp: QApplication, ends: tuple[float, float]) -> None:
    view = ChartView()
    view.setRange(xRange=(0, 1), yRange=(2, 3), padding=0)
    view.move_to(x=ends)
    view.setYRange(*ends, padding=0)
    view.setRange(xRange=ends, yRange=(4, 5), padding=0)
    assert view.viewRange() == [[0, 1], [4, 5]]
