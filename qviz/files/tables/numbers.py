"""How do the fields of a tidy text become numbers? pyarrow reads them.

It was chosen by a comparison: see "Why this table reader" in CONTRIBUTING.md. Of wide tables it takes a field a
line: a column of its own costs it more than a block of numbers does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.files.tables.cells import MISSING, fields_of, is_grouped
from qviz.files.tables.form import TableForm

MOST_COLUMNS = 64
"""More are read a field a line."""

_Values = np.ndarray[Any, np.dtype[np.float64]]


class NotNumbers(ValueError):
    """Something in a block is no number, or a line has too few or too many of them."""


class Parser:
    """Takes tidy lines (`Layout.tidied`) and gives the numbers of the chosen columns.

    Parameters
    ----------
    form : TableForm
        How the lines are written.
    """

    def __init__(self, form: TableForm) -> None:
        self._form = form
        self.separator = form.separator.encode()
        self._blocks: list[_Values] = []
        self._width = form.width
        self._is_folded = form.width > MOST_COLUMNS
        self._fields = 0
        self._is_open = False
        self._is_known = not self._is_folded

    @property
    def takes_parts(self) -> bool:
        """Whether a line may come in parts, each but the first beginning with the separator before it."""
        return self._is_folded and self._form.takes_all and bool(self.separator)

    def add(self, text: bytes) -> None:
        """Read whole lines, or a part of one.

        Raises
        ------
        NotNumbers
            When a field is no number, or a line has another count of fields. Nothing is taken then.
        """
        if self._form.grouped:
            text = self._ungrouped(text)
        if self._is_folded and (folded := self._folded(text)) is not None:
            self._blocks.append(folded)
        elif text.strip(b"\n"):
            self._blocks.append(self._rows(text))

    @property
    def nbytes(self) -> int:
        """Bytes of the numbers that were taken."""
        return sum(block.nbytes for block in self._blocks)

    def values(self) -> _Values:
        """All of them, of shape (rows, columns)."""
        if not self._blocks:
            return np.empty((0, 0))
        if not self._is_folded or any(block.ndim == 2 for block in self._blocks):
            return np.concatenate([b.reshape(-1, len(self._form.columns)) for b in self._blocks])
        flat = np.concatenate(self._blocks)
        if self._is_open:
            return flat.reshape(1, -1)
        return flat.reshape(-1, len(self._form.columns) if self._is_known and not self._form.takes_all else self._width)

    # -- one column a column

    def _rows(self, text: bytes) -> _Values:
        table = self._read(text, self._form.width, self._form.separator or "\t", self._form.columns)
        if not table.num_rows:
            return np.empty((0, len(self._form.columns)))
        return np.column_stack([column.to_numpy() for column in table.columns])

    # -- one field a line

    def _folded(self, text: bytes) -> _Values | None:
        """None where quotes hold separators: then only whole rows can be read."""
        quote = self._form.quote.encode()
        if quote in text:
            if self._form.decimal == self._form.separator or not self._form.takes_all:
                return None
            text = text.replace(quote, b"")
        fields = self._fields
        if fields and text.startswith(b"\n"):
            # A separator that ended the line was taken away: nothing follows in it.
            if self._is_known and fields != self._width:
                raise NotNumbers
            self._width, self._is_known, fields = fields, True, 0
        text = text.removeprefix(self.separator) if fields else text
        text = _without_blank_lines(text, keeps_first=fields > 0)
        if not text:
            self._fields = fields
            return np.empty(0)
        fields, is_open = self._counted(text, fields)
        text = text.replace(self.separator, b"\n")
        if self._form.decimal == ",":
            text = text.replace(b",", b".")
        columns = None if self._form.takes_all else self._form.columns
        values = self._flat(text, columns)
        self._fields, self._is_open = fields, is_open
        return values

    def _counted(self, text: bytes, before: int) -> tuple[int, bool]:
        """Check the fields of each line that ends; give those of the one that does not, and whether there is one."""
        content = np.frombuffer(text, np.uint8)
        is_end = content == 10
        marks = np.flatnonzero(is_end | (content == self.separator[0]))
        ends = np.flatnonzero(is_end[marks])
        is_open = not text.endswith(b"\n")
        if not ends.size:
            return before + marks.size + 1, True
        lengths = np.diff(ends, prepend=-1)
        lengths[0] += before
        if not self._is_known:
            self._width = int(lengths[0])
            self._is_known = True
        if (lengths != self._width).any():
            raise NotNumbers
        return (int(marks.size - 1 - ends[-1]) + 1 if is_open else 0), is_open

    def _flat(self, text: bytes, columns: tuple[int, ...] | None) -> _Values:
        import pyarrow as pa
        import pyarrow.compute as pc

        text = text if text.endswith(b"\n") else text + b"\n"
        if columns is None:
            values: _Values = self._read(text, 1, "\t", (0,), is_folded=True).column(0).to_numpy()
            return values
        words = self._read(text, 1, "\t", (0,), is_folded=True, as_words=True).column(0).combine_chunks()
        places = np.arange(len(words)).reshape(-1, self._width)[:, list(columns)].ravel()
        try:
            chosen: _Values = pc.cast(words.take(pa.array(places)), pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid as error:
            raise NotNumbers(str(error)) from error
        return chosen

    # -- both

    def _read(
        self,
        text: bytes,
        width: int,
        separator: str,
        columns: tuple[int, ...],
        *,
        is_folded: bool = False,
        as_words: bool = False,
    ) -> Any:
        import pyarrow as pa
        from pyarrow import csv

        names = [str(at) for at in range(width)]
        chosen = [names[at] for at in columns]
        try:
            return csv.read_csv(
                pa.BufferReader(text),
                csv.ReadOptions(column_names=names, block_size=max(len(text) + 1, 1 << 16), use_threads=False),
                csv.ParseOptions(
                    delimiter=separator,
                    quote_char=False if is_folded else self._form.quote,
                    ignore_empty_lines=not is_folded,
                ),
                csv.ConvertOptions(
                    check_utf8=False,
                    column_types={name: pa.string() if as_words else pa.float64() for name in chosen},
                    null_values=list(MISSING),
                    strings_can_be_null=True,
                    include_columns=chosen,
                    decimal_point="." if is_folded else self._form.decimal,
                ),
            )
        except pa.ArrowInvalid as error:
            raise NotNumbers(str(error)) from error

    def _ungrouped(self, text: bytes) -> bytes:
        """Numbers without marks between thousands, and quotes around fields that need them."""
        form, mark = self._form, "," if self._form.decimal == "." else "."

        def written(cell: str) -> str:
            cell = cell.replace(mark, "") if is_grouped(cell, form.decimal) else cell
            return f"{form.quote}{cell}{form.quote}" if form.separator and form.separator in cell else cell

        lines = text.decode("latin-1").split("\n")
        rows = (fields_of(line, form.separator, form.quote) if line else [] for line in lines)
        return "\n".join(form.separator.join(map(written, row)) for row in rows).encode("latin-1")


def _without_blank_lines(text: bytes, *, keeps_first: bool) -> bytes:
    start = b"" if keeps_first else b"\n"
    while b"\n\n" in text:
        text = text.replace(b"\n\n", b"\n")
    return text.lstrip(start) if start else text
