"""How is qviz put together? Every part is made and wired here; read this first."""

from __future__ import annotations

import gc
import importlib
import logging
import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Qt, QTimer, Slot
from PySide6.QtGui import QGuiApplication, QIcon
from PySide6.QtWidgets import QApplication

from qviz.app.display import explain_fatal_messages, stop_explaining
from qviz.app.ending import Ending
from qviz.app.readings import Asker
from qviz.app.tensor import wire_tensor
from qviz.assets import resource
from qviz.core import compiler
from qviz.core.problems import Problem
from qviz.core.questions.effort import Limits
from qviz.core.schemes.scheme import Scheme
from qviz.files.atomic import clean_up
from qviz.files.networks import is_network
from qviz.gui.charts.page import Closing, Page
from qviz.gui.kit import theme
from qviz.gui.kit.unseen import let_go_pictures
from qviz.gui.tensor.page import TensorPage
from qviz.gui.window.crash import CrashDialog, CrashReporter
from qviz.gui.window.first_painting import FirstPainting
from qviz.gui.window.main_window import MainWindow
from qviz.gui.window.navigation import PageRow
from qviz.gui.window.toasts import Topic
from qviz.gui.words.schemes import line
from qviz.session.analyst import Analyst
from qviz.session.freed import Freed, keep_freed, keep_one_arena
from qviz.session.language import told
from qviz.session.library import FIRST_SPEC, Library
from qviz.session.loss_curves import LossCurves
from qviz.session.memory import Memory, tensor_budget
from qviz.session.pins import Pins, placed
from qviz.session.preparer import Preparer
from qviz.session.presets import Presets
from qviz.session.product_meter import ProductMeter
from qviz.session.saver import Saver
from qviz.session.settings import Settings
from qviz.session.speed_meter import SpeedMeter
from qviz.session.state import Session, State
from qviz.session.watch import Watch
from qviz.session.worker import Worker

log = logging.getLogger(__name__)

WARM_UP_MILLISECONDS = 1500
"""The first pictures come first."""


