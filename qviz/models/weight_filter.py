"""Which tensors does a person mean who writes ``sqnr < 30 and bytes > 1 MiB``? Read word by word, never executed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import repeat
from operator import contains

import numpy as np

from qviz.core.arrays import Array
from qviz.core.frozen import frozen
from qviz.core.printable import brief
from qviz.core.problems import Problem
from qviz.models.weight_table import OTHERS, WeightTable

Mask = Callable[[WeightTable], Array]

NUMBERS = {
    "bytes": "bytes",
    "size": "bytes",
    "elements": "elements",
    "axes": "axes",
    "share": "share",
    "layer": "layer",
    "sqnr": "sqnr",
    "rmse": "rmse",
    "worst": "worst",
    "outlier": "outlier",
    "outliers": "outlier",
    "kurtosis": "kurtosis",
    "saturated": "saturated",
    "bits": "bits",
    "gain": "gain",
} | {name: name for name in OTHERS}
"""What can be compared with a number, and the column that has it."""

TEXTS = {"name": "name", "type": "type", "dtype": "type", "role": "role", "shape": "shape", "module": "module"}
"""What can be compared with a text."""

UNITS = {
    "b": 1.0,
    "kb": 1e3,
    "mb": 1e6,
    "gb": 1e9,
    "tb": 1e12,
    "kib": 2.0**10,
    "mib": 2.0**20,
    "gib": 2.0**30,
    "tib": 2.0**40,
    "k": 1e3,
    "m": 1e6,
    "g": 1e9,
    "db": 1.0,
    "%": 0.01,
    "bits": 1.0,
}

_MOST_WORDS = 200
_TOKEN = re.compile(
    r"""\s*(?:(?P<op><=|>=|==|!=|=|<|>|~|≤|≥|≠)|(?P<mark>[()])|"(?P<double>[^"]*)"|'(?P<single>[^']*)'"""
    r"""|(?P<word>[^\s()<>=!~≤≥≠"']+)|(?P<other>.))""",
    re.DOTALL,
)
_NUMBER = re.compile(r"([+-]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*(%|[A-Za-z]*)")
_OPERATORS: dict[str, Callable[[Array, float], Array]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "=": np.equal,
    "!=": np.not_equal,
}
_SAME = {"==": "=", "≤": "<=", "≥": ">=", "≠": "!="}


@frozen
class _Token:
    kind: str
    text: str


def weight_filter(text: str) -> Mask:
    """What picks the tensors that a person means.

    Parameters
    ----------
    text : str
        Comparisons of figures (``sqnr < 30``, ``bytes >= 1 MiB``, ``saturated > 0.1 %``) and of texts (``role = q``,
        ``name ~ layers.3``, ``type = bf*``), joined by ``and``, ``or``, ``not`` and parentheses. A word alone is
        looked for in the name; words beside each other all have to be there.

    Returns
    -------
    Callable
        Gives for a `WeightTable` a bool array, shape (tensors,). A figure that is not known fits no comparison.

    Raises
    ------
    Problem
        When it can't be understood: which word, and what there is instead.
    """
    tokens = _tokens(text)
    if not tokens:
        return lambda table: np.ones(len(table), bool)
    if len(tokens) > _MOST_WORDS:
        raise Problem("This filter is too long: use fewer than {most} words.", most=_MOST_WORDS)
    reader = _Reader(tokens)
    mask = reader.either()
    if reader.now is not None:
        raise Problem("“{word}” has no partner in this filter.", word=brief(reader.now.text))
    return mask


def of_cell(layer: int, role: str) -> str:
    """The filter that leaves the tensors of a layer that have a role."""
    return f"layer = {layer} and role = {role}"


def _tokens(text: str) -> list[_Token]:
    found = []
    for match in _TOKEN.finditer(text.strip()):
        kind = match.lastgroup or ""
        word = match[kind]
        if kind in ("double", "single"):
            kind = "text"
        if kind == "other":
            if word.strip():
                raise Problem("“{word}” has no partner in this filter.", word=brief(word))
            continue
        found.append(_Token(kind, word))
    return found


