"""What can be taken out of the window, into files and into the clipboard?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication, QFileDialog, QWidget

from qviz.core.printable import printable
from qviz.core.problems import N_, Problem
from qviz.files.names import numbered, stem_of
from qviz.files.writers import EXPORT_FORMATS
from qviz.gui.charts.base import Chart, Table
from qviz.gui.kit.copying import Excerpt
from qviz.gui.kit.in_the_way import InTheWay
from qviz.gui.kit.steps import Step, Steps
from qviz.gui.tensor.page import TensorPage
from qviz.gui.window.navigation import Pages
from qviz.session.frame import Frame
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
        self.in_the_way = InTheWay(window)
        self.exporting = Steps(self)

    @Slot()
    def save_quantized(self) -> None:
        from qviz.files.writers import WRITERS

        formats = {tr(label): ending.removeprefix(".") for ending, (label, _) in WRITERS.items()}
        shown = self._frame.shown

        def write(path: Path) -> None:
            self.save_quantized_requested.emit(path, shown)

        self._save(self.tr("Save quantized tensor"), "quantized", formats, write)

    @Slot()
    def save_tensor(self) -> None:
        tensor = self._frame.shown.tensor

        def write(path: Path) -> None:
            self.save_tensor_requested.emit(path, tensor)

        self._save(self.tr("Save original tensor"), "tensor", {self.tr("NumPy array"): "npy"}, write)

    @Slot()
    def save_metrics(self) -> None:
        from qviz.files.results import save_metrics

        shown = self._frame.shown

        def write(path: Path) -> None:
            self._try(lambda: save_metrics(path, shown), path.name)

        self._save(self.tr("Save metrics"), "metrics", {"JSON": "json", "CSV": "csv"}, write)

    @Slot()
    def save_scheme(self) -> None:
        from qviz.files.results import save_scheme

        scheme = self._session.scheme

        def write(path: Path) -> None:
            self._try(lambda: save_scheme(path, scheme), path.name)

        self._save(self.tr("Save scheme"), "scheme", {"JSON": "json"}, write)

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
            self.export_all_to(Path(folder))

    def export_all_to(self, folder: Path) -> None:
        """Every chart of the page in front that has something to show, in every format."""
        charts = [chart for chart in self._pages.current.charts if chart.tables()]
        if not charts:
            self.problem.emit(self.tr("There is nothing to export on this page yet."))
            return
        wanted = [(chart, folder / f"{self._stem(chart)}.{ending}") for chart in charts for ending in EXPORT_FORMATS]
        self._export(wanted, str(folder))

    def _export(self, wanted: list[tuple[Chart, Path]], written: str = "", agreed: Path | None = None) -> None:
        """Write charts; what is in the way, but for what a person agreed to lose, is asked about once."""
        from qviz.gui.charts.export import export_chart, is_large, paper_for, paths_of, same_tables

        scale = self._settings.get("png_scale")
        captions = {id(chart): self._caption(chart) for chart, _ in wanted}

        page = self._pages.current
        subjects = {id(chart): page.subject(chart) for chart, _ in wanted}
        paths_by_chart: dict[Chart, list[Path]] = {}
        for chart, path in wanted:
            paths_by_chart.setdefault(chart, []).append(path)
        for many in paths_by_chart.values():  # what takes long comes last, to be written once where a chart goes on
            many.sort(key=lambda path: path.suffix.lower() == ".png")
        drawn: dict[Chart, dict[str, Table]] = {}
        papers: dict[Path, QImage] = {}

        def prepare(chart: Chart, path: Path) -> Callable[[], None]:
            """The paper for a large picture, which is too much for the turn that paints it."""
            make = paper_for(chart, scale=scale, caption=captions[id(chart)])
            return lambda: papers.update({path: make()})

        def write(chart: Chart, at: int, number: int) -> Callable[[], None] | None:
            """One file of a chart; all before it again, where what is drawn went on: the files have to agree."""
            left: list[Callable[[], None]] = []
            if page.subject(chart) != subjects[id(chart)]:
                raise Problem(
                    N_("Not every chart was exported: what is shown changed before “{chart}” was written."),
                    chart=chart.title(),
                )
            before, drawn[chart] = drawn.get(chart), chart.tables()
            first = at if before is None or same_tables(before, drawn[chart]) else 0
            for path in paths_by_chart[chart][first : at + 1]:
                export_chart(
                    chart,
                    numbered(path, number),
                    scale=scale,
                    caption=captions[id(chart)],
                    beside=left.append,
                    paper=papers.pop(path, None),
                )
            return partial(_do_all, left) if left else None

        def write_all(number: int) -> None:
            steps: list[Step] = []
            for chart, many in paths_by_chart.items():
                for at, path in enumerate(many):
                    if is_large(chart, path, scale):
                        steps.append(partial(prepare, chart, path))
                    steps.append(partial(write, chart, at, number))
            name = written or printable(numbered(wanted[0][1], number).name)
            self.exporting.do(
                steps,
                lambda: self.notice.emit(self.tr("Saved {name}.").format(name=name)),
                lambda problem: self.problem.emit(told(problem)),
            )

        paths = [each for chart, path in wanted for each in paths_of(chart, path) if each != agreed]
        self.in_the_way.write(paths, write_all)

    def _stem(self, chart: Chart) -> str:
        """What a chart's file is called: after its tensor, its scheme, and itself."""
        subject = self._pages.current.subject(chart)
        return stem_of(subject.of, subject.under, chart.name)

    def _caption(self, chart: Chart) -> str:
        subject = self._pages.current.subject(chart)
        parts = [part for part in (subject.of, subject.under) if part]
        return " · ".join(parts) if self._settings.get("captions") else ""

    @Slot(bool)
    def captions(self, shown: bool) -> None:
        """Whether pictures say of what they are."""
        self._settings.set("captions", shown)

    @Slot(object, str)
    def export_chart(self, chart: Chart, ending: str) -> None:
        def write(path: Path, agreed: Path | None) -> None:
            self._export([(chart, path)], agreed=agreed)

        self._ask_path(chart.title(), self._stem(chart), {ending.upper(): ending}, write)

    @Slot(object)
    def export_table(self, excerpt: Excerpt) -> None:
        """The rows of a table to a file, in figures to their last digit."""
        from qviz.files.results import save_lines

        page = self._pages.current
        of = page.subject(page.charts[0]).of if page.charts else ""

        def write(path: Path) -> None:
            self._try(lambda: save_lines(path, excerpt.cells()), path.name)

        self._save(self.tr("Export table"), stem_of(of, excerpt.name), {"CSV": "csv", "TSV": "tsv"}, write)

    @Slot(object)
    def copy_chart(self, chart: Chart) -> None:
        from qviz.gui.charts.export import copy_chart

        copy_chart(chart, self._caption(chart))
        self.notice.emit(self.tr("“{name}” is in the clipboard as a picture.").format(name=chart.title()))

    @property
    def _frame(self) -> Frame:
        assert self._page.frame is not None
        return self._page.frame

    def _save(self, title: str, stem: str, formats: dict[str, str], write: Callable[[Path], object]) -> None:
        """Ask for a name and write one file."""

        def settle(path: Path, agreed: Path | None) -> None:
            self.in_the_way.write([] if path == agreed else [path], lambda number: write(numbered(path, number)))

        self._ask_path(title, stem, formats, settle)

    def _ask_path(
        self, title: str, stem: str, formats: dict[str, str], then: Callable[[Path, Path | None], object]
    ) -> None:
        """A name to save under; it gets the format's ending when it has none of them.

        ``then`` gets the path, and the one that the dialog has asked about where it is there already.
        """
        filters = {f"{name} (*.{ending})": ending for name, ending in formats.items()}
        first = next(iter(formats.values()))
        start = str(Path(self._settings.get("last_folder")) / f"{stem}.{first}")
        text, chosen = QFileDialog.getSaveFileName(self._window, title, start, ";;".join(filters))
        if not text:
            return
        path = agreed = Path(text)
        self._settings.set("last_folder", str(path.parent))
        if path.suffix.lower().removeprefix(".") not in formats.values():
            path = path.with_name(f"{path.name}.{filters.get(chosen, first)}")
        then(path, agreed)

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

    @Slot()
    def copy_cast_script(self) -> None:
        self._copy_runtime_script("ml_dtypes")

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


def _do_all(works: list[Callable[[], None]]) -> None:
    for work in works:
        work()
