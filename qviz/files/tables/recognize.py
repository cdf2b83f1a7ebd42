"""How is this table written: what divides the fields, where do the numbers begin, which columns are none?

Every way to read the first lines is tried, and the one with the most numbers in it is taken. A header of
numbers (a pandas DataFrame of an array), an index and words beside the numbers are told from the numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from qviz.core.frozen import frozen
from qviz.core.problems import N_, Phrase
from qviz.files.problems import shortened
from qviz.files.tables.cells import (
    fields_of,
    is_beyond,
    is_fraction,
    is_grouped,
    is_missing,
    is_number,
    is_whole,
    is_word,
)
from qviz.files.tables.form import TableForm, TableOptions
from qviz.files.tables.mended import Layout, mended, with_exponents

MOST_LINES = 200
"""Lines that are looked at: enough to tell an index from chance."""

_COLUMN_NUMBERS = N_("Line 1 ({cells}) could be column numbers; it is taken as values.")
_UNNAMED_INDEX = N_("The first column counts {cells}: if it is an index, leave it out.")
_PAIRS = N_("Fields such as {cells} could be numbers with a decimal comma; they are taken as two columns.")
IsNumber = Callable[[str], bool]
Fits = Callable[[Sequence[str]], bool]

_INDEX_NAMES = {"", "index", "idx", "row", "rows", "rownames", "id", "no", "no.", "nr", "nr.", "#", "n", "unnamed: 0"}
_COUNTED_HEADER = 3
"""Whole numbers over whole numbers are column numbers only where there are so many of them."""


@frozen
class Misfit:
    """The first place that spoils a table: a word, or else a line of `found` instead of `width` fields."""

    line: int
    word: str | None
    found: int = 0
    width: int = 0
    is_ambiguous: bool = False


@frozen
class Line:
    """A line with something on it; `number` counts from 1."""

    number: int
    text: str


@frozen
class _Reading:
    """One way to divide the lines, and what comes of it."""

    separator: str
    decimal: str
    grouped: bool
    quote: str
    edges: tuple[bool, bool]
    width: int
    start: int
    header: tuple[int, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[int, ...]
    quality: float
    misfit: Misfit | None

    def is_number(self, cell: str) -> bool:
        return is_number(cell, self.decimal, grouped=self.grouped)


def recognized(lines: Sequence[Line], encoding: str, options: TableOptions) -> TableForm | Misfit | None:
    """The form of a table.

    Parameters
    ----------
    lines : sequence of Line
        The first ones that are not blank, as they stand in the file (bytes as Latin-1).
    encoding : str
        Of the file; the names of columns are in it.
    options : TableOptions
        What needs not be recognized.

    Returns
    -------
    TableForm, Misfit or None
        What is in the way where it is no table of numbers; None where there is nothing but remarks, or a
        header alone.
    """
    said = _said_separator(lines)
    if said is not None:
        lines = lines[1:]
    lines = [Line(line.number, text) for line in lines if (text := _mended(line.text).strip(" ")).strip()]
    if not lines:
        return None
    readings = list(_readings(lines, options, said))
    best = max(readings, key=lambda reading: reading.quality, default=None)
    if best is None or not best.numeric or (best.misfit is None and not best.quality):
        return _nothing(lines, best)
    if best.misfit is not None:
        return best.misfit
    if ambiguous := _is_ambiguous(best, options):
        return ambiguous
    return _form(best, lines, encoding, options)


def _mended(text: str) -> str:
    return with_exponents(mended(text.encode("latin-1"))).decode("latin-1")


def _said_separator(lines: Sequence[Line]) -> str | None:
    """Of Excel's own first line: ``sep=;``."""
    text = lines[0].text.strip().strip('"').lower() if lines else ""
    return text[4] if len(text) == 5 and text.startswith("sep=") and text[4] in ",;|\t" else None


def _readings(lines: Sequence[Line], options: TableOptions, said: str | None) -> Iterable[_Reading]:
    quote = _quote_of(lines)
    separators = [said] if said else [";", "\t", "|", ",", " ", ""]
    if options.separator is not None:
        separators = [options.separator]
    for separator in separators:
        layout = Layout(separator)
        tidy = [layout.tidied(line.text.encode("latin-1")).decode("latin-1") for line in lines]
        if separator and options.separator is None and not any(separator in text for text in tidy):
            continue
        table = [fields_of(text, separator, quote) for text in tidy]
        has_commas = separator != "," or any(quote in line.text for line in lines)
        for decimal in [options.decimal] if options.decimal else [".", ","] if has_commas else ["."]:
            for grouped in (False, True):
                reading = _reading(lines, table, separator, decimal, grouped, quote, options)
                yield reading
                if reading.misfit is None and not reading.quality < 1:
                    break


