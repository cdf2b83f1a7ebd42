"""``qviz render`` draws every chart without a display."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from qviz.core import (
    MSE,
    Scheme,
    analyze,
)
from qviz.files.writers import EXPORT_FORMATS, PICTURE_FORMATS, TABLE_FORMATS
from qviz.gui.tensor.charts import CHARTS
from tests.cli.commands import SEARCHES, X, without_display


def test_every_chart_is_rendered_without_a_display(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "charts"
    formats = [word for ending in EXPORT_FORMATS for word in ("--format", ending)]
    said = without_display("main.py", "render", file, "-o", folder, "--per", "axis", *formats)
    assert (said.code, said.err) == (0, "")
    made = sorted(folder.iterdir())
    assert sorted(Path(line) for line in said.out.splitlines()) == made
    for chart in CHARTS:
        is_there = chart.name != "loss"  # channels have no one curve
        for ending in PICTURE_FORMATS:
            assert (folder / f"{chart.name}.{ending}" in made) is is_there
        for ending in TABLE_FORMATS:
            assert any(path.stem.startswith(chart.name) for path in folder.glob(f"*.{ending}")) is is_there
    for path in made:
        content = path.read_bytes()
        match path.suffix:
            case ".png":
                assert content.startswith(b"\x89PNG\r\n")
            case ".svg":
                assert ElementTree.fromstring(content).tag.endswith("svg")
            case ".pdf":
                assert content.startswith(b"%PDF-")
                assert content.rstrip().endswith(b"%%EOF")
            case ".csv":
                head, *rows = content.decode().splitlines()
                assert rows
                assert {row.count(",") for row in rows} == {head.count(",")}
            case other:
                raise AssertionError(other)


@pytest.mark.parametrize("name", SEARCHES)
def test_the_loss_of_a_searched_range_is_rendered(file: Path, tmp_path: Path, name: str) -> None:
    said = without_display("main.py", "render", file, "-o", tmp_path, "--range", name, "--format", "csv")
    assert (said.code, said.err) == (0, "")
    head, *rows = (tmp_path / "loss.csv").read_text().splitlines()
    assert head == f"threshold,{name}"
    losses = [float(row.split(",")[1]) for row in rows]
    assert min(losses) > 0
    if name == "mse":
        assert min(losses) == pytest.approx(analyze(X, Scheme(range_rule=MSE())).mse, rel=1e-6)
