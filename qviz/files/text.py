"""Which numbers stand in a text file, and where is the line that holds something else?"""

from __future__ import annotations

import codecs
import io
from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.entry import TensorEntry
from qviz.files.problems import FileProblem, shortened

READ = 1 << 20
"""Bytes read at once. A thread that reads more often hands the interpreter lock out and takes it
back before any other can: a window was measured to wait 160 ms for it."""

BLOCK = 1 << 15
"""Characters parsed between two looks at the cancel flag: some milliseconds, even of "1\\n1\\n1"."""

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def list_entries(path: Path) -> tuple[TensorEntry, ...]:
    """The one table of the file, whose shape only loading tells.

    Raises
    ------
    FileProblem
        When the file is empty.
    """
    with path.open("rb") as file:
        if not file.read(1):
            raise FileProblem(path, "is empty", "Choose a file with numbers in it.")
    return (TensorEntry(path.name, path, None, None, None, partial(_load, path)),)


def _load(path: Path, *, progress: Progress = ignore, cancelled: IsCancelled = never) -> np.ndarray[Any, Any]:
    """Give float64: of shape (rows, columns), or flat for a single row or column."""
    table = _Table(path)
    size = max(path.stat().st_size, 1)
    with path.open("rb") as file:
        encoding = "utf-16" if file.peek(2)[:2] in _UTF_16 else "utf-8-sig"
        decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(), translate=True)
        is_all = False
        while not is_all:
            data = file.read(READ)
            is_all = not data
            try:
                text = decoder.decode(data, final=is_all)
            except UnicodeError as error:
                raise _not_text(path) from error
            for start in range(0, len(text), BLOCK):
                check(cancelled)
                table.add(text[start : start + BLOCK])
            progress(min(file.tell() / size, 1.0))
    return table.finish()


class _Table:
    """Takes a text piece by piece, so that neither many lines nor a long one hold up other threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._blocks: list[np.ndarray[Any, np.dtype[np.float64]]] = []
        self._separator: str | None = None
        self._columns = 0
        self._has_header = False
        self._is_started = False
        self._line = 1
        # Of the line that the last piece ended in:
        self._rest = ""
        self._fields = 0
        self._is_skipped = False

    def add(self, text: str) -> None:
        """Read on, up to the last end of a line, or of a field where the line is longer than a block."""
        if "\0" in text:
            raise _not_text(self._path)
        text = self._rest + text
        end = text.rfind("\n")
        if end >= 0:
            self._read(text[:end].split("\n"), is_complete=True)
        elif len(text) > BLOCK:
            end = self._end_of_field(text)
            self._read([text[:end]], is_complete=False)
        self._rest = text[end + 1 :]

    def finish(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Read the last line, and put the blocks together."""
        self._read([self._rest], is_complete=True)
        values = np.concatenate(self._blocks) if self._blocks else np.empty(0)
        if not values.size:
            raise FileProblem(self._path, "has no numbers in it", "Choose a file with numbers in it.")
        rows = values.size // self._columns
        return values if 1 in (rows, self._columns) else values.reshape(rows, self._columns)

    def _end_of_field(self, text: str) -> int:
        if self._is_skipped or "#" in text:
            return len(text)
        separator = self._separator if self._is_started else _separator_of(text)
        end = max(text.rfind(s) for s in (separator or " \t"))
        if end < 0:
            raise self._wrong_word(text, self._line)
        return end

    def _read(self, lines: list[str], is_complete: bool) -> None:
        """Read whole lines, or one part of a long line that is not complete yet."""
        going_on = self._fields > 0 and not self._is_skipped
        if self._is_skipped:
            lines[0] = ""
        self._is_skipped = not is_complete and (self._is_skipped or "#" in lines[0])
        if any("#" in line for line in lines):
            lines = [line.partition("#")[0] for line in lines]
        if not self._is_started:
            self._start(lines, is_complete)

        rows = [line.split(self._separator) if line.strip() else [] for line in lines]
        if going_on and self._separator and not rows[0]:
            # The part before it ended at a separator, so something has to follow.
            rows[0] = [""]
        self._blocks.append(self._numbers(rows))

        lengths = [len(row) for row in rows]
        lengths[0] += self._fields
        self._fields = 0 if is_complete else lengths.pop()
        self._check_lengths(lengths)
        self._line += len(lengths)

    def _start(self, lines: list[str], is_complete: bool) -> None:
        """Pass over the header, and let the first line of numbers tell the separator."""
        for index, line in enumerate(lines):
            if not line.strip():
                continue
            separator = _separator_of(line)
            if not self._has_header and _are_words(line.split(separator)):
                self._has_header = True
                self._is_skipped = not is_complete
                lines[index] = ""
                continue
            self._separator = separator
            self._is_started = True
            return

    def _numbers(self, rows: Sequence[Sequence[str]]) -> np.ndarray[Any, np.dtype[np.float64]]:
        words = list(chain.from_iterable(rows))
        try:
            # Python, and with it NumPy, would take 1_000 for a number.
            if not any("_" in word for word in words):
                return np.array(words, dtype=np.float64)
        except ValueError:
            pass
        number, word = next(
            (number, word) for number, row in enumerate(rows, self._line) for word in row if not _is_number(word)
        )
        raise self._wrong_word(word, number)

    def _check_lengths(self, lengths: list[int]) -> None:
        for number, length in enumerate(lengths, self._line):
            self._columns = self._columns or length
            if length not in (0, self._columns):
                raise FileProblem(
                    self._path,
                    f"has {length:,} instead of {self._columns:,} numbers in line {number:,}",
                    "Give all lines the same number of fields.",
                )

    def _wrong_word(self, word: str, line: int) -> FileProblem:
        if not word.strip():
            return FileProblem(
                self._path, f"has an empty field in line {line:,}", "Write nan where a number is missing."
            )
        return FileProblem(
            self._path,
            f"has '{shortened(word.strip())}' in line {line:,} where a number should be",
            "Write numbers with a decimal point, and begin remarks with #.",
        )


def _separator_of(line: str) -> str | None:
    """None stands for any white space, as in ``str.split``."""
    for separator in (";", ","):
        if separator in line:
            return separator
    # Tabs among blanks only line the columns up; tabs alone can have an empty field between them.
    return "\t" if "\t" in line.strip() and " " not in line else None


def _are_words(fields: list[str]) -> bool:
    """Whether a line can be a header; a number with a slip of the pen can't."""
    words = [field.strip() for field in fields if field.strip()]
    return bool(words) and not any(word[0] in "+-.0123456789" or _is_number(word) for word in words)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return "_" not in word


def _not_text(path: Path) -> FileProblem:
    return FileProblem(path, "is not a text file in UTF-8 or UTF-16", "Save it as UTF-8 text.")
