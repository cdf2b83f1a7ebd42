"""How is a formula written once, and read as symbols, as numbers, as Python, and as what it comes to?

A formula is a tree of frozen nodes that ordinary operators build: ``(MAX - MIN) / (QMAX - QMIN)``. Each node knows
its four readings; `as_symbols`, `as_numbers`, `as_python` and `evaluate` ask for one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any

from qviz.core.frozen import frozen

SUM, PRODUCT, SIGN, POWER, ATOM = range(5)
"""How tightly a node holds together; what holds less tightly than its place asks for is bracketed."""

_SECOND_SIGN = re.compile(r"(?<=[+−·/] )(−[^\s,()]+)")
"""A minus sign behind another one, and what it belongs to."""

Values = Mapping[str, Any]
"""A number or an array for the ``key`` of each `Symbol`."""

Written = tuple[str, int]
"""A text, and how tightly it holds together."""


class Expression:
    """A node of a formula; the operators of Python make bigger ones."""

    def __add__(self, other: Expression | float) -> Expression:
        return Binary("+", self, _node(other))

    def __sub__(self, other: Expression | float) -> Expression:
        return Binary("−", self, _node(other))

    def __mul__(self, other: Expression | float) -> Expression:
        return Binary("·", self, _node(other))

    def __rmul__(self, other: float) -> Expression:
        return Binary("·", _node(other), self)

    def __truediv__(self, other: Expression | float) -> Expression:
        return Binary("/", self, _node(other))

    def __rtruediv__(self, other: float) -> Expression:
        return Binary("/", _node(other), self)

    def __neg__(self) -> Expression:
        return Negated(self)

    @property
    def parts(self) -> tuple[Expression, ...]:
        """What it is made of."""
        return ()

    def rebuilt(self, parts: tuple[Expression, ...]) -> Expression:
        """The same of other parts."""
        return self

    def value(self, values: Values) -> Any:
        """What it comes to."""
        raise NotImplementedError

    def written(self, number: Callable[[Expression], str | None]) -> Written:
        """As people write it; what ``number`` has a text for is written so."""
        text = number(self)
        if text is not None:
            return _held(text)
        return self._symbols(number)

    def _symbols(self, number: Callable[[Expression], str | None]) -> Written:
        raise NotImplementedError

    def python(self, names: Mapping[str, str]) -> Written:
        """As NumPy has it; ``names`` go before the names of symbols."""
        raise NotImplementedError


@frozen
class Symbol(Expression):
    """What has another value for every tensor, channel, block or element.

    Attributes
    ----------
    name : str
        What people read.
    key : str
        The key of its value, and its name in a script.
    script : str
        What a script has in its place, where that is not a name.
    """

    name: str
    key: str
    script: str = ""

    def value(self, values: Values) -> Any:
        return values[self.key]

    def _symbols(self, number: Callable[[Expression], str | None]) -> Written:
        return self.name, ATOM

    def python(self, names: Mapping[str, str]) -> Written:
        return names.get(self.key, self.script or self.key), ATOM


@frozen
class Constant(Expression):
    """What the number format and the convention fix: a name in symbols, else its value."""

    name: str
    fixed: float

    def value(self, values: Values) -> Any:
        return self.fixed

    def _symbols(self, number: Callable[[Expression], str | None]) -> Written:
        return self.name, ATOM

    def python(self, names: Mapping[str, str]) -> Written:
        return _held(literal(self.fixed))


@frozen
class Number(Expression):
    """A number that stands in the formula itself; ``text`` is how people write it, by itself its digits."""

    fixed: float
    text: str = ""

    def value(self, values: Values) -> Any:
        return self.fixed

    def _symbols(self, number: Callable[[Expression], str | None]) -> Written:
        return _held(self.text or f"{self.fixed:g}".replace("-", "−"))

    def python(self, names: Mapping[str, str]) -> Written:
        return _held(literal(self.fixed))


@frozen
class Binary(Expression):
    """``left`` and ``right`` with one of + − · / between them."""

    sign: str
    left: Expression
    right: Expression

    @property
    def holds(self) -> int:
        """How tightly."""
        return SUM if self.sign in "+−" else PRODUCT

    @property
    def parts(self) -> tuple[Expression, ...]:
        return self.left, self.right

    def rebuilt(self, parts: tuple[Expression, ...]) -> Expression:
        return Binary(self.sign, *parts)

    def value(self, values: Values) -> Any:
        left, right = self.left.value(values), self.right.value(values)
        if self.sign == "+":
            return left + right
        if self.sign == "−":
            return left - right
        return left * right if self.sign == "·" else left / right

    def _symbols(self, number: Callable[[Expression], str | None]) -> Written:
        left, right = self.left.written(number), self.right.written(number)
        # A sum of sums is one sum to people, in whatever order it is added up.
        alike = self.sign == "+" and isinstance(self.right, Binary) and self.right.sign == "+"
        second = f"({right[0]})" if right[1] == SIGN else _within(right, self.holds + (not alike))
        if second.startswith("−"):  # a minus sign behind another one
            first, _, rest = second.partition(" ")
            second = f"({first}) {rest}"
        return f"{_within(left, self.holds)} {self.sign} {second}", self.holds

    def python(self, names: Mapping[str, str]) -> Written:
        sign = {"−": "-", "·": "*"}.get(self.sign, self.sign)
        left, right = self.left.python(names), self.right.python(names)
        return f"{_within(left, self.holds)} {sign} {_within(right, self.holds + 1)}", self.holds


@frozen
class Negated(Expression):
    """−``inner``."""

    inner: Expression

    @property
    def parts(self) -> tuple[Expression, ...]:
        return (self.inner,)

    def rebuilt(self, parts: tuple[Expression, ...]) -> Expression:
        return Negated(*parts)

    def value(self, values: Values) -> Any:
        return -self.inner.value(values)

    def _symbols(self, number: Callable[[Expression], str | None]) -> Written:
        return f"−{_within(self.inner.written(number), POWER)}", SIGN

    def python(self, names: Mapping[str, str]) -> Written:
        return f"-{_within(self.inner.python(names), POWER)}", SIGN


@frozen
class Folded(Expression):
    """One number as soon as there are numbers: ``(qmax − qmin)`` is 255 then."""

    inner: Expression

    @property
    def parts(self) -> tuple[Expression, ...]:
        return (self.inner,)

    def rebuilt(self, parts: tuple[Expression, ...]) -> Expression:
        return Folded(*parts)

    def value(self, values: Values) -> Any:
        return self.inner.value(values)

    def _symbols(self, number: Callable[[Expression], str | None]) -> Written:
        return self.inner.written(number)

    def python(self, names: Mapping[str, str]) -> Written:
        return self.inner.python(names) if keys_of(self) else _held(literal(self.value({})))


@frozen
class Function:
    """A function of formulas.

    Attributes
    ----------
    symbols, python : str
        How a call reads, with ``{0}``, ``{1}`` for what it is of.
    compute : Callable
        What it comes to; the precision is that of its arguments.
    helper : str
        What a script has to define first; empty where NumPy has the function.
    holds, asks : int
        How tightly a call holds together in symbols, and what it asks of its arguments there.
    hides : Callable
        Whether numbers show the result alone in the place of such arguments.
    """

    symbols: str
    python: str
    compute: Callable[..., Any]
    helper: str = ""
    holds: int = ATOM
    asks: int = SUM
    hides: Callable[..., bool] = field(default=lambda *values: False)

    def __call__(self, *arguments: Expression | float) -> Expression:
        return Call(self, tuple(_node(argument) for argument in arguments))


@frozen
class Call(Expression):
    """A function of something."""

    function: Function
    arguments: tuple[Expression, ...]

    @property
    def parts(self) -> tuple[Expression, ...]:
        return self.arguments

    def rebuilt(self, parts: tuple[Expression, ...]) -> Expression:
        return Call(self.function, parts)

    def value(self, values: Values) -> Any:
        return self.function.compute(*(part.value(values) for part in self.parts))

    def _symbols(self, number: Callable[[Expression], str | None]) -> Written:
        arguments = (_within(part.written(number), self.function.asks) for part in self.parts)
        text = self.function.symbols.format(*arguments)
        return _SECOND_SIGN.sub(r"(\1)", text), self.function.holds

    def python(self, names: Mapping[str, str]) -> Written:
        return self.function.python.format(*(part.python(names)[0] for part in self.parts)), ATOM


@frozen
class Rounded(Expression):
    """``inner``, rounded to a narrower type as soon as it is known: people read that once, beside the formula."""

    function: Function
    inner: Expression

    @property
    def parts(self) -> tuple[Expression, ...]:
        return (self.inner,)

    def rebuilt(self, parts: tuple[Expression, ...]) -> Expression:
        return Rounded(self.function, *parts)

    def value(self, values: Values) -> Any:
        return self.function.compute(self.inner.value(values))

    def _symbols(self, number: Callable[[Expression], str | None]) -> Written:
        return self.inner.written(number)

    def python(self, names: Mapping[str, str]) -> Written:
        return self.function.python.format(self.inner.python(names)[0]), ATOM


@frozen
class Formula:
    """A symbol and what it stands for.

    Attributes
    ----------
    symbol : Symbol
    expression : Expression
    where : tuple of Formula
        What symbols of it stand for in turn, each one made of those before it.
    note, rounded : str
        What people have to know besides; and to what it is rounded, where that is no float32.
    """

    symbol: Symbol
    expression: Expression
    where: tuple[Formula, ...] = ()
    note: str = ""
    rounded: str = ""

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Its own and those of its symbols."""
        return (*(each.expression for each in self.where), self.expression)


