"""How does a chart become an SVG? Each item is painted in the window's thread; any other puts the file together.

Qt's own SVG knows no clipping, and pyqtgraph's exporter builds a document in Python that holds the window for a second.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from html import escape
from itertools import count, groupby
from typing import Any

import numpy as np
from PySide6.QtCore import QBuffer, QSizeF
from PySide6.QtGui import QColor, QGuiApplication, QPainter, QPainterPath, QTransform
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem

from qviz.core.frozen import frozen

NAMESPACE = "http://www.w3.org/2000/svg"
_TAG = f"{{{NAMESPACE}}}"

HEAD = """\
<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<svg xmlns="{namespace}" xmlns:xlink="http://www.w3.org/1999/xlink" version="1.2" baseProfile="tiny" \
viewBox="0 0 {width} {height}">
<title>{title}</title>
<style>image {{ image-rendering: crisp-edges; image-rendering: -moz-crisp-edges; image-rendering: pixelated; }}</style>
<rect width="100%" height="100%" fill="{fill}" fill-opacity="{opacity:g}"/>
"""

_MOVED = {f"{_TAG}path": "d", f"{_TAG}polyline": "points", f"{_TAG}polygon": "points"}
"""Which elements are written where they lie, and what says where that is."""

ET.register_namespace("", NAMESPACE)
ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")


@frozen
class Painted:
    """What an item has painted, by itself; ``clip`` is the path that its children do not leave, if there is one."""

    name: str
    drawn: bytes
    clip: str
    children: tuple[Painted, ...]

    @property
    def nbytes(self) -> int:
        """Of all that was painted."""
        return len(self.drawn) + sum(child.nbytes for child in self.children)


def paint_items(root: QGraphicsItem) -> Painted:
    """What an item and everything in it paint, in units of that item."""
    try:
        painted = _painted(root, root)
    finally:
        for item in _all_items(root):
            if hasattr(item, "setExportMode"):
                item.setExportMode(False)
    assert painted is not None
    return painted


def svg(painted: Painted, size: QSizeF, background: QColor, title: str) -> bytes:
    """The file. No widget is asked, so that any thread can do this."""
    numbers = count(1)
    head = HEAD.format(
        namespace=NAMESPACE,
        width=int(size.width()),
        height=int(size.height()),
        title=escape(title),
        fill=background.name(),
        opacity=background.alphaF(),
    )
    return "".join([head, *_written(painted, numbers), "</svg>\n"]).encode()


def _all_items(root: QGraphicsItem) -> Iterator[Any]:
    yield root
    for child in root.childItems():
        yield from _all_items(child)


def _painted(item: QGraphicsItem, root: QGraphicsItem) -> Painted | None:
    if not item.isVisible():
        return None
    clip = ""
    place = item.deviceTransform(QTransform()) if _ignores(item) else item.sceneTransform()
    place *= root.sceneTransform().inverted()[0]
    if item.flags() & QGraphicsItem.GraphicsItemFlag.ItemClipsChildrenToShape:
        clip = _outline(place.map(item.shape()))
    children = sorted(item.childItems(), key=lambda child: child.zValue())
    below = [_painted(child, root) for child in children]
    drawn = b"" if type(item).paint is QGraphicsItem.paint else _drawn(item, place)
    return Painted(type(item).__name__, drawn, clip, tuple(each for each in below if each is not None))


def _ignores(item: QGraphicsItem) -> bool:
    return bool(item.flags() & QGraphicsItem.GraphicsItemFlag.ItemIgnoresTransformations)


def _drawn(item: Any, place: QTransform) -> bytes:
    paper = QBuffer()
    generator = QSvgGenerator()
    generator.setOutputDevice(paper)
    generator.setResolution(round(QGuiApplication.primaryScreen().logicalDotsPerInch()))
    painter = QPainter(generator)
    try:
        if hasattr(item, "setExportMode"):
            item.setExportMode(True, {"painter": painter})
        painter.setTransform(place)
        option = QStyleOptionGraphicsItem()
        option.exposedRect = item.boundingRect()
        item.paint(painter, option, None)
    finally:
        painter.end()
    return bytes(paper.data().data())


def _outline(path: QPainterPath) -> str:
    """A path of straight lines as SVG writes it."""
    corners = (path.elementAt(at) for at in range(path.elementCount()))
    return " ".join(f"{'M' if each.isMoveTo() else 'L'}{each.x:g},{each.y:g}" for each in corners)


def _written(painted: Painted, numbers: Iterator[int]) -> Iterator[str]:
    name = f"{painted.name}_{next(numbers)}"
    yield f'<g id="{name}">\n'
    if painted.drawn:
        yield from _corrected(painted.drawn, name)
    if painted.clip:
        yield f'<clipPath id="{name}_clip"><path d="{painted.clip}"/></clipPath>\n<g clip-path="url(#{name}_clip)">\n'
    for child in painted.children:
        yield from _written(child, numbers)
    yield "</g>\n</g>\n" if painted.clip else "</g>\n"


def _corrected(drawn: bytes, name: str) -> Iterator[str]:
    """What Qt wrote, with shapes where they lie: a pen is not stretched with them."""
    document = ET.fromstring(drawn)
    defined = document.find(f"{_TAG}defs")
    names = {}
    if defined is not None and len(defined):
        for each in defined:  # each item calls its first gradient the same
            if "id" in each.attrib:
                names[f"url(#{each.attrib['id']})"] = f"url(#{name}_{each.attrib['id']})"
                each.set("id", f"{name}_{each.attrib['id']}")
        yield _text(defined)
    for group in document.iterfind(f"{_TAG}g/{_TAG}g"):
        for key, value in group.attrib.items():
            group.set(key, names.get(value, value))
        for moved, elements in groupby(list(group), key=lambda element: element.tag in _MOVED):
            part = ET.Element(group.tag, group.attrib)
            part.extend(elements)
            matrix = _matrix(part.get("transform", ""))
            if moved and matrix is not None:
                _move(part, matrix)
            for element in part.iterfind(f"{_TAG}text"):
                _complete_font(element)
            yield _text(part)


def _text(element: ET.Element) -> str:
    element.tail = None
    return ET.tostring(element, encoding="unicode").replace(f' xmlns="{NAMESPACE}"', "", 1) + "\n"


def _matrix(transform: str) -> np.ndarray[Any, Any] | None:
    """That of a group that does more than to move what is in it."""
    found = re.match(r"matrix\(([^)]*)\)", transform)
    if found is None:
        return None
    a, b, c, d, e, f = (float(number) for number in found[1].split(","))
    return None if (a, b, c, d) == (1, 0, 0, 1) else np.array([[a, c, e], [b, d, f]])


def _move(group: ET.Element, matrix: np.ndarray[Any, Any]) -> None:
    del group.attrib["transform"]
    stretch = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    for element in list(group):
        key = _MOVED[element.tag]
        words = element.get(key, "").split()
        letters = [word[0] if word[0].isupper() else "" for word in words]  # and "nan" is no letter
        numbers = [word[len(letter) :].split(",") for word, letter in zip(words, letters, strict=True)]
        places = np.array(numbers, np.float64).reshape(-1, 2) @ matrix[:, :2].T + matrix[:, 2]
        if key == "points":
            places = places[np.isfinite(places).all(axis=1)]
            letters = [""] * len(places)
        if letters and key == "d":
            letters[0] = "M"  # a curve that begins with NaN begins with a line, and would not be drawn
        element.set(
            key, " ".join(f"{letter}{x:.9g},{y:.9g}" for letter, (x, y) in zip(letters, places.tolist(), strict=True))
        )
        width = group.get("stroke-width")
        if width and element.get("vector-effect") != "non-scaling-stroke":
            element.set("stroke-width", f"{float(width) * stretch:g}")


def _complete_font(element: ET.Element) -> None:
    """What to take where there is no such font."""
    family = element.get("font-family", "")
    if "," not in family:
        element.set("font-family", f"{family}, sans-serif")
