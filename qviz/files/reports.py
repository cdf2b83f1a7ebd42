"""How does a report leave? As one HTML file that needs no other: sentences, tables and pictures."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import field
from html import escape
from pathlib import Path

from qviz.core.frozen import frozen
from qviz.core.printable import printable
from qviz.files.atomic import atomic_write


@frozen
class ReportTable:
    """Cells as they are read; ``words`` are the places of columns that are no figures."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[int, ...] = (0,)


@frozen
class Picture:
    """A PNG, and what is on it."""

    png: bytes = field(repr=False)
    about: str


@frozen
class Section:
    """What stands under one heading."""

    heading: str
    sentences: tuple[str, ...] = ()
    tables: tuple[ReportTable, ...] = ()
    pictures: tuple[Picture, ...] = ()


@frozen
class Report:
    """Everything that is told, and in which colours, as CSS has them.

    Attributes
    ----------
    title, about : str
    sections : tuple of Section
    background, text, line : str
    """

    title: str
    about: str
    sections: tuple[Section, ...]
    background: str = "#ffffff"
    text: str = "#1b1f24"
    line: str = "#c8ccd2"


def save_report(path: Path, report: Report) -> None:
    """Write a report, whole or not at all.

    Raises
    ------
    FileProblem
        When it cannot be written.
    """
    with atomic_write(path) as temporary:
        temporary.write_text(html_of(report), encoding="utf-8")


def html_of(report: Report) -> str:
    """A page that loads nothing and runs nothing, whatever the names in it are."""
    return "\n".join(_lines(report)) + "\n"


STYLE = (
    "body{{max-width:72rem;margin:2rem auto;padding:0 1rem;font:15px/1.5 system-ui,sans-serif;"
    "background:{background};color:{text}}}"
    "table{{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}}"
    "th,td{{padding:.25rem .7rem;border-bottom:1px solid {line};text-align:right;vertical-align:top}}"
    "td{{white-space:nowrap}}"  # a unit is not parted from its number
    ".left{{text-align:left;white-space:normal;overflow-wrap:anywhere}}"
    "img{{max-width:100%;margin:.5rem 1rem .5rem 0}}"
)


def _lines(report: Report) -> Iterator[str]:
    style = STYLE.format(background=report.background, text=report.text, line=report.line)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    yield "<!doctype html>"
    yield f'<html><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
    yield '<meta name="viewport" content="width=device-width">'
    yield f"<title>{_text(report.title)}</title><style>{style}</style></head><body>"
    yield f"<h1>{_text(report.title)}</h1><p>{_text(report.about)}</p>"
    for section in report.sections:
        yield f"<h2>{_text(section.heading)}</h2>"
        for sentence in section.sentences:
            yield f"<p>{_text(sentence)}</p>"
        for picture in section.pictures:
            data = base64.b64encode(picture.png).decode("ascii")
            yield f'<img alt="{_text(picture.about)}" src="data:image/png;base64,{data}">'
        for table in section.tables:
            yield from _table(table)
    yield "</body></html>"


def _table(table: ReportTable) -> Iterator[str]:
    def cells(row: tuple[str, ...], tag: str) -> str:
        kinds = (' class="left"' if place in table.words else "" for place in range(len(row)))
        return "".join(f"<{tag}{kind}>{_text(cell)}</{tag}>" for kind, cell in zip(kinds, row, strict=True))

    yield f"<table><thead><tr>{cells(table.head, 'th')}</tr></thead><tbody>"
    for row in table.rows:
        yield f"<tr>{cells(row, 'td')}</tr>"
    yield "</tbody></table>"


def _text(text: str) -> str:
    return escape(printable(text))
