"""What can be taken out of the window, into files and into the clipboard?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QApplication, QFileDialog, QWidget

from qviz.core.problems import Problem
from qviz.files.writers import EXPORT_FORMATS
from qviz.gui.charts.base import Chart
from qviz.gui.tensor.page import TensorPage
from qviz.gui.window.navigation import Pages
from qviz.session.analyst import Frame
from qviz.session.language import told, tr
from qviz.session.settings import Settings
from qviz.session.state import Session


class Saving(QObject):
    """The commands that write and copy; each says what became of it."""

    problem = Signal(str)
    notice = Signal(str)
    save_quantized_requested = Signal(object, object)
    save_tensor_requested = Signal(object, object)

    def __init__(self, window: QWidget, session: Session, settings: Settings, page: TensorPage, pages: Pages) -> None:
        super().__init__(window)
        self._window, self._session, self._settings, self._page = window, session, settings, page
        self._pages = pages

    @Slot()
    def save_quantized(self) -> None:
        from qviz.files.writers import WRITERS

        formats = {tr(label): ending.removeprefix(".") for ending, (label, _) in WRITERS.items()}
        if path := self._ask_path(self.tr("Save quantized tensor"), "quantized", formats):
            self.save_quantized_requested.emit(path, self._frame.shown)

    @Slot()
    def save_tensor(self) -> None:
        if path := self._ask_path(self.tr("Save original tensor"), "tensor", {self.tr("NumPy array"): "npy"}):
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
            self._window, self.tr("Load scheme"), self._settings.get("last_folder"), self.tr("Schemes (*.json)")
        )
        if text:
            self._try(lambda: self._session.update(scheme=read_scheme(Path(text))))

    @Slot()
    def export_all(self) -> None:
        folder = QFileDialog.getExistingDirectory(
            self._window, self.tr("Folder for all charts"), self._settings.get("last_folder")
        )
        if folder:
            self._settings.set("last_folder", folder)
            self._try(lambda: self.export_all_to(Path(folder)), folder)

    def export_all_to(self, folder: Path) -> list[Path]:
        """Every chart of the page in front that has something to show, in every format."""
        from qviz.gui.charts.export import export_chart

        scale = self._settings.get("png_scale")
        charts = [chart for chart in self._pages.current.charts if chart.tables()]
        return [
            path
            for chart in charts
            for ending in EXPORT_FORMATS
            for path in export_chart(chart, folder / f"{chart.name}.{ending}", scale=scale)
        ]

    @Slot(object, str)
    def export_chart(self, chart: Chart, ending: str) -> None:
        from qviz.gui.charts.export import export_chart

        if path := self._ask_path(chart.title(), chart.name, {ending.upper(): ending}):
            self._try(lambda: export_chart(chart, path, scale=self._settings.get("png_scale")), path.name)

    @Slot(object)
    def copy_chart(self, chart: Chart) -> None:
        from qviz.gui.charts.export import copy_chart

        copy_chart(chart)
        self.notice.emit(self.tr("“{name}” is in the clipboard as a picture.").format(name=chart.title()))

    @property
    def _frame(self) -> Frame:
        assert self._page.frame is not None
        return self._page.frame

    def _ask_path(self, title: str, stem: str, formats: dict[str, str]) -> Path | None:
        """A name to save under; it gets the format's ending when it has none of them."""
        filters = {f"{name} (*.{ending})": ending for name, ending in formats.items()}
        first = next(iter(formats.values()))
        start = str(Path(self._settings.get("last_folder")) / f"{stem}.{first}")
        text, chosen = QFileDialog.getSaveFileName(self._window, title, start, ";;".join(filters))
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
            self.problem.emit(told(problem))
            return
        if written:
            self.notice.emit(self.tr("Saved {name}.").format(name=written))

    # -- to the clipboard

    @Slot()
    def copy_metrics(self) -> None:
        self._pages.current.copy_figures()

    @Slot()
    def copy_elements(self) -> None:
        self._page.table.copy()

    @Slot()
    def copy_snippet(self) -> None:
        from qviz.core.scripts.numpy_script import python_snippet

        self._copy_script(python_snippet)

    @Slot()
    def copy_onnx_script(self) -> None:
        self._copy_runtime_script("onnxruntime")

    @Slot()
    def copy_torch_script(self) -> None:
        self._copy_runtime_script("torch")

    @Slot()
    def copy_paddle_script(self) -> None:
        self._copy_runtime_script("paddle")

    def _copy_runtime_script(self, runtime: str) -> None:
        from qviz.core.scripts.runtime_scripts import runtime_snippet

        self._copy_script(lambda qparams, source, **options: runtime_snippet(qparams, runtime, source, **options))

    def _copy_script(self, write: Callable[..., str]) -> None:
        shown = self._frame.shown
        try:
            script = write(shown.qparams, self._source(), all_finite=shown.tensor.all_finite)
        except Problem as problem:
            self.problem.emit(told(problem))
            return
        QApplication.clipboard().setText(script)
        self.notice.emit(self.tr("A Python script that gives the same codes is in the clipboard."))

    def _source(self) -> str:
        """The file that the tensor on the page can be read from, or a name for one."""
        current = self._session.state.current
        whole = self._frame.channel is None and current is not None and current.origin.endswith(".npy")
        return current.origin if current is not None and whole else "tensor.npy"