def _quote_of(lines: Sequence[Line]) -> str:
    is_single = any(line.text.count("'") >= 2 for line in lines) and not any('"' in line.text for line in lines)
    return "'" if is_single else '"'


def _reading(
    lines: Sequence[Line],
    table: list[list[str]],
    separator: str,
    decimal: str,
    grouped: bool,
    quote: str,
    options: TableOptions,
) -> _Reading:
    def number(cell: str) -> bool:
        return is_number(cell, decimal, grouped=grouped)

    edges = _edges(table, separator, number)
    rows = [_without(cells, edges) for cells in table]
    width = _width(rows, number)

    body = [row for row in rows if len(row) == width]
    numeric = tuple(at for at in range(width) if _is_numeric([row[at] for row in body], number))
    if options.columns is not None:  # what is not taken may hold anything
        sound = {at for at in numeric if all(number(row[at]) or is_missing(row[at]) for row in body[1:])}
        numeric = tuple(sorted(sound.union(at - 1 for at in options.columns if at <= width)))

    def fits(row: Sequence[str]) -> bool:
        return (
            len(row) == width
            and all(number(row[at]) or is_missing(row[at]) for at in numeric)
            and (any(number(row[at]) for at in numeric))
        )

    def is_possible(row: Sequence[str]) -> bool:
        """Below the first line of numbers, one may be missing altogether."""
        return len(row) == width and all(number(row[at]) or is_missing(row[at]) for at in numeric)

    if options.header is not None:
        start = next((at for at, line in enumerate(lines) if line.number > options.header), len(lines))
    else:
        start = 0
        while start < len(rows) and not fits(rows[start]) and _can_be_header(rows[start], width, decimal, separator):
            start += 1
        if not start and len(rows[0]) == width - 1 and _counts(rows[0]) and _counts([row[0] for row in body]):
            start = 1  # column numbers above all but the index
        start = _below_words(rows, start, fits, number)
    misfit = None
    fitting = []
    for line, row in zip(lines[start:], rows[start:], strict=True):
        if not is_possible(row):
            misfit = misfit_of(line.number, row, width, numeric, number)
            break
        fitting.append(row)
    numbers = sum(number(row[at]) for row in fitting for at in numeric)
    missing = sum(is_missing(cell) for row in fitting for cell in row)
    quality = (numbers + missing) / max(len(fitting) * width, 1) if numbers else 0.0
    if misfit is not None:  # the earlier a table is spoilt, the less it is one
        quality *= 0.5 * len(fitting) / len(rows)
    if start and not _is_above(rows[start - 1], fitting, width, separator):
        quality *= 0.99
    if separator == "," and _has_odd_zeros(fitting):
        quality *= 0.98
    if not separator and decimal == ",":
        # Without a name above them, lines with and without commas are lines of different lengths.
        quality *= 0.995 if start or all("," in row[0] for row in fitting) else 0.0
    header = tuple(line.number for line in lines[:start])
    return _Reading(
        separator,
        decimal,
        grouped,
        quote,
        edges,
        width,
        start,
        header,
        tuple(map(tuple, rows)),
        numeric,
        quality,
        misfit,
    )


def _is_above(header: Sequence[str], body: Sequence[Sequence[str]], width: int, separator: str) -> bool:
    """Whether a header has a field for each column, or for each but the first, which numbers or names the rows."""
    first = [row[0] for row in body]
    is_short = len(header) == width - 1 and (_counts(first) or not any(map(is_whole, first)))
    if is_short and separator == "," and _are_pairs(body):
        is_short = False  # one name over ``1,5`` and ``2,75``: a column with decimal commas
    is_title = len(header) == 1 and " " in header[0]
    return len(header) == width or is_short or is_title


def _has_odd_zeros(body: Sequence[Sequence[str]]) -> bool:
    """``-0,75`` or ``1,05`` among pairs of integers: none are written so, but numbers with decimal commas are."""
    return all(len(row) == 2 and all(map(is_whole, row)) for row in body) and any(
        cell != "0" and cell.lstrip("+-").startswith("0") for row in body for cell in row
    )


def _width(rows: Sequence[Sequence[str]], number: IsNumber) -> int:
    """The most frequent count of fields among the lines that have a number."""
    filled = [len(cells) for cells in rows if any(map(number, cells))]
    return Counter(filled or map(len, rows)).most_common(1)[0][0]


def _edges(table: list[list[str]], separator: str, number: IsNumber) -> tuple[bool, bool]:
    """Whether all lines of the most frequent length begin, or end, with nothing."""
    if separator in ("", " "):
        return False, False
    width = _width(table, number)
    full = [cells for cells in table if len(cells) == width]
    if width < 2:
        return False, False
    # A name above it makes an empty column one whose values are missing.
    named = table[0] if len(table[0]) == width and len(table) > 1 else []
    last = all(not cells[-1] for cells in full[1:] or full) and not (named and named[-1])
    first = last and width > 2 and all(not cells[0] for cells in full)
    return first, last