def walk(*expressions: Expression) -> Iterator[Expression]:
    """Every node, the outer ones first."""
    for expression in expressions:
        yield expression
        yield from walk(*expression.parts)


def written_out(values: Values, *expressions: Expression) -> Iterator[Expression]:
    """Every node that is still there with numbers in it: not what a function hides."""
    for node in expressions:
        if not _is_hidden(node, values):
            yield node
            yield from written_out(values, *node.parts)


def denominators(nodes: Iterable[Expression]) -> Iterator[Expression]:
    """Everything that some of them divide by, whatever function is written as that."""
    for node in nodes:
        if isinstance(node, Binary) and node.sign == "/":
            yield node.right
        if isinstance(node, Call):
            yield from (part for i, part in enumerate(node.arguments) if f"/ {{{i}}}" in node.function.symbols)


def _is_hidden(node: Expression, values: Values) -> bool:
    return isinstance(node, Call) and node.function.hides(*(part.value(values) for part in node.parts))


def keys_of(*expressions: Expression) -> set[str]:
    """The keys of everything in them that has another value every time."""
    return {node.key for node in walk(*expressions) if isinstance(node, Symbol)}


def helpers_of(*expressions: Expression) -> list[str]:
    """What a script has to define first, each once."""
    helpers = (node.function.helper for node in walk(*expressions) if isinstance(node, Call | Rounded))
    return list(dict.fromkeys(helper for helper in helpers if helper))


