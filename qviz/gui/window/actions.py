"""What can be done, where does it stand in the menus, and with which keys? One table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6 import QtCore
from PySide6.QtCore import QCoreApplication, QObject
from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar, QWidget


@dataclass(frozen=True)
class ActionRow:
    """One row: ``key`` is also the name of the window's slot, "-" a line between rows; | parts ``keys``."""

    menu: str
    key: str
    text: str = ""
    keys: str = ""
    tip: str = ""
    checkable: bool = False
    group: str = ""


# lupdate finds the strings by this name; the stubs say no more than "object".
QT_TRANSLATE_NOOP: Callable[[str, str], str] = QtCore.QT_TRANSLATE_NOOP  # type: ignore[assignment]

_FILE = QT_TRANSLATE_NOOP("Actions", "&File")
_EDIT = QT_TRANSLATE_NOOP("Actions", "&Edit")
_VIEW = QT_TRANSLATE_NOOP("Actions", "&View")
_TOOLS = QT_TRANSLATE_NOOP("Actions", "&Tools")
_HELP = QT_TRANSLATE_NOOP("Actions", "&Help")

ACTIONS: tuple[ActionRow, ...] = (
    ActionRow(_FILE, "open_files", QT_TRANSLATE_NOOP("Actions", "&Open…"), "Ctrl+O"),
    ActionRow(_FILE, "open_folder", QT_TRANSLATE_NOOP("Actions", "Open &folder…"), "Ctrl+Shift+O"),
    ActionRow(_FILE, "recent", QT_TRANSLATE_NOOP("Actions", "Open &recent")),
    ActionRow(_FILE, "close_tensor", QT_TRANSLATE_NOOP("Actions", "&Close tensor"), "Ctrl+W"),
    ActionRow(_FILE, "-"),
    ActionRow(_FILE, "save_quantized", QT_TRANSLATE_NOOP("Actions", "&Save quantized tensor…"), "Ctrl+S"),
    ActionRow(_FILE, "save_tensor", QT_TRANSLATE_NOOP("Actions", "Save &original tensor…")),
    ActionRow(_FILE, "save_metrics", QT_TRANSLATE_NOOP("Actions", "Save &metrics…"), "Ctrl+M"),
    ActionRow(_FILE, "export_all", QT_TRANSLATE_NOOP("Actions", "&Export all charts…"), "Ctrl+E"),
    ActionRow(_FILE, "resolution", QT_TRANSLATE_NOOP("Actions", "&PNG resolution")),
    ActionRow(_FILE, "-"),
    ActionRow(_FILE, "quit", QT_TRANSLATE_NOOP("Actions", "&Quit"), "Ctrl+Q"),
    ActionRow(_EDIT, "undo", QT_TRANSLATE_NOOP("Actions", "&Undo scheme change"), "Ctrl+Z"),
    ActionRow(_EDIT, "redo", QT_TRANSLATE_NOOP("Actions", "&Redo scheme change"), "Ctrl+Shift+Z|Ctrl+Y"),
    ActionRow(_EDIT, "-"),
    ActionRow(_EDIT, "copy_metrics", QT_TRANSLATE_NOOP("Actions", "Copy &metrics"), "Ctrl+Shift+C"),
    ActionRow(_EDIT, "copy_elements", QT_TRANSLATE_NOOP("Actions", "Copy &elements in sight")),
    ActionRow(
        _EDIT,
        "copy_snippet",
        QT_TRANSLATE_NOOP("Actions", "Copy as &Python"),
        "Ctrl+Shift+P",
        QT_TRANSLATE_NOOP("Actions", "A script that gives the same codes with NumPy alone"),
    ),
    ActionRow(_EDIT, "copy_onnx_script", QT_TRANSLATE_NOOP("Actions", "Copy as Python with &ONNX Runtime")),
    ActionRow(_EDIT, "copy_torch_script", QT_TRANSLATE_NOOP("Actions", "Copy as Python with Py&Torch")),
    ActionRow(_EDIT, "copy_paddle_script", QT_TRANSLATE_NOOP("Actions", "Copy as Python with Pa&ddle")),
    ActionRow(_EDIT, "-"),
    ActionRow(
        _EDIT,
        "pin_scheme",
        QT_TRANSLATE_NOOP("Actions", "P&in this scheme"),
        "P",
        QT_TRANSLATE_NOOP("Actions", "Keep it, to be compared with others on the Compare page"),
    ),
    ActionRow(_EDIT, "load_scheme", QT_TRANSLATE_NOOP("Actions", "&Load scheme…")),
    ActionRow(_EDIT, "save_scheme", QT_TRANSLATE_NOOP("Actions", "S&ave scheme…")),
    ActionRow(_EDIT, "default_scheme", QT_TRANSLATE_NOOP("Actions", "&Back to the first scheme"), "Ctrl+0"),
    ActionRow(_VIEW, "pages", QT_TRANSLATE_NOOP("Actions", "P&age")),
    ActionRow(_VIEW, "-"),
    ActionRow(
        _VIEW, "theme_system", QT_TRANSLATE_NOOP("Actions", "Theme of the s&ystem"), checkable=True, group="theme"
    ),
    ActionRow(_VIEW, "theme_light", QT_TRANSLATE_NOOP("Actions", "&Light theme"), checkable=True, group="theme"),
    ActionRow(_VIEW, "theme_dark", QT_TRANSLATE_NOOP("Actions", "&Dark theme"), checkable=True, group="theme"),
    ActionRow(_VIEW, "-"),
    ActionRow(_VIEW, "log_counts", QT_TRANSLATE_NOOP("Actions", "Counts as &powers of ten"), "L", checkable=True),
    ActionRow(_VIEW, "reset_zoom", QT_TRANSLATE_NOOP("Actions", "Reset &zoom of every chart"), "R"),
    ActionRow(_VIEW, "all_channels", QT_TRANSLATE_NOOP("Actions", "Show all &channels"), "Escape"),
    ActionRow(_VIEW, "-"),
    ActionRow(_VIEW, "docks", QT_TRANSLATE_NOOP("Actions", "&Panels and charts")),
    ActionRow(_VIEW, "reset_layout", QT_TRANSLATE_NOOP("Actions", "&Reset layout")),
    ActionRow(_TOOLS, "generate", QT_TRANSLATE_NOOP("Actions", "&Generate a tensor"), "Ctrl+G"),
    ActionRow(_TOOLS, "article", QT_TRANSLATE_NOOP("Actions", "Ten values: the &worked example"), "Ctrl+T"),
    ActionRow(_TOOLS, "-"),
    ActionRow(_TOOLS, "more_bits", QT_TRANSLATE_NOOP("Actions", "&More bits"), "Ctrl+Up"),
    ActionRow(_TOOLS, "fewer_bits", QT_TRANSLATE_NOOP("Actions", "&Fewer bits"), "Ctrl+Down"),
    ActionRow(_TOOLS, "toggle_symmetric", QT_TRANSLATE_NOOP("Actions", "&Symmetric or asymmetric"), "Ctrl+I"),
    ActionRow(_TOOLS, "-"),
    ActionRow(_TOOLS, "measure_speed", QT_TRANSLATE_NOOP("Actions", "Measure s&peed again"), "F5"),
    ActionRow(_TOOLS, "memory", QT_TRANSLATE_NOOP("Actions", "M&emory for tensors")),
    ActionRow(_HELP, "shortcuts", QT_TRANSLATE_NOOP("Actions", "&Keyboard and mouse"), "F1"),
    ActionRow(_HELP, "about", QT_TRANSLATE_NOOP("Actions", "&About qviz")),
)
"""Every action of the window; a new one is a row and a slot of that name."""