def _without(cells: list[str], edges: tuple[bool, bool]) -> list[str]:
    first, last = edges
    if last and len(cells) > 1 and not cells[-1]:
        cells = cells[:-1]
    return cells[1:] if first and not cells[0] else cells


def _is_numeric(cells: Sequence[str], number: IsNumber) -> bool:
    """Whether a column is one of numbers, perhaps with a word in it that must not be."""
    kinds = ["number" if number(cell) else "missing" if is_missing(cell) else "word" for cell in cells]
    words, numbers = kinds.count("word"), kinds.count("number")
    if not words:
        return True
    if not numbers:  # ``12%`` or ``1 234`` is a number gone wrong, and no word
        return any(kind == "word" and not is_word(cell) for cell, kind in zip(cells, kinds, strict=True))
    return not (numbers == 1 and kinds[0] == "number" and words >= 3)


def _can_be_header(row: Sequence[str], width: int, decimal: str, separator: str) -> bool:
    if not separator and "," in row[0]:
        return False  # more likely a line of a table that is spoilt
    fractions = sum(is_fraction(cell, ".") or is_fraction(cell, ",") or is_beyond(cell) for cell in row)
    named = any(is_word(cell) and not is_number(cell, decimal) for cell in row)
    return named and (not fractions if len(row) == width else 2 * fractions < len(row))


def _below_words(
    rows: Sequence[Sequence[str]], start: int, fits: Callable[[Sequence[str]], bool], number: IsNumber
) -> int:
    """Column numbers may stand above names: then the names end the header, too."""
    if start != 0 or len(rows) < 3 or not fits(rows[0]) or not all(is_whole(cell) for cell in rows[0]):
        return start
    second = rows[1]
    is_named = len(second) == len(rows[0]) and all(is_word(cell) and not number(cell) for cell in second)
    return 2 if is_named and fits(rows[2]) else start


def misfit_of(line: int, row: Sequence[str], width: int, numeric: Iterable[int], number: IsNumber) -> Misfit:
    """What is wrong with a line: a word where a number should be, an empty field, or too few or many of them."""
    wanted = set(numeric)
    word = next(
        (
            cell
            for at, cell in enumerate(row)
            if (at in wanted or at >= width) and not number(cell) and not is_missing(cell)
        ),
        None,
    )
    if word is None and len(row) == width + 1 and not row[-1]:
        word = ""
    return Misfit(line, word, len(row), width)


def _nothing(lines: Sequence[Line], best: _Reading | None) -> Misfit | None:
    """A header alone has no numbers; of more lines the second should have had some."""
    at = min(len(lines) - 1, 1)
    words = best.rows[at] if best is not None else (lines[at].text,)
    wrong = [word for word in words if not is_missing(word) and (at or not is_word(word))]
    return Misfit(lines[at].number, wrong[0]) if wrong else None


def _is_ambiguous(best: _Reading, options: TableOptions) -> Misfit | None:
    """``1,234`` in every marked field: a thousand and more, or one and a little?"""
    if options.decimal is not None or best.separator == ",":
        return None
    marked = [cell for row in best.rows[best.start :] for cell in row if "," in cell]
    if marked and all(is_grouped(cell, ".") and cell.count(",") == 1 and "." not in cell for cell in marked):
        return Misfit(best.header[-1] + 1 if best.header else 1, marked[0], is_ambiguous=True)
    return None


def _form(best: _Reading, lines: Sequence[Line], encoding: str, options: TableOptions) -> TableForm:
    rows, start = best.rows, best.start
    labels = tuple(sorted(set(range(best.width)) - set(best.numeric)))
    doubts = []
    if options.header is None and _is_counted(best, lines, labels):
        start += 1
    elif options.header is None and not start and len(rows) > 1 and best.width > 1 and _counts(rows[0]):
        doubts.append(Phrase(_COLUMN_NUMBERS, cells=_shown(rows[0])))
    body = rows[start:]
    names = _names(best, start, encoding)
    first = [row[0] for row in body]
    index = _is_index(best, body, names) if options.index is None else options.index and best.width > 1
    if options.index is None and not index and len(names) < best.width and len(body) > 1 and best.width > 1:
        if len(body) > 2 and _counts(first) and _has_fractions(best, body):
            doubts.append(Phrase(_UNNAMED_INDEX, cells=_shown(first)))
        elif best.separator == "," and _are_pairs(body):
            doubts.append(Phrase(_PAIRS, cells=",".join(map(shortened, body[0]))))
    if len(names) == best.width - 1 and (index or 0 in labels):
        names = ("", *names)
    columns = tuple(at for at in best.numeric if at or not index)
    if options.columns is not None:
        columns, labels = tuple(at - 1 for at in options.columns if at <= best.width), ()
    columns = columns or best.numeric
    return TableForm(
        encoding,
        best.separator,
        best.decimal,
        best.quote,
        best.grouped,
        lines[start].number - 1,
        tuple(line.number for line in lines[:start]),
        names if len(names) == best.width else (),
        best.width,
        best.edges,
        index and 0 not in columns,
        tuple(sorted(set(labels) - set(columns))),
        columns,
        tuple(doubts),
    )


