"""How much of a network's answer is left? Sums over samples that become figures, in constant memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from qviz.core.arrays import Array, Floats
from qviz.core.frozen import frozen
from qviz.core.problems import Problem
from qviz.core.questions.figures import sqnr_db
from qviz.models.weights import STRETCH

TOP = 5
MOST_CLASSES = 1 << 17
FEWEST_CLASSES = 2
CTC_CLASSES = 20
"""From so many classes over a sequence on, an output is read as a sequence of characters (CTC) too."""


@frozen
class OutputFigures:
    """What one output, or all of them, keep.

    Attributes
    ----------
    name : str
    sqnr_db : float
        20·log10(‖y‖ / ‖y − ŷ‖) in dB; higher is better, infinite where nothing differs, NaN beside what is not finite.
    cosine : float
    max_abs_error : float
    kl : float or None
        Mean Kullback-Leibler divergence of the softmax (or of what is a distribution already) in nats; lower is better.
    top1, topk : float or None
        Share of rows whose largest element, and whose five largest as a set, are the same.
    sequences : float or None
        Share of samples whose greedy CTC reading is the same.
    detections : float or None
        F1 agreement of the boxes that both find (confidence 0.25, overlap 0.5).
    samples : int
    missing : int
        Elements that are NaN or infinite in the right answer: no figure counts them.
    broken : int
        Elements that are so in the given answer alone, or all where it has another shape.
    """

    name: str
    sqnr_db: float
    cosine: float
    max_abs_error: float
    kl: float | None
    top1: float | None
    topk: float | None
    sequences: float | None
    detections: float | None
    samples: int
    missing: int = 0
    broken: int = 0

    @property
    def agreement(self) -> float | None:
        """The figure that says most of such an output: boxes, sequences, or the largest class."""
        return next((each for each in (self.detections, self.sequences, self.top1) if each is not None), None)


class RightAnswer:
    """What the float network answers, and what of it every answer beside it is held against: found once.

    Parameters
    ----------
    array : array
    """

    def __init__(self, array: Array) -> None:
        self.array = array

    @property
    def nbytes(self) -> int:
        """Of all that may be kept."""
        return self.array.nbytes + 3 * 8 * self.array.size

    @cached_property
    def sound(self) -> Array:
        """Which elements are finite."""
        sound: Array = np.isfinite(self.array)
        return sound

    @cached_property
    def missing(self) -> int:
        """How many are not."""
        return self.array.size - int(np.count_nonzero(self.sound))

    @cached_property
    def values(self) -> Floats:
        """As float64, with 0 where it is not finite."""
        x = self.array.astype(np.float64)
        return np.where(self.sound, x, 0) if self.missing else x

    @cached_property
    def signal(self) -> float:
        """Σx²."""
        return _product(self.values, self.values)

    @cached_property
    def boxes(self) -> Boxes | None:
        """Where it looks like a YOLO head."""
        return _boxes(self.values[0]) if _is_head(self.values) else None

    @cached_property
    def classes(self) -> int:
        """How many there are in a row; 0 where it has none."""
        shape = self.array.shape
        return shape[-1] if len(shape) >= 2 and FEWEST_CLASSES <= shape[-1] <= MOST_CLASSES else 0

    @property
    def rows(self) -> Floats:
        """A row of classes each."""
        return self.values.reshape(-1, self.classes)

    @cached_property
    def first(self) -> Array:
        """The largest class of each row."""
        first: Array = self.rows.argmax(axis=1)
        return first

    @cached_property
    def top(self) -> Array:
        """The largest few of each row."""
        return _top(self.rows)

    @cached_property
    def is_distribution(self) -> bool:
        """Whether the rows are shares already."""
        sums = self.rows.sum(axis=1)
        return bool(self.rows.min() >= 0 and np.allclose(sums, 1, atol=1e-3))

    @cached_property
    def shares(self) -> tuple[Floats, Floats]:
        """The rows as distributions, and their logarithms."""
        logs = _logarithms(self.rows, self.is_distribution)
        return np.exp(logs), logs


@dataclass
class OutputSums:
    """Sums over samples of one output."""

    name: str
    signal: float = 0.0
    noise: float = 0.0
    product: float = 0.0
    answer: float = 0.0
    largest: float = 0.0
    divergence: float = 0.0
    rows: int = 0
    same_first: int = 0
    same_top: float = 0.0
    samples: int = 0
    sequences: int = 0
    same_sequences: int = 0
    boxes: float = 0.0
    shared_boxes: float = 0.0
    finite: int = 0
    missing: int = 0
    broken: int = 0
    kinds: set[str] = field(default_factory=set)

    def add(self, right: Array | RightAnswer, given: Array) -> None:
        """Take one sample: what the float network answers, and the quantized one.

        Parameters
        ----------
        right, given : arrays of one shape
        """
        exact = right if isinstance(right, RightAnswer) else RightAnswer(right)
        self.samples += 1
        if exact.array.dtype.kind not in "fiub":
            return
        if exact.array.shape != given.shape:  # a number of boxes, say, that depends on the data
            self.noise = self.largest = math.nan
            self.finite, self.broken = self.finite + exact.array.size, self.broken + given.size
            return
        x, y = exact.values, given.astype(np.float64)
        if exact.missing:
            self.missing += exact.missing
            y = np.where(exact.sound, y, 0)
        self.finite += x.size - exact.missing
        d = y - x
        noise = _product(d, d)
        if not math.isfinite(noise):
            self.broken += int(np.count_nonzero(~np.isfinite(y)))
        self.signal += exact.signal
        self.noise += noise
        self.product += _product(x, y)
        answer = _product(y, y)
        self.answer += answer
        self.largest = max(self.largest, float(np.abs(d).max(initial=0)))
        if exact.array.dtype.kind == "f" and x.size:
            self._add_classes(exact, y, math.isfinite(answer))

    def _add_classes(self, exact: RightAnswer, y: Floats, finite: bool) -> None:
        if exact.boxes is not None:
            found, shared = _matched(exact.boxes, _boxes(y[0] if finite else y[0, :, :0]))
            self.kinds.add("boxes")
            self.boxes += found
            self.shared_boxes += shared
            return
        x, classes = exact.values, exact.classes
        if not classes:
            return
        q = y.reshape(-1, classes)
        if not finite:
            self.divergence = math.nan
            return
        self.kinds.add("classes")
        self.rows += len(q)
        second = q.argmax(axis=1)
        self.same_first += int(np.count_nonzero(exact.first == second))
        if classes > TOP:
            hits = (exact.top[:, :, None] == _top(q)[:, None, :]).any(axis=2)
            self.same_top += float(hits.mean(axis=1).sum())
        shares, logs = exact.shares
        self.divergence += _product(shares, logs - _logarithms(q, exact.is_distribution))
        if x.ndim == 3 and classes >= CTC_CLASSES and exact.is_distribution:
            self.kinds.add("sequences")
            for a, b in zip(exact.first.reshape(x.shape[:2]), second.reshape(x.shape[:2]), strict=True):
                self.sequences += 1
                self.same_sequences += _collapsed(a) == _collapsed(b)

    def figures(self) -> OutputFigures:
        """What the sums say."""
        norms = math.sqrt(self.signal) * math.sqrt(self.answer) if self.answer >= 0 else math.nan
        classes = "classes" in self.kinds and self.rows > 0
        known = math.isfinite(self.noise) and self.comparable
        db = float(sqnr_db(np.float64(self.signal), np.float64(self.noise))) if known else math.nan
        return OutputFigures(
            self.name,
            db,
            min(1.0, self.product / norms) if norms else (1.0 if not self.noise else math.nan),
            self.largest,
            self.divergence / self.rows if classes else None,
            self.same_first / self.rows if classes else None,
            self.same_top / self.rows if classes and self.same_top else None,
            self.same_sequences / self.sequences if self.sequences else None,
            (self.shared_boxes / self.boxes if self.boxes else 1.0) if "boxes" in self.kinds else None,
            self.samples,
            self.missing,
            self.broken,
        )

    @property
    def comparable(self) -> bool:
        """Whether the right answer has a finite element, or is nothing to be compared, as text."""
        return self.finite > 0 or not self.missing


class Answers:
    """The sums of all outputs of a network.

    Parameters
    ----------
    names : sequence of str

    Attributes
    ----------
    inputs : Counter of str
        How many elements of the inputs are NaN or infinite, where whoever runs the networks counts them.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.inputs: Counter[str] = Counter()
        self.sums = tuple(OutputSums(name) for name in names)

    def add(self, right: Sequence[Array | RightAnswer], given: Sequence[Array]) -> None:
        """Take one sample of every output."""
        for sums, x, y in zip(self.sums, right, given, strict=True):
            sums.add(x, y)

    @property
    def noise(self) -> float:
        """Σ(ŷ − y)² of all outputs, each as a share of its own Σy²; what losses are added up in."""
        if not all(s.comparable and math.isfinite(s.noise) for s in self.sums):
            return math.nan
        shares = [s.noise / s.signal if s.signal else float(s.noise > 0) for s in self.sums]
        return float(np.mean(shares)) if shares else 0.0

    def check(self) -> None:
        """Make sure that there is something to compare.

        Raises
        ------
        Problem
            When an output of the right answer holds no number at all.
        """
        lost = next((s.name for s in self.sums if not s.comparable), None)
        if lost is not None:
            raise Problem(
                "The output {name} is NaN or infinite everywhere on these samples, in float already: look at the data.",
                name=lost,
            )

    @property
    def sqnr_db(self) -> float:
        """All outputs together in dB, each with the same weight."""
        noise = self.noise
        if not math.isfinite(noise):
            return math.nan
        return math.inf if noise == 0 else -10 * math.log10(noise)

    def figures(self) -> tuple[OutputFigures, ...]:
        """Of each output."""
        return tuple(sums.figures() for sums in self.sums)


