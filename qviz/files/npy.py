"""How is a NumPy array file (.npy) read without trusting its header?

The format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import ast
import functools
import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib.format import descr_to_dtype

from qviz.core.frozen import frozen
from qviz.core.problems import N_, Phrase
from qviz.core.sizes import byte_text
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.entry import Loaded, TensorEntry
from qviz.files.file_array import array_in
from qviz.files.offers import Offer, is_raw, is_small, named_dtype, offers, taken
from qviz.files.problems import FileProblem, NoNumbers, shortened

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 10_000
"""Bytes; NumPy's own limit. Honest headers of plain arrays have a hundred."""

HEAD = len(MAGIC) + 2 + 4 + LONGEST_HEADER
"""How much of a file has to be read to see the whole of any honest header."""

_DAMAGED = N_("Copy or download it again.")
_MOST_AXES = 64
_REFUSED = {
    "O": (
        N_("Python objects"),
        N_("Loading them could run code from the file: save the numbers alone, as a plain array."),
    ),
    "c": (N_("complex numbers"), N_("Save the real and the imaginary part as two arrays.")),
    "S": (N_("text"), N_("Save it as numbers, for example with .astype('float32').")),
    "U": (N_("text"), N_("Save it as numbers, for example with .astype('float32').")),
    "T": (N_("text"), N_("Save it as numbers, for example with .astype('float32').")),
    "M": (N_("dates"), N_("Save them as numbers, for example with .astype('int64').")),
    "m": (N_("time spans"), N_("Save them as numbers, for example with .astype('int64').")),
    "V": (
        N_("raw bytes or records without numbers"),
        N_("Save the numbers alone, as float32."),
    ),
}


@frozen
class Header:
    """What the first bytes of an array promise; ``data_offset`` is where the values begin.

    ``is_assumed`` where the type was taken from raw bytes.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran_order: bool
    data_offset: int
    is_assumed: bool = False

    @property
    def offers(self) -> tuple[Offer, ...]:
        """The tensors that the array offers; more than one of records."""
        return offers(self.dtype, self.shape, is_assumed=self.is_assumed)

    @property
    def nbytes(self) -> int:
        """Bytes of the values; a Python int, so that no shape overflows it."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def order(self) -> Literal["C", "F"]:
        """``"F"`` or ``"C"``, as ``reshape`` wants it."""
        return "F" if self.fortran_order else "C"


def list_entries(path: Path) -> tuple[TensorEntry, ...]:
    """The one array of the file, or the fields of its records.

    Raises
    ------
    FileProblem
        When the file is not an array, is damaged, or holds no real numbers.
    """
    return entries(path, _checked_header(path), _load)


def entries(path: Path, header: Header, load: Callable[..., Loaded]) -> tuple[TensorEntry, ...]:
    """One for each offer of a header; ``load(path, field, …)`` reads it."""
    return tuple(
        TensorEntry(
            path.name if offer.field is None else f"{path.stem}/{offer.field}",
            path,
            offer.field,
            offer.shape,
            offer.dtype.name,
            partial(load, path, offer.field),
            offer.note,
        )
        for offer in header.offers
    )


def _load(path: Path, field: str | None, *, progress: Progress = ignore, cancelled: IsCancelled = never) -> Loaded:
    check(cancelled)
    # Once more: the file may have changed since it was listed.
    header = _checked_header(path)
    if field not in [offer.field for offer in header.offers]:
        raise FileProblem(path, N_("has no field '{field}' any more"), N_("Open the file again."), field=field)
    start, shape, order = header.data_offset, header.shape, header.order
    if field is None and not is_small(header.dtype):
        return array_in(path, header.dtype, start, shape, order, progress=progress, cancelled=cancelled)
    array = array_in(path, header.dtype, start, shape, order, progress=lambda f: progress(0.5 * f), cancelled=cancelled)
    return taken(path, field or path.name, array, field, lambda f: progress(0.5 + 0.5 * f), cancelled)


def _checked_header(path: Path) -> Header:
    with path.open("rb") as file:
        head = file.read(HEAD)
        size = file.seek(0, 2)
    header = read_header(head, path)
    check_size(header, size - header.data_offset, path)
    return header


