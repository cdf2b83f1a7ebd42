"""Which weights are in a bundle: NeMo's tar file (.nemo), or TorchServe's zip file (.mar)?"""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

from qviz.core.problems import N_, Problem
from qviz.files import pytorch
from qviz.files.entry import TensorEntry, with_changes
from qviz.files.problems import FileProblem, NoNumbers
from qviz.files.region import Region
from qviz.files.zips import opened, stored_in

WEIGHTS = (".ckpt", ".pt", ".pth", ".bin")

_UNPACK = N_("Unpack it, and open what is in it.")
_MOST_MEMBERS = 10_000


def list_entries(path: Path) -> tuple[TensorEntry, ...]:
    """The tensors of every checkpoint of PyTorch in the bundle, which is not unpacked.

    Raises
    ------
    FileProblem
        When it is damaged or packed, or has none.
    """
    region = Region.whole(path)
    members = _in_zip(region) if region.size >= 2 and region.read(0, 2) == b"PK" else _in_tar(region)
    entries: list[TensorEntry] = []
    problems: list[Problem] = []
    for name, member in members:
        try:
            found = pytorch.list_region(member, path.stem)
        except Problem as problem:
            problems.append(problem)
            continue
        prefix = f"{Path(name).name}/" if len(members) > 1 else ""
        for each in found:
            key = f"{prefix}{each.key}"
            entries.append(with_changes(each, key=key, name=f"{path.stem}/{key}"))
    if not entries:
        raise problems[0] if problems else NoNumbers(path, N_("has no checkpoint in it"), _UNPACK)
    return tuple(entries)


def _in_zip(region: Region) -> list[tuple[str, Region]]:
    with opened(region) as archive:
        members: list[zipfile.ZipInfo] = archive.infolist()
        return [(each.filename, stored_in(region, each)) for each in members if each.filename.endswith(WEIGHTS)]


def _in_tar(region: Region) -> list[tuple[str, Region]]:
    found: list[tuple[str, Region]] = []
    try:
        with region.open() as file, tarfile.open(fileobj=file, mode="r:") as archive:
            for count, member in enumerate(archive):
                if count >= _MOST_MEMBERS:
                    raise ValueError("it has too many members")
                if member.isreg() and not member.issparse() and member.name.endswith(WEIGHTS):
                    found.append((member.name, region.within(member.offset_data, member.size)))
    except (tarfile.TarError, ValueError, EOFError, OverflowError) as error:
        raise FileProblem(
            region.path, N_("is a bundle that is packed, or damaged ({detail})"), _UNPACK, detail=str(error)
        ) from None
    return found