def _product(x: Floats, y: Floats) -> float:
    """Σx·y in stretches, for which BLAS starts no threads: they wait for each other on arrays of this size."""
    a, b = x.reshape(-1), y.reshape(-1)
    whole = a.size // STRETCH * STRETCH
    with np.errstate(invalid="ignore", over="ignore"):
        total = float(a[whole:].dot(b[whole:]))
        if whole:
            total += float(np.vecdot(a[:whole].reshape(-1, STRETCH), b[:whole].reshape(-1, STRETCH)).sum())
    return total


def _top(rows: Floats) -> Array:
    found: Array = np.argpartition(rows, -TOP, axis=1)[:, -TOP:]
    return found


def _logarithms(rows: Floats, shares: bool) -> Floats:
    """Of the rows as distributions: shares that are no less than 10⁻¹², else their softmax."""
    if shares:
        logs = np.maximum(rows, 1e-12)
        totals = logs.sum(axis=1, keepdims=True)
        np.log(logs, out=logs)
    else:
        logs = rows - rows.max(axis=1, keepdims=True)
        totals = np.exp(logs).sum(axis=1, keepdims=True)
    logs -= np.log(totals)
    return logs


def _collapsed(path: Array) -> tuple[int, ...]:
    """Greedy CTC: repeats joined, blanks (class 0) dropped."""
    kept = np.concatenate(([True], path[1:] != path[:-1])) & (path != 0)
    return tuple(path[kept].tolist())


