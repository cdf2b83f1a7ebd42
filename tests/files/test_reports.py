"""A report is one page that needs no other, whatever the names in it are."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from qviz.files.problems import FileProblem
from qviz.files.reports import Picture, Report, ReportTable, Section, html_of, save_report

HOSTILE = '<script>alert("x")</script>\u202e\x1b & more'


class Seen(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def seen(report: Report) -> Seen:
    parser = Seen()
    parser.feed(html_of(report))
    return parser


def report(text: str) -> Report:
    table = ReportTable((text, "dB"), ((text, "12.5"), ("b", "–")))
    return Report(text, text, (Section(text, (text,), (table,), (Picture(b"\x89PNG", text),)),))


def test_everything_that_was_handed_in_can_be_read() -> None:
    found = seen(report("net.onnx"))
    assert found.text.count("net.onnx") == 7
    assert {"12.5", "–", "dB"} <= set(found.text)
    (picture,) = [given for tag, given in found.tags if tag == "img"]
    assert picture["src"] == "data:image/png;base64,iVBORw=="
    cells = [given.get("class") for tag, given in found.tags if tag in ("th", "td")]
    assert cells == ["left", None] * 3


def test_a_figure_is_never_parted_from_its_unit() -> None:
    (style,) = re.findall("<style>(.*)</style>", html_of(report("43 %")))
    assert "td{white-space:nowrap}" in style
    assert style.index(".left{text-align:left;white-space:normal") > style.index("td{white")  # but words are on lines


def test_names_are_text_alone() -> None:
    found = seen(report(HOSTILE))
    assert [tag for tag, _ in found.tags] == [tag for tag, _ in seen(report("plain")).tags]
    assert not any("\u202e" in text or "\x1b" in text for text in found.text)
    (policy,) = [given["content"] for tag, given in found.tags if given.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_it_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    save_report(tmp_path / "r.html", report("net"))
    assert (tmp_path / "r.html").read_text(encoding="utf-8") == html_of(report("net"))
    with pytest.raises(FileProblem):
        save_report(tmp_path / "missing" / "r.html", report("net"))
