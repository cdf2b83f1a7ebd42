"""Where do the fields of a protobuf message lie? Walked without a schema, so that weights need not be read.

The wire format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from qviz.files.region import Content

MOST_FIELDS = 1 << 24
"""Of one file: a walk ends, whatever a file claims."""


class Field(NamedTuple):
    """One field: its number, its value where it is a number, and where its content begins and ends."""

    number: int
    value: int
    start: int
    end: int


class Walk:
    """Walks the messages of a file; each field is known to lie inside the message that holds it.

    Parameters
    ----------
    content : bytes or Content
        The whole file.
    """

    def __init__(self, content: bytes | Content) -> None:
        self._content = content
        self._fields = 0

    def fields(self, start: int = 0, end: int | None = None) -> Iterator[Field]:
        """The fields of the message at a place, in the order of the file.

        Raises
        ------
        ValueError
            When it is no message.
        """
        end = len(self._content) if end is None else end
        at = start
        while at < end:
            self._fields += 1
            if self._fields > MOST_FIELDS:
                raise ValueError("it has too many fields")
            tag, at = self.varint(at, end)
            number, kind = tag >> 3, tag & 7
            if not number:
                raise ValueError("a field has no number")
            if kind == 0:
                first = at
                value, at = self.varint(at, end)
                yield Field(number, value, first, at)
                continue
            if kind == 2:
                length, at = self.varint(at, end)
            elif kind in (1, 5):
                length = 8 if kind == 1 else 4
            else:
                raise ValueError("a field is of an unknown kind")
            if length > end - at:
                raise ValueError("a field is longer than the file")
            yield Field(number, -1, at, at + length)
            at += length

    def varint(self, at: int, end: int) -> tuple[int, int]:
        """A number of as many bytes as it takes, and where it ends."""
        value = shift = 0
        while True:
            if at >= end or shift > 63:
                raise ValueError("a number does not end")
            byte = self._content[at]
            value |= (byte & 0x7F) << shift
            at += 1
            if byte < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF, at
            shift += 7

    def numbers(self, field: Field) -> list[int]:
        """Of a repeated number, packed or not; signed, as int64 is written."""
        if field.value >= 0:
            return [_signed(field.value)]
        found = []
        at = field.start
        while at < field.end:
            value, at = self.varint(at, field.end)
            found.append(_signed(value))
        return found

    def text(self, field: Field, longest: int = 1 << 16) -> str:
        """A string, cut where nobody would read on."""
        return self._content[field.start : min(field.end, field.start + longest)].decode("utf-8", "replace")

    def part(self, field: Field) -> bytes:
        """Its bytes."""
        return self._content[field.start : field.end]


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