# --- boxes ----------------------------------------------------------------------------------------------

FEWEST_BOXES, CONFIDENCE, OVERLAP = 256, 0.25, 0.5


Boxes = tuple[Floats, Floats, Array]
"""Corners, scores and classes."""


def _is_head(x: Floats) -> bool:
    """Whether an output looks like a YOLO head: (1, 4 + classes, boxes)."""
    if x.ndim != 3 or x.shape[0] != 1:
        return False
    rows = x[0]
    if not 5 <= rows.shape[0] <= 300 or rows.shape[1] < FEWEST_BOXES or rows.shape[1] < 4 * rows.shape[0]:
        return False
    scores = rows[4:]
    return bool(scores.min() >= -1e-3 and scores.max() <= 1 + 1e-3 and rows[:4].max() >= 4)


def _boxes(rows: Floats) -> Boxes:
    """The boxes of a head's rows that are sure enough, without those that lie over a better one."""
    scores = rows[4:]
    best = scores.max(axis=0)
    taken = np.flatnonzero(best >= CONFIDENCE)
    order = taken[np.argsort(-best[taken], kind="stable")]
    cx, cy, w, h = rows[:4, order]
    corners = np.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], axis=1)
    classes = scores[:, order].argmax(axis=0)
    kept: list[int] = []
    for i in range(len(order)):
        same = [k for k in kept if classes[k] == classes[i]]
        if not same or _overlaps(corners[i], corners[same]).max() < OVERLAP:
            kept.append(i)
    return corners[kept], best[order][kept], classes[kept]


def _overlaps(box: Floats, others: Floats) -> Floats:
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    inside = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1) + float(np.prod(box[2:] - box[:2]))
    shares: Floats = inside / np.maximum(areas - inside, 1e-12)
    return shares


def _matched(first: Boxes, second: Boxes) -> tuple[float, float]:
    """How many boxes there are (the mean of both), and how many of them both have."""
    used: set[int] = set()
    shared = 0
    for corners, kind in zip(first[0], first[2], strict=True):
        free = [i for i in range(len(second[0])) if i not in used and second[2][i] == kind]
        if free:
            overlaps = _overlaps(corners, second[0][free])
            best = int(np.argmax(overlaps))
            if overlaps[best] >= OVERLAP:
                used.add(free[best])
                shared += 1
    return (len(first[0]) + len(second[0])) / 2, float(shared)
