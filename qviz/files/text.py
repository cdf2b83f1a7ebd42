"""Which numbers stand in a text file, and where is the line that holds something else?

What divides the fields and where the numbers begin is recognized from the first lines (`tables.recognize`);
pyarrow reads the numbers, block by block, so that progress is told and reading can be cancelled.
"""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from qviz.core.problems import N_
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.entry import Note, TensorEntry
from qviz.files.memory import check_room
from qviz.files.problems import FileProblem, shortened
from qviz.files.tables.cells import fields_of, is_missing, is_number
from qviz.files.tables.encoding import encoding_of, is_wide
from qviz.files.tables.form import TableForm, TableOptions
from qviz.files.tables.mended import Layout, is_text, mended, with_exponents, with_line_feeds
from qviz.files.tables.numbers import NotNumbers, Parser
from qviz.files.tables.recognize import MOST_LINES, Line, Misfit, misfit_of, recognized

READ = 1 << 20
"""Bytes read at once. A thread that reads more often hands the interpreter lock out and takes it
back before any other can: a window was measured to wait 160 ms for it."""

BLOCK = 1 << 20
"""Bytes parsed between two looks at the cancel flag."""

HEAD = 1 << 16
"""Bytes that are looked at to recognize the form; more where a line is longer."""

SAMPLE = 1 << 12
"""Bytes that tell whether a text is worth listing."""

UNPACKED_FREELY = 1 << 28
"""Bytes that any packed table may have."""

MOST_TIMES = 200
"""How many times its size a longer one may have: measured numbers pack to a third, zeros to a thousandth."""

LONGEST_HEADER = 1 << 24
"""A line that is longer has to be one of numbers."""


def list_entries(path: Path, options: TableOptions | None = None) -> tuple[TensorEntry, ...]:
    """The one table of the file, whose shape only loading tells.

    Raises
    ------
    FileProblem
        When the file is empty.
    """
    with path.open("rb") as file:
        if not file.read(1):
            raise FileProblem(path, N_("is empty"), N_("Choose a file with numbers in it."))
    options = options or TableOptions()
    load, note = partial(_load, path, options), partial(_note, path, options)
    return (TensorEntry(path.name, path, None, None, None, load, note, written="table"),)


def form_of(path: Path, options: TableOptions | None = None) -> TableForm:
    """How the table is written, from its first lines.

    Raises
    ------
    FileProblem
        When it is no table of numbers.
    """
    with damage(path), _opened(path) as file:
        return _Head(path, file, options or TableOptions()).form()


def first_lines(path: Path, form: TableForm, count: int = 12) -> list[list[str]]:
    """The fields of the first lines of numbers, as a person should see them."""
    with damage(path), _opened(path) as file:
        content = b"".join(_Head(path, file, TableOptions()).content.split(b"\n", form.skip)[form.skip :])
    tidy = Layout(form.separator, form.edges).tidied(mended(content))
    lines = [line.decode("utf-8", "replace") for line in tidy.split(b"\n") if line.strip()]
    return [fields_of(line, form.separator, form.quote) for line in lines[:count]]


def is_table(path: Path) -> bool:
    """Whether numbers stand in it; an empty file, or one that looks like a damaged table, is taken for one."""
    with path.open("rb") as file:
        start = with_line_feeds(file.read(SAMPLE))
    texts = start.split(b"\n")[:20]
    lines = [Line(number, text.decode("latin-1")) for number, text in enumerate(texts, 1) if text.strip()]
    if not lines or not is_text(start) or encoding_of(start, is_whole=False) in ("utf-16", "utf-16-le", "utf-16-be"):
        return True
    found = recognized(lines, "latin-1", TableOptions())
    numbers = sum(bool(re.match(r"\s*[-+]?[.]?[0-9]", line.text)) for line in lines)
    return isinstance(found, TableForm) or 2 * numbers > len(lines)


def _note(path: Path, options: TableOptions) -> Note:
    form = form_of(path, options)
    return Note(form.phrase(), form.is_plain)


def _load(
    path: Path, options: TableOptions, *, progress: Progress = ignore, cancelled: IsCancelled = never
) -> np.ndarray[Any, Any]:
    """Give float64: of shape (rows, columns), or flat for a single row or column."""
    with damage(path):
        return _numbers(path, form_of(path, options), progress, cancelled)


