"""``python -m tests.monkey --actions 10000 --seed 1``: plays with a window, and ends with 1 when something broke."""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import json
import os
import random
import sys
import tempfile
import time
import traceback
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QCoreApplication, QEvent, QEventLoop, QTimer
from PySide6.QtWidgets import QApplication, QFileDialog, QInputDialog

from qviz.app.app import App, load_pages, make_application
from qviz.core import compiler
from qviz.core.schemes.scheme import Scheme
from qviz.session.library import FIRST_SPEC
from qviz.session.settings import Settings
from tests.monkey.acts import Act, Hands, answer_popups
from tests.monkey.files import make_files
from tests.monkey.watch import (
    LONG_SECONDS,
    PAUSE_SECONDS,
    Watch,
    at_rest,
    memory,
    rest,
    temporary_files,
    undo_and_redo,
    workers_of,
)

REST_EVERY = 100
"""Acts between two looks at what must hold."""

LAST = 8
"""Acts that are told when something broke."""

SIZE = 1440, 900
"""Of the window in the beginning."""

LIBRARIES = (
    "onnx", "onnxruntime", "onnxruntime.quantization", "onnx_ir", "pyarrow.csv", "pyarrow.parquet", "gguf", "h5py",
)  # fmt: skip
"""What is imported when it is first needed, some time in a long game, is no growth."""

GROWTH = 30.0
"""Megabytes in 10,000 acts, after the first thousand."""


def main(arguments: list[str] | None = None) -> int:
    """Play, and say how it went."""
    parser = argparse.ArgumentParser(prog="python -m tests.monkey", description=__doc__)
    parser.add_argument("--actions", type=int, default=300)
    parser.add_argument("--seed", type=int, help="a fresh one unless given")
    parser.add_argument("--script", type=Path, help="repeat what a failure wrote")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()), help="where a script is written")
    parser.add_argument("--pause", type=float, default=PAUSE_SECONDS, help="CPU seconds that one event may take")
    given = parser.parse_args(arguments)
    faulthandler.enable()
    seed = random.SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    script: list[list[Any]] | None = None
    if given.script is not None:
        seed, *script = (json.loads(line) for line in given.script.read_text().splitlines())
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prog_name()) as folder:
        try:
            return play(Path(folder), seed, given.actions, script, given.keep, given.pause)
        except BaseException:
            traceback.print_exc()
            raise


def prog_name() -> str:
    return "qviz-monkey-"


def play(folder: Path, seed: int, actions: int, script: list[list[Any]] | None, keep: Path, pause: float) -> int:
    """The number to leave with: 0 when nothing broke."""
    application = make_application()
    load_pages()  # as a thread does soon after the start
    count = len(script) if script is not None else actions
    if count > 1000:
        _import_all()
    watch = Watch(pause)
    watch.install()
    chance = random.Random(seed)
    files = make_files(folder / "in", chance)
    home = folder / "out"
    home.mkdir()
    app = App(Settings(folder / "s.ini"))
    app.window.resize(*SIZE)
    app.start()
    rest(app)
    hands = Hands(app, files, chance)
    keep.mkdir(parents=True, exist_ok=True)
    journal = Journal(keep / f"monkey-{seed}{'-again' if script is not None else ''}.script", seed)
    _answer_file_dialogs(journal, files, home)
    nested = QTimer()  # menus and dialogs that wait for an answer in a loop of their own
    nested.timeout.connect(lambda: answer_popups(journal.chance()))
    nested.start(20)
    began, grown = time.process_time(), []
    for at in range(count):
        index, act = script[at] if script is not None else (at, hands.choose())
        journal.add(index, act)
        label = json.dumps(act, ensure_ascii=False)[:300]
        try:
            watch.timed(label, partial(hands.perform, act))
        except Exception as error:  # of a slot that was called directly
            watch.told(error)
        for _ in range(4):
            watch.timed(
                f"after {label}",
                lambda: QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 5),
            )
        answer_popups(journal.chance())
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        if not app.window.isVisible():
            watch.faults.append("the window is gone")
        if (at + 1) % REST_EVERY == 0 or at + 1 == count:
            watch.faults += _settle(app, watch)
            watch.faults += at_rest(app)
        if (at + 1) % 1000 == 0:
            _clear(app)
            grown.append(memory())
            print(
                f"{at + 1:6,} acts, {time.process_time() - began:6.1f} s of CPU, {grown[-1]:6.1f} MB, "
                f"{len(watch.pauses)} pauses, longest {max([0.0, *(p for p, _ in watch.pauses)]):.2f} s",
                flush=True,
            )
        if watch.faults:
            return _failed(watch, journal)
    watch.faults += undo_and_redo(app)
    rest(app, watch)
    watch.timed("the window closes", app.window.close)
    watch.faults += [f"a thread of {type(w).__name__} is left" for w in workers_of(app) if _threads(w)]
    watch.faults += temporary_files(folder)
    for took, what in sorted(watch.pauses, reverse=True)[:10]:
        watch.faults.append(f"a pause of {took:.2f} s of CPU: {what}")
    if len(grown) > 2 and (grown[-1] - grown[1]) / (len(grown) - 2) * 10 > GROWTH:
        watch.faults.append(f"memory grew from {grown[1]:.0f} to {grown[-1]:.0f} MB")
    if watch.faults:
        return _failed(watch, journal)
    watch.uninstall()
    print(f"{count:,} acts, {time.process_time() - began:.1f} s of CPU: nothing broke", flush=True)
    del application
    sys.stdout.flush()
    return 0


