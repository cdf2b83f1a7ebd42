"""How is a file written so that neither its size nor its time tells?"""

from __future__ import annotations

import os
from pathlib import Path


def put_back(path: Path, before: os.stat_result) -> None:
    """Give a file the time of writing that it had before, as ``touch -r`` does; the disk's clock goes on by itself."""
    assert path.stat().st_size == before.st_size
    while True:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        if path.stat().st_ctime_ns != before.st_ctime_ns:
            return
