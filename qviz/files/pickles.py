"""What does a pickle describe? Read as data: nothing is imported, called or built, whatever it asks for.

A pickle is a program for a small machine with a stack. Here this machine builds descriptions alone: a name stays a
name (`Name`), a call becomes a `Call` that was not made. A name that the reader of the format does not know ends the
reading with a `Refused` that says it. The operations: CPython's ``Lib/pickletools.py``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from qviz.core.frozen import frozen
from qviz.files.region import Content

MOST_STEPS = 1 << 23
"""Operations of one pickle: a checkpoint of 90,000 tensors takes half as many."""

MOST_PARTS = 1 << 21
"""Lists, dictionaries and calls of one pickle, and places of its memory: a third of what as many steps make of tensors.

An operation is a byte in the file and a hundred in memory.
"""

_LONGEST_NUMBER = 256
"""Bytes of one whole number."""


class BadPickle(ValueError):
    """It is no pickle, or a damaged one."""


class Refused(ValueError):
    """It asks for something that tensors do not need.

    Parameters
    ----------
    name : str
        What it asks for.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@frozen
class Name:
    """Something of a Python module, which is not imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False, slots=True)
class Call:
    """A call that was not made, and the state that would have been set afterwards."""

    what: Any
    arguments: Any
    state: Any = None
    items: list[tuple[Any, Any]] = field(default_factory=list)
    """What would have been set by key, as in an ``OrderedDict``, or appended (with None for the key)."""


@dataclass(eq=False, slots=True)
class Persistent:
    """Something that lies outside of the pickle."""

    key: Any


@dataclass(eq=False, slots=True)
class Pairs:
    """A dictionary, as pairs: keys need not be hashed."""

    items: list[tuple[Any, Any]] = field(default_factory=list)

    def get(self, key: object) -> Any:
        """The last value of a key that is a text or a number; None where there is none."""
        return next((value for each, value in reversed(self.items) if type(each) is type(key) and each == key), None)


@frozen
class Span:
    """Bytes that stay in the file: where they begin and end; ``is_text`` where they are UTF-8."""

    start: int
    end: int
    is_text: bool = False


@frozen
class Pickled:
    """What a pickle describes, where it ends, and what lies outside of it."""

    value: Any
    end: int
    outside: tuple[Persistent, ...]


_MARK = object()
_SHORT = 1 << 12
"""Bytes up to which a text or bytes are read; longer ones stay where they are."""


def read_pickle(content: bytes | Content, start: int, is_known: Callable[[Name], bool]) -> Pickled:
    """Read one pickle.

    Parameters
    ----------
    content : bytes or Content
        That it lies in.
    start : int
        Where it begins.
    is_known : Callable[[Name], bool]
        Whether a name may occur.

    Raises
    ------
    Refused
        When another name occurs, or something else that has no place among tensors.
    BadPickle
        When it is damaged, or has more steps than any checkpoint.
    """
    machine = _Machine(content, start, is_known)
    try:
        return machine.run()
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise BadPickle("it ends too early, or is no pickle") from error


class _Machine:
    """The machine: a stack, marks on it, and a memory of what was seen."""

    def __init__(self, content: bytes | Content, start: int, is_known: Callable[[Name], bool]) -> None:
        self._content, self._at, self._end = content, start, len(content)
        self._is_known = is_known
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._outside: list[Persistent] = []
        self._parts = 0

    def run(self) -> Pickled:
        operations = _OPERATIONS
        for _ in range(MOST_STEPS):
            code = self._content[self._at]
            self._at += 1
            if code == 0x2E:  # STOP
                value = self._pop()
                return Pickled(value, self._at, tuple(self._outside))
            operation = operations.get(code)
            if operation is None:
                raise BadPickle(f"operation {code:#04x} is unknown")
            operation(self)
        raise BadPickle("it has too many steps")

    # -- reading

    def _take(self, size: int) -> bytes:
        if size < 0 or size > self._end - self._at:
            raise BadPickle("it ends too early")
        self._at += size
        return self._content[self._at - size : self._at]

    def _number(self, form: str, size: int) -> int:
        (value,) = struct.unpack(form, self._take(size))
        return int(value)

    def _line(self) -> bytes:
        end = self._content.find(b"\n", self._at, self._at + _SHORT)
        if end < 0:
            raise BadPickle("a line does not end")
        line = self._content[self._at : end]
        self._at = end + 1
        return line

    def _span(self, size: int, is_text: bool) -> None:
        if size < 0 or size > self._end - self._at:
            raise BadPickle("it ends too early")
        if size <= _SHORT:
            data = self._take(size)
            self._push(data.decode("utf-8", "surrogatepass") if is_text else data)
            return
        self._push(Span(self._at, self._at + size, is_text))
        self._at += size

    # -- the stack

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _push_new(self, value: Any) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise BadPickle("it has too many parts")
        self._stack.append(value)

    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise BadPickle("a mark is where a value should be")
        return value

    def _top(self) -> Any:
        value = self._stack[-1]
        if value is _MARK:
            raise BadPickle("a mark is where a value should be")
        return value

    def _popped(self) -> list[Any]:
        """Down to the mark."""
        for place in range(len(self._stack) - 1, -1, -1):
            if self._stack[place] is _MARK:
                values = self._stack[place + 1 :]
                del self._stack[place:]
                return values
        raise BadPickle("there is no mark")

    def _last(self, count: int) -> list[Any]:
        return [self._pop() for _ in range(count)][::-1]

    def _push_nothing(self, said: int) -> None:
        """What PROTO and FRAME say is not needed."""

    def _outer(self, key: Any) -> None:
        self._outside.append(Persistent(key))
        self._push_new(self._outside[-1])

    # -- names and calls

    def _name(self, module: Any, name: Any) -> Name:
        if type(module) is not str or type(name) is not str:
            raise Refused("something without a name")
        named = Name(module, name)
        if not self._is_known(named):
            raise Refused(str(named))
        return named

    def _called(self, what: Any, arguments: Any) -> None:
        if not isinstance(what, Name):
            raise Refused("a call of something without a name")
        self._push_new(Call(what, arguments))

    def _global(self) -> None:
        module, name = (self._line().decode() for _ in range(2))
        self._push(self._name(module, name))

    def _stack_global(self) -> None:
        module, name = self._last(2)
        self._push(self._name(module, name))

    def _extension(self) -> None:
        raise Refused("a name of this computer's own (copyreg)")

    def _reduce(self) -> None:
        self._called(*self._last(2))

    def _new_object(self, count: int) -> None:
        what, *arguments = self._last(count)
        self._called(what, arguments[0])

    def _inst(self) -> None:
        module, name = (self._line().decode() for _ in range(2))
        self._called(self._name(module, name), tuple(self._popped()))

    def _obj(self) -> None:
        what, *arguments = self._popped()
        self._called(what, tuple(arguments))

    def _build(self) -> None:
        state = self._pop()
        target = self._top()
        if not isinstance(target, Call):
            raise Refused("the state of something that has none")
        target.state = state

    def _buffer(self) -> None:
        raise Refused("a buffer outside of the file")

    # -- containers

    def _append(self, values: list[Any]) -> None:
        target = self._top()
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, Call):
            target.items.extend((None, value) for value in values)
        else:
            raise BadPickle("something is appended to no list")

    def _set_items(self, values: list[Any]) -> None:
        target = self._top()
        if len(values) % 2 or not isinstance(target, Pairs | Call):
            raise BadPickle("a pair is no pair")
        target.items.extend(zip(values[::2], values[1::2], strict=True))

    def _set_item(self) -> None:
        self._set_items(self._last(2))

    def _append_one(self) -> None:
        self._append(self._last(1))

    def _dict(self) -> None:
        values = self._popped()
        self._push_new(Pairs())
        self._set_items(values)

    # -- memory

    def _put(self, index: int) -> None:
        if index < 0:
            raise BadPickle("a place in memory is negative")
        if len(self._memo) >= MOST_PARTS:
            raise BadPickle("it has too many parts")
        self._memo[index] = self._top()

    def _get(self, index: int) -> None:
        if index not in self._memo:
            raise BadPickle("a place in memory is empty")
        self._push(self._memo[index])

    # -- numbers

    def _int(self) -> None:
        line = self._line()
        self._push({b"00": False, b"01": True}.get(line) if line in (b"00", b"01") else _whole(line))

    def _long(self, size: int) -> None:
        if size > _LONGEST_NUMBER:
            raise BadPickle("a number is too long")
        self._push(int.from_bytes(self._take(size), "little", signed=True))

    def _float_line(self) -> None:
        try:
            self._push(float(self._line()))
        except ValueError:
            raise BadPickle("a number is none") from None


def _whole(line: bytes) -> int:
    if len(line) > _LONGEST_NUMBER:
        raise BadPickle("a number is too long")
    try:
        return int(line.removesuffix(b"L"))
    except ValueError:
        raise BadPickle("a number is none") from None


def _unquoted(line: bytes) -> str:
    if len(line) < 2 or line[:1] not in b"'\"" or line[:1] != line[-1:] or b"\\" in line:
        raise BadPickle("a text has no quotes")
    return line[1:-1].decode("latin-1")


def _read(machine: _Machine, form: str) -> int:
    return machine._number(form, struct.calcsize(form))


def _drop(machine: _Machine) -> None:
    machine._stack.pop()


def _drop_marked(machine: _Machine) -> None:
    machine._popped()


_OPERATIONS: dict[int, Callable[[_Machine], None]] = {
    ord("("): lambda m: m._push(_MARK),
    ord("0"): _drop,
    ord("1"): _drop_marked,
    ord("2"): lambda m: m._push(m._top()),
    ord("F"): _Machine._float_line,
    ord("G"): lambda m: m._push(struct.unpack(">d", m._take(8))[0]),
    ord("I"): _Machine._int,
    ord("J"): lambda m: m._push(_read(m, "<i")),
    ord("K"): lambda m: m._push(_read(m, "<B")),
    ord("L"): lambda m: m._push(_whole(m._line())),
    ord("M"): lambda m: m._push(_read(m, "<H")),
    ord("N"): lambda m: m._push(None),
    ord("P"): lambda m: m._outer(m._line().decode()),
    ord("Q"): lambda m: m._outer(m._pop()),
    ord("R"): _Machine._reduce,
    ord("S"): lambda m: m._push(_unquoted(m._line())),
    ord("T"): lambda m: m._span(_read(m, "<i"), False),
    ord("U"): lambda m: m._push(m._take(_read(m, "<B")).decode("latin-1")),
    ord("V"): lambda m: m._push(m._line().decode("raw-unicode-escape")),
    ord("X"): lambda m: m._span(_read(m, "<I"), True),
    ord("a"): _Machine._append_one,
    ord("b"): _Machine._build,
    ord("c"): _Machine._global,
    ord("d"): _Machine._dict,
    ord("}"): lambda m: m._push_new(Pairs()),
    ord("e"): lambda m: m._append(m._popped()),
    ord("g"): lambda m: m._get(_whole(m._line())),
    ord("h"): lambda m: m._get(_read(m, "<B")),
    ord("i"): _Machine._inst,
    ord("j"): lambda m: m._get(_read(m, "<I")),
    ord("l"): lambda m: m._push_new(m._popped()),
    ord("]"): lambda m: m._push_new([]),
    ord("o"): _Machine._obj,
    ord("p"): lambda m: m._put(_whole(m._line())),
    ord("q"): lambda m: m._put(_read(m, "<B")),
    ord("r"): lambda m: m._put(_read(m, "<I")),
    ord("s"): _Machine._set_item,
    ord("t"): lambda m: m._push(tuple(m._popped())),
    ord(")"): lambda m: m._push(()),
    ord("u"): lambda m: m._set_items(m._popped()),
    ord("B"): lambda m: m._span(_read(m, "<I"), False),
    ord("C"): lambda m: m._push(m._take(_read(m, "<B"))),
    0x80: lambda m: m._push_nothing(_read(m, "<B")),
    0x81: lambda m: m._new_object(2),
    0x82: _Machine._extension,
    0x83: _Machine._extension,
    0x84: _Machine._extension,
    0x85: lambda m: m._push(tuple(m._last(1))),
    0x86: lambda m: m._push(tuple(m._last(2))),
    0x87: lambda m: m._push(tuple(m._last(3))),
    0x88: lambda m: m._push(True),
    0x89: lambda m: m._push(False),
    0x8A: lambda m: m._long(_read(m, "<B")),
    0x8B: lambda m: m._long(_read(m, "<I")),
    0x8C: lambda m: m._span(_read(m, "<B"), True),
    0x8D: lambda m: m._span(_read(m, "<Q"), True),
    0x8E: lambda m: m._span(_read(m, "<Q"), False),
    0x8F: lambda m: m._push_new([]),
    0x90: lambda m: m._append(m._popped()),
    0x91: lambda m: m._push_new(m._popped()),
    0x92: lambda m: m._new_object(3),
    0x93: _Machine._stack_global,
    0x94: lambda m: m._put(len(m._memo)),
    0x95: lambda m: m._push_nothing(_read(m, "<Q")),
    0x96: lambda m: m._span(_read(m, "<Q"), False),
    0x97: _Machine._buffer,
    0x98: _Machine._buffer,
}
"""What each operation does; sets are lists here. PROTO and FRAME say nothing that is needed."""
