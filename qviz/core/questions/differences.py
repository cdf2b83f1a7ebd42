"""Which elements get another code from another runtime? Every element is quantized under every convention."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.arrays import Counts, FloatArray, Floats
from qviz.core.frozen import frozen
from qviz.core.problems import Problem
from qviz.core.questions.calibration import choose_qparams
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.schemes.fitting import check_fits
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.layout import BLOCK, Block, Layout
from qviz.core.tensors.sorted_tensor import SortedTensor
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled, Progress, check, ignore, never

EXAMPLES = 4
"""Elements that are listed for each convention, at most."""


@frozen
class Example:
    """One element whose code depends on the convention.

    Attributes
    ----------
    index : int
        In the flat tensor.
    value : float
    codes : tuple of float
        Under each convention: whole numbers, or what the codes of a small float or a codebook stand for.
    dequantized : tuple of float
    """

    index: int
    value: float
    codes: tuple[float, ...]
    dequantized: tuple[float, ...]


@frozen(eq=False)
class Differences:
    """One scheme in the arithmetic of several runtimes; n of them.

    Attributes
    ----------
    tensor : Tensor
    schemes : tuple of Scheme
        The chosen one first; the others differ from it in their convention alone.
    qparams : tuple of QParams
    codes : int array, shape (n, n)
        Finite elements whose codes differ between two conventions.
    values : int array, shape (n, n)
        Those whose dequantized values differ.
    mse : float64 array, shape (n,)
    examples : tuple of Example
        The first elements whose code is not the chosen convention's, a few of each other one, by index.
    missing : dict of str to Problem
        Conventions that do not offer such a scheme, and why.
    range_judged : bool
        Every element was quantized, but a sample decided the range.
    """

    tensor: Tensor
    schemes: tuple[Scheme, ...]
    qparams: tuple[QParams, ...]
    codes: Counts
    values: Counts
    mse: Floats
    examples: tuple[Example, ...]
    missing: dict[str, Problem]
    range_judged: bool = False


def compare_conventions(
    x: object,
    scheme: Scheme,
    *,
    judge: SortedTensor | None = None,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Differences:
    """Quantize every element under every convention that offers such a scheme, and count where they disagree.

    Parameters
    ----------
    x : array_like, Tensor or SortedTensor
    scheme : Scheme
        Its convention is the one that the others are held against.
    judge : SortedTensor, optional
        A sample that decides the ranges, where searching the whole would take too much.
    progress : Callable[[float], None]
        Told the fraction that is done.
    cancelled : Callable[[], bool]
        Asked between blocks.

    Raises
    ------
    Problem
        When ``x`` holds nothing to quantize, or the scheme does not fit its shape.
    Cancelled
        When asked to stop.
    """
    source = x if isinstance(x, SortedTensor) else x.count(cancelled=cancelled) if isinstance(x, Tensor) else Tensor(x)
    tensor = source.tensor if isinstance(source, SortedTensor) else source
    schemes, missing = [scheme], dict[str, Problem]()
    for name in CONVENTIONS:
        if name != scheme.convention:
            try:
                other = replace(scheme, convention=name)
                check_fits(other, tensor.shape)
                schemes.append(other)
            except Problem as problem:
                missing[name] = problem
    asked = judge or source
    qparams = tuple(choose_qparams(asked, each, cancelled=cancelled) for each in schemes)
    layout = scheme.granularity.layout(tensor.shape)
    found = _Found(layout, qparams)
    done = 0
    for block in layout.blocks(BLOCK):
        check(cancelled)
        piece = tensor.block(layout, block)
        found.add(piece, block)
        done += piece.size
        progress(min(1.0, done / tensor.elements))
    return Differences(
        tensor=tensor,
        schemes=tuple(schemes),
        qparams=qparams,
        codes=found.codes,
        values=found.values,
        mse=found.squared / tensor.finite,
        examples=tuple(found.examples[at] for at in sorted(found.examples)),
        missing=missing,
        range_judged=judge is not None,
    )


class _Found:
    """Counts over the blocks that were looked at."""

    def __init__(self, layout: Layout, qparams: tuple[QParams, ...]) -> None:
        n = len(qparams)
        self._layout, self._quantizers = layout, [q.shaped(1, -1, 1) for q in qparams]
        self.codes, self.values = np.zeros((n, n), np.int64), np.zeros((n, n), np.int64)
        self.squared = np.zeros(n)
        self.examples: dict[int, Example] = {}
        self._listed = [0] * n

    def add(self, x: FloatArray, block: Block) -> None:
        """Look at one block."""
        present = ~np.isnan(x)
        codes, values = [], []
        for quantizer in self._quantizers:
            part = quantizer.part(block[1])
            quantized = part.clip(part.unclipped(x))
            codes.append(quantized)
            values.append(part.dequantize(quantized.copy()))
        for i, value in enumerate(values):
            error = (value.astype(np.float64) - x)[present]
            self.squared[i] += float(np.dot(error, error))
            for j in range(i):
                for counts, these in ((self.codes, codes), (self.values, values)):
                    counts[i, j] += np.count_nonzero((these[i] != these[j]) & present)
                    counts[j, i] = counts[i, j]
        for i in range(1, len(codes)):
            if self._listed[i] < EXAMPLES and self.codes[i, 0]:
                self._list(i, x, (codes[i] != codes[0]) & present, codes, values, block)

    def _list(
        self, i: int, x: FloatArray, differs: Any, codes: list[FloatArray], values: list[FloatArray], block: Block
    ) -> None:
        """The first elements of a block to which convention ``i`` gives another code."""
        index = np.concatenate([start + np.flatnonzero(piece) for start, piece in self._layout.runs(block, differs)])
        order = self._flat(block, np.arange(x.size).reshape(x.shape))[self._flat(block, differs)]
        first = np.argsort(index, kind="stable")[: EXAMPLES - self._listed[i]]
        for at, place in zip(index[first].tolist(), order[first].tolist(), strict=True):
            self._listed[i] += 1
            self.examples[at] = Example(
                at,
                float(x.reshape(-1)[place]),
                tuple(float(c.reshape(-1)[place]) for c in codes),
                tuple(float(v.reshape(-1)[place]) for v in values),
            )

    def _flat(self, block: Block, taken: Any) -> Any:
        """What was taken of a block, in the order of the tensor."""
        return np.concatenate([piece for _, piece in self._layout.runs(block, taken)])