class Journal:
    """What was done so far, on disk before it is done: a signal leaves no time."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path, self.seed = path, seed
        self.acts: deque[list[Any]] = deque(maxlen=LAST)
        """The last ones; all of them would be taken for memory that the window keeps."""
        self._picks = 0

    def add(self, index: int, act: Act) -> None:
        if not self.acts:
            self.path.write_text(f"{self.seed}\n")
        self.acts.append([index, act])
        self._picks = 0
        with self.path.open("a") as log:
            log.write(json.dumps([index, act]) + "\n")

    def chance(self) -> random.Random:
        """The chance of what an act leads to; the same when it is repeated."""
        self._picks += 1
        return random.Random(f"{self.seed} {self.acts[-1][0] if self.acts else 0} {self._picks}")


def _failed(watch: Watch, journal: Journal) -> int:
    watch.uninstall()
    for fault in watch.faults:
        print(fault)
    print("the last acts:")
    for index, act in journal.acts:
        print("  ", index, json.dumps(act, ensure_ascii=False)[:400])
    print(f"seed {journal.seed}; to repeat it: python -m tests.monkey --script {journal.path}", flush=True)
    os._exit(1)


def _import_all() -> None:
    for library in LIBRARIES:
        importlib.import_module(library)
    if compiler.available():
        compiler.warm_up()


def _settle(app: App, watch: Watch | None = None) -> list[str]:
    """Wait until nobody works; what takes long is cancelled, and what cannot be is told."""
    if rest(app, watch, seconds=LONG_SECONDS):
        return []
    busy = [type(worker).__name__ for worker in workers_of(app) if worker.busy]
    for worker in workers_of(app):
        if worker is not app.analyst:  # what is given up there is not painted, and is looked at next
            worker.cancel()
    return [] if rest(app, watch) else [f"work never ends: {busy}"]


def _clear(app: App) -> None:
    """Back to the looks of the start: what is open, what was trained, and how large it is drawn is no growth."""
    before = app.session.state.items
    app.library.generate(FIRST_SPEC)
    app.session.update(scheme=Scheme())
    _settle(app)
    for item in before:
        app.library.close_item(item)
    _settle(app)
    for widget in QApplication.topLevelWidgets():
        if widget is not app.window and widget.isVisible() and widget.isWindow() and not widget.parent():
            widget.close()
    app.window.resize(*SIZE)
    app.window.banner.clear()
    for page in app.window.page_actions.values():
        page.trigger()
        app.window.reset_layout()
        app.window.pages.current.history.clear()
        networks = getattr(app.window.pages.current, "networks", None)
        if networks is not None:
            networks.close_network()
            app.window.pages.current.weighing.checkpoints.close()
            for run in list(networks.all_runs):
                networks.remove_run(run)
        trainer = getattr(app.window.pages.current, "trainer", None)
        for run in trainer.runs if trainer is not None else ():
            trainer.remove_run(run)
        _settle(app)
    next(iter(app.window.page_actions.values())).trigger()
    _settle(app)


def _threads(worker: Any) -> int:
    return int(worker._runner._pool.activeThreadCount())


def _answer_file_dialogs(journal: Journal, files: list[Path], home: Path) -> None:
    def some(*args: Any, **kwargs: Any) -> tuple[list[str], str]:
        chance = journal.chance()
        return [str(f) for f in chance.sample(files, chance.randint(0, 2))], ""

    def one(*args: Any, **kwargs: Any) -> tuple[str, str]:
        chance = journal.chance()
        return str(chance.choice(files)) if chance.random() < 0.8 else "", ""

    def new(parent: Any = None, title: str = "", start: str = "", filters: str = "", *args: Any) -> tuple[str, str]:
        chance = journal.chance()
        name = Path(start).name or "x.npy"
        places = ["", str(home / name), str(home / name), str(home / "no" / name), "/dev/full", str(home)]
        chosen = chance.choice(filters.split(";;")) if filters else ""
        return chance.choice(places), chosen

    def folder(*args: Any, **kwargs: Any) -> str:
        return journal.chance().choice(["", str(home), str(home / "no"), str(files[0].parent)])

    def text(*args: Any, **kwargs: Any) -> tuple[str, bool]:
        chance = journal.chance()
        return chance.choice(["", "mine", "int8", "x" * 300, "<b>"]), chance.random() < 0.8

    patches: list[tuple[Any, str, Any]] = [
        (QFileDialog, "getOpenFileNames", some),
        (QFileDialog, "getOpenFileName", one),
        (QFileDialog, "getSaveFileName", new),
        (QFileDialog, "getExistingDirectory", folder),
        (QInputDialog, "getText", text),
    ]
    for owner, name, stand_in in patches:
        setattr(owner, name, staticmethod(stand_in))


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)
