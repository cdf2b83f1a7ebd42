"""How is a checkpoint read that lies in several files, which an index lists (``model.safetensors.index.json``)?"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from qviz.core.problems import N_, Problem
from qviz.files.entry import TensorEntry, refused_entry, with_changes
from qviz.files.problems import FileProblem, check_number, shortened, system_errors

SUFFIXES = (".safetensors.index.json", ".bin.index.json")
MAP = "weight_map"

_LARGEST = 1 << 28
_MOST_FILES = 10_000

_READERS = 4
"""Threads that read headers."""


def list_entries(path: Path) -> tuple[TensorEntry, ...]:
    """The tensors of all files that the index names, file by file.

    What is missing or damaged is listed beside the rest, and says why.

    Raises
    ------
    FileProblem
        When the index is damaged, or none of its tensors can be read.
    """
    wanted = read_index(path)
    stem = path.name.split(".")[0]
    found: dict[str, TensorEntry] = {}
    problems: dict[str, Problem] = {}
    names = tuple(dict.fromkeys(wanted.values()))
    with ThreadPoolExecutor(_READERS) as pool:  # where files are far away, several are waited for together
        listed = pool.map(lambda name: _tried(path.parent / name, stem), names)
        for name, entries in zip(names, listed, strict=True):
            if isinstance(entries, Problem):
                problems[name] = entries
                continue
            here = {str(entry.key): entry for entry in entries}
            for key in found.keys() & here.keys():
                del here[key]
            found.update(here)
    if not found:
        raise next(iter(problems.values()))
    for key, name in wanted.items() if problems else ():
        # Those without elements are left out here as in a file alone.
        if key not in found and name in problems:
            found[key] = refused_entry(f"{stem}/{key}", path.parent / name, key, problems[name])
    return tuple(found.values())


def parts_of(path: Path) -> tuple[Path, ...]:
    """The files that an index names; none where it can't be read."""
    try:
        return tuple(path.parent / name for name in dict.fromkeys(read_index(path).values()))
    except (Problem, OSError):
        return ()


def read_index(path: Path) -> dict[str, str]:
    """The name of the file that holds each tensor.

    Raises
    ------
    FileProblem
        When it is damaged, or names files outside of its folder.
    """
    import msgspec

    if path.stat().st_size > _LARGEST:
        raise FileProblem(path, N_("is too large for an index"), N_("Download it again."))
    try:
        content: Any = msgspec.json.decode(path.read_bytes(), type=dict[str, msgspec.Raw])
        raw = content.get(MAP)
        wanted = {} if raw is None else msgspec.json.decode(raw, type=dict[str, str])
    except msgspec.ValidationError:
        wanted = {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise FileProblem(path, N_("is a damaged index"), N_("Download it again.")) from None
    if not wanted:
        raise FileProblem(path, N_("lists no tensors"), N_("Download it again."))
    check_number(path, len(wanted))
    names = set(wanted.values())
    if len(names) > _MOST_FILES:
        raise FileProblem(path, N_("names too many files"), N_("Download it again."))
    for name in sorted(names):
        if name in ("", ".", "..") or "\0" in name or Path(name).name != name or "\\" in name:
            raise FileProblem(
                path,
                N_("asks for a file outside of its folder ({name})"),
                N_("Get the model from somebody you trust."),
                name=shortened(name),
            )
    return wanted


def _tried(path: Path, stem: str) -> tuple[TensorEntry, ...] | Problem:
    try:
        return _listed(path, stem)
    except Problem as problem:
        return problem


def _listed(path: Path, stem: str) -> tuple[TensorEntry, ...]:
    with system_errors(path):
        if path.exists() and not path.is_file():
            raise FileProblem(path, N_("is a device or a pipe"), N_("Save its content to a file first."))
        if path.name.lower().endswith(".safetensors"):
            from qviz.files import safetensors

            return safetensors.list_entries(path, stem)
        from qviz.files import pytorch

        return tuple(with_changes(each, name=f"{stem}/{each.key}") for each in pytorch.list_entries(path))
