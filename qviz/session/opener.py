"""What do files and folders hold? Listed away from the window's thread."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.frozen import frozen
from qviz.core.problems import N_, Phrase, Problem
from qviz.core.questions.effort import Limits
from qviz.core.work import IsCancelled, Progress, check
from qviz.files.memory import without_collections
from qviz.files.problems import NoNumbers
from qviz.files.raw import SayRaw
from qviz.files.readers import Reading, expand, list_tensors
from qviz.session.items import batched_items, file_item
from qviz.session.language import told
from qviz.session.state import Item
from qviz.session.worker import Worker

BATCH_SECONDS = 0.5
"""From one part of a long list to the next."""

MANY = 10_000
"""Files."""

MOST_PROBLEMS = 3
"""Files that are named one by one when they can't be opened together."""


ReadingOf = Callable[[Path], Reading]


@frozen
class Opened:
    """What some paths turned out to hold.

    ``items`` are those that were not told before, of ``batches`` that run through all of them; ``unsaid`` are files
    of which a person has to say how they are written.
    """

    items: tuple[Item, ...]
    paths: tuple[Path, ...]
    problems: tuple[str, ...]
    unsaid: tuple[Path, ...] = ()
    batches: tuple[Item, ...] = ()


class Opener(Worker):
    """Lists what files and folders hold.

    Signals
    -------
    found(tuple of Item)
        What was found so far, where listing takes long; nothing is told twice.
    opened(Opened), failed()
        How it ended.
    """

    found = Signal(object)
    opened = Signal(object)
    failed = Signal()

    _came = Signal(object, object)

    def __init__(self, parent: QObject | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(parent)
        self._clock = clock
        self._latest: object = None
        self._came.connect(self._on_came)

    def list(self, paths: tuple[Path, ...], limits: Limits, reading: ReadingOf, *, whole: bool = False) -> None:
        """Begin with it; `reading` gives what is known of a file, ``whole`` tells nothing before all is known."""
        token = self._latest = object()
        came = self._came.emit

        def tell(items: tuple[Item, ...]) -> None:
            came(token, items)

        batches = Batches(None if whole else tell, self._clock)
        self._submit(paths, partial(_list, paths, limits, reading, batches))

    @Slot(object, object)
    def _on_came(self, token: object, items: tuple[Item, ...]) -> None:
        if token is self._latest:
            self.found.emit(items)

    def _answer(self, key: tuple[Path, ...], opened: Opened) -> None:
        self.opened.emit(opened)

    def _give_up(self, key: tuple[Path, ...]) -> None:
        self.failed.emit()

    def _fail(self, key: tuple[Path, ...], problem: Problem | None) -> None:
        self.failed.emit()

    def _purpose(self, key: tuple[Path, ...]) -> Phrase:
        return Phrase(N_("a list of what these files hold"))


class Batches:
    """Tells of long lists in parts; of short ones nothing, for they are there in a moment."""

    def __init__(self, tell: Callable[[tuple[Item, ...]], None] | None, clock: Callable[[], float]) -> None:
        self._tell, self._clock = tell, clock
        self._told, self.count = clock(), 0

    def offer(self, items: Sequence[Item]) -> None:
        """Tell of what is new among all that there are, if it is time."""
        if self._tell is not None and self._clock() - self._told > BATCH_SECONDS and len(items) > self.count:
            self._tell(tuple(items[self.count :]))
            self._told, self.count = self._clock(), len(items)


def _list(
    paths: tuple[Path, ...],
    limits: Limits,
    reading: ReadingOf,
    told_in: Batches,
    progress: Progress,
    cancelled: IsCancelled,
) -> Opened:
    with without_collections():
        opened = _listed(paths, limits, reading, told_in, progress, cancelled)
        if len(opened.paths) > MANY:  # or each later search for garbage looks through all of them
            gc.freeze()
        return opened


def _listed(
    paths: tuple[Path, ...],
    limits: Limits,
    reading: ReadingOf,
    told_in: Batches,
    progress: Progress,
    cancelled: IsCancelled,
) -> Opened:
    items: list[Item] = []
    good: list[Path] = []
    unsaid: list[Path] = []
    problems: list[Problem] = []
    for place, path in enumerate(paths):
        try:
            files = expand([path], cancelled=cancelled)
        except Problem as problem:
            problems.append(problem)
            continue
        for at, file in enumerate(files):
            check(cancelled)
            progress((place + at / len(files)) / len(paths))
            try:
                items += [file_item(entry, limits) for entry in list_tensors(file, reading(file))]
                good.append(file)
                told_in.offer(items)
            except SayRaw:
                unsaid.append(file)
            except Problem as problem:
                problems.append(problem)
    if items:
        # Of a folder only what can be shown is wanted: a part of a model without tensors is no fault.
        problems = [each for each in problems if not isinstance(each, NoNumbers) or each.path in paths]
    left, batches = tuple(items[told_in.count :]), tuple(batched_items(items))
    return Opened(left, tuple(good), _in_few_lines(problems), tuple(unsaid), batches)


def _in_few_lines(problems: Sequence[Problem]) -> tuple[str, ...]:
    """One line each for a few, and one for all of many."""
    if len(problems) <= MOST_PROBLEMS:
        return tuple(map(told, problems))
    text = Phrase(
        N_("{count:,} files can't be opened. The first of them: {problem}."), count=len(problems), problem=problems[0]
    )
    return (told(text),)
