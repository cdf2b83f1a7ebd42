"""What do files and folders hold? Listed away from the window's thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtCore import Signal

from qviz.core.problems import N_, Phrase, Problem
from qviz.core.questions.effort import Limits
from qviz.core.work import IsCancelled, Progress, check
from qviz.files.problems import NoNumbers
from qviz.files.raw import SayRaw
from qviz.files.readers import Reading, expand, list_tensors
from qviz.session.items import batched_items, file_item
from qviz.session.language import told
from qviz.session.state import Item
from qviz.session.worker import Worker

MOST_PROBLEMS = 3
"""Files that are named one by one when they can't be opened together."""


ReadingOf = Callable[[Path], Reading]


@dataclass(frozen=True)
class Opened:
    """What some paths turned out to hold; ``unsaid`` are files of which a person has to say how they are written."""

    items: tuple[Item, ...]
    paths: tuple[Path, ...]
    problems: tuple[str, ...]
    unsaid: tuple[Path, ...] = ()


class Opener(Worker):
    """Lists what files and folders hold.

    Signals
    -------
    opened(Opened), failed()
        How it ended.
    """

    opened = Signal(object)
    failed = Signal()

    def list(self, paths: tuple[Path, ...], limits: Limits, reading: ReadingOf) -> None:
        """Begin with it; `reading` gives what is known of a file."""
        self._submit(paths, partial(_list, paths, limits, reading))

    def _answer(self, key: tuple[Path, ...], opened: Opened) -> None:
        self.opened.emit(opened)

    def _give_up(self, key: tuple[Path, ...]) -> None:
        self.failed.emit()

    def _fail(self, key: tuple[Path, ...], problem: Problem | None) -> None:
        self.failed.emit()

    def _purpose(self, key: tuple[Path, ...]) -> Phrase:
        return Phrase(N_("a list of what these files hold"))


def _list(
    paths: tuple[Path, ...], limits: Limits, reading: ReadingOf, progress: Progress, cancelled: IsCancelled
) -> Opened:
    items: list[Item] = []
    good: list[Path] = []
    unsaid: list[Path] = []
    problems: list[Problem] = []
    for place, path in enumerate(paths):
        try:
            files = expand([path])
        except Problem as problem:
            problems.append(problem)
            continue
        for at, file in enumerate(files):
            check(cancelled)
            progress((place + at / len(files)) / len(paths))
            try:
                items += [file_item(entry, limits) for entry in list_tensors(file, reading(file))]
                good.append(file)
            except SayRaw:
                unsaid.append(file)
            except Problem as problem:
                problems.append(problem)
    if items:
        # Of a folder only what can be shown is wanted: a part of a model without tensors is no fault.
        problems = [each for each in problems if not isinstance(each, NoNumbers) or each.path in paths]
    return Opened((*batched_items(items), *items), tuple(good), _in_few_lines(problems), tuple(unsaid))


def _in_few_lines(problems: Sequence[Problem]) -> tuple[str, ...]:
    """One line each for a few, and one for all of many."""
    if len(problems) <= MOST_PROBLEMS:
        return tuple(map(told, problems))
    text = Phrase(
        N_("{count:,} files can't be opened. The first of them: {problem}."), count=len(problems), problem=problems[0]
    )
    return (told(text),)
