"""How do the runs of networks outlive the window? A file of figures each, written and read beside it."""

from __future__ import annotations

import json
import logging
import math
from contextlib import suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.plain import tagged_from_plain, to_plain
from qviz.core.problems import N_, Phrase, Problem
from qviz.core.ranges.table import RANGE_RULES
from qviz.files.atomic import atomic_write
from qviz.files.problems import system_errors
from qviz.models.latency import Latency, NodeTime
from qviz.models.output_figures import OutputFigures
from qviz.models.ptq import Outcome
from qviz.models.recipes import Recipe
from qviz.session.in_order import InOrder
from qviz.session.network_state import DeployedRun

log = logging.getLogger(__name__)

MOST_RUNS = 200
"""That are kept; of more, the oldest go."""

LONGEST = 4 << 20
"""Bytes of one run's figures; a longer file is none of ours."""


class NetworkRunKeeper(InOrder):
    """Writes every run that was measured, and finds those of earlier windows.

    Signals
    -------
    found(list of DeployedRun)
        The oldest first.
    """

    found = Signal(object)

    def __init__(self, folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.folder = folder

    def find(self) -> None:
        """List what was kept before."""
        self._add(None, lambda: kept_runs(self.folder))

    @Slot(object)
    def keep(self, run: DeployedRun) -> None:
        """Write a run."""
        self._add(None, lambda: keep_run(self.folder, run))

    @Slot(object)
    def forget(self, run: DeployedRun) -> None:
        """Remove a run's figures; the network that it wrote stays."""

        def forget() -> None:
            path = self.folder / f"{run.key}.json"
            with system_errors(path, writing=True):
                path.unlink(missing_ok=True)

        self._add(None, forget)

    def _answer(self, key: object, found: list[DeployedRun] | None) -> None:
        if found:
            self.found.emit(found)
        super()._answer(key, found)

    def _purpose(self, key: object) -> Phrase:
        return Phrase(N_("keeping this run"))


def keep_run(folder: Path, run: DeployedRun) -> None:
    """Write a run's figures, and let go of the oldest ones beyond what is kept.

    Raises
    ------
    FileProblem
        When they cannot be written.
    """
    with system_errors(folder, writing=True):
        folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / f"{run.key}.json") as temporary:
        temporary.write_text(json.dumps(plain_of(run)), encoding="utf-8")
    for path in _files(folder)[:-MOST_RUNS]:
        with suppress(OSError):
            path.unlink()


def kept_runs(folder: Path) -> list[DeployedRun]:
    """Every run that was kept, the oldest first; what is damaged is logged, and left out."""
    found = []
    for path in _files(folder):
        try:
            if path.stat().st_size > LONGEST:
                raise ValueError("too long")
            found.append(replace(run_of(json.loads(path.read_text(encoding="utf-8"))), key=path.stem))
        except (Problem, OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            log.warning("%s was not taken back: %s", path.name, error)
    return found


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*-*.json")) if folder.is_dir() else []


def plain_of(run: DeployedRun) -> dict[str, Any]:
    """A run as JSON takes it; NaN and infinities as Python's ``json`` writes them."""
    outcome, latency = run.outcome, run.latency
    recipe = {
        each.name: getattr(outcome.recipe, each.name)
        for each in fields(Recipe)
        if each.name not in ("range_rule", "overrides")
    }
    return {
        "network": run.network,
        "outcome": {
            **{key: value for key, value in vars(outcome).items() if key not in ("path", "recipe", "notes")},
            "path": str(outcome.path),
            "notes": [_of_phrase(note) for note in outcome.notes],
        },
        "recipe": {**recipe, "range_rule": to_plain(outcome.recipe.range_rule)},
        "sqnr_db": run.sqnr_db,
        "outputs": [vars(each) for each in run.outputs],
        "latency": None
        if latency is None
        else {**vars(latency), "first": latency.first.tolist(), "second": latency.second.tolist()},
        "float_times": [asdict(each) for each in run.float_times],
        "times": [asdict(each) for each in run.times],
        "reasons": [_of_phrase(each) for each in run.reasons],
        "random": run.random,
        "memory": run.memory,
        "batch": run.batch,
    }


def run_of(data: Any) -> DeployedRun:
    """A run from what `plain_of` made of it.

    Raises
    ------
    Problem, ValueError, TypeError, KeyError, AttributeError
        When it is none.
    """
    given, outcome = dict(data["recipe"]), dict(data["outcome"])
    rule = tagged_from_plain(RANGE_RULES, given.pop("range_rule"), Phrase(N_("run's range")))
    settings: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    recipe = Recipe(**settings, range_rule=rule)
    notes = tuple(_phrase_of(each) for each in outcome.pop("notes"))
    made = Outcome(**{**outcome, "path": Path(outcome["path"])}, recipe=recipe, notes=notes)
    counts = (made.nodes, made.quantized, made.bytes, made.original_bytes, data["batch"])
    if not all(isinstance(each, int) for each in counts) or not isinstance(made.recipe.method, str):
        raise ValueError("no figures of a run")
    latency = data["latency"]
    if latency is not None:
        first, second = (np.asarray(latency[key], np.float64) for key in ("first", "second"))
        if not (first.size and second.size and first.ndim == second.ndim == 1):
            raise ValueError("no times of a run")
        latency = Latency(first, second, int(latency["threads"]), float(latency["load"]))
    db = data["sqnr_db"]
    return DeployedRun(
        made,
        None if db is None else float(db),
        tuple(OutputFigures(**each) for each in data["outputs"]),
        latency,
        tuple(NodeTime(**each) for each in data["float_times"]),
        tuple(NodeTime(**each) for each in data["times"]),
        tuple(_phrase_of(each) for each in data["reasons"]),
        bool(data["random"]),
        None if data["memory"] is None else (int(data["memory"][0]), int(data["memory"][1])),
        data["batch"],
        str(data["network"]),
    )


def _of_phrase(phrase: Phrase) -> dict[str, Any]:
    """Its template and values, to be translated again by whoever reads it."""
    values = {
        name: _of_phrase(value) if isinstance(value, Phrase) else value if _is_plain(value) else str(value)
        for name, value in phrase.values.items()
    }
    return {"template": phrase.template, "values": values}


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float) and not (isinstance(value, float) and math.isnan(value))


def _phrase_of(data: Any) -> Phrase:
    values = {
        str(name): _phrase_of(value) if isinstance(value, dict) else value for name, value in data["values"].items()
    }
    template = str(data["template"])
    phrase = Phrase(template, **values)
    phrase.told()  # what cannot be filled in is no phrase of ours
    return phrase
