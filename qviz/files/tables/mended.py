"""How is a piece of text written so that a strict reader takes its numbers: no remarks, E exponents, inf?"""

from __future__ import annotations

import re

from qviz.core.frozen import frozen

_REMARK = re.compile(
    rb"(?<![^\s0-9])#(?!N/A|NA\b|NUM!|DIV/0!|VALUE!|REF!|NAME\?|NULL!|IN[FD]|[QS]NAN)[^\n]*", re.IGNORECASE
)
_REMARK_LINE = re.compile(rb"^[ \t]*(?:%|//|!)[^\n]*", re.MULTILINE)
_MSVC_INF = re.compile(rb"1\.#INF0*")
_MSVC_NAN = re.compile(rb"[+-]?1\.#(?:IND|QNAN|SNAN|NAN)0*")
_NAN_KIND = re.compile(rb"[+-]?nan\(\w*\)", re.IGNORECASE)
_D_EXPONENT = re.compile(rb"(?<=[0-9.])[dD](?=[+-]?[0-9])")
_BARE_EXPONENT = re.compile(rb"([0-9]\.[0-9]*|\.[0-9]+)([+-][0-9]{3})(?![0-9])")
_PLUS = re.compile(rb"(?<![0-9.)\w])\+(?=[0-9.iInN])")
_STARS = re.compile(rb"(?<![^\s,;|\"])\*+(?![^\s,;|\"])")
_BLANKS = re.compile(rb"[ \t]+")
_RUN = rb"[ \t](?<![ \t][ \t])[ \t]*+"
"""Blanks from the first one on: were each the beginning of a run, a long one would be looked at as often."""

_RUN_OF_SPACES = rb" (?<!  ) *+"
_AROUND = {b"\t": re.compile(rb"\t +|" + _RUN_OF_SPACES + rb"\t *")} | {
    sep: re.compile(re.escape(sep) + rb"[ \t]+|" + _RUN + re.escape(sep) + rb"[ \t]*") for sep in (b",", b";", b"|")
}
_LINE_START = re.compile(rb"^[ \t]+", re.MULTILINE)
_LINE_END = re.compile(_RUN + rb"$", re.MULTILINE)
_LINE_START_BLANK = re.compile(rb"^ +", re.MULTILINE)
_LINE_END_BLANK = re.compile(_RUN_OF_SPACES + rb"$", re.MULTILINE)

CONTROLS = bytes([*range(9), *range(14, 26), *range(27, 32)])
"""What no text has; Ctrl-Z ends the files of DOS."""


def is_text(piece: bytes) -> bool:
    """Whether it has none of the control characters that no text has."""
    return len(piece.translate(None, CONTROLS)) == len(piece)


def with_line_feeds(piece: bytes) -> bytes:
    """Line ends of Windows and of old Macs as ``\\n``."""
    return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in piece else piece


def mended(piece: bytes) -> bytes:
    """Whole lines without remarks, and with numbers as C writes them; as many lines as before."""
    if b"#" in piece:
        piece = _REMARK.sub(b"", piece)
    if b"%" in piece or b"//" in piece or b"!" in piece:
        piece = _REMARK_LINE.sub(b"", piece)
    if b"\xe2\x88\x92" in piece:  # the minus sign of typography
        piece = piece.replace(b"\xe2\x88\x92", b"-")
    if b"\xc2\xa0" in piece:
        piece = piece.replace(b"\xc2\xa0", b" ")
    if b".#" in piece:
        piece = _MSVC_NAN.sub(b"nan", _MSVC_INF.sub(b"inf", piece))
    if b"(" in piece:
        piece = _NAN_KIND.sub(b"nan", piece)
    if b"D" in piece or b"d" in piece:
        piece = _D_EXPONENT.sub(b"E", piece)
    if b"+" in piece:
        piece = piece.replace(b"e+", b"e").replace(b"E+", b"E")
        if b"+" in piece:
            piece = _PLUS.sub(b"", piece)
    if b"*" in piece:  # what Fortran writes where a number is too long for its field
        piece = _STARS.sub(b"NA", piece)
    if b"\x1a" in piece:
        piece = piece.replace(b"\x1a", b"")
    return piece


def with_exponents(piece: bytes) -> bytes:
    """Fortran's ``1.5-103`` as ``1.5E-103``."""
    return _BARE_EXPONENT.sub(rb"\1E\2", piece)


@frozen
class Layout:
    """How fields are divided: `separator` (a space stands for white space), `edges` as in `TableForm`."""

    separator: str
    edges: tuple[bool, bool] = (False, False)

    def tidied(self, piece: bytes) -> bytes:
        """Whole lines with one separator between fields, and nothing around them."""
        separator = self.separator.encode()
        if separator == b" ":
            return _LINE_END_BLANK.sub(b"", _LINE_START_BLANK.sub(b"", _BLANKS.sub(b" ", piece)))
        if separator == b"\t":
            if b" " in piece:
                piece = _LINE_END_BLANK.sub(b"", _LINE_START_BLANK.sub(b"", _AROUND[separator].sub(separator, piece)))
        elif b" " in piece or b"\t" in piece:
            if separator:
                piece = _AROUND[separator].sub(separator, piece)
            piece = _LINE_END.sub(b"", _LINE_START.sub(b"", piece))
        first, last = self.edges
        if first:
            piece = re.sub(rb"^" + re.escape(separator), b"", piece, flags=re.MULTILINE)
        if last:
            piece = re.sub(re.escape(separator) + rb"$", b"", piece, flags=re.MULTILINE)
        return piece