def read_header(head: bytes, path: Path, member: str | None = None) -> Header:
    """Parse the beginning of an array file.

    Parameters
    ----------
    head : bytes
        The first ``HEAD`` bytes, or all of them where there are fewer.
    path : Path
        The file, for messages.
    member : str, optional
        The name of the array inside an archive, for messages.

    Returns
    -------
    Header
        Of real numbers and at least one element; a scalar gets the shape (1,). The shape may
        promise more than there is: ``check_size`` tells.

    Raises
    ------
    NoNumbers
        For an array that is sound but has nothing to quantize.
    FileProblem
        For everything else that is not the header of an array.
    """
    damaged = partial(_problem, FileProblem, path, member)
    if not head:
        raise damaged(N_("is empty"), _DAMAGED)
    if not head.startswith(MAGIC[: len(head)]):
        raise damaged(N_("is not a NumPy array file: it does not begin like one"), N_("Save it with numpy.save."))
    if len(head) < len(MAGIC) + 2:
        raise damaged(N_("is cut off inside its header"), _DAMAGED)
    major, minor = head[len(MAGIC) : len(MAGIC) + 2]
    if (major, minor) not in ((1, 0), (2, 0), (3, 0)):
        raise damaged(
            N_("is of version {major}.{minor}, which NumPy does not define"), _DAMAGED, major=major, minor=minor
        )
    start = len(MAGIC) + 2 + (2 if major == 1 else 4)
    length = int.from_bytes(head[len(MAGIC) + 2 : start], "little")
    if length > LONGEST_HEADER:
        raise damaged(N_("claims a header of {size}, which no plain array has"), _DAMAGED, size=byte_text(length))
    if len(head) < start + length:
        raise damaged(N_("is cut off inside its header"), _DAMAGED)

    try:
        text = head[start : start + length].decode("utf-8" if major == 3 else "latin-1")
        fields = _literal(text.strip(), is_old=major < 3)
        descr, fortran_order, shape = fields["descr"], fields["fortran_order"], fields["shape"]
        dtype = named_dtype(descr) if isinstance(descr, str) else descr_to_dtype(descr)
        shown = shortened(repr(shape))
    except Exception as error:  # parsers of hostile text fail in too many ways to list
        raise damaged(N_("has a header that can't be understood"), _DAMAGED) from error
    if not isinstance(fortran_order, bool) or not _is_shape(shape):
        raise damaged(N_("has a header with an impossible shape or order ({shape})"), _DAMAGED, shape=shown)

    sound = partial(_problem, NoNumbers, path, member)
    kind = "O" if dtype.hasobject else dtype.kind
    if dtype.hasobject or not offers(dtype, ()) or (dtype.names is not None and isinstance(descr, str)):
        name = shortened(str(dtype if isinstance(descr, str) else descr))
        what, advice = _REFUSED.get(kind, (N_("no numbers"), N_("Save it as numbers.")))
        raise sound(N_("is made of {what} (dtype {dtype}), not of real numbers"), advice, what=Phrase(what), dtype=name)
    if 0 in shape:
        raise sound(N_("has no elements: its shape is {shape}"), N_("Choose an array that has some."), shape=shown)
    return Header(dtype, shape or (1,), fortran_order, start + length, isinstance(descr, str) and is_raw(descr))


def check_size(header: Header, held: int, path: Path, member: str | None = None) -> None:
    """Compare what a header promises with the bytes that follow it.

    Parameters
    ----------
    header : Header
        As ``read_header`` gave it.
    held : int
        Bytes that are there for the values.
    path, member
        As in ``read_header``.

    Raises
    ------
    FileProblem
        Unless they are equal.
    """
    if header.nbytes == held:
        return
    damaged = partial(_problem, FileProblem, path, member)
    values = math.prod(header.shape)
    if values > 2**63:
        raise damaged(N_("promises more values than any disk holds: its header is damaged"), _DAMAGED)
    told = {
        "values": values,
        "dtype": header.dtype.name,
        "promised": byte_text(header.nbytes),
        "held": byte_text(held),
    }
    if header.nbytes > held:
        what = N_(
            "is cut off: its header promises {values:,} {dtype} values ({promised}) but the file holds {held} of them"
        )
        raise damaged(what, _DAMAGED, **told)
    what = N_("is not one array: its header promises {values:,} {dtype} values ({promised}) but {held} follow")
    raise damaged(what, N_("Save each array on its own."), **told)


@functools.lru_cache(64)
def _literal(text: str, *, is_old: bool) -> Any:
    """What the header says, which arrays of an archive share; Python 2 wrote ``(6L, 8L)`` on Windows."""
    try:
        return ast.literal_eval(text)
    except SyntaxError:
        if not is_old:
            raise
        return ast.literal_eval(re.sub(r"\b([0-9]+)L\b", r"\1", text))


def _is_shape(shape: object) -> bool:
    # ``type`` and not ``isinstance``: True is no length.
    return (
        isinstance(shape, tuple)
        and len(shape) <= _MOST_AXES
        and all(type(length) is int and 0 <= length < 2**63 for length in shape)
    )


def _problem(
    kind: type[FileProblem], path: Path, member: str | None, what: str, advice: str, /, **values: object
) -> FileProblem:
    if member is None:
        return kind(path, what, advice, **values)
    inside = N_("holds '{member}', which {what}")
    return kind(path, inside, advice, member=shortened(member), what=Phrase(what, **values))
