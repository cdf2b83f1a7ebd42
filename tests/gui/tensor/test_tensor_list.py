"""Each tensor of the list has two lines: its name, and what it is."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRect
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QStyleOptionViewItem

from qviz.core import Tensor
from qviz.gui.tensor.tensor_list_panel import ItemDelegate
from qviz.session.state import Item
from tests.gui.conftest import Desk

ROW = QRect(0, 0, 240, 42)


def written(desk: Desk, name: str, shape: tuple[int, ...] | None, dtype: str | None) -> list[int]:
    """The rows of pixels in which something stands."""
    tensor = Tensor(np.zeros(1, np.float32), name)
    item = Item(name, "a test", shape, dtype, lambda progress, cancelled: tensor)
    desk.session.update(items=(item,))
    view = desk.page.tensors.list
    option = QStyleOptionViewItem()
    option.initFrom(view)
    option.widget, option.rect, option.font = view, ROW, view.font()
    image = QImage(ROW.size(), QImage.Format.Format_RGB32)
    image.fill("white")
    painter = QPainter(image)
    delegate = view.itemDelegate()
    assert isinstance(delegate, ItemDelegate)
    delegate.paint(painter, option, view.model().index(0, 0))
    painter.end()
    ground = image.pixel(2, 1)
    return [y for y in range(ROW.height()) if any(image.pixel(x, y) != ground for x in range(8, 230))]


def test_the_name_stands_in_the_upper_half_and_what_it_is_in_the_lower(desk: Desk) -> None:
    name, about = written(desk, "Wgjq", None, None), written(desk, "", (4, 5), "float32")
    half = 3 + (42 - 6) // 2
    assert name
    assert about
    assert max(name) < half <= min(about)
    assert min(name) > 3
    assert max(about) < 42 - 3
    both = written(desk, "Wgjq", (4, 5), "float32")
    assert both == name + about
