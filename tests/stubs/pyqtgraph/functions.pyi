from typing import Any

from PySide6.QtGui import QPolygonF

def arrayToQPolygonF(x: Any, y: Any) -> QPolygonF: ...
