"""What can be done, where does it stand in the menus, and with which keys? One table."""

from __future__ import annotations

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar, QWidget

from qviz.core.frozen import frozen
from qviz.core.problems import N_
from qviz.session.language import tr


@frozen
class ActionRow:
    """One row: ``key`` is also the name of the window's slot, "-" a line between rows; | parts ``keys``.

    ``pages``: the keys of those on which it can be seen what it does, none for every one; elsewhere it is grey.
    """

    menu: str
    key: str
    text: str = ""
    keys: str = ""
    tip: str = ""
    checkable: bool = False
    group: str = ""
    pages: tuple[str, ...] = ()


_FILE = N_("&File")
_EDIT = N_("&Edit")
_VIEW = N_("&View")
_TOOLS = N_("&Tools")
_HELP = N_("&Help")

TENSOR_PAGE = ("tensor",)
SCHEME_SHOWN = ("tensor", "compare")
"""The pages that say which tensor and scheme there are."""

ACTIONS: tuple[ActionRow, ...] = (
    ActionRow(_FILE, "open_files", N_("&Open…"), "Ctrl+O"),
    ActionRow(_FILE, "open_folder", N_("Open &folder…"), "Ctrl+Shift+O"),
    ActionRow(_FILE, "recent", N_("Open &recent")),
    ActionRow(
        _FILE,
        "how_written",
        N_("How this file is &written…"),
        tip=N_("What was recognized of a table, or said of bare numbers, can be changed"),
        pages=SCHEME_SHOWN,
    ),
    ActionRow(_FILE, "open_again", N_("Open a&gain"), "Ctrl+R", N_("Read the file of this tensor anew")),
    ActionRow(
        _FILE,
        "reload_changed",
        N_("Read files again when they c&hange"),
        tip=N_("A tensor whose file is written anew, as in training, follows it"),
        checkable=True,
    ),
    ActionRow(_FILE, "close_tensor", N_("&Close tensor"), "Ctrl+W", pages=SCHEME_SHOWN),
    ActionRow(_FILE, "-"),
    ActionRow(_FILE, "save_quantized", N_("&Save quantized tensor…"), "Ctrl+S", pages=SCHEME_SHOWN),
    ActionRow(_FILE, "save_tensor", N_("Save &original tensor…"), pages=SCHEME_SHOWN),
    ActionRow(_FILE, "save_metrics", N_("Save &metrics…"), "Ctrl+M", pages=SCHEME_SHOWN),
    ActionRow(_FILE, "export_all", N_("&Export all charts…"), "Ctrl+E"),
    ActionRow(_FILE, "resolution", N_("&PNG resolution")),
    ActionRow(
        _FILE,
        "captions",
        N_("&Name tensor and scheme in pictures"),
        tip=N_("A line under the title of every chart that is exported or copied"),
        checkable=True,
    ),
    ActionRow(_FILE, "-"),
    ActionRow(_FILE, "quit", N_("&Quit"), "Ctrl+Q"),
    ActionRow(_EDIT, "undo", N_("&Undo"), "Ctrl+Z"),
    ActionRow(_EDIT, "redo", N_("&Redo"), "Ctrl+Shift+Z|Ctrl+Y"),
    ActionRow(_EDIT, "-"),
    ActionRow(_EDIT, "copy_metrics", N_("Copy &metrics"), "Ctrl+Shift+C"),
    ActionRow(_EDIT, "copy_elements", N_("Copy &elements in sight"), pages=TENSOR_PAGE),
    ActionRow(
        _EDIT,
        "copy_snippet",
        N_("Copy as &Python"),
        "Ctrl+Shift+P",
        N_("A script that gives the same codes with NumPy alone"),
        pages=SCHEME_SHOWN,
    ),
    ActionRow(_EDIT, "copy_onnx_script", N_("Copy as Python with &ONNX Runtime"), pages=SCHEME_SHOWN),
    ActionRow(_EDIT, "copy_torch_script", N_("Copy as Python with Py&Torch"), pages=SCHEME_SHOWN),
    ActionRow(_EDIT, "copy_paddle_script", N_("Copy as Python with Pa&ddle"), pages=SCHEME_SHOWN),
    ActionRow(_EDIT, "copy_cast_script", N_("Copy as Python with &ml_dtypes"), pages=SCHEME_SHOWN),
    ActionRow(_EDIT, "-"),
    ActionRow(
        _EDIT,
        "pin_scheme",
        N_("P&in this scheme"),
        "P",
        N_("Keep it, to be compared with others on the Compare page"),
        pages=SCHEME_SHOWN,
    ),
    ActionRow(_EDIT, "load_scheme", N_("&Load scheme…"), pages=TENSOR_PAGE),
    ActionRow(_EDIT, "save_scheme", N_("S&ave scheme…"), pages=SCHEME_SHOWN),
    ActionRow(_EDIT, "default_scheme", N_("&Back to the first scheme"), "Ctrl+0", pages=TENSOR_PAGE),
    ActionRow(_VIEW, "pages", N_("P&age")),
    ActionRow(_VIEW, "-"),
    ActionRow(_VIEW, "theme_system", N_("Theme of the s&ystem"), checkable=True, group="theme"),
    ActionRow(_VIEW, "theme_light", N_("&Light theme"), checkable=True, group="theme"),
    ActionRow(_VIEW, "theme_dark", N_("&Dark theme"), checkable=True, group="theme"),
    ActionRow(_VIEW, "-"),
    ActionRow(_VIEW, "log_counts", N_("Counts as &powers of ten"), "L", checkable=True, pages=TENSOR_PAGE),
    ActionRow(_VIEW, "reset_zoom", N_("Reset &zoom of every chart"), "R"),
    ActionRow(_VIEW, "all_channels", N_("Show all &channels"), "Escape", pages=TENSOR_PAGE),
    ActionRow(_VIEW, "-"),
    ActionRow(_VIEW, "docks", N_("&Panels and charts"), pages=TENSOR_PAGE),
    ActionRow(_VIEW, "reset_layout", N_("&Reset layout")),
    ActionRow(_TOOLS, "generate", N_("&Generate a tensor"), "Ctrl+G"),
    ActionRow(_TOOLS, "article", N_("Ten values: the &worked example"), "Ctrl+T"),
    ActionRow(_TOOLS, "-"),
    ActionRow(_TOOLS, "more_bits", N_("&More bits"), "Ctrl+Up", pages=TENSOR_PAGE),
    ActionRow(_TOOLS, "fewer_bits", N_("&Fewer bits"), "Ctrl+Down", pages=TENSOR_PAGE),
    ActionRow(_TOOLS, "toggle_symmetric", N_("&Symmetric or asymmetric"), "Ctrl+I", pages=TENSOR_PAGE),
    ActionRow(_TOOLS, "-"),
    ActionRow(_TOOLS, "measure_speed", N_("Measure s&peed again"), "F5", pages=TENSOR_PAGE),
    ActionRow(_TOOLS, "memory", N_("M&emory for tensors")),
    ActionRow(_HELP, "shortcuts", N_("&Keyboard and mouse"), "F1"),
    ActionRow(_HELP, "about", N_("&About qviz")),
)
"""Every action of the window; a new one is a row and a slot of that name."""


SCRIPTS = ("copy_snippet", "copy_onnx_script", "copy_torch_script", "copy_paddle_script", "copy_cast_script")

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
            menus[row.menu] = bar.addMenu(tr(row.menu))
        menu = menus[row.menu]
        if row.key == "-":
            menu.addSeparator()
            continue
        if row.key in SUBMENUS:
            made[row.key] = menu.addMenu(tr(row.text)).menuAction()
            continue
        action = QAction(tr(row.text), target)
        action.setShortcuts([QKeySequence(keys) for keys in row.keys.split("|") if keys])
        if row.tip:
            action.setToolTip(tr(row.tip))
        action.setCheckable(row.checkable)
        if row.group:
            groups.setdefault(row.group, QActionGroup(target)).addAction(action)
        action.triggered.connect(next(getattr(one, row.key) for one in (target, *others) if hasattr(one, row.key)))
        menu.addAction(action)
        made[row.key] = action
    return made
