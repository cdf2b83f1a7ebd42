"""Where does a member of a zip file lie, and how is a small one read?"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from qviz.core.problems import N_, Phrase
from qviz.core.sizes import byte_text
from qviz.files.problems import FileProblem, shortened
from qviz.files.region import Region

_DAMAGED = N_("Copy or download it again.")
_LOCAL_HEADER = struct.Struct("<4s22x2H")


MOST_DIRECTORY = 1 << 25
"""Bytes of the list of members: those of the largest checkpoints, of 90,000 tensors, are a third."""

_END, _END_64 = struct.Struct("<4s6xHI"), struct.Struct("<4s36xQ")
_LOCATOR = struct.Struct("<4s4xQ")
_LONGEST_END = 22 + (1 << 16)


def check_directory(file: BinaryIO, path: Path) -> None:
    """Make sure that an archive does not list more members than anybody has, before the list is read.

    Raises
    ------
    FileProblem
        When it does.
    """
    size = file.seek(0, 2)
    file.seek(max(0, size - _LONGEST_END))
    tail = file.read(_LONGEST_END)
    at = tail.rfind(b"PK\x05\x06")
    if at >= 0 and len(tail) - at >= _END.size:
        listed = _END.unpack_from(tail, at)[2]
        if at >= 20 and tail[at - 20 : at - 16] == b"PK\x06\x07":  # the numbers that 32 bits can't hold
            file.seek(min(_LOCATOR.unpack_from(tail, at - 20)[1], size))
            record = file.read(_END_64.size)
            listed = max(listed % 0xFFFFFFFF, _END_64.unpack(record)[1] if len(record) == _END_64.size else 0)
        if MOST_DIRECTORY < listed != 0xFFFFFFFF:
            raise FileProblem(
                path,
                N_("lists {size} of names, as no model does"),
                N_("Get the model from somebody you trust."),
                size=byte_text(listed),
            )
    file.seek(0)


@contextmanager
def opened(region: Region) -> Iterator[zipfile.ZipFile]:
    """The archive; whatever is damaged in it becomes a problem.

    Raises
    ------
    FileProblem
        When it is no zip file, or a damaged one.
    """
    with region.open() as file:
        check_directory(file, region.path)
        try:
            with zipfile.ZipFile(file) as archive:
                yield archive
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            struct.error,
            OverflowError,
            NotImplementedError,
            UnicodeDecodeError,
            IndexError,
            ValueError,
        ) as error:
            if isinstance(error, FileProblem):
                raise
            detail = shortened(str(error), 80) or Phrase("it ends too early")
            raise FileProblem(
                region.path, N_("is no archive, or a damaged one ({detail})"), _DAMAGED, detail=detail
            ) from error


def stored_in(region: Region, member: zipfile.ZipInfo) -> Region:
    """Where a member lies that is not packed.

    Raises
    ------
    FileProblem
        When it is packed or encrypted, or does not lie inside the archive.
    """
    name = shortened(member.filename)
    if member.flag_bits & 1 or member.compress_type != zipfile.ZIP_STORED:
        raise FileProblem(region.path, N_("holds '{name}' packed"), N_("Save it unpacked, as by default."), name=name)
    try:
        mark, name_length, extra_length = _LOCAL_HEADER.unpack(region.read(member.header_offset, _LOCAL_HEADER.size))
        if mark != b"PK\x03\x04":
            raise ValueError
        # The central directory may give other lengths than these.
        start = member.header_offset + _LOCAL_HEADER.size + name_length + extra_length
        return region.within(start, member.file_size)
    except (ValueError, struct.error):
        raise FileProblem(region.path, N_("is cut off inside '{name}'"), _DAMAGED, name=name) from None


def content(region: Region, archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int) -> bytes:
    """All of a member.

    Raises
    ------
    FileProblem
        When it is encrypted, or has more than ``most`` bytes.
    """
    name = shortened(member.filename)
    if member.flag_bits & 1:
        raise FileProblem(
            region.path, N_("holds '{name}', which is encrypted"), N_("Save it without a password."), name=name
        )
    with archive.open(member) as file:
        # Whatever the archive says of its length.
        found = file.read(most + 1)
    if len(found) > most:
        raise FileProblem(
            region.path,
            N_("holds '{name}', which has more than {most}"),
            _DAMAGED,
            name=name,
            most=byte_text(most),
        )
    return found
