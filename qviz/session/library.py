"""How do files and recipes become the tensor that is shown? What fails leaves everything as it was."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.formats.integers import IntFormat
from qviz.core.printable import brief
from qviz.core.problems import N_, Phrase, Problem
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.schemes.fitting import fitted
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.generators import GeneratorSpec
from qviz.core.tensors.granularity import PerAxis
from qviz.core.tensors.sorted_tensor import prepare
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled, Progress
from qviz.files.entry import TensorEntry
from qviz.files.problems import system_errors
from qviz.files.recognized import recognized
from qviz.files.stamp import Stamp
from qviz.session.items import ARTICLE_ORIGIN, MADE_HERE, article_item, file_item, generated_item
from qviz.session.language import told, tr
from qviz.session.memory import Kept, Memory
from qviz.session.opener import Opened, Opener
from qviz.session.readings import Readings
from qviz.session.state import Item, Session
from qviz.session.worker import Worker

ARTICLE_SCHEME = Scheme(IntFormat(8, signed=False), symmetric=False, convention="textbook")

FIRST_SPEC = GeneratorSpec("normal", (64, 512), 7)
"""What qviz opens on: large enough for every chart to be alive."""


class Library(Worker):
    """Opens, generates, chooses and closes items of a session, away from the window's thread.

    Signals
    -------
    notice(str)
        One sentence for the person.
    opened(list of Path)
        Files that were listed, for the recent ones.
    refused()
        A choice did not come about: show again what the session says.
    began(str)
        With a sentence for its progress bar.
    unsaid(list of Path)
        Bare numbers: a person has to say how they are written.
    """

    unsaid = Signal(object)

    notice = Signal(str)
    opened = Signal(object)
    refused = Signal()
    began = Signal(str)

    def __init__(
        self, session: Session, memory: Memory, parent: QObject | None = None, *, readings: Readings | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._memory = session, memory
        self.readings = readings or Readings(self)
        self._opener = Opener(self)
        self._to_open: list[Path] = []
        self._begun: Item | None = None
        self._known: set[tuple[str, str]] = set()
        self._next_choices: list[Item] = []
        self._again: Item | None = None
        self._renewed: dict[Item, tuple[Item, ...]] = {}
        self._gave_way = (session.scheme, session.scheme)
        self._before_known: tuple[Scheme, Scheme | None] = (session.scheme, None)
        self._opener.found.connect(self._on_found)
        self._opener.opened.connect(self._on_opened)
        self._opener.failed.connect(self._on_not_opened)
        self._opener.problem.connect(self.problem)

    @property
    def opener(self) -> Opener:
        """Who lists what files hold."""
        return self._opener

    @property
    def busy(self) -> bool:
        """Whether something is being opened or read."""
        return self._opener.busy or self._runner.busy

    # -- what can be asked for

    def open(self, paths: Sequence[Path]) -> None:
        """List files and folders, add what they hold, and show the first of it."""
        self._to_open += paths
        self._open_next()

    @Slot(object)
    def open_again(self, item: Item) -> None:
        """Read the files of an item anew, and show what has its name there."""
        if not self._opener.busy:
            self._again = item
        self.open(item.paths)

    @Slot(object)
    def choose(self, item: Item) -> None:
        """Show an item as soon as it is read."""
        self._next_choices = []
        self._load(item)

    def _load(self, item: Item) -> None:
        kept = self._memory.get(item)
        if kept is not None:
            self._runner.cancel()
            self._show(item, kept)
        elif item is not self._session.state.current:
            self._submit(item, partial(_load, item), urgent=True)

    @Slot(object)
    def generate(self, spec: GeneratorSpec) -> None:
        """Draw a tensor; it takes the place of the one that was generated before."""
        item = generated_item(spec, self._session.limits)
        self._submit(item, partial(_load, item))

    def open_article(self) -> None:
        """The ten values of the worked example, under the scheme it works with; undo brings yours back."""
        state = self._session.state
        item = next((i for i in state.items if i.origin == ARTICLE_ORIGIN), None) or article_item()
        if item not in state.items:
            self._session.update(items=(*state.items, item))
        self._session.update(scheme=ARTICLE_SCHEME)
        self.choose(item)

    @Slot(str, object)
    def show_array(self, name: str, array: Any) -> None:
        """Add an array that was made here, or take it anew, and show it."""
        self.choose(self.add_array(name, array))

    def show_entry(self, entry: TensorEntry) -> None:
        """Add one tensor of a file, or take it anew, and show it."""
        item = file_item(entry, self._session.limits)
        if entry.encoding is not None:
            item = replace(item, known=partial(recognized, entry))
        state = self._session.state
        kept = tuple(i for i in state.items if (i.origin, i.name) != (item.origin, item.name))
        self._session.update(items=(*kept, item))
        self.choose(item)

    def add_array(self, name: str, array: Any) -> Item:
        """The item of an array that was made here, without showing it."""
        item = Item(
            name,
            MADE_HERE,
            array.shape,
            str(array.dtype),
            lambda progress, cancelled: Tensor(array, name, progress=progress, cancelled=cancelled),
        )
        state = self._session.state
        kept = tuple(i for i in state.items if (i.origin, i.name) != (item.origin, item.name))
        self._session.update(items=(*kept, item))
        return item

    @Slot(object)
    def close_item(self, item: Item) -> None:
        """Take an item off the list; another one is shown in its place."""
        state = self._session.state
        if item not in state.items:
            return
        at = state.items.index(item)
        left = state.items[:at] + state.items[at + 1 :]
        self._memory.forget(item)
        self._session.update(items=left)
        if item is state.current:
            if left:
                self.choose(left[min(at, len(left) - 1)])
            else:
                self.generate(FIRST_SPEC)

    def close(self) -> None:
        """Stop for good and wait for the threads."""
        self._opener.close()
        super().close()

    # -- opening

    def _open_next(self) -> None:
        if self._to_open and not self._opener.busy:
            paths, self._to_open = tuple(self._to_open), []
            self._begun, self._known = None, {(i.origin, i.name) for i in self._session.state.items}
            self._opener.list(paths, self._session.limits, self.readings.of, whole=self._again is not None)

    @Slot(object)
    def _on_found(self, items: tuple[Item, ...]) -> None:
        """A part of a long list: it is there to be looked through while the rest is found."""
        self._add(items)
        if self._begun is None:
            self._begun, *self._next_choices = sorted(items, key=lambda item: item.refused)
            self._load(self._begun)

    def _add(self, items: tuple[Item, ...], before: Item | None = None) -> None:
        """List items at the end, or before another one.

        What is opened again is read again: the file may have changed since.
        """
        kept, names = self._session.state.items, {(i.origin, i.name) for i in items}
        if not names.isdisjoint(self._known):
            kept = tuple(i for i in kept if (i.origin, i.name) not in names)
        at = kept.index(before) if before is not None and before in kept else len(kept)
        self._session.update(items=(*kept[:at], *items, *kept[at:]))

    @Slot(object)
    def _on_opened(self, opened: Opened) -> None:
        if opened.problems:
            self.problem.emit("\n".join(opened.problems))
        again, self._again = self._again, None
        items = (*opened.batches, *opened.items)
        if again is not None and items:
            self._show_again(again, items)
        elif self._begun is not None:
            self._add(opened.items)
            if opened.batches:
                self._add(opened.batches, self._begun)
            self.opened.emit(list(opened.paths))
        elif items:
            self._add(items)
            self.opened.emit(list(opened.paths))
            # Those of which it is known that they can't be read come last.
            first, *self._next_choices = sorted(items, key=lambda item: item.refused)
            self._load(first)
        if opened.unsaid:
            self.unsaid.emit(list(opened.unsaid))
        self._open_next()

    def _show_again(self, again: Item, items: tuple[Item, ...]) -> None:
        """What is shown stays until its successor is read: the file may have become unfit."""
        named = {item.name: item for item in reversed(items)}
        shown = named.get(again.name, items[0])
        self._renewed = {shown: items}
        self._next_choices = []
        self._load(shown)

    def _with_renewed(self, items: tuple[Item, ...], item: Item) -> tuple[Item, ...]:
        """The list, in which what was read again takes the place of what it was."""
        if item not in self._renewed:
            return items
        new = {(each.origin, each.name): each for each in self._renewed.pop(item)}
        read = {path for each in new.values() for path in each.paths}
        left = [None if each.paths and read.issuperset(each.paths) else each for each in items]
        places = [new.pop((each.origin, each.name), or_left) for each, or_left in zip(items, left, strict=True)]
        return (*(each for each in places if each is not None), *new.values())

    @Slot()
    def _on_not_opened(self) -> None:
        self._again = None
        self.refused.emit()
        self._open_next()

    # -- loading

    def _begin(self, key: Item) -> None:
        self.began.emit(self.tr("Reading {name}").format(name=brief(key.name)))

    def _answer(self, key: Item, kept: Kept) -> None:
        self._show(key, kept)

    def _give_up(self, key: Item) -> None:
        self.refused.emit()

    def _fail(self, key: Item, problem: Problem | None) -> None:
        self.refused.emit()

    def _tell(self, problem: Problem) -> None:
        super()._tell(problem)
        if self._next_choices:
            self._load(self._next_choices.pop(0))  # of several files, show the first that can be shown

    def _purpose(self, key: Item) -> Phrase:
        return Phrase(N_("this tensor"))

    def _show(self, item: Item, kept: Kept) -> None:
        tensor = kept.tensor
        state = self._session.state
        items = self._with_renewed(state.items, item)
        if item.spec is not None and item not in items:
            items = (item, *(i for i in items if i.spec is None))
        elif item not in items:
            return  # closed while it was being read
        self._memory.retain(items)
        self._memory.keep(item, kept)
        scheme = self._wanted(state.scheme)
        if kept.scheme is not None and item is not state.current:
            self._before_known = (scheme, kept.scheme)
            scheme = kept.scheme
        changes: dict[str, object] = {"items": items, "current": item, "tensor": tensor, "prepared": kept.prepared}
        notices = [told(kept.note.phrase)] if kept.note else []
        notices += self._notices(tensor)
        fitting = fitted(scheme, tensor.shape)
        self._gave_way = (scheme, fitting)
        if fitting != state.scheme:
            changes["scheme"] = fitting
        if fitting != scheme:
            notices.append(self._why_per_tensor(item, scheme, fitting))
        self._session.update(**changes)
        if notices:  # all at once: one would take the place of the other
            self.notice.emit(" ".join(notices))

    def _wanted(self, scheme: Scheme) -> Scheme:
        """What a person chose, where it had to give way to a tensor and nothing was changed since."""
        before, known = self._before_known
        if known is not None and scheme == known:  # a file's scales are of no other tensor
            return before
        wanted, instead = self._gave_way
        return wanted if scheme == instead else scheme

    def _why_per_tensor(self, item: Item, scheme: Scheme, fitting: Scheme) -> str:
        granularity = scheme.granularity
        if isinstance(granularity, PerAxis):
            return self.tr("{name} has no axis {axis}: shown per tensor.").format(
                name=brief(item.name), axis=granularity.axis
            )
        text = self.tr("{name} is too small for {old}: shown per tensor, as {new} has it.")
        if fitting.convention == scheme.convention:
            text = self.tr("{name} is too small for such blocks: shown per tensor.")
        labels = (tr(CONVENTIONS[each.convention].label) for each in (scheme, fitting))
        return text.format(name=brief(item.name), **dict(zip(("old", "new"), labels, strict=True)))

    def _notices(self, tensor: Tensor) -> list[str]:
        parts = []
        if tensor.dtype.startswith(("int", "uint", "bool")):
            parts.append(self.tr("{name} holds {dtype} values, taken as float32.").format(**_about(tensor)))
        left_out = tensor.elements - tensor.finite
        if left_out:
            counts = [
                (self.tr("{count} NaN"), tensor.nan),
                (self.tr("{count} infinite"), tensor.inf),
                (self.tr("{count} beyond float32"), tensor.overflowed),
            ]
            what = ", ".join(text.format(count=f"{count:,}") for text, count in counts if count)
            text = self.tr("{count} of {name}'s {elements} elements are left out: {what}.")
            if left_out == 1:
                text = self.tr("{count} of {name}'s {elements} elements is left out: {what}.")
            parts.append(text.format(count=f"{left_out:,}", what=what, **_about(tensor)))
        return parts


def _load(item: Item, progress: Progress, cancelled: IsCancelled) -> Kept:
    """Read it; what takes no longer than a blink is put in order at once."""
    stamps = {}
    for path in item.paths:
        with system_errors(path):
            stamps[path] = Stamp.with_content(path)
    tensor = item.load(progress, cancelled)
    if tensor.is_stored:  # it is read where it lies, and no answer waits for a look at all of it
        stamps = {path: replace(stamp, content=None) for path, stamp in stamps.items()}
    scheme = item.known() if item.known is not None else None
    if tensor.counted:
        prepared = prepare(tensor, cancelled=cancelled)
        prepared.histogram()
        return Kept(tensor, prepared, item.note(), stamps, scheme)
    return Kept(tensor, note=item.note(), stamps=stamps, scheme=scheme)


def _about(tensor: Tensor) -> dict[str, object]:
    return {
        "name": brief(tensor.name),
        "dtype": tensor.dtype,
        "elements": f"{math.prod(tensor.shape):,}",
    }