def _are_pairs(body: Sequence[Sequence[str]]) -> bool:
    """Whether each line could as well be one number with a decimal comma."""
    return all(len(row) == 2 and all(map(is_whole, row)) and row[1][0] not in "+-" for row in body)


def _shown(cells: Sequence[str]) -> str:
    return ", ".join(map(shortened, cells[:3])) + (", …" if len(cells) > 3 else "")


def _integers(cells: Sequence[str]) -> list[int]:
    """Their values; none where one of them is no integer, or one that numbers nothing."""
    return [int(cell) for cell in cells] if all(is_whole(cell) and len(cell) < 16 for cell in cells) else []


def _counts(cells: Sequence[str]) -> bool:
    """Whether they are 0, 1, 2, … or 1, 2, 3, …"""
    numbers = _integers(cells)
    return numbers[:1] in ([0], [1]) and all(b - a == 1 for a, b in pairwise(numbers))


def _has_fractions(best: _Reading, body: Sequence[Sequence[str]]) -> bool:
    return any(is_fraction(row[at], best.decimal) for row in body for at in best.numeric if at)


def _is_counted(best: _Reading, lines: Sequence[Line], labels: Sequence[int]) -> bool:
    """Whether the first line that fits is a header nevertheless: column numbers, as pandas writes them."""
    rows = best.rows
    if best.start or len(rows) < 2 or len(rows[1]) != best.width:
        return False
    first, body = rows[0], [row for row in rows[1:] if len(row) == best.width]
    beside = [*labels, 0] if not first[0] and best.width > 1 and _counts([row[0] for row in body]) else labels
    if beside and all(is_missing(first[at]) and not any(is_missing(row[at]) for row in body) for at in beside):
        return True  # an index or names of rows, and nothing above them
    quoted = [line.text.count(best.quote) for line in lines[:3]]
    if quoted[0] == 2 * best.width and not any(quoted[1:]):
        return True
    others = [at for at in best.numeric if at or first[0]]
    values = _integers([first[at] for at in others])
    if not values or any(b - a != 1 for a, b in pairwise(values)):
        return False
    return _are_column_numbers(values, [[row[at] for at in others] for row in body], best.decimal)


def _are_column_numbers(values: Sequence[int], body: Sequence[Sequence[str]], decimal: str) -> bool:
    """Whether consecutive integers above a table are none of its values."""
    cells = [cell for row in body for cell in row]
    has_fractions = any(is_fraction(cell, decimal) for cell in cells)
    if has_fractions and not any(map(is_whole, cells)):
        return len(values) > 1 or values[0] == 0
    if values[0] not in (0, 1) or len(values) < _COUNTED_HEADER:
        return False
    # Integers above integers: counting on, a grid or distances are values.
    return has_fractions or all(map(_leaps, body[:2]))


def _leaps(cells: Sequence[str]) -> bool:
    numbers = _integers(cells)
    return not numbers or any(abs(b - a) > 1 for a, b in pairwise(numbers))


def _names(best: _Reading, start: int, encoding: str) -> tuple[str, ...]:
    """The last line above the numbers that has a field for each column, or for each but the first."""
    for width in (best.width, best.width - 1):
        for row in reversed(best.rows[:start]):
            if len(row) == width and any(row):
                return tuple(_decoded(cell, encoding) for cell in row)
    return ()


def _decoded(cell: str, encoding: str) -> str:
    if encoding.startswith(("utf-16", "utf-32")):
        encoding = "utf-8"
    return cell.encode("latin-1", "replace").decode(encoding, "replace")


def _is_index(best: _Reading, body: Sequence[Sequence[str]], names: tuple[str, ...]) -> bool:
    """Whether the first column numbers the rows: its name is empty or says so, and its values do."""
    cells = [row[0] for row in body]
    if best.width < 2 or 0 not in best.numeric or not all(map(is_whole, cells)):
        return False
    if len(names) == best.width - 1:  # R's write.table gives the names of the rows no header
        return _counts(cells) or len(set(cells)) == len(cells) > 2
    if len(names) != best.width or not any(names[1:]):
        return False
    name = names[0].strip().lower()
    # A part of a table keeps the numbers that its rows had; only pandas' empty name says so.
    is_part = name in ("", "unnamed: 0") and len(set(cells)) == len(cells) and _has_fractions(best, body)
    return is_part or (name in _INDEX_NAMES and _counts(cells))
