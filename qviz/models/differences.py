"""What differs between two checkpoints? Their tensors are matched by name, and compared value by value."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from qviz.core.frozen import frozen
from qviz.core.problems import N_, Phrase, Problem
from qviz.core.questions.figures import sqnr_db
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.models.checkpoint import Weight
from qviz.models.forensics import Recipe, recipe_of
from qviz.models.no_recipe import why_none
from qviz.models.renamings import Names, plain_name

_BLOCK = 1 << 20

HEADS = (16, 32, 64, 80, 96, 112, 120, 128, 160, 192, 256)
"""Rows of a head, as models have them."""

ALIKE = 0.5
"""A cosine that matrices of other orders do not reach, and quantized ones of 2 bits do."""

MOST_COLUMNS = 64
"""Columns that tell the order of the rows."""

MOST_LOOKED_AT = 1 << 28
"""Elements of a tensor whose recipe is looked for."""


@frozen
class Difference:
    """What the second checkpoint has in place of a tensor of the first.

    Attributes
    ----------
    name : str
        In the first; in the second where the first has none.
    first, second : Weight or None
        None where one of them has no such tensor.
    sqnr_db : float
        20·log10(‖a‖ / ‖a − b‖) in dB; infinite where they are equal, NaN where they were not compared.
    mse, max_abs_error : float
        Over the elements that are finite in both.
    equal : int
        Elements that are the same; NaN equals NaN.
    elements : int
        Of the first.
    problem : Phrase, Problem or None
        Why they were not compared.
    recipe : Recipe or None
        What made the second of the first, where that is sure.
    no_recipe : Phrase or None
        What can be seen that keeps every recipe from it.
    note : Phrase or None
        In which other order its rows were compared.
    """

    name: str
    first: Weight | None
    second: Weight | None
    sqnr_db: float = math.nan
    mse: float = math.nan
    max_abs_error: float = math.nan
    equal: int = 0
    elements: int = 0
    problem: Phrase | Problem | None = None
    recipe: Recipe | None = None
    no_recipe: Phrase | None = None
    note: Phrase | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        first, second = (None if each is None else each.entry for each in (self.first, self.second))
        found: dict[str, Any] = {
            "name": self.name,
            "second_name": None if self.second is None else self.second.name,
            "shape": _listed(first.shape if first is not None else second.shape if second is not None else None),
            "dtype": None if first is None else first.dtype,
            "second_dtype": None if second is None else second.dtype,
            "bytes": None if self.first is None else self.first.nbytes,
            "second_bytes": None if self.second is None else self.second.nbytes,
            "elements": self.elements,
            "equal": self.equal,
        }
        for name in ("sqnr_db", "mse", "max_abs_error"):
            value = getattr(self, name)
            found[name] = value if math.isfinite(value) else None
        found["problem"] = None if self.problem is None else str(self.problem)
        found["note"] = None if self.note is None else str(self.note)
        found["recipe"] = None if self.recipe is None else str(self.recipe.phrase)
        found["recipe_equal"] = None if self.recipe is None else self.recipe.equal
        found["no_recipe"] = None if self.no_recipe is None else str(self.no_recipe)
        return found


def _listed(shape: tuple[int, ...] | None) -> list[int] | None:
    return None if shape is None else list(shape)


def differences(
    first: Sequence[Weight],
    second: Sequence[Weight],
    *,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Iterator[Difference]:
    """Compare every tensor of one checkpoint with that of the other.

    Yields
    ------
    Difference
        In the order of the first; then what only the second has. Matrices that one of them keeps as one (q, k and v;
        gate and up) are compared with their parts.

    Raises
    ------
    Cancelled
        When asked to stop.
    """
    here, there = Names(first), Names(second)
    met: set[str] = set()
    total = sum(each.elements or 1 for each in first) or 1
    done = 0
    for weight in first:
        check(cancelled)
        found = there.counterpart(weight, here)
        if found is None:
            missing = Phrase(N_("only in the first"))
            yield Difference(weight.name, weight, None, elements=weight.elements or 0, problem=missing)
        else:
            met |= {each.name for each in found[1]}
            yield _difference(weight, found[0], cancelled)
        done += weight.elements or 1
        progress(done / total)
    for each in second:
        if each.name not in met:
            yield Difference(each.name, None, each, problem=Phrase(N_("only in the second")))


def _difference(first: Weight, second: Weight, cancelled: IsCancelled) -> Difference:
    try:
        a, b = (_values(each, cancelled) for each in (first, second))
    except Problem as problem:
        return Difference(first.name, first, second, elements=first.elements or 0, problem=problem)
    note = None
    if a.shape == b.shape and (found := _reordered(a, b, first.name, cancelled)) is not None:
        b, note = found
    if a.shape != b.shape:
        said = Phrase(N_("shape {first} here, {second} there"), first=a.shape, second=b.shape)
        return Difference(first.name, first, second, elements=a.elements, problem=said)
    signal = noise = largest = 0.0
    equal = compared = 0
    for start in range(0, a.elements, _BLOCK):
        check(cancelled)
        one, two = (np.asarray(each.values[start : start + _BLOCK]) for each in (a, b))
        equal += int(np.count_nonzero((one == two) | (np.isnan(one) & np.isnan(two))))
        finite = np.isfinite(one) & np.isfinite(two)
        left = one[finite].astype(np.float64)
        error = two[finite].astype(np.float64) - left
        compared += left.size
        signal += float(left @ left)
        noise += float(error @ error)
        largest = max(largest, float(np.abs(error).max(initial=0)))
    recipe, no_recipe = (None, None) if equal == a.elements else _recipe(a, b, second, cancelled)
    return Difference(
        first.name,
        first,
        second,
        float(sqnr_db(np.float64(signal), np.float64(noise))),
        noise / max(1, compared),
        largest,
        equal,
        a.elements,
        recipe=recipe,
        no_recipe=no_recipe,
        note=note,
    )


def _reordered(a: Tensor, b: Tensor, name: str, cancelled: IsCancelled) -> tuple[Tensor, Phrase] | None:
    """The second in the order of the first, where one has the rows of each head as llama.cpp's rotation wants them.

    llama.cpp's converter swaps the halves of each head's rows with their pairs, of Llama's q and k; how many heads
    there are is found by trying.
    """
    plain = plain_name(name)
    if len(a.shape) != 2 or a.elements > MOST_LOOKED_AT or not (".q_proj." in plain or ".k_proj." in plain):
        return None
    check(cancelled)
    one, two = (np.asarray(each.values[0 : each.elements]).reshape(a.shape) for each in (a, b))
    rows = one.shape[0]
    if _alike(one, two) > ALIKE:
        return None
    orders = {
        (halves, length): np.arange(rows).reshape(halves).swapaxes(1, 2).reshape(-1)
        for length in HEADS
        if rows % length == 0
        for halves in ((rows // length, length // 2, 2), (rows // length, 2, length // 2))
    }
    if not orders:
        return None
    alike, (halves, length) = max((_alike(one, two[order]), key) for key, order in orders.items())
    if alike <= ALIKE:
        return None
    said = N_("rows in the other's order of rotation, {heads} heads of {length}")
    phrase = Phrase(said, heads=rows // length, length=length)
    return Tensor(two[orders[halves, length]], b.name, dtype=b.dtype), phrase


def _alike(one: Any, two: Any) -> float:
    """The cosine between the first columns of two matrices."""
    a, b = (np.nan_to_num(each[:, :MOST_COLUMNS]).astype(np.float64).ravel() for each in (one, two))
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norms if norms else 1.0


def _recipe(a: Tensor, b: Tensor, second: Weight, cancelled: IsCancelled) -> tuple[Recipe | None, Phrase | None]:
    if not a.all_finite or a.elements > MOST_LOOKED_AT:
        return None, None
    one, two = (np.asarray(each.values[0 : each.elements]).reshape(a.shape) for each in (a, b))
    recipe = recipe_of(one, two, second, dtype=a.dtype, cancelled=cancelled)
    return recipe, why_none(one, two, second) if recipe is None else None


def _values(weight: Weight, cancelled: IsCancelled) -> Tensor:
    if weight.entry.refused is not None:
        raise weight.entry.refused
    return Tensor(weight.entry.load(cancelled=cancelled), weight.name, counted=False, cancelled=cancelled)
