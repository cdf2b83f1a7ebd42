"""Every colour of a theme stands out from what it is drawn on, and none is mistaken for another, whatever the eyes."""

from __future__ import annotations

import itertools

import pytest

from qviz.gui.kit.theme import Theme, load_theme
from tests.every import every
from tests.gui.kit.colours import EYES, ciede2000, contrast, distance

TEXT, SHAPE, APART = 4.5, 3.0, 10.0
"""Contrast of letters and of shapes (WCAG 2.2, 1.4.3 and 1.4.11), and CIEDE2000 between colours of one chart."""

GROUNDS = ("window", "panel", "raised", "field")

TOGETHER = {
    "values and distribution": ("original", "dequantized", "clipping"),
    "errors": ("rounding", "clipping", "bound"),
    "the Tensor page": ("original", "dequantized", "rounding", "clipping"),
    "losses": ("original", "dequantized", "clipping", "bound"),
    "pins": tuple(f"series{n}" for n in range(1, 7)),
    "networks": ("original", "ptq", "qat"),
    "classes": tuple(f"class{n}" for n in range(4)),
    "products": ("weight", "activation", "dequantized", "bound"),
}
"""Colours that are seen beside each other."""

NOT_MARKS = ("background", "grid", *(f"heat{n}" for n in range(1, 10)))
"""A ground, lines that are to be faint, and a scale from light to dark."""


@pytest.fixture(params=["light", "dark"])
def theme(request: pytest.FixtureRequest) -> Theme:
    return load_theme(request.param)


@every(
    ("one", "other", "apart"),
    [
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, -1.0, 2.0), (50.0, 0.0, 0.0), 2.3669),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_distance_is_that_of_the_published_pairs(
    one: tuple[float, float, float], other: tuple[float, float, float], apart: float
) -> None:
    assert ciede2000(one, other) == pytest.approx(apart, abs=1e-4)


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_red_and_green_are_alike_to_those_who_lack_a_cone() -> None:
    assert distance("#c8344d", "#1f8a45", "normal") > 60
    assert distance("#c8344d", "#1f8a45", "deuteranope") < 3


@pytest.mark.parametrize("ground", GROUNDS)
def test_letters_can_be_read(theme: Theme, ground: str) -> None:
    ui = theme.ui
    assert contrast(ui["text"], ui[ground]) >= 7
    assert contrast(ui["muted"], ui[ground]) >= TEXT


def test_letters_on_colours_can_be_read(theme: Theme) -> None:
    ui = theme.ui
    assert contrast(ui["on_accent"], ui["accent"]) >= TEXT
    for ground in ("notice", "error"):
        assert contrast(ui["text"], ui[ground]) >= 7


@pytest.mark.parametrize("role", ["edge", "accent", "faint"])
@pytest.mark.parametrize("ground", GROUNDS)
def test_boxes_rings_and_what_is_pale_can_be_seen(theme: Theme, role: str, ground: str) -> None:
    assert contrast(theme.ui[role], theme.ui[ground]) >= SHAPE


def test_every_mark_stands_out_from_the_ground_of_its_chart(theme: Theme) -> None:
    low = {
        role: round(contrast(colour, theme.chart["background"]), 2)
        for role, colour in theme.chart.items()
        if role not in NOT_MARKS and contrast(colour, theme.chart["background"]) < SHAPE
    }
    assert low == {}


@every("eye", EYES)
@every("chart", TOGETHER)
def test_colours_that_are_seen_together_are_told_apart(theme: Theme, chart: str, eye: str) -> None:
    near = {
        (one, other): round(distance(theme.chart[one], theme.chart[other], eye), 1)
        for one, other in itertools.combinations(TOGETHER[chart], 2)
        if distance(theme.chart[one], theme.chart[other], eye) < APART
    }
    assert near == {}


@pytest.mark.parametrize("eye", EYES)
def test_a_heat_map_grows_steadily_away_from_its_ground(theme: Theme, eye: str) -> None:
    steps = [contrast(theme.chart[f"heat{n}"], theme.chart["background"]) for n in range(1, 10)]
    assert steps == sorted(steps)
    assert all(distance(theme.chart[f"heat{n}"], theme.chart[f"heat{n + 1}"], eye) > 4 for n in range(1, 9))