def _numbers(path: Path, form: TableForm, progress: Progress, cancelled: IsCancelled) -> np.ndarray[Any, Any]:
    size = max(path.stat().st_size, 1)
    table = _Table(path, form)
    with path.open("rb") as raw:
        file = _unpacked(raw)
        pieces = _pieces(file) if file is raw else _bounded(path, _pieces(file), size)
        for piece in _decoded(path, pieces, form.encoding):
            for start in range(0, max(len(piece), 1), BLOCK):
                check(cancelled)
                table.add(piece[start : start + BLOCK])
            progress(min(raw.tell() / size, 1.0))
            check_room(path, path.name, table.nbytes, N_("Choose a smaller file."))
        check(cancelled)
    values = table.finish()
    progress(1.0)
    return values


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as file:
        yield _unpacked(file)


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    start = file.read(2)
    file.seek(0)
    return gzip.GzipFile(fileobj=file) if start == b"\x1f\x8b" else file  # type: ignore[return-value]


@contextmanager
def damage(path: Path) -> Iterator[None]:
    """Around whatever may unpack."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileProblem(path, N_("is packed with gzip, and damaged"), N_("Copy or download it again.")) from error


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(READ):
        yield piece


def _bounded(path: Path, pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Pieces of what is packed in ``size`` bytes, as far as a table of measured numbers may go."""
    unpacked = 0
    for piece in pieces:
        unpacked += len(piece)
        if unpacked > UNPACKED_FREELY and unpacked > MOST_TIMES * size:
            what, help_ = N_("unpacks to more than {times} times its size"), N_("Unpack it with gunzip, and open that.")
            raise FileProblem(path, what, help_, times=MOST_TIMES)
        yield piece


