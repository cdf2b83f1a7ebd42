"""What is kept on disk of a training that came to its end, and how is it taken back?

Each run has files of its own, so that windows beside each other never write the same one: what is listed as JSON, and
what was learned as safetensors, which are read when the run is looked at again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.arrays import Array
from qviz.core.frozen import frozen
from qviz.core.problems import Problem
from qviz.files.atomic import atomic_write
from qviz.files.problems import system_errors
from qviz.training.data import Dataset
from qviz.training.experiment import Experiment
from qviz.training.run import Checkpoint, Run

log = logging.getLogger(__name__)

MOST_RUNS = 50
"""That are kept; of more, those that ended first go."""

MOST_BYTES = 256 << 20
"""Of all files together; then, too, the first go."""

LONGEST = 1 << 20
"""Bytes of what is listed of one run; a longer file is none of ours."""

LARGEST = 64 << 20
"""Bytes of what one run learned: the largest network has a third of that."""

ABANDONED = 3600.0
"""Seconds after which what was learned, but never listed, is what a killed save left."""

KEY = re.compile(r"\d{20}-[0-9a-f]{8}")


@frozen
class StoredRun:
    """What is listed of a run without reading what it learned.

    Attributes
    ----------
    key : str
        What its files are called; sorted, the run that was begun first comes first.
    name : str
        As a person calls it; empty where nobody named it.
    last : dict of str to float
        The figures of the last checkpoint, by the names of `Checkpoint`'s fields; NaN for what there is not.
    """

    key: str
    name: str
    experiment: Experiment
    step: int
    last: dict[str, float]

    @property
    def finished(self) -> bool:
        """Only such runs are kept."""
        return True


def new_key() -> str:
    """A key that no other run has, in any window."""
    return f"{time.time_ns():020d}-{os.urandom(4).hex()}"


def keep_run(folder: Path, key: str, name: str, run: Run) -> None:
    """Write a run that came to its end, and let go of the oldest ones beyond what is kept.

    Raises
    ------
    FileProblem
        When the files cannot be written.
    """
    from safetensors.numpy import save

    with system_errors(folder, writing=True):
        folder.mkdir(parents=True, exist_ok=True)
    checkpoints = np.array([astuple(each) for each in run.checkpoints], np.float64)
    learned = {"checkpoints": checkpoints, **run.learned()}
    with atomic_write(_learned(folder, key)) as temporary:
        temporary.write_bytes(save({each: np.asarray(a, order="C") for each, a in learned.items()}))
    last = run.checkpoints[-1]
    _list(
        folder,
        key,
        {
            "name": name,
            "experiment": run.experiment.to_dict(),
            "diverged_in": run.diverged_in,
            "step": run.step,
            "data": _fingerprint(run.dataset),
            "last": {field: None if math.isnan(value) else value for field, value in vars(last).items()},
        },
    )
    prune(folder)


def kept_runs(folder: Path) -> list[StoredRun]:
    """Every run that was kept, the first one first; what is damaged is logged, and left out."""
    found = []
    for key in _keys(folder):
        try:
            about = _about(folder, key)
            last = {
                field: float("nan") if value is None else float(value)
                for field, value in ((field, about["last"][field]) for field in vars(Checkpoint(0)))
            }
            experiment = Experiment.from_dict(about["experiment"])
            found.append(StoredRun(key, str(about["name"]), experiment, int(about["step"]), last))
        except (Problem, OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            log.info("the run in %s cannot be read: %s", folder / key, error)
    return found


def take_back(folder: Path, stored: StoredRun) -> Run:
    """The run as it came to its end.

    Raises
    ------
    Problem
        When its files are gone or damaged, or its data are not those any more that it learned from.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        about = _about(folder, stored.key)
        learned = load(_read(_learned(folder, stored.key), LARGEST))
        checkpoints = [Checkpoint(int(row[0]), *map(float, row[1:])) for row in learned.pop("checkpoints").tolist()]
        dataset = stored.experiment.data.load()
        if _fingerprint(dataset) != about["data"]:
            raise Problem(
                "This run learned from other data than there are now: its figures are kept, but it cannot be shown. "
                "Train it again, or bring the data back."
            )
        return Run.restored(stored.experiment, dataset, checkpoints, learned, str(about["diverged_in"]))
    except Problem:
        raise
    except (OSError, ValueError, LookupError, TypeError, RecursionError, SafetensorError) as error:
        log.info("the run in %s cannot be read: %s", folder / stored.key, error)
        raise Problem("What this run learned cannot be read any more: train it again.") from None


def name_run(folder: Path, key: str, name: str) -> None:
    """Call a run that was kept something; nothing happens where it is gone."""
    with suppress(OSError, ValueError):
        _list(folder, key, {**_about(folder, key), "name": name})


def forget_run(folder: Path, key: str) -> None:
    """Remove a run; nothing happens where it is gone."""
    for path in (_listed(folder, key), _learned(folder, key)):
        with suppress(OSError):
            path.unlink()


def prune(folder: Path) -> None:
    """Let go of the oldest runs beyond what is kept, and of what a killed save left."""
    keys = _keys(folder)
    room = MOST_BYTES
    for newer, key in enumerate(reversed(keys)):
        room -= sum(_size(path) for path in (_listed(folder, key), _learned(folder, key)))
        if newer >= MOST_RUNS or (room < 0 and newer):
            forget_run(folder, key)
    for path in folder.glob("*.safetensors"):
        with suppress(OSError):
            unlisted = KEY.fullmatch(path.stem) and path.stem not in keys
            if unlisted and time.time() - path.stat().st_mtime > ABANDONED:
                path.unlink()


def _listed(folder: Path, key: str) -> Path:
    return folder / f"{key}.json"


def _learned(folder: Path, key: str) -> Path:
    return folder / f"{key}.safetensors"


def _keys(folder: Path) -> list[str]:
    with suppress(OSError):
        return sorted(path.stem for path in folder.glob("*.json") if KEY.fullmatch(path.stem))
    return []


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _list(folder: Path, key: str, about: dict[str, Any]) -> None:
    with atomic_write(_listed(folder, key)) as temporary:
        temporary.write_text(json.dumps(about) + "\n", encoding="utf-8")


def _about(folder: Path, key: str) -> dict[str, Any]:
    about = json.loads(_read(_listed(folder, key), LONGEST))
    if not isinstance(about, dict):
        raise TypeError("no object")
    return about


def _read(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"more than {most} bytes")
    return content


def _fingerprint(dataset: Dataset) -> str:
    found = hashlib.blake2b(digest_size=16)
    for array in _arrays(dataset):
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def _arrays(dataset: Dataset) -> Iterator[Array]:
    yield from (dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test)