class App(QObject):
    """The parts of one running window.

    A person's intent goes panel → session; the session's change goes to the analyst, whose worker
    answers with a frozen frame; the page paints it. There is no other way through the house.
    """

    def __init__(self, settings: Settings, *, limits: Limits | None = None) -> None:
        """``limits`` say what is a large tensor."""
        super().__init__()
        self.settings = settings
        self.session = Session(State(scheme=_remembered_scheme(settings)), limits=limits)
        self.memory = Memory(lambda: tensor_budget(settings.get("memory_budget_mb")))
        self.library = Library(self.session, self.memory, self)
        self.analyst = Analyst(self.session, self)
        self.preparer = Preparer(self.session, self.memory, self)
        self.meter = SpeedMeter(self.session, self)
        self.product_meter = ProductMeter(self.session, self)
        self.loss_curves = LossCurves(self.session, self)
        self.saver = Saver(self)
        self.freed = Freed(self)
        self.watch = Watch(self.session, self.memory.stamps, lambda: settings.get("reload_changed"), self)
        self.pins = Pins(self)
        self.pins.restore(settings.get("pins"))
        self._pins = self.pins.to_list()
        self.workers: list[Closing] = [
            self.library,
            self.preparer,
            self.analyst,
            self.loss_curves,
            self.meter,
            self.product_meter,
            self.saver,
        ]
        self.presets = Presets(self)
        self.presets.restore(settings.get("presets"))
        self._presets = self.presets.to_list()
        self.presets.changed.connect(self._remember_presets)
        self.page = TensorPage(self.session, self.presets)
        self.window = MainWindow(self.session, settings, self.page, self._pages())
        self.asker = Asker(self.library, settings, self.window)
        self.crashes = CrashReporter(self)
        self.crash_dialog: CrashDialog | None = None
        self._wire()
        wire_tensor(self)
        self.window.pin_requested.connect(self.pin_present)
        self.pins.changed.connect(self._remember_pins)
        # Dressed when they are all there: a style sheet makes every widget slower to build.
        self.set_theme(settings.get("theme"))
        self.window.restore()

    def _pages(self) -> dict[str, PageRow]:
        """The pages along the top, in order; those after the first are made when they are first shown."""
        return {
            "tensor": PageRow(
                self.tr("Tensor"), self.tr("What does this scheme do to this tensor?"), lambda: self.page
            ),
            "compare": PageRow(
                self.tr("Compare"),
                self.tr("Which scheme is best for it, and what does each bit buy?"),
                self._compare_page,
            ),
            "product": PageRow(
                self.tr("Product"),
                self.tr("What does a layer's output lose when it multiplies integers?"),
                self._product_page,
            ),
            "model": PageRow(
                self.tr("Model"),
                self.tr("Which layer of a network hurts, and what does quantizing it cost and gain here?"),
                self._model_page,
            ),
            "training": PageRow(
                self.tr("Training"), self.tr("What does quantization-aware training win back?"), self._training_page
            ),
        }

    @Slot()
    def _remember_presets(self) -> None:
        before, self._presets = self._presets, self.presets.to_list()
        self.settings.merge("presets", before, self._presets, lambda each: named(each, "name"))

    def is_sorting(self) -> bool:
        """Whether exact answers are on their way, so that it pays to wait for them."""
        return self.preparer.busy

    def _compare_page(self) -> Page:
        from qviz.app.compare import make_compare

        return self._employ(make_compare(self))

    def _product_page(self) -> Page:
        from qviz.app.product import make_product

        return self._employ(make_product(self))

    def _model_page(self) -> Page:
        from qviz.app.model import make_model

        return self._employ(make_model(self))

    def _training_page(self) -> Page:
        from qviz.app.training import make_training

        return self._employ(make_training(self))

    def _employ(self, page: Page) -> Page:
        """Who works for a page is closed with the window."""
        self.workers += page.workers
        self._watch_over(page.workers)
        return page

    def _watch_over(self, workers: Sequence[Closing]) -> None:
        """What they can't answer because a file has changed is told with a way out."""
        for worker in workers:
            if isinstance(worker, Worker):
                worker.stale.connect(self.watch.refuse)
                self.freed.watch(worker)

    @Slot(str, object)
    def open_layer(self, name: str, array: Any) -> None:
        """A layer's weights on the Tensor page."""
        self.library.show_array(name, array)
        self.window.pages.show_page("tensor")

    @Slot(object)
    def open_entry(self, entry: Any) -> None:
        """A tensor of a checkpoint on the Tensor page."""
        self.library.show_entry(entry)
        self.window.pages.show_page("tensor")

    @Slot(str, object, object)
    def open_pair(self, name: str, activation: Any, weight: Any) -> None:
        """What a layer multiplies, on the Product page."""
        items = [
            self.library.add_array(self.tr("{name} (activation)").format(name=name), activation),
            self.library.add_array(self.tr("{name} (weight)").format(name=name), weight),
        ]
        self.window.pages.show_page("product")
        page: Any = self.window.pages.current
        page.show_pair(*items)

    def _wire(self) -> None:
        window, library, banner = self.window, self.library, self.window.banner

        # intent → library
        window.open_requested.connect(self.open_paths)
        window.close_requested.connect(library.close_item)
        window.article_requested.connect(library.open_article)
        window.reading_requested.connect(self.asker.ask_again)
        window.memory_changed.connect(self._on_memory_changed)

        # results → files
        window.saving.save_quantized_requested.connect(self.saver.save_quantized)
        window.saving.save_tensor_requested.connect(self.saver.save_tensor)
        self.saver.saved.connect(partial(banner.notice, topic=Topic.SAVING))

        # what a person is told
        window.open_requested.connect(partial(banner.withdraw, Topic.OPENING))
        library.problem.connect(partial(banner.add_error, topic=Topic.OPENING))
        self.preparer.problem.connect(partial(banner.error, topic=Topic.TENSOR))
        self.saver.problem.connect(partial(banner.error, topic=Topic.SAVING))
        library.problem.connect(self._on_library_problem)
        library.notice.connect(partial(banner.notice, topic=Topic.TENSOR))
        library.opened.connect(self._remember_files)
        library.opened.connect(window.tell_opened)
        library.began.connect(window.status.reading.begin)
        library.advanced.connect(window.status.reading.advance)
        library.ended.connect(window.status.reading.end)
        window.status.reading.cancel_requested.connect(library.cancel)
        window.status.activity.tell(library.opener, self.tr("Listing files"))
        self.crashes.crashed.connect(self._on_crash)

        # files that change
        self.watch.changed.connect(window.again.tell)
        self.watch.settled.connect(window.again.forget)
        self.watch.reload.connect(library.open_again)
        window.again.item_requested.connect(library.open_again)
        window.again.paths_requested.connect(library.open)
        self.crashes.stale.connect(self.watch.refuse)
        self._watch_over(self.workers)

        # theme and end
        window.theme_requested.connect(self.set_theme)
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._on_system_theme)
        window.saving.exporting.ended.connect(self.freed.later)
        self.freed.quiet.connect(let_go_pictures)
        window.closing.connect(self.close)

    @Slot(object)
    def open_paths(self, paths: list[Path]) -> None:
        """A network on the Model page, everything else as tensors."""
        networks = [path for path in paths if is_network(path)]
        tensors = [path for path in paths if path not in networks]
        if tensors:
            self.library.open(tensors)
        if networks:
            self.window.pages.show_page("model")
            page: Any = self.window.pages.current
            page.open(networks[0])
            if len(networks) > 1:
                self.window.banner.notice(
                    self.tr("One network at a time: {name} was opened.").format(name=networks[0].name)
                )

    def start(self, paths: Sequence[Path] = ()) -> None:
        """Show the window at once; what it opens on follows when that is painted."""
        FirstPainting(self.window, lambda: self._open_first(list(paths)))
        self.window.show()

    def _open_first(self, paths: list[Path]) -> None:
        self.page.complete()
        QTimer.singleShot(0, clean_up)
        if paths:
            self.open_paths(paths)
        if all(is_network(path) for path in paths):
            self.library.generate(FIRST_SPEC)

    @Slot()
    def toggle_measuring(self) -> None:
        """Stop measuring the speed that is looked at; measure it again when nothing is measured."""
        (self.product_meter if self.product_meter.batch else self.meter).toggle()

    @Slot()
    def answer_exactly(self) -> None:
        """In order where memory suffices, for all later questions too; else once, element by element."""
        last = self.analyst.last
        if self.preparer.fits and not (last is not None and last.judged):  # of groups no order of all values tells
            self.preparer.prepare()
        else:
            self.analyst.answer_exactly()

    @Slot(object)
    def pin(self, scheme: Scheme) -> None:
        """Keep a scheme, to be compared with others."""
        try:
            self.pins.add(scheme)
        except Problem as problem:
            self.window.banner.error(told(problem), Topic.PINS)
            return
        text = self.tr("Pinned {scheme}: see the Compare page.").format(scheme=line(scheme))
        self.window.banner.notice(text, Topic.PINS)

    @Slot()
    def pin_present(self) -> None:
        self.pin(self.session.scheme)

    @Slot()
    def _remember_pins(self) -> None:
        self.window.banner.withdraw(Topic.PINS)
        before, self._pins = self._pins, self.pins.to_list()
        self.settings.merge("pins", before, self._pins, lambda each: named(each, "scheme"), placed)

    @Slot(object)
    def show_scheme(self, scheme: Scheme) -> None:
        """A scheme that was found elsewhere, on the Tensor page."""
        try:
            self.session.update(scheme=scheme)
        except Problem as problem:
            self.window.banner.error(told(problem), Topic.SCHEME)
            return
        self.window.pages.show_page("tensor")

    @Slot(int)
    def show_element(self, index: int) -> None:
        self.session.update(selected=index)
        self.window.pages.show_page("tensor")

    @Slot()
    def forget_failure(self) -> None:
        """An answer came: what was said of the one before is over."""
        self.window.banner.withdraw(Topic.ANALYSIS)

    @Slot()
    def _on_memory_changed(self) -> None:
        self.memory.make_room(0)
        self.preparer.prepare()

    @Slot()
    def _on_library_problem(self) -> None:
        # What comes after the problem (the next of several files) goes first.
        QTimer.singleShot(0, self, self._fill_empty_page)

    @Slot()
    def _fill_empty_page(self) -> None:
        """A page without a tensor shows nothing to try: the first one takes the place of bad files."""
        if self.session.state.tensor is None and not self.library.busy:
            self.library.generate(FIRST_SPEC)

    @Slot(str)
    def _on_crash(self, report: str) -> None:
        if self.crash_dialog is None:
            self.crash_dialog = CrashDialog(self.window)
        self.crash_dialog.show_report(report)

    @Slot(str)
    def set_theme(self, choice: str) -> None:
        """Dress everything, and remember the choice."""
        choice = choice if choice in theme.CHOICES else "system"
        self.settings.set("theme", choice)
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        chosen = theme.resolve(choice)
        theme.apply(app, chosen)
        self.window.apply_theme(chosen, choice)

    @Slot()
    def _on_system_theme(self) -> None:
        if self.settings.get("theme") == "system":
            self.set_theme("system")

    @Slot(object)
    def _remember_files(self, paths: list[Path]) -> None:
        self.settings.add_all_recent(paths)

    @Slot()
    def close(self) -> None:
        """Every worker is stopped and waited for."""
        self.watch.close()
        self.freed.close()
        for worker in self.workers:
            worker.close()


