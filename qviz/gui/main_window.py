"""What is the window made of: menus, banner, page, status bar; and what do its commands do?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QByteArray, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QAction, QActionGroup, QCloseEvent
from PySide6.QtWidgets import (
    QApplication,
    QFileDialog,
    QMainWindow,
    QMenu,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from qviz import __version__
from qviz.core.problems import Problem
from qviz.core.scheme import Scheme
from qviz.files.readers import SUFFIXES
from qviz.gui.actions import build_menus
from qviz.gui.banner import Activity, Banner
from qviz.gui.drop import DropOverlay
from qviz.gui.pages.tensor_page import TensorPage
from qviz.gui.plots.base import EXPORT_FORMATS, Chart, time_text
from qviz.gui.theme import Theme
from qviz.gui.widgets import Line, named_label
from qviz.session.analyst import Frame
from qviz.session.settings import Settings
from qviz.session.state import Session, State

PATIENCE_MILLISECONDS = 1000

FRAME = (8, 40)
"""What a window manager puts around a window, about."""

MEMORY_CHOICES = (0, 1024, 2048, 4096, 8192, 16384, 32768)
"""Megabytes that qviz may take; 0 for half of what there is."""

PNG_SCALES = (1.0, 2.0, 3.125, 6.25)
"""Pixels of a picture for each on the screen: 96, 192, 300 and 600 dpi."""


class MainWindow(QMainWindow):
    """Commands ask the session and the library; nothing that matters is kept here."""

    open_requested = Signal(list)
    close_requested = Signal(object)
    article_requested = Signal()
    theme_requested = Signal(str)
    measure_requested = Signal()
    exact_requested = Signal()
    memory_changed = Signal()
    save_quantized_requested = Signal(object, object)
    save_tensor_requested = Signal(object, object)
    closing = Signal()

    def __init__(self, session: Session, settings: Settings, page: TensorPage) -> None:
        super().__init__()
        self._session, self._settings = session, settings
        self.page = page
        self._sorting = False
        self._exact_asked = False
        self.setWindowTitle("qviz")
        self.setMinimumSize(960, 600)
        self.banner = Banner()
        body = QWidget()
        layout = QVBoxLayout(body)
        layout.setContentsMargins(6, 0, 6, 0)
        layout.setSpacing(4)
        layout.addWidget(self.banner)
        layout.addWidget(page, 1)
        self.setCentralWidget(body)
        self.actions_by_key = build_menus(self.menuBar(), self)
        self._recent = QMenu(self)
        self.actions_by_key["recent"].setMenu(self._recent)
        self._recent.aboutToShow.connect(self._fill_recent)
        self._fill_docks()
        self._fill_resolutions()
        self._fill_memory()
        self._build_status()
        self.overlay = DropOverlay(self)
        self.overlay.files_dropped.connect(self.open_requested)
        session.changed.connect(self._on_changed)
        page.export_requested.connect(self._export_chart)
        page.copy_requested.connect(self._copy_chart)
        page.problem.connect(self.banner.error)
        page.tensors.open_requested.connect(self.open_files)
        self.actions_by_key["log_counts"].setChecked(settings.get("log_counts"))
        page.set_logarithmic(settings.get("log_counts"))
        self._refresh_actions(session.state)

    def _build_status(self) -> None:
        self.about_tensor = named_label("", "caption")
        self.exactness = named_label("", "caption")
        self.exactness.setToolTip(self.tr("exact: computed over every element. estimate: from a sample."))
        self.exact_button = QPushButton(self.tr("Compute exactly"))
        self.exact_button.setToolTip(self.tr("Look at every element, which may take a while."))
        self.exact_button.clicked.connect(self._on_exact)
        self.exact_button.hide()
        self.timing = Line("caption", Qt.AlignmentFlag.AlignRight)
        self.timing.reserve(self.tr("updated in {time}").format(time="88.88 ms"))
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(PATIENCE_MILLISECONDS)
        self._patience.timeout.connect(self._say_computing)
        self.activity = Activity()
        self.analyzing, self.reading, self.sorting = (self.activity.task() for _ in range(3))
        bar = self.statusBar()
        bar.setSizeGripEnabled(False)
        bar.setContentsMargins(12, 0, 12, 2)
        bar.addWidget(self.about_tensor)
        bar.addWidget(self.exactness)
        bar.addWidget(self.exact_button)
        bar.addPermanentWidget(self.activity)
        bar.addPermanentWidget(self.timing)

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
                self.tr("{size} GB").format(size=megabytes // 1024) if megabytes else self.tr("Half of this machine's")
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
        self._first_layout = not self.page.restore_layout(self._settings.get("layout"))

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        if getattr(self, "_first_layout", False):
            self._first_layout = False
            self.page.size_up()
            QTimer.singleShot(0, self.page.size_up)  # once more, when the size is the real one

    # -- what is shown

    @Slot(object)
    def present(self, frame: Frame) -> None:
        """Paint an answer and say how long it took."""
        self._patience.stop()
        self._exact_asked = False
        self.analyzing.end()
        self.page.set_stale(False)
        self.page.present(frame)
        tensor = frame.shown.tensor
        shape = " × ".join(f"{n:,}" for n in tensor.shape)
        parts = [tensor.name, shape, frame.tensor.dtype]
        if tensor.finite != tensor.elements:
            parts.append(self.tr("{count} left out").format(count=f"{tensor.elements - tensor.finite:,}"))
        self.about_tensor.setText("  ·  ".join(parts))
        self._show_exactness(frame)
        self.timing.setText(self.tr("updated in {time}").format(time=time_text(frame.whole.seconds)))
        self._refresh_actions(self._session.state)

    def _show_exactness(self, frame: Frame) -> None:
        tensor = frame.shown.tensor
        if frame.shown.exact:
            text = self.tr("exact: {count} elements").format(count=f"{tensor.finite:,}")
            if frame.range_judged:
                text = self.tr("{text}, in a range judged from a sample").format(text=text)
        else:
            text = self.tr("estimate from {sample} of {count} elements").format(
                sample=f"{tensor.sample().size:,}", count=f"{tensor.elements:,}"
            )
        self.exactness.setText(text)
        self._show_exact_button()

    @Slot()
    def _show_exact_button(self) -> None:
        """Offered where an estimate is all there is, and nothing better is on its way."""
        frame = self.page.frame
        better = self._sorting or self._exact_asked or self._session.state.prepared is not None
        self.exact_button.setVisible(frame is not None and not frame.shown.exact and not better)

    @Slot()
    def _on_exact(self) -> None:
        self._exact_asked = True
        self._show_exact_button()
        self.exact_requested.emit()

    @Slot(str)
    def show_sorting(self, text: str) -> None:
        """The tensor is being put in order; exact answers follow."""
        self._sorting, self._exact_asked = True, False
        self.sorting.begin(text)
        self._show_exact_button()

    @Slot()
    def show_sorted(self) -> None:
        """It is, or somebody stopped it."""
        self._sorting = False
        self.sorting.end()
        self._show_exact_button()

    @Slot()
    def show_computing(self) -> None:
        """An answer is on its way; said only when it takes a while."""
        self._patience.start()

    @Slot()
    def stop_waiting(self) -> None:
        """There will be no answer: what is shown stays, and stays pale where it is of something else."""
        self._patience.stop()
        self._exact_asked = False
        self.analyzing.end()
        self.timing.setText(self.tr("not computed"))
        self.page.set_stale(not self._is_present())
        self._show_exact_button()

    @Slot()
    def _say_computing(self) -> None:
        self.timing.setText(self.tr("computing…"))
        self.page.set_stale(not self._is_present())
        self.analyzing.begin(self.tr("Analyzing"))

    def _is_present(self) -> bool:
        """Whether what is shown is of the present tensor and scheme, though better may be on its way."""
        frame, state = self.page.frame, self._session.state
        if frame is None or not frame.tensor.same_data(state.tensor):
            return False
        return (frame.scheme, frame.channel) == (state.scheme, state.channel)

    def apply_theme(self, theme: Theme, choice: str) -> None:
        """Colours of the charts and icons, and the tick in the menu."""
        self.page.apply_theme(theme)
        self.banner.apply_theme(theme)
        self.overlay.apply_theme(theme)
        self.actions_by_key[f"theme_{choice}"].setChecked(True)

    @Slot(object, object)
    def _on_changed(self, old: State, new: State) -> None:
        if new.current is not old.current:
            name = new.current.name if new.current else ""
            self.setWindowTitle(f"{name} — qviz" if name else "qviz")
        self._refresh_actions(new)

    def _refresh_actions(self, state: State) -> None:
        a = self.actions_by_key
        a["undo"].setEnabled(self._session.can_undo)
        a["redo"].setEnabled(self._session.can_redo)
        for key in ("save_quantized", "save_tensor", "save_metrics", "export_all", "copy_metrics", "copy_snippet"):
            a[key].setEnabled(self.page.frame is not None)
        a["all_channels"].setEnabled(state.channel is not None)

    # -- commands: opening

    @Slot()
    def open_files(self) -> None:
        endings = " ".join(f"*{suffix}" for suffix in SUFFIXES)
        paths, _ = QFileDialog.getOpenFileNames(
            self,
            self.tr("Open tensors"),
            self._settings.get("last_folder"),
            self.tr("Tensors ({endings});;All files (*)").format(endings=endings),
        )
        self._open([Path(p) for p in paths])

    @Slot()
    def open_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, self.tr("Open folder"), self._settings.get("last_folder"))
        self._open([Path(folder)] if folder else [])

    def _open(self, paths: list[Path]) -> None:
        if paths:
            self._settings.set("last_folder", str(paths[0].parent))
            self.open_requested.emit(paths)

    @Slot()
    def _fill_recent(self) -> None:
        self._recent.clear()
        recent = [p for p in self._settings.get("recent_files") if isinstance(p, str)]
        for text in recent:
            action = self._recent.addAction(Path(text).name)
            action.setToolTip(text)
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
    def close_tensor(self) -> None:
        if self._session.state.current is not None:
            self.close_requested.emit(self._session.state.current)

    @Slot()
    def generate(self) -> None:
        self.page.tensors.generate_requested.emit()

    @Slot()
    def article(self) -> None:
        self.article_requested.emit()

    # -- commands: saving

    @Slot()
    def save_quantized(self) -> None:
        if path := self._ask_path(self.tr("Save quantized tensor"), "quantized", {"NumPy archive": "npz"}):
            self.save_quantized_requested.emit(path, self._frame.shown)

    @Slot()
    def save_tensor(self) -> None:
        if path := self._ask_path(self.tr("Save original tensor"), "tensor", {"NumPy array": "npy"}):
            self.save_tensor_requested.emit(path, self._frame.shown.tensor)

    @Slot()
    def save_metrics(self) -> None:
        from qviz.files.results import save_metrics

        if path := self._ask_path(self.tr("Save metrics"), "metrics", {"JSON": "json", "CSV": "csv"}):
            self._try(lambda: save_metrics(path, self._frame.shown), path.name)

    @Slot()
    def save_scheme(self) -> None:
        from qviz.files.results import save_scheme

        if path := self._ask_path(self.tr("Save scheme"), "scheme", {"JSON": "json"}):
            self._try(lambda: save_scheme(path, self._session.scheme), path.name)

    @Slot()
    def load_scheme(self) -> None:
        from qviz.files.results import read_scheme

        text, _ = QFileDialog.getOpenFileName(
            self, self.tr("Load scheme"), self._settings.get("last_folder"), self.tr("Schemes (*.json)")
        )
        if text:
            self._try(lambda: self._session.update(scheme=read_scheme(Path(text))))

    @Slot()
    def export_all(self) -> None:
        folder = QFileDialog.getExistingDirectory(
            self, self.tr("Folder for all charts"), self._settings.get("last_folder")
        )
        if folder:
            self._settings.set("last_folder", folder)
            self._try(lambda: self.export_all_to(Path(folder)), folder)

    def export_all_to(self, folder: Path) -> list[Path]:
        """Every chart that has something to show, in every format."""
        from qviz.gui.plots.export import export_chart

        scale = self._settings.get("png_scale")
        charts = [chart for chart in self.page.charts if chart.tables()]
        return [
            path
            for chart in charts
            for ending in EXPORT_FORMATS
            for path in export_chart(chart, folder / f"{chart.name}.{ending}", scale=scale)
        ]

    @Slot(object, str)
    def _export_chart(self, chart: Chart, ending: str) -> None:
        from qviz.gui.plots.export import export_chart

        if path := self._ask_path(chart.title(), chart.name, {ending.upper(): ending}):
            self._try(lambda: export_chart(chart, path, scale=self._settings.get("png_scale")), path.name)

    @Slot(object)
    def _copy_chart(self, chart: Chart) -> None:
        from qviz.gui.plots.export import copy_chart

        copy_chart(chart)
        self.banner.notice(self.tr("“{name}” is in the clipboard as a picture.").format(name=chart.title()))

    @property
    def _frame(self) -> Frame:
        assert self.page.frame is not None
        return self.page.frame

    def _ask_path(self, title: str, stem: str, formats: dict[str, str]) -> Path | None:
        """A name to save under; it gets the format's ending when it has none of them."""
        filters = {f"{name} (*.{ending})": ending for name, ending in formats.items()}
        first = next(iter(formats.values()))
        start = str(Path(self._settings.get("last_folder")) / f"{stem}.{first}")
        text, chosen = QFileDialog.getSaveFileName(self, title, start, ";;".join(filters))
        if not text:
            return None
        path = Path(text)
        self._settings.set("last_folder", str(path.parent))
        if path.suffix.lower().removeprefix(".") not in formats.values():
            path = path.with_name(f"{path.name}.{filters.get(chosen, first)}")
        return path

    def _try(self, work: Callable[[], object], written: str = "") -> None:
        """Do it; a problem goes to the banner, and what was open stays as it was."""
        try:
            work()
        except Problem as problem:
            self.banner.error(str(problem))
            return
        if written:
            self.banner.notice(self.tr("Saved {name}.").format(name=written))

    # -- commands: editing and viewing

    @Slot()
    def undo(self) -> None:
        self._session.undo()

    @Slot()
    def redo(self) -> None:
        self._session.redo()

    @Slot()
    def default_scheme(self) -> None:
        self._session.update(scheme=Scheme())

    @Slot()
    def copy_metrics(self) -> None:
        QApplication.clipboard().setText(self.page.metrics.text())

    @Slot()
    def copy_elements(self) -> None:
        self.page.table.copy()

    @Slot()
    def copy_snippet(self) -> None:
        from qviz.core.snippet import python_snippet

        QApplication.clipboard().setText(
            python_snippet(self._frame.shown.qparams, self._source(), all_finite=self._frame.shown.tensor.all_finite)
        )
        self.banner.notice(self.tr("A Python script that gives the same codes is in the clipboard."))

    def _source(self) -> str:
        """The file that the tensor on the page can be read from, or a name for one."""
        current = self._session.state.current
        whole = self._frame.channel is None and current is not None and current.origin.endswith(".npy")
        return current.origin if current is not None and whole else "tensor.npy"

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
        for chart in self.page.charts:
            chart.reset_view()

    @Slot()
    def all_channels(self) -> None:
        self._session.update(channel=None)

    @Slot()
    def reset_layout(self) -> None:
        self.page.reset_layout()

    @Slot()
    def more_bits(self) -> None:
        self._session.update(bits=min(16, self._session.scheme.number_format.bits + 1))

    @Slot()
    def fewer_bits(self) -> None:
        self._session.update(bits=max(2, self._session.scheme.number_format.bits - 1))

    @Slot()
    def toggle_symmetric(self) -> None:
        self._session.update(symmetric=not self._session.scheme.symmetric)

    @Slot()
    def measure_speed(self) -> None:
        self.measure_requested.emit()

    @Slot()
    def shortcuts(self) -> None:
        rows = [
            (self.tr("Wheel"), self.tr("zoom along the values or the index; with Shift in both directions")),
            (self.tr("Drag"), self.tr("move the chart; on a clip line: clip there")),
            (self.tr("Right drag"), self.tr("stretch an axis")),
            (self.tr("Double click"), self.tr("everything in sight again")),
            (self.tr("Right click"), self.tr("export this chart")),
            (self.tr("Click in Values"), self.tr("point at an element in every chart and in the table")),
        ]
        keys = [
            (action.shortcut().toString(), action.text().replace("&", ""))
            for action in self.actions_by_key.values()
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
        self._settings.set("geometry", self.saveGeometry())
        self._settings.set("layout", self.page.layout_state())
        self._settings.set("scheme", self._session.scheme.to_dict())
        self._settings.save()
        self.closing.emit()
        super().closeEvent(event)
