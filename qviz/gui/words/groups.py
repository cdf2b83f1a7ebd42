"""What are the groups that share a scale called, and what is known of each?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from qviz.core.formats.floats import FloatFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.frozen import frozen
from qviz.core.tensors.granularity import Granularity, PerBlock, PerTile, PerToken
from qviz.gui.words.numbers import typographic
from qviz.session.language import tr

if TYPE_CHECKING:
    from qviz.core.questions.figures import Metrics


@frozen
class GroupWords:
    """One group and many of them, in the middle of a sentence and at its beginning."""

    one: str
    many: str
    title: str
    titles: str


def group_words(granularity: Granularity) -> GroupWords:
    """What the groups of a granularity are called."""
    if isinstance(granularity, PerBlock):
        return GroupWords(tr("block"), tr("blocks"), tr("Block"), tr("Blocks"))
    if isinstance(granularity, PerTile):
        return GroupWords(tr("tile"), tr("tiles"), tr("Tile"), tr("Tiles"))
    if isinstance(granularity, PerToken):
        return GroupWords(tr("token"), tr("tokens"), tr("Token"), tr("Tokens"))
    return GroupWords(tr("channel"), tr("channels"), tr("Channel"), tr("Channels"))


def alone_text(granularity: Granularity, group: int) -> str:
    """That one group is looked at by itself."""
    return tr("{group} {number} alone").format(group=group_words(granularity).one, number=f"{group:,}")


def place_numbers(granularity: Granularity, shape: tuple[int, ...], group: int) -> str:
    """Where a group lies, in numbers alone: its place in the array of scales."""
    index = np.unravel_index(group, granularity.scale_shape(shape))
    return ", ".join(f"{int(i):,}" for i in (index[:-1] if isinstance(granularity, PerToken) else index))


def place_text(granularity: Granularity, shape: tuple[int, ...], group: int) -> str:
    """Where a group lies: its row and its place in the row."""
    one = group_words(granularity).one
    index = np.unravel_index(group, granularity.scale_shape(shape))
    if isinstance(granularity, PerBlock) and len(shape) > 1:
        axis = granularity.resolve(shape)
        others = [f"{int(i):,}" if at != axis else "·" for at, i in enumerate(index)]
        block = tr("{group} {number}").format(group=one, number=f"{int(index[axis]):,}")
        if axis == len(shape) - 1:
            return tr("row {row}, {block}").format(row=", ".join(others[:-1]), block=block)
        return f"[{', '.join(others)}], {block}"
    if isinstance(granularity, PerToken):
        index = index[:-1]
    return tr("{group} {number}").format(group=one, number=", ".join(f"{int(i):,}" for i in index))


def group_columns(metrics: Metrics) -> dict[str, np.ndarray[Any, Any]]:
    """Everything that is known of each group, one column a figure; none without groups."""
    groups, q = metrics.groups, metrics.qparams
    if groups is None:
        return {}
    granularity = metrics.scheme.granularity
    name = granularity.kind if isinstance(granularity, PerBlock | PerToken | PerTile) else "channel"
    columns: dict[str, np.ndarray[Any, Any]] = {
        name: np.arange(groups.mse.size),
        "scale": q.scale.reshape(-1),
        "zero_point": q.zero_point.reshape(-1),
        "sqnr_db": groups.sqnr_db,
        "mse": groups.mse,
        "max_abs_error": groups.max_abs_error,
        "saturated": groups.saturated,
        "elements": groups.finite,
    }
    if q.offset is not None:
        columns["minimum"] = q.offset.reshape(-1)
    return columns


def code_text(number_format: NumberFormat, code: Any) -> str:
    """A stored code: a whole number, or the bit pattern of a float."""
    if isinstance(number_format, FloatFormat):
        return f"0x{int(code):0{-(-number_format.bits // 4)}X}"
    return typographic(int(code))
