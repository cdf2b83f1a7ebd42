"""Which elements get another code from another runtime? Every element is quantized under every convention."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qviz.core.affine import QParams, dequantize, quantize
from qviz.core.calibration import choose_qparams
from qviz.core.cancel import IsCancelled, Progress, check, ignore, never
from qviz.core.conventions import CONVENTIONS
from qviz.core.granularity import PerAxis
from qviz.core.problems import Problem
from qviz.core.scheme import Scheme
from qviz.core.sorted_tensor import SortedTensor
from qviz.core.sums import Counts, Floats
from qviz.core.tensor import BLOCK, Tensor

EXAMPLES = 4
"""Elements that are listed for each convention, at most."""


@dataclass(frozen=True)
class Example:
    """One element whose code depends on the convention.

    Attributes
    ----------
    index : int
        In the flat tensor.
    value : float
    codes : tuple of int
        Under each convention.
    dequantized : tuple of float
    """

    index: int
    value: float
    codes: tuple[int, ...]
    dequantized: tuple[float, ...]


@dataclass(frozen=True, eq=False)
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
    missing : dict of str to str
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
    missing: dict[str, str]
    range_judged: bool = False


def compare_conventions(
    x: object,
    scheme: Scheme,
    cancelled: IsCancelled = never,
    progress: Progress = ignore,
    *,
    judge: SortedTensor | None = None,
) -> Differences:
    """Quantize every element under every convention that offers such a scheme, and count where they disagree.

    Parameters
    ----------
    x : array_like, Tensor or SortedTensor
    scheme : Scheme
        Its convention is the one that the others are held against.
    cancelled : Callable[[], bool]
        Asked between blocks.
    progress : Callable[[float], None]
        Told the fraction that is done.
    judge : SortedTensor, optional
        A sample that decides the ranges, where searching the whole would take too much.

    Raises
    ------
    Problem
        When ``x`` holds nothing to quantize, or the scheme does not fit its shape.
    Cancelled
        When asked to stop.
    """
    source = x if isinstance(x, SortedTensor) else x.count(cancelled=cancelled) if isinstance(x, Tensor) else Tensor(x)
    tensor = source.tensor if isinstance(source, SortedTensor) else source
    schemes, missing = [scheme], {}
    for name in CONVENTIONS:
        if name != scheme.convention:
            try:
                schemes.append(replace(scheme, convention=name))
            except Problem as problem:
                missing[name] = str(problem)
    asked = judge or source
    qparams = tuple(choose_qparams(asked, each, cancelled) for each in schemes)
    found = _Found(len(schemes))
    layout = scheme.granularity.layout(tensor.shape)
    done = 0
    for block in layout.blocks(BLOCK):
        check(cancelled)
        x_block = tensor.block(layout, block)
        start = (block[0].start * layout.groups + block[1].start) * layout.inner + block[2].start
        found.add(x_block, start, [_part(q, block[1]) for q in qparams])
        done += x_block.size
        progress(done / tensor.elements)
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


def _part(qparams: QParams, groups: slice) -> QParams:
    """The parameters of some groups, for a block whose second axis they are."""
    if qparams.scale.ndim == 0:
        return qparams
    names = ("scale", "zero_point", "low", "high")
    parts: dict[str, Any] = {name: getattr(qparams, name).reshape(-1)[groups] for name in names}
    return replace(qparams, scheme=replace(qparams.scheme, granularity=PerAxis(1)), **parts)


class _Found:
    """Counts over the blocks that were looked at."""

    def __init__(self, n: int) -> None:
        self.codes, self.values = np.zeros((n, n), np.int64), np.zeros((n, n), np.int64)
        self.squared = np.zeros(n)
        self.examples: dict[int, Example] = {}
        self._listed = np.zeros(n, np.int64)

    def add(self, x: Any, start: int, qparams: list[QParams]) -> None:
        """Look at one block, which begins at a flat index."""
        present = ~np.isnan(x).reshape(-1)
        flat = x.reshape(-1)[present]
        index = start + np.flatnonzero(present)
        codes, values = [], []
        for q in qparams:
            quantized = quantize(x, q)
            codes.append(quantized.reshape(-1)[present])
            values.append(dequantize(quantized, q).reshape(-1)[present])
        for i, value in enumerate(values):
            error = value.astype(np.float64) - flat
            self.squared[i] += float(np.dot(error, error))
            for j in range(i):
                for counts, these in ((self.codes, codes), (self.values, values)):
                    counts[i, j] += np.count_nonzero(these[i] != these[j])
                    counts[j, i] = counts[i, j]
        for i in range(1, len(codes)):
            if self._listed[i] < EXAMPLES and self.codes[i, 0]:
                for at in np.flatnonzero(codes[i] != codes[0])[: EXAMPLES - self._listed[i]].tolist():
                    self._listed[i] += 1
                    self.examples[int(index[at])] = Example(
                        int(index[at]),
                        float(flat[at]),
                        tuple(int(c[at]) for c in codes),
                        tuple(float(v[at]) for v in values),
                    )