class _Reader:
    """Reads from the left to the right, each rule of the language a method."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens, self._at = tokens, 0

    @property
    def now(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> _Token:
        token = self.now
        if token is None:
            raise Problem("The filter ends where something has to follow.")
        self._at += 1
        return token

    def _takes(self, *words: str) -> bool:
        token = self.now
        if token is not None and token.kind in ("word", "mark") and token.text.lower() in words:
            self._at += 1
            return True
        return False

    def either(self) -> Mask:
        masks = [self.both()]
        while self._takes("or", "||"):
            masks.append(self.both())
        return masks[0] if len(masks) == 1 else lambda table: np.logical_or.reduce([each(table) for each in masks])

    def both(self) -> Mask:
        masks = [self.one()]
        while (token := self.now) is not None:
            # Words beside each other all have to fit.
            if not self._takes("and", "&&") and (
                token.text == ")" or (token.kind == "word" and token.text.lower() in ("or", "||"))
            ):
                break
            masks.append(self.one())
        return masks[0] if len(masks) == 1 else lambda table: np.logical_and.reduce([each(table) for each in masks])

    def one(self) -> Mask:
        turned = False
        while self._takes("not"):
            turned = not turned
        mask = self._comparison()
        return (lambda table: ~mask(table)) if turned else mask

    def _comparison(self) -> Mask:
        if self._takes("("):
            mask = self.either()
            if not self._takes(")"):
                raise Problem("A parenthesis is open in this filter: close it.")
            return mask
        token = self._next()
        if token.kind in ("op", "mark"):
            raise Problem("“{word}” has no partner in this filter.", word=token.text)
        following = self.now
        if token.kind == "text" or following is None or following.kind != "op":
            if token.kind == "word" and token.text.lower() in ("expert", "experts"):
                return lambda table: table.experts | _named(table, token.text)
            return lambda table: _named(table, token.text)
        operator = self._next().text
        return self._compared(token.text, _SAME.get(operator, operator))

    def _compared(self, field: str, operator: str) -> Mask:
        column = NUMBERS.get(field.lower())
        if column is not None and operator != "~":
            number = self._number(field)
            return lambda table: _compare(table.numbers[column], operator, number)
        name = TEXTS.get(field.lower())
        if name is None or operator not in ("=", "!=", "~"):
            raise Problem(
                "“{field} {operator}” says nothing of a tensor: compare {numbers}; or {texts} by = or ~.",
                field=brief(field),
                operator=operator,
                numbers=", ".join(dict.fromkeys(NUMBERS.values())),
                texts=", ".join(dict.fromkeys(TEXTS.values())),
            )
        wanted = self._next().text.lower()
        fits = _fitting(wanted, operator)
        if name == "name":
            within = wanted if operator == "~" else wanted[1:-1] if operator == "=" and _is_within(wanted) else None
            if within is not None:
                return lambda table: _named(table, within)
            return lambda table: np.fromiter(map(fits, table.lower_names), bool, len(table))
        return lambda table: table.texts[name].where(fits)

    def _number(self, field: str) -> float:
        token = self._next()
        text = token.text
        found = _NUMBER.fullmatch(text)
        following = self.now
        if (
            found is not None
            and not found[2]
            and following is not None
            and following.kind == "word"
            and following.text.lower() in UNITS
        ):
            text += self._next().text
            found = _NUMBER.fullmatch(text)
        if token.kind != "word" or found is None or (found[2] and found[2].lower() not in UNITS):
            raise Problem(
                "“{field}” is compared with a number, such as 30, 1.5 MiB or 0.1 %, not with “{text}”.",
                field=brief(field),
                text=brief(text),
            )
        return float(found[1].replace("_", "")) * UNITS[found[2].lower() or "b"]


def _named(table: WeightTable, text: str) -> Array:
    return np.fromiter(map(contains, table.lower_names, repeat(text.lower())), bool, len(table))


def _compare(values: Array, operator: str, number: float) -> Array:
    if math.isnan(number):
        return np.zeros(values.shape, bool)
    return np.asarray(_OPERATORS[operator](values, number) & ~np.isnan(values))


def _is_within(wanted: str) -> bool:
    """Whether a pattern asks for no more than a part: ``*experts.7*``."""
    return len(wanted) > 2 and wanted[0] == wanted[-1] == "*" and not set("*?") & set(wanted[1:-1])


def _fitting(wanted: str, operator: str) -> Callable[[str], bool]:
    if operator == "~":
        return lambda text: wanted in text.lower()
    if "*" in wanted or "?" in wanted:
        pattern = re.compile(_glob(wanted), re.DOTALL)
        return lambda text: (pattern.fullmatch(text.lower()) is not None) == (operator == "=")
    return lambda text: (text.lower() == wanted) == (operator == "=")


def _glob(wanted: str) -> str:
    """The regular expression of a text with ``*`` and ``?``, where stars pass over everything once."""
    *before, last = re.escape(wanted).replace(r"\?", ".").split(r"\*")
    if not before:
        return last
    first, *between = before
    return f"{first}{''.join(f'(?>.*?{part})' for part in between)}.*{last}"
