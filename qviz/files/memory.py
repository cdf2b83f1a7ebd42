"""Is there room in memory for this tensor?"""

from __future__ import annotations

from pathlib import Path

from qviz.core.problems import N_
from qviz.files.problems import FileProblem, shortened, size_text


def free_memory() -> int | None:
    """Bytes that can be had without swapping, where the system tells it in a file."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def check_room(path: Path, member: str, nbytes: int, advice: str) -> None:
    """Nothing, where ``nbytes`` bytes can be had.

    Parameters
    ----------
    path, member
        The file, and the tensor in it that would take them once unpacked.
    advice : str
        What to do where there is no room.

    Raises
    ------
    FileProblem
        When the system says that fewer are free.
    """
    free = free_memory()
    if free is not None and nbytes > free:
        raise FileProblem(
            path,
            N_("holds '{member}', which takes {size} unpacked while {free} are free"),
            advice,
            member=shortened(member),
            size=size_text(nbytes),
            free=size_text(free),
        )
