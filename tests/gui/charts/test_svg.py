"""Is what Qt wrote of a chart moved to where it lies, whatever places it holds?"""

from __future__ import annotations

from xml.etree import ElementTree as ET

import numpy as np

from qviz.gui.charts.svg import _TAG, _move


def test_places_that_are_no_numbers_are_left_out() -> None:
    """Random hands: a line with a gap, drawn by Qt as ``nan,nan``, ended the export with a fault."""
    group = ET.Element(f"{_TAG}g", {"transform": "matrix(2,0,0,3,10,20)"})
    line = ET.SubElement(group, f"{_TAG}polyline", {"points": "1,2 nan,nan 3,nan 3,4"})
    _move(group, np.array([[2.0, 0, 10], [0, 3.0, 20]]))
    assert line.get("points") == "12,26 16,32"
