"""What is the window made of: menus, messages, pages, status bar; and what do its commands do?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QByteArray, QChildEvent, QEvent, Qt, Signal, Slot
from PySide6.QtGui import QAction, QActionGroup, QCloseEvent
from PySide6.QtWidgets import (
    QApplication,
    QFileDialog,
    QMainWindow,
    QMenu,
    QMessageBox,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from qviz import __version__
from qviz.core.printable import brief, printable
from qviz.core.problems import Problem
from qviz.core.schemes.scheme import Scheme
from qviz.files.networks import is_network
from qviz.files.registry import SUFFIXES
from qviz.gui.charts.page import Page
from qviz.gui.kit.docks import Dock, DockRoom, is_behind_a_tab
from qviz.gui.kit.one_painting import OnePainting
from qviz.gui.kit.theme import Theme, dress
from qviz.gui.kit.widgets import menu_text, plain_tip
from qviz.gui.tensor.page import TensorPage
from qviz.gui.window.actions import ACTIONS, SCRIPTS, build_menus
from qviz.gui.window.again import Again
from qviz.gui.window.drop import DropOverlay
from qviz.gui.window.navigation import PageRow, Pages
from qviz.gui.window.saving import Saving
from qviz.gui.window.status import StatusLine
from qviz.gui.window.toasts import Offer, PageErrors, Toasts, Topic
from qviz.session.frame import Frame
from qviz.session.guard import guarded
from qviz.session.language import told
from qviz.session.settings import Settings
from qviz.session.state import Session, State

FRAME = (8, 40)
"""What a window manager puts around a window, about."""

MEMORY_CHOICES = (0, 1024, 2048, 4096, 8192, 16384, 32768)
"""Megabytes that qviz may take; 0 for half of what there is."""

OF_AN_ANSWER = ("save_quantized", "save_tensor", "save_metrics", *SCRIPTS)
"""What cannot be done before the tensor has been analyzed."""

PNG_SCALES = (1.0, 2.0, 3.125, 6.25)
"""Pixels of a picture for each on the screen: 96, 192, 300 and 600 dpi."""


@guarded
class MainWindow(QMainWindow):
    """Commands ask the session and the library; nothing that matters is kept here."""

    open_requested = Signal(object)
    close_requested = Signal(object)
    reading_requested = Signal(object)
    article_requested = Signal()
    theme_requested = Signal(str)
    measure_requested = Signal()
    exact_requested = Signal()
    memory_changed = Signal()
    pin_requested = Signal()
    closing = Signal()

    def __init__(self, session: Session, settings: Settings, page: TensorPage, rows: Mapping[str, PageRow]) -> None:
        """``page`` is the one of ``rows`` that shows the session's tensor."""
        super().__init__()
        self._session, self._settings = session, settings
        self.page = page
        self._theme: Theme | None = None
        self.setWindowTitle("qviz")
        self.setMinimumSize(960, 600)
        self.banner = Toasts(self, self.statusBar())
        body = QWidget()
        layout = QVBoxLayout(body)
        layout.setContentsMargins(6, 0, 6, 0)
        layout.setSpacing(4)
        self.pages = Pages(rows)
        layout.addWidget(self.pages, 1)
        self.setCentralWidget(body)
        self.saving = Saving(self, session, settings, page, self.pages)
        self.again = Again(session, settings, self.banner, self)
        self.actions_by_key = build_menus(self.menuBar(), self, self.saving, self.again)
        self._can: dict[str, bool] = {}
        self._step_name: str | None = None
        if self.menuBar().isNativeMenuBar():  # outside the window, where it has no corner
            layout.insertWidget(0, self.pages.bar, 0, Qt.AlignmentFlag.AlignRight)
        else:
            self.menuBar().setCornerWidget(self.pages.bar)
        self._recent = QMenu(self)
        self.actions_by_key["recent"].setMenu(self._recent)
        self._recent.aboutToShow.connect(self._fill_recent)
        self._fill_pages()
        self._fill_docks()
        self._fill_resolutions()
        self._fill_memory()
        self.status = StatusLine(self.statusBar(), session)
        self.status.exact_requested.connect(self.exact_requested)
        self.status.stale.connect(page.set_stale)
        self.status.outdated.connect(page.set_caveat)
        self.rooms: list[DockRoom] = []
        self._painting = OnePainting(self)
        session.paint_by(self._painting.is_due)
        self.overlay = DropOverlay(self)
        self.overlay.files_dropped.connect(self._on_dropped)
        session.changed.connect(self._on_changed)
        self.saving.problem.connect(partial(self.banner.error, topic=Topic.SAVING))
        self.saving.notice.connect(partial(self.banner.notice, topic=Topic.SAVING))
        self.status.activity.tell(self.saving.exporting, self.tr("Exporting charts"))
        self.closing.connect(self.saving.exporting.finish)
        for made in self.pages.all_made:
            self._take(made)
        self.rooms[0].restored.connect(page.show_docks)
        page.table.export_requested.connect(self.saving.export_table)
        page.table.problem.connect(partial(self.banner.error, topic=Topic.ELEMENT))
        page.table.element_chosen.connect(partial(self.banner.withdraw, Topic.ELEMENT))
        self.pages.made.connect(self._take)
        self.pages.shown.connect(self._refresh_actions)
        self.pages.shown.connect(self._on_page)
        page.tensors.open_requested.connect(self.open_files)
        page.completed.connect(lambda: self._take_table(page.worst.table))
        self.actions_by_key["log_counts"].setChecked(settings.get("log_counts"))
        page.set_logarithmic(settings.get("log_counts"))
        self.actions_by_key["captions"].setChecked(settings.get("captions"))
        self.actions_by_key["reload_changed"].setChecked(settings.get("reload_changed"))
        self._refresh_actions()

    def _take_table(self, table: QTableView) -> None:
        exported = getattr(table, "export_requested", None)
        if exported is not None:
            exported.connect(self.saving.export_table)

    @Slot(object)
    def _take(self, page: Page) -> None:
        """What every page has, wherever it comes from."""
        assert isinstance(page, QWidget)
        for part in (page, *page.findChildren(QMainWindow)):
            docks = [dock for dock in part.findChildren(Dock) if dock.parent() is part]
            if docks and isinstance(part, QMainWindow):
                self.rooms.append(DockRoom(part, docks))
        page.export_requested.connect(self.saving.export_chart)
        for table in page.findChildren(QTableView):
            self._take_table(table)
        page.copy_requested.connect(self.saving.copy_chart)
        errors = PageErrors(self.banner, f"page {self.pages.all_made.index(page)}", page.workers, self)
        page.problem.connect(errors.tell)
        page.notice.connect(self.banner.notice)
        page.history.changed.connect(errors.withdraw)
        page.history.changed.connect(self._refresh_actions)
        for job in page.jobs:
            self.status.activity.tell(job.work, job.text)
        page.recall(self._settings)

    def _fill_pages(self) -> None:
        menu = QMenu(self)
        self.page_actions = self.pages.fill_menu(menu)
        self.actions_by_key["pages"].setMenu(menu)

    def _fill_docks(self) -> None:
        menu = QMenu(self)
        for dock in self.page.docks.values():
            menu.addAction(dock.toggleViewAction())
        self.actions_by_key["docks"].setMenu(menu)

    def _fill_resolutions(self) -> None:
        menu, group = QMenu(self), QActionGroup(self)
        for scale in PNG_SCALES:
            action = menu.addAction(self.tr("{scale} × ({dpi} dpi)").format(scale=f"{scale:g}", dpi=round(96 * scale)))
            action.setCheckable(True)
            action.setData(scale)
            action.setChecked(scale == self._settings.get("png_scale"))
            group.addAction(action)
        group.triggered.connect(self._choose_resolution)
        self.actions_by_key["resolution"].setMenu(menu)

    def _fill_memory(self) -> None:
        menu, group = QMenu(self), QActionGroup(self)
        for megabytes in MEMORY_CHOICES:
            text = (
                self.tr("{size} GiB").format(size=megabytes // 1024) if megabytes else self.tr("Half of this machine's")
            )
            action = menu.addAction(text)
            action.setCheckable(True)
            action.setData(megabytes)
            action.setChecked(megabytes == self._settings.get("memory_budget_mb"))
            group.addAction(action)
        group.triggered.connect(self._choose_memory)
        self.actions_by_key["memory"].setMenu(menu)

    @Slot(QAction)
    def _choose_memory(self, action: QAction) -> None:
        self._settings.set("memory_budget_mb", action.data())
        self.memory_changed.emit()

    @Slot(QAction)
    def _choose_resolution(self, action: QAction) -> None:
        self._settings.set("png_scale", action.data())

    def restore(self) -> None:
        """Geometry and layout as they were left; a fresh one otherwise."""
        geometry: QByteArray = self._settings.get("geometry")
        if geometry.isEmpty() or not self.restoreGeometry(geometry):
            room = self.screen().availableSize()
            self.resize(min(1440, room.width() - FRAME[0]), min(900, room.height() - FRAME[1]))
        self.pages.show_page(self._settings.get("page"))

    # -- what is shown

    @Slot(object)
    def present(self, frame: Frame) -> None:
        """Paint an answer and say what it is of."""
        self.page.set_stale(False)
        self.page.set_caveat("")
        self.page.present(frame)
        self.status.present(frame)
        self._refresh_actions()
        self._painting.gather()

    def apply_theme(self, theme: Theme, choice: str) -> None:
        """Colours of the charts and icons, the looks of what is in sight, and the tick in the menu."""
        self._theme = theme
        for child in self.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly):
            self._dress(child)
        self.pages.apply_theme(theme)
        self.banner.apply_theme(theme)
        self.overlay.apply_theme(theme)
        self.actions_by_key[f"theme_{choice}"].setChecked(True)

    def focusNextPrevChild(self, forth: bool) -> bool:
        """Tab goes past what stands behind another tab, where nobody would see what has the focus."""
        passed: list[QWidget] = []
        while super().focusNextPrevChild(forth):
            reached = QApplication.focusWidget()
            if reached is None or reached in passed or not is_behind_a_tab(reached):
                return True
            passed.append(reached)
        return False

    def childEvent(self, event: QChildEvent) -> None:
        """What comes later, such as a dialog, is dressed before it is shown."""
        child = event.child()
        if event.type() == QEvent.Type.ChildPolished and isinstance(child, QWidget):
            self._dress(child)
        super().childEvent(event)

    def _dress(self, child: QWidget) -> None:
        if self._theme is not None and child is not self.centralWidget():  # whose pages are dressed one by one
            dress(child, self._theme)

    @Slot(object, object)
    def _on_changed(self, old: State, new: State) -> None:
        if new.current is not old.current:
            name = brief(new.current.name) if new.current else ""
            self.setWindowTitle(f"{name} — qviz" if name else "qviz")
            self.banner.withdraw(Topic.TENSOR)
            self.banner.withdraw(Topic.ELEMENT)
        if new.scheme != old.scheme:
            self.banner.withdraw(Topic.SCHEME)
        self._refresh_actions()

    @Slot(str)
    def _on_page(self, key: str) -> None:
        if key == "tensor":
            self.banner.withdraw(Topic.OPENED)

    @Slot()
    def _refresh_actions(self, *_: object) -> None:
        """What can be done to the page in front; to another one, unseen, nothing is done."""
        a, page, front = self.actions_by_key, self.pages.current, self.pages.current_key
        can: dict[str, bool] = {row.key: not row.pages or front in row.pages for row in ACTIONS}
        for key in OF_AN_ANSWER:
            can[key] &= self.page.frame is not None
        can["undo"], can["redo"] = page.history.can_undo, page.history.can_redo
        can["export_all"] = can["copy_metrics"] = front != "tensor" or page.ready
        current = self._session.state.current
        can["how_written"] &= current is not None and bool(current.written)
        can["open_again"] = self.again.can_open_again
        can["all_channels"] &= self._session.state.channel is not None
        if can != self._can:  # every movement of a slider asks
            self._can = can
            for key, action in a.items():
                action.setEnabled(can[key])
        if page.step_name != self._step_name:
            self._step_name = page.step_name
            a["undo"].setText(self.tr("&Undo {step}").format(step=page.step_name))
            a["redo"].setText(self.tr("&Redo {step}").format(step=page.step_name))

    # -- commands: opening

    @Slot()
    def open_files(self) -> None:
        endings = " ".join(f"*{suffix}" for suffix in SUFFIXES)
        paths, _ = QFileDialog.getOpenFileNames(
            self,
            self.tr("Open tensors"),
            self._settings.get("last_folder"),
            self.tr("Tensors and networks ({endings});;All files (*)").format(endings=endings),
        )
        self._open([Path(p) for p in paths])

    @Slot()
    def open_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, self.tr("Open folder"), self._settings.get("last_folder"))
        self._open([Path(folder)] if folder else [])

    @Slot(object)
    def tell_opened(self, paths: list[Path]) -> None:
        """Files were opened: on a page that does not list them it is said, and the way to them."""
        if self.pages.current is not self.page and paths:
            what = (
                printable(paths[0].name)
                if len(paths) == 1
                else self.tr("{count} files").format(count=f"{len(paths):,}")
            )
            text = self.tr("Opened {what}: listed on the Tensor page.").format(what=what)
            self.banner.notice(text, Topic.OPENED, Offer(self.tr("Show"), partial(self.pages.show_page, "tensor")))

    def _open(self, paths: list[Path]) -> None:
        if paths:
            self._settings.set("last_folder", str(paths[0].parent))
            self.open_requested.emit(paths)

    @Slot(object)
    def _on_dropped(self, paths: list[Path]) -> None:
        """Samples for what the page in front shows, where it takes any; else they are opened."""
        take = getattr(self.pages.current, "take_dropped", None)
        if take is None or any(is_network(path) for path in paths) or not take(paths):
            self.open_requested.emit(paths)

    @Slot()
    def _fill_recent(self) -> None:
        self._recent.clear()
        recent = [p for p in self._settings.get("recent_files") if isinstance(p, str)]
        for text in recent:
            action = self._recent.addAction(menu_text(printable(Path(text).name)))
            action.setToolTip(plain_tip(printable(text)))
            action.setData(text)
            action.triggered.connect(self._open_recent)
        if not recent:
            self._recent.addAction(self.tr("(none yet)")).setEnabled(False)

    @Slot()
    def _open_recent(self) -> None:
        action = self.sender()
        assert isinstance(action, QAction)
        self._open([Path(action.data())])

    @Slot()
    def how_written(self) -> None:
        if self._session.state.current is not None:
            self.reading_requested.emit(self._session.state.current)

    @Slot()
    def close_tensor(self) -> None:
        if self._session.state.current is not None:
            self.close_requested.emit(self._session.state.current)

    @Slot()
    def generate(self) -> None:
        self.pages.show_page("tensor")
        self.page.tensors.generate_requested.emit()

    @Slot()
    def article(self) -> None:
        self.pages.show_page("tensor")
        self.article_requested.emit()

    # -- commands: editing and viewing

    @Slot()
    def undo(self) -> None:
        self.pages.current.history.undo()

    @Slot()
    def redo(self) -> None:
        self.pages.current.history.redo()

    @Slot()
    def default_scheme(self) -> None:
        self._session.update(scheme=Scheme())

    @Slot()
    def theme_system(self) -> None:
        self.theme_requested.emit("system")

    @Slot()
    def theme_light(self) -> None:
        self.theme_requested.emit("light")

    @Slot()
    def theme_dark(self) -> None:
        self.theme_requested.emit("dark")

    @Slot(bool)
    def log_counts(self, logarithmic: bool) -> None:
        self._settings.set("log_counts", logarithmic)
        self.page.set_logarithmic(logarithmic)

    @Slot()
    def reset_zoom(self) -> None:
        for chart in self.pages.current.charts:
            chart.reset_view()

    @Slot()
    def all_channels(self) -> None:
        self._session.update(channel=None)

    @Slot()
    def reset_layout(self) -> None:
        self._restore_docks()
        self.pages.current.reset_layout()

    @Slot()
    def pin_scheme(self) -> None:
        self.pin_requested.emit()

    @Slot()
    def more_bits(self) -> None:
        self._change(bits=min(16, self._session.scheme.number_format.bits + 1))

    @Slot()
    def fewer_bits(self) -> None:
        self._change(bits=max(2, self._session.scheme.number_format.bits - 1))

    @Slot()
    def toggle_symmetric(self) -> None:
        self._change(symmetric=not self._session.scheme.symmetric)

    def _change(self, **changes: Any) -> None:
        """Ask the session for what its runtime may not have."""
        try:
            self._session.update(**changes)
        except Problem as problem:
            self.banner.error(told(problem), Topic.SCHEME)

    @Slot()
    def measure_speed(self) -> None:
        self.measure_requested.emit()

    @Slot()
    def shortcuts(self) -> None:
        rows = [
            (self.tr("Wheel"), self.tr("zoom along the values or the index; with Shift in both directions")),
            (self.tr("Drag"), self.tr("move the chart; on a clip line: clip there")),
            (self.tr("Right drag"), self.tr("stretch an axis")),
            (self.tr("Double click"), self.tr("everything in sight again; on a title: as large as the page, or back")),
            (self.tr("Right click"), self.tr("export this chart")),
            (self.tr("Click in Values"), self.tr("point at an element in every chart and in the table")),
        ]
        keys = [
            (action.shortcut().toString(), action.text().replace("&", ""))
            for action in (*self.actions_by_key.values(), *self.page_actions.values())
            if not action.shortcut().isEmpty()
        ]
        html = "".join(f"<tr><td><b>{k}</b>&nbsp;&nbsp;</td><td>{what}</td></tr>" for k, what in [*rows, *keys])
        self._tell(self.tr("Keyboard and mouse"), f"<table cellspacing='3'>{html}</table>")

    @Slot()
    def about(self) -> None:
        text = self.tr(
            "<h3>qviz {version}</h3><p>See, exactly and live, what quantization does to a tensor.</p>"
            "<p>MIT licence. Fonts: Inter (SIL Open Font License), Droid Sans Fallback (Apache License 2.0).</p>"
        ).format(version=__version__)
        self._tell(self.tr("About qviz"), text)

    def _restore_docks(self) -> None:
        for room in self.rooms:
            room.restore()

    def _tell(self, title: str, html: str) -> None:
        box = QMessageBox(self)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setWindowTitle(title)
        box.setTextFormat(Qt.TextFormat.RichText)
        box.setText(html)
        box.setWindowModality(Qt.WindowModality.NonModal)
        box.show()

    @Slot()
    def quit(self) -> None:
        self.close()

    def closeEvent(self, event: QCloseEvent) -> None:
        self._restore_docks()  # or that would be the layout of the next start
        self._settings.set("geometry", self.saveGeometry())
        self._settings.set("page", self.pages.current_key)
        for page in self.pages.all_made:
            page.remember(self._settings)
        self._settings.save()
        self.closing.emit()
        super().closeEvent(event)