SCRIPTS = ("copy_snippet", "copy_onnx_script", "copy_torch_script", "copy_paddle_script")

SUBMENUS = ("recent", "pages", "docks", "resolution", "memory")


def build_menus(bar: QMenuBar, target: QWidget, *others: QObject) -> dict[str, QAction]:
    """Fill the menu bar; each action calls the method that has its key as name, of the first that has one.

    The `SUBMENUS` are left to the window to fill.
    """
    made: dict[str, QAction] = {}
    menus: dict[str, QMenu] = {}
    groups: dict[str, QActionGroup] = {}
    for row in ACTIONS:
        if row.menu not in menus:
            menus[row.menu] = bar.addMenu(_translated(row.menu))
        menu = menus[row.menu]
        if row.key == "-":
            menu.addSeparator()
            continue
        if row.key in SUBMENUS:
            made[row.key] = menu.addMenu(_translated(row.text)).menuAction()
            continue
        action = QAction(_translated(row.text), target)
        action.setShortcuts([QKeySequence(keys) for keys in row.keys.split("|") if keys])
        if row.tip:
            action.setToolTip(_translated(row.tip))
        action.setCheckable(row.checkable)
        if row.group:
            groups.setdefault(row.group, QActionGroup(target)).addAction(action)
        action.triggered.connect(next(getattr(one, row.key) for one in (target, *others) if hasattr(one, row.key)))
        menu.addAction(action)
        made[row.key] = action
    return made


def _translated(text: str) -> str:
    return QCoreApplication.translate("Actions", text)
