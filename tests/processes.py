"""Which processes work for this one on a network, however they were begun?"""

from __future__ import annotations

import os

import psutil


def working() -> list[int]:
    """Their numbers; Python's own keepers of resources and of copies are none of them."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            command, parent = " ".join(child.cmdline()), child.ppid()
        except psutil.Error:  # ended meanwhile
            continue
        if "spawn_main" in command or ("forkserver" in command and parent != os.getpid()):
            found.append(child.pid)
    return found