def replaced(expression: Expression, old: Expression, new: Expression) -> Expression:
    """The same with every ``old`` in it made into ``new``."""
    if expression == old:
        return new
    return expression.rebuilt(tuple(replaced(part, old, new) for part in expression.parts))


def each_rounded(expression: Expression, function: Function, given: frozenset[Expression] = frozenset()) -> Expression:
    """The same with the result of every operation rounded by a function, and what is ``given`` too."""
    if isinstance(expression, Folded):  # known before there are values
        return expression
    whole = expression.rebuilt(tuple(each_rounded(part, function, given) for part in expression.parts))
    return Rounded(function, whole) if isinstance(whole, Binary) or whole in given else whole


def evaluate(expression: Expression, values: Values) -> Any:
    """What it comes to, in the precision of ``values``.

    Raises
    ------
    KeyError
        Where a symbol has no value.
    """
    return expression.value(values)


def as_symbols(expression: Expression) -> str:
    """As people write it: ``(max − min) / (qmax − qmin)``."""
    return expression.written(lambda node: None)[0]


def as_numbers(expression: Expression, values: Values, write: Callable[[Any], str]) -> str:
    """The same with numbers in the places of names.

    Parameters
    ----------
    values : dict
    write : Callable
        How a number is written; a minus sign of it is ``−``.
    """

    def number(node: Expression) -> str | None:
        hidden = _is_hidden(node, values)
        return write(node.value(values)) if hidden or isinstance(node, Symbol | Constant | Folded) else None

    return expression.written(number)[0]


def as_python(expression: Expression, names: Mapping[str, str] | None = None) -> str:
    """The same in NumPy.

    Parameters
    ----------
    names : dict, optional
        What a script calls some of the symbols, by their key.
    """
    return expression.python(names or {})[0]


def literal(value: float) -> str:
    """A number as Python reads it back."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def _node(value: Expression | float) -> Expression:
    return value if isinstance(value, Expression) else Number(value)


def _held(number: str) -> Written:
    return number, SIGN if number.startswith(("−", "-")) else ATOM


def _within(written: Written, asks: int) -> str:
    text, holds = written
    return f"({text})" if holds < asks else text
