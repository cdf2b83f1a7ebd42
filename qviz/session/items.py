"""How does a file's entry, a recipe, an array or a run of batches become an item of the list?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from qviz.core.printable import printable
from qviz.core.problems import N_
from qviz.core.questions.effort import Limits
from qviz.core.tensors.batches import stack
from qviz.core.tensors.generators import ARTICLE_VALUES, GENERATORS, GeneratorSpec, generate
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled, Progress
from qviz.files.entry import Loaded, TensorEntry
from qviz.session.language import tr
from qviz.session.state import Item


def generated_item(spec: GeneratorSpec, limits: Limits) -> Item:
    """The item of a recipe."""
    kind = tr(GENERATORS[spec.kind].label) if spec.kind in GENERATORS else spec.kind
    name = tr("{kind} (generated)").format(kind=kind)

    def load(progress: Progress, cancelled: IsCancelled) -> Tensor:
        values = generate(spec, progress=lambda f: progress(0.8 * f), cancelled=cancelled)
        return _tensor(values, name, limits, lambda f: progress(0.8 + 0.2 * f), cancelled)

    return Item(name, N_("generated"), spec.shape, "float32", load, spec)


ARTICLE_ORIGIN = N_("built in")


MADE_HERE = N_("trained here")


def article_item() -> Item:
    """The item of the worked example."""
    name = tr("Ten values (worked example)")
    return Item(
        name, ARTICLE_ORIGIN, ARTICLE_VALUES.shape, "float32", lambda progress, cancelled: Tensor(ARTICLE_VALUES, name)
    )


def file_item(entry: TensorEntry, limits: Limits) -> Item:
    """The item of a file's entry, under a name that can be shown."""
    name = printable(entry.name)

    def load(progress: Progress, cancelled: IsCancelled) -> Tensor:
        array = entry.load(progress=lambda f: progress(0.7 * f), cancelled=cancelled)
        return _tensor(array, name, limits, lambda f: progress(0.7 + 0.3 * f), cancelled, entry.dtype)

    return Item(
        name,
        str(entry.path),
        entry.shape,
        entry.dtype,
        load,
        note=entry.note,
        refused=entry.refused is not None,
        written=entry.written,
        paths=(entry.path,),
        outputs_first=entry.outputs_first,
    )


def _tensor(
    array: Loaded,
    name: str,
    limits: Limits,
    progress: Progress,
    cancelled: IsCancelled,
    dtype: str | None = None,
) -> Tensor:
    counted = array.size <= limits.counted_up_to
    return Tensor(array, name, progress=progress, cancelled=cancelled, counted=counted, dtype=dtype)


def batched_items(items: Sequence[Item]) -> list[Item]:
    """Files opened together whose names differ in their numbers alone, as the batches of one tensor."""
    families: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        path = Path(item.origin)
        if path.suffix.lower() == ".npy" and re.search(r"batch.*\d", path.stem, re.IGNORECASE):
            families.setdefault((str(path.parent), re.sub(r"\d+", "*", path.stem)), []).append(item)
    return [
        _stacked_item(f"{printable(stem)} ({len(family):,} batches)", folder, family)
        for (folder, stem), family in families.items()
        if len(family) > 1
    ]


def _stacked_item(name: str, folder: str, family: Sequence[Item]) -> Item:
    paths = tuple(path for item in family for path in item.paths)
    return Item(name, folder, _stacked_shape(family), family[0].dtype, partial(_stack, family, name), paths=paths)


def _stacked_shape(items: Sequence[Item]) -> tuple[int, ...] | None:
    shapes = {item.shape for item in items}
    shape = shapes.pop()
    return None if shapes or shape is None else (len(items), *shape)


def _stack(items: Sequence[Item], name: str, progress: Progress, cancelled: IsCancelled) -> Tensor:
    def load(place: int, item: Item) -> Tensor:
        return item.load(lambda f: progress((place + f) / len(items)), cancelled)

    return stack([load(place, item) for place, item in enumerate(items)], name)
