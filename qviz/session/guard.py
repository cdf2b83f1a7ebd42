"""What happens when a method that Qt calls fails? It is reported, Qt gets an answer it can live with, and work goes on.

On Python 3.11 an exception that C code raises (an index out of range, NumPy's ValueError) inside a
method that Qt calls ends the process in Shiboken; and a half-painted frame is no reason to lose
what a person has open. So every override of a virtual method of Qt is guarded, here and nowhere
else: `tests/test_guard.py` finds those that are not.
"""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from types import FunctionType
from typing import Any, TypeVar

from PySide6.QtCore import QModelIndex, QObject, QRectF, QSize, QSizeF, Qt

Kind = TypeVar("Kind", bound=type)

VIRTUAL = {
    "QObject": "event eventFilter",
    "QThread": "run",
    "QRunnable": "run",
    "QWidget": "focusNextPrevChild hasHeightForWidth heightForWidth minimumSizeHint setVisible sizeHint",
    "QComboBox": "hidePopup showPopup",
    "QDialog": "accept done reject",
    "QTabBar": "minimumTabSizeHint tabSizeHint",
    "QTextEdit": "loadResource",
    "QAbstractSpinBox": "clear fixup stepBy stepEnabled textFromValue validate valueFromText",
    "QAbstractScrollArea": "scrollContentsBy viewportEvent viewportSizeHint",
    "QAbstractItemView": "commitData currentChanged dataChanged doItemsLayout edit horizontalOffset indexAt "
    "initViewItemOption keyboardSearch moveCursor reset rowsInserted scrollTo selectAll selectionChanged "
    "selectionCommand setModel setSelection sizeHintForColumn sizeHintForRow startDrag updateEditorData "
    "updateEditorGeometries updateGeometries verticalOffset visualRect",
    "QHeaderView": "initStyleOptionForIndex paintSection sectionSizeFromContents",
    "QAbstractItemDelegate": "createEditor displayText editorEvent helpEvent initStyleOption paint setEditorData "
    "setModelData sizeHint updateEditorGeometry",
    "QAbstractItemModel": "canFetchMore columnCount data dropMimeData fetchMore flags hasChildren headerData index "
    "mimeData mimeTypes moveRows parent removeRows rowCount setData setHeaderData sibling sort span submit",
    "QSortFilterProxyModel": "filterAcceptsColumn filterAcceptsRow lessThan",
    "QGraphicsItem": "boundingRect collidesWithItem collidesWithPath contains isObscuredBy itemChange opaqueArea paint "
    "sceneEvent sceneEventFilter shape type",
    "QGraphicsLayoutItem": "setGeometry sizeHint updateGeometry",
    "QGraphicsScene": "drawBackground drawForeground",
    "QGraphicsView": "drawBackground drawForeground",
    "QSyntaxHighlighter": "highlightBlock",
    "QValidator": "fixup validate",
}
"""Methods that Qt calls, by the class that declares them; everywhere those whose names end in "Event"."""

_VIRTUAL = {kind: frozenset(names.split()) for kind, names in VIRTUAL.items()}
_NAMES = frozenset().union(*_VIRTUAL.values())

WRAPPER: Any = QObject.__base__
"""What every class of Qt is in Python."""

SAFE: dict[str, Callable[[], Any]] = {
    "boundingRect": QRectF,
    "columnCount": int,
    "contains": bool,
    "event": bool,
    "eventFilter": bool,
    "filterAcceptsColumn": lambda: True,
    "filterAcceptsRow": lambda: True,
    "flags": lambda: Qt.ItemFlag.NoItemFlags,
    "focusNextPrevChild": bool,
    "hasHeightForWidth": bool,
    "heightForWidth": lambda: -1,
    "index": QModelIndex,
    "lessThan": bool,
    "minimumSizeHint": QSize,
    "parent": QModelIndex,
    "rowCount": int,
    "sceneEvent": bool,
    "sceneEventFilter": bool,
    "setData": bool,
    "sizeHint": QSize,
    "tabSizeHint": QSize,
    "textFromValue": str,
    "valueFromText": float,
    "viewportEvent": bool,
}
"""What Qt is given where there is neither an answer nor one of Qt's own; None for a name that is not here."""

ASK_QT = frozenset({"itemChange", "minimumSizeHint", "shape", "sizeHint", "tabSizeHint", "textFromValue"})
"""Where Qt's own answer takes the place of one that failed."""


def guarded(kind: Kind) -> Kind:
    """Guard each override of a virtual method that a class defines; for use as a decorator."""
    for name, function in unguarded(kind):
        setattr(kind, name, _guard(name, function))
    return kind


def guard_library(package: str) -> None:
    """Guard the overrides of a library's classes that are loaded: its paint methods fail on values of ours."""
    for kind in dict.fromkeys(descendants(WRAPPER)):
        if kind.__module__.partition(".")[0] == package:
            guarded(kind)


def descendants(kind: type) -> Iterator[type]:
    """Every class derived from one, that is known by now."""
    each: type
    for each in type.__subclasses__(kind):
        yield each
        yield from descendants(each)


def overrides(kind: type, names: Iterable[str] | None = None) -> Iterator[tuple[str, FunctionType]]:
    """Methods that a Python class defines under the name of one that a class of Qt has; of some names, or of all."""
    if not _is_qt(kind):
        of_qt = [vars(base) for base in kind.__mro__ if _is_qt(base)]
        for name in list(vars(kind)) if names is None else names:
            function = vars(kind)[name]
            if isinstance(function, FunctionType) and any(name in methods for methods in of_qt):
                yield name, function


def unguarded(kind: type) -> Iterator[tuple[str, FunctionType]]:
    """Overrides of virtual methods whose exceptions would reach Qt."""
    # By names alone first: what Qt's classes have is looked up for few methods of the hundreds of classes.
    names = [name for name in vars(kind) if name.endswith("Event") or name in _NAMES]
    if names:
        for name, function in overrides(kind, names):
            if is_virtual(kind, name) and not hasattr(function, "guards"):
                yield name, function


def is_virtual(kind: type, name: str) -> bool:
    """Whether Qt calls this method of a class."""
    return name.endswith("Event") or any(name in _VIRTUAL.get(base.__name__, ()) for base in kind.__mro__)


def place_of(error: BaseException) -> str:
    """Where an exception came out of an override; "" when none was in its way."""
    return "; ".join(getattr(error, "__notes__", ()))


@functools.cache
def _is_qt(kind: type) -> bool:
    return issubclass(kind, WRAPPER) and kind.__module__.startswith(("PySide6", "Shiboken", "shiboken6"))


def _guard(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def guard(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return function(self, *args, **kwargs)
        except BaseException as error:
            _report(error, function.__qualname__)
            return _safe(self, name, args)

    guard.guards = function  # type: ignore[attr-defined]
    return guard


def _report(error: BaseException, where: str) -> None:
    error.add_note(f"in {where}, which Qt called")
    sys.excepthook(type(error), error, error.__traceback__)
    # A painter that is still alive would keep its widget from ever being painted again.
    if error.__traceback__ is not None:
        traceback.clear_frames(error.__traceback__.tb_next)


def _safe(self: Any, name: str, args: tuple[Any, ...]) -> Any:
    if name in ASK_QT:
        qt = next((vars(base)[name] for base in type(self).__mro__ if _is_qt(base) and name in vars(base)), None)
        try:
            return qt(self, *args) if qt is not None else None
        except Exception:  # one that Qt leaves to those who derive from it
            pass
    if name == "sizeHint" and args:  # that of a graphics item
        return QSizeF()
    return SAFE.get(name, lambda: None)()