def _decoded(path: Path, pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Pieces in an encoding that has ASCII's digits, without the mark at the beginning."""
    if not is_wide(encoding):
        for number, piece in enumerate(pieces):
            yield piece.removeprefix(codecs.BOM_UTF8) if not number else piece
        return
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for piece in pieces:
            yield decoder.decode(piece).removeprefix("\ufeff").encode("utf-8", "replace")
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as error:
        raise _not_text(path) from error


class _Head:
    """The first lines of a file, and what is recognized of them."""

    def __init__(self, path: Path, file: IO[bytes], options: TableOptions) -> None:
        self._path, self._options = path, options
        start = file.read(HEAD)
        while start and not self._is_enough(start) and (more := file.read(len(start))):
            start += more
        self._is_all = not file.read(1)
        self._encoding = encoding_of(start, is_whole=self._is_all)
        whole = start if self._is_all else start[: len(start) & ~3]
        content = b"".join(_decoded(path, iter((whole,)), self._encoding) if self._is_all else self._begun(whole))
        if not is_text(content):
            raise _not_text(path)
        self.content = with_line_feeds(content)

    def form(self) -> TableForm:
        lines = self._lines()
        found = recognized(lines, self._encoding, self._options)
        if isinstance(found, TableForm):
            if max(self._options.columns or (1,)) > found.width:
                what = N_("has 1 column") if found.width == 1 else N_("has {count:,} columns")
                raise FileProblem(self._path, what, N_("Choose from these, from 1."), count=found.width)
            return found
        if found is None:
            raise _no_numbers(self._path)
        raise problem_of(self._path, found, self._encoding)

    def _is_enough(self, start: bytes) -> bool:
        lines = start.count(b"\n") + start.count(b"\r")
        return lines > 3 or len(start) >= LONGEST_HEADER or (self._is_numbers(start) and lines < 1)

    def _is_numbers(self, start: bytes) -> bool:
        """Whether a line that does not end begins with numbers; no more of it is needed."""
        return not re.search(rb"[^\d\s.,;|+\-eEdDnaifNAIF\x00\"]", start[:4096])

    def _begun(self, start: bytes) -> Iterator[bytes]:
        if not is_wide(self._encoding):
            return _decoded(self._path, iter((start,)), self._encoding)
        decoder = codecs.getincrementaldecoder(self._encoding)("replace")
        return iter((decoder.decode(start).removeprefix("\ufeff").encode("utf-8", "replace"),))

    def _lines(self) -> list[Line]:
        texts = self.content.split(b"\n", MOST_LINES + 1000)[: MOST_LINES + 1000]
        if not self._is_all and len(texts) > 1:
            texts.pop()
        elif not self._is_all:
            # The last field of a line that goes on may be a part of one.
            cut = max(texts[0].rfind(mark) for mark in b";\t|, ")
            texts = [texts[0][: max(cut, 0) or len(texts[0])]]
        numbered = [Line(number, text.decode("latin-1")) for number, text in enumerate(texts, 1) if text.strip()]
        return numbered[:MOST_LINES]


class _Table:
    """Takes the text piece by piece, so that neither many lines nor a long one hold up other threads."""

    def __init__(self, path: Path, form: TableForm) -> None:
        self._path, self._form = path, form
        self._layout = Layout(form.separator, form.edges)
        self._parser = Parser(form)
        self._to_skip = form.skip
        self._line = 1
        self._rest = b""

    def add(self, piece: bytes) -> None:
        """Read on, up to the last end of a line, or of a field where the line is longer than a block."""
        text = with_line_feeds(self._rest + piece) if not piece.endswith(b"\r") else self._rest + piece
        if text.endswith(b"\r"):
            self._rest = text
            return
        if not is_text(text):
            raise _not_text(self._path)
        text = self._skipped(text)
        end = text.rfind(b"\n") + 1
        if end <= 0 and len(text) >= BLOCK and self._parser.takes_parts and b"#" not in text:
            end = max(text.rfind(mark) for mark in (self._parser.separator or b" \t"))
            end = max(end, 0)
        self._read(text[:end])
        self._rest = text[end:]

    @property
    def nbytes(self) -> int:
        """Bytes that putting the blocks together takes once more."""
        return self._parser.nbytes

    def finish(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Read the last line, and put the blocks together."""
        rest = self._skipped(with_line_feeds(self._rest))
        self._read(rest if rest.endswith(b"\n") else rest + b"\n")
        values = self._parser.values()
        if not values.size:
            raise _no_numbers(self._path)
        return values.ravel() if 1 in values.shape else values

    def _skipped(self, text: bytes) -> bytes:
        while self._to_skip:
            end = text.find(b"\n") + 1
            if not end:
                return text
            text = text[end:]
            self._to_skip -= 1
            self._line += 1
        return text

    def _read(self, text: bytes) -> None:
        if not text or self._to_skip:
            return
        lines = text.count(b"\n")
        tidy = self._layout.tidied(mended(text))
        try:
            try:
                self._parser.add(tidy)
            except NotNumbers:
                self._parser.add(with_exponents(tidy))
        except NotNumbers as error:
            raise self._problem(tidy) from error
        self._line += lines

    def _problem(self, tidy: bytes) -> FileProblem:
        """Look for the line that pyarrow has stumbled over."""
        form = self._form
        number = partial(is_number, decimal=form.decimal, grouped=form.grouped)
        numeric = form.columns
        for line, text in enumerate(tidy.decode("latin-1").split("\n"), self._line):
            row = fields_of(text, form.separator, form.quote)
            if text and (len(row) != form.width or not all(number(row[at]) or is_missing(row[at]) for at in numeric)):
                return problem_of(self._path, misfit_of(line, row, form.width, numeric, number), form.encoding)
        return FileProblem(
            self._path,
            N_("has something in or below line {line:,} that can't be read as numbers"),
            N_("Save it as plain comma-separated numbers."),
            line=self._line,
        )


def problem_of(path: Path, misfit: Misfit, encoding: str = "utf-8") -> FileProblem:
    """What spoils a table, as a sentence."""
    word, line = misfit.word, misfit.line
    if word is None:
        return FileProblem(
            path,
            N_("has {found:,} instead of {width:,} numbers in line {line:,}"),
            N_("Give all lines the same number of fields."),
            found=misfit.found,
            width=misfit.width,
            line=line,
        )
    if not word.strip():
        return FileProblem(
            path, N_("has an empty field in line {line:,}"), N_("Write nan where a number is missing."), line=line
        )
    if encoding in ("cp1252", "latin-1") and not word.isascii():
        return _not_text(path)
    shown = shortened(word.strip().encode("latin-1", "replace").decode("utf-8", "replace"))
    if misfit.is_ambiguous:
        return FileProblem(
            path,
            N_("has '{word}' in line {line:,}, which may have decimals or thousands behind its comma"),
            N_("Say which: decimal=comma or decimal=point."),
            word=shown,
            line=line,
        )
    return FileProblem(
        path,
        N_("has '{word}' in line {line:,} where a number should be"),
        N_("Write numbers with a decimal point, and begin remarks with #; or leave out that line or column."),
        word=shown,
        line=line,
    )


def _no_numbers(path: Path) -> FileProblem:
    return FileProblem(path, N_("has no numbers in it"), N_("Choose a file with numbers in it."))


def _not_text(path: Path) -> FileProblem:
    return FileProblem(path, N_("is not a text file in UTF-8 or UTF-16"), N_("Save it as UTF-8 text."))
