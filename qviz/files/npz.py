"""How is an archive of NumPy arrays (.npz) read: stored arrays in place, packed ones in blocks?"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from qviz.core.problems import N_, Phrase
from qviz.core.sizes import byte_text
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.entry import Loaded, TensorEntry, refused_entry
from qviz.files.file_array import FileArray, array_in
from qviz.files.memory import check_room
from qviz.files.npy import HEAD, MAGIC, Header, check_size, read_header
from qviz.files.offers import is_small, taken
from qviz.files.problems import FileProblem, NoNumbers, shortened
from qviz.files.zips import check_directory

SUFFIX = ".npy"
PACKED_BLOCK = 1 << 20
STORED_BLOCK = 1 << 24
"""Bytes between two looks at the cancel flag: unpacking is slow, a checksum is quick."""

MOST_ARRAYS = 100_000
"""Of one archive."""

_MOST_DEFLATE_GAINS = 1032
"""How many bytes a deflated one can stand for at most (zlib's technical details)."""

_DAMAGED = N_("Copy or download it again.")
_LOCAL_HEADER = struct.Struct("<26x2H")


def list_entries(path: Path) -> tuple[TensorEntry, ...]:
    """The arrays of the archive in their order.

    Members that are not arrays are left out, and so are arrays without real numbers (names of
    classes, an empty bias) as long as another one has some. An array that can't be read is listed
    beside those that can.

    Raises
    ------
    FileProblem
        When the archive is damaged, or none of its arrays can be read.
    """
    entries: list[TensorEntry] = []
    problems: list[FileProblem] = []
    with _opened(path) as archive:
        members = _members(archive)
        if len(members) > MOST_ARRAYS:
            raise FileProblem(
                path,
                N_("names more than {most:,} arrays, as nobody has"),
                N_("Get it from somebody you trust."),
                most=MOST_ARRAYS,
            )
        for member in members.values():
            if member.filename.startswith("__MACOSX/") or not _is_array(archive, member):
                continue
            key = member.filename.removesuffix(SUFFIX)
            name = f"{path.stem}/{key}"
            try:
                header = _header(archive, member, path)
            except FileProblem as problem:
                problems.append(problem)
                if not isinstance(problem, NoNumbers):
                    entries.append(refused_entry(name, path, key, problem))
                continue
            entries += [
                TensorEntry(
                    name if offer.field is None else f"{name}/{offer.field}",
                    path,
                    key if offer.field is None else f"{key}/{offer.field}",
                    offer.shape,
                    offer.dtype.name,
                    partial(_load, path, member.filename, offer.field),
                    offer.note,
                )
                for offer in header.offers
            ]
    if all(entry.refused for entry in entries):
        raise (problems or [FileProblem(path, N_("has no NumPy arrays in it"), N_("Save some with numpy.savez."))])[0]
    return tuple(entries)


def _load(
    path: Path, filename: str, field: str | None, *, progress: Progress = ignore, cancelled: IsCancelled = never
) -> Loaded:
    check(cancelled)
    with _opened(path) as archive:
        member = _members(archive).get(filename)
        header = _header(archive, member, path) if member is not None else None
        if member is None or header is None or field not in [offer.field for offer in header.offers]:
            raise FileProblem(
                path, N_("has no array '{member}' any more"), N_("Open the file again."), member=_shown(filename)
            )
        is_all = field is None and not is_small(header.dtype)
        first: Progress = progress if is_all else lambda f: progress(0.5 * f)
        if member.compress_type == zipfile.ZIP_STORED:
            array: Loaded = _stored(path, member, header, first, cancelled)
        else:
            array = _unpack(archive, path, member, header, first, cancelled)
    if is_all:
        return array
    return taken(path, _shown(filename), array, field, lambda f: progress(0.5 + 0.5 * f), cancelled)


def _is_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    """By its name, or by how it begins: ``numpy.load`` asks for no ending."""
    if member.filename.endswith(SUFFIX):
        return True
    if (
        not member.filename  # which is_dir does not expect
        or member.is_dir()
        or member.flag_bits & 1
        or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    ):
        return False
    try:
        with archive.open(member) as file:
            return file.read(len(MAGIC)) == MAGIC
    except Exception:  # what is no array needs no reason
        return False


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    # Of two members with one name only the last can be asked for.
    return {member.filename: member for member in archive.infolist()}


def _header(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> Header:
    """Read a member's header, once all that the archive says about the member fits together."""
    name = _shown(member.filename)
    if member.flag_bits & 1:
        raise FileProblem(path, N_("holds '{name}', which is encrypted"), N_("Save it without a password."), name=name)
    most = {
        zipfile.ZIP_STORED: member.compress_size,
        zipfile.ZIP_DEFLATED: member.compress_size * _MOST_DEFLATE_GAINS,
    }.get(member.compress_type)
    if most is None:
        raise FileProblem(
            path,
            N_("holds '{name}', which is packed in an unknown way"),
            N_("Save it with numpy.savez_compressed."),
            name=name,
        )
    if member.file_size > most:
        claim, held = byte_text(member.file_size), byte_text(member.compress_size)
        raise FileProblem(
            path,
            N_("holds '{name}', which claims {claim}, too many for the {held} that are there"),
            _DAMAGED,
            name=name,
            claim=claim,
            held=held,
        )
    with _damage(path), archive.open(member) as file:
        head = file.read(HEAD)
    header = read_header(head, path, name)
    check_size(header, member.file_size - header.data_offset, path, name)
    return header


def _stored(path: Path, member: zipfile.ZipInfo, header: Header, progress: Progress, cancelled: IsCancelled) -> Loaded:
    """A stored array as it lies in the archive."""
    with _damage(path), path.open("rb") as file:
        file.seek(member.header_offset)
        # The central directory may give other lengths than these.
        name_length, extra_length = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        start = member.header_offset + _LOCAL_HEADER.size + name_length + extra_length
        size = file.seek(0, 2)
    if start + member.file_size > size:
        raise FileProblem(path, N_("is cut off inside '{member}'"), _DAMAGED, member=_shown(member.filename))
    content = FileArray(path, np.dtype(np.uint8), start, (member.file_size,))
    checksum = 0
    for first in range(0, member.file_size, STORED_BLOCK):
        check(cancelled)
        last = min(first + STORED_BLOCK, member.file_size)
        checksum = zlib.crc32(content[first:last].data, checksum)
        progress(0.7 * last / member.file_size)
    if checksum != member.CRC:
        raise FileProblem(
            path,
            N_("is damaged: the checksum of '{member}' does not fit its content"),
            _DAMAGED,
            member=_shown(member.filename),
        )
    return array_in(
        path,
        header.dtype,
        start + header.data_offset,
        header.shape,
        header.order,
        progress=lambda f: progress(0.7 + 0.3 * f),
        cancelled=cancelled,
    )


def _unpack(
    archive: zipfile.ZipFile,
    path: Path,
    member: zipfile.ZipInfo,
    header: Header,
    progress: Progress,
    cancelled: IsCancelled,
) -> np.ndarray[Any, Any]:
    advice = N_("Save it with numpy.savez, which needs no unpacking.")
    check_room(path, member.filename.removesuffix(SUFFIX), header.nbytes, advice)
    content = np.empty(header.nbytes, np.uint8)
    with _damage(path):
        file = archive.open(member)
    with file:
        _read_into(file, np.empty(header.data_offset, np.uint8), path)
        for first in range(0, header.nbytes, PACKED_BLOCK):
            check(cancelled)
            last = min(first + PACKED_BLOCK, header.nbytes)
            _read_into(file, content[first:last], path)
            progress(last / header.nbytes)
    return content.view(header.dtype).reshape(header.shape, order=header.order)


def _read_into(file: IO[bytes], target: np.ndarray[Any, Any], path: Path) -> None:
    with _damage(path):
        data = file.read(target.size)
    if len(data) < target.size:
        raise FileProblem(path, N_("is damaged: it ends inside an array"), _DAMAGED)
    target[:] = np.frombuffer(data, np.uint8)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    with path.open("rb") as file:
        if not file.read(1):
            raise FileProblem(path, N_("is empty"), _DAMAGED)
        check_directory(file, path)
        with _damage(path):
            archive = zipfile.ZipFile(file)
        with archive:
            yield archive


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Around calls of the zip library alone, whose ways to fail on damaged input are many."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        struct.error,
        OverflowError,
        NotImplementedError,
        IndexError,
        ValueError,
    ) as error:
        detail = shortened(str(error), 80) or Phrase("it ends too early")
        raise FileProblem(
            path, N_("is not a NumPy archive, or a damaged one ({detail})"), _DAMAGED, detail=detail
        ) from error


def _shown(filename: str) -> str:
    return shortened(filename.removesuffix(SUFFIX))
