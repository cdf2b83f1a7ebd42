"""How much memory is there, is there room in it for this tensor, and when is no garbage looked for?"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qviz.core.problems import N_
from qviz.core.sizes import byte_text
from qviz.files.problems import FileProblem, shortened

# psutil is imported when it is asked: nothing needs it before the first painting.


def free_memory() -> int:
    """Bytes that can be had without swapping."""
    import psutil

    return int(psutil.virtual_memory().available)


def machine_memory() -> int:
    """Bytes of memory that this machine has."""
    import psutil

    return int(psutil.virtual_memory().total)


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
    if nbytes > free:
        raise FileProblem(
            path,
            N_("holds '{member}', which takes {size} unpacked while {free} are free"),
            advice,
            member=shortened(member),
            size=byte_text(nbytes),
            free=byte_text(free),
        )


@contextmanager
def without_collections() -> Iterator[None]:
    """While 90,000 objects are made that all live on, looking for garbage among them takes twice as long again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