def named(entry: object, key: str) -> object:
    """What tells an entry of a remembered list from the others."""
    return entry.get(key) if isinstance(entry, dict) else entry


def load_pages() -> None:
    """Import what the pages after the first one are made of: else whoever opens one waits for it."""
    for page in ("compare", "product", "model", "training"):
        importlib.import_module(f"qviz.app.{page}")


def _warm_up() -> None:
    """In a thread that nobody waits for; without compiled kernels NumPy does the same."""
    load_pages()
    if compiler.available():
        compiler.warm_up()


def _remembered_scheme(settings: Settings) -> Scheme:
    data, usual = settings.get("scheme"), Scheme()
    if not data or data == usual.to_dict():  # nothing to judge: what judges is not loaded before the first painting
        return usual
    try:
        return Scheme.from_dict(data)
    except Problem as problem:
        log.info("the remembered scheme cannot be used: %s", problem)
        return usual


def make_application(arguments: Sequence[str] = ()) -> QApplication:
    """The one QApplication, with qviz's name, style, font and icon."""
    keep_one_arena()
    keep_freed()
    sys.setswitchinterval(0.001)  # the window's thread waits for a worker's at most this long
    QGuiApplication.setHighDpiScaleFactorRoundingPolicy(Qt.HighDpiScaleFactorRoundingPolicy.PassThrough)
    app = QApplication(["qviz", *arguments])
    app.setApplicationName("qviz")
    app.setApplicationDisplayName("qviz")
    app.setDesktopFileName("qviz")
    app.setStyle("Fusion")
    app.setWindowIcon(QIcon(str(resource("icons", "qviz.svg"))))
    theme.load_fonts(app)
    return app


def run(paths: Sequence[Path] = ()) -> int:
    """The window, until it is closed."""
    explain_fatal_messages()
    application = make_application()
    stop_explaining()
    qviz = App(Settings())
    qviz.crashes.install()
    ending = Ending(qviz.window)
    QTimer.singleShot(0, lambda: qviz.start(paths))
    warm_up = threading.Thread(target=_warm_up, name="warm-up", daemon=True)
    QTimer.singleShot(WARM_UP_MILLISECONDS, warm_up.start)
    # What lives as long as the window need not be looked at by every garbage collection: each
    # look would hold up a frame.
    gc.freeze()
    gc.enable()
    try:
        return application.exec()
    finally:
        ending.uninstall()
        qviz.crashes.uninstall()
