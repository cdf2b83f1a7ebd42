"""How do many machines audit one checkpoint? Each reads its own share, and tells figures, counts and extremes.

Tasks are stretches of bytes: small tensors are bundled, large ones parted (`qviz.models.parts`). Dask hands them out,
and again those of a worker that is lost. What a task finds does not depend on who finds it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from qviz.core import compiler
from qviz.core.arithmetic.qparams import QParams
from qviz.core.arrays import Counts
from qviz.core.frozen import frozen
from qviz.core.problems import Problem
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.value_counts import of_patterns
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.models.audit import Row, audit, counted_rows, is_counted, left_in_float
from qviz.models.checkpoint import Weight
from qviz.models.parts import FirstLook, Part, is_parted, looked_at, parts_of, second_look

BUNDLE = 1 << 28
"""Bytes of small tensors that make a task."""

LOST = 3
"""Workers that may be lost with one task, before it is taken for the reason."""

PATIENCE = 0.5
"""Seconds between two looks at the cancel flag."""

SOON = 10
"""The priority of what finishes a tensor that was begun."""


@frozen
class Found:
    """What a worker tells of a tensor under a scheme: a `Row` without its tensor, which stays where it is."""

    row: Row

    @classmethod
    def of(cls, row: Row) -> Found:
        """Without what only the reader needs."""
        return cls(replace(row, weight=None))  # type: ignore[arg-type]

    def told_of(self, weight: Weight) -> Row:
        """The row that it is here."""
        return replace(self.row, weight=weight)


@contextmanager
def connected(scheduler: str | None = None, workers: int = 2) -> Iterator[Any]:
    """A client of a cluster: of the one at an address, or of one that is made here and ends with the block.

    Parameters
    ----------
    scheduler : str, optional
        Such as ``tcp://10.0.0.1:8786``.
    workers : int
        Processes, where there is no address.

    Raises
    ------
    Problem
        When Dask is not installed, or nobody answers at the address.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise Problem(
            "Auditing on a cluster needs Dask, which is not installed: pip install 'qviz[cluster]'."
        ) from error
    settings = {"distributed.scheduler.allowed-failures": LOST, "distributed.comm.timeouts.connect": "10s"}
    with dask.config.set(settings):
        if scheduler is None:
            with (
                LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address=None,
                    silence_logs=logging.CRITICAL,
                ) as cluster,
                Client(cluster) as client,
            ):
                yield client
            return
        try:
            client = Client(scheduler, timeout="10s")
        except (OSError, ValueError, TimeoutError) as error:
            raise Problem(
                "Nobody answers at {address}: start dask scheduler there, and dask worker on each machine.",
                address=scheduler,
            ) from error
        with client:
            yield client


def audit_on(
    client: Any,
    weights: Sequence[Weight],
    schemes: Sequence[Scheme],
    *,
    one_axis: bool = False,
    done: Sequence[tuple[str, Scheme]] = (),
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Iterator[Row]:
    """Measure every tensor under every scheme on the workers of a cluster.

    Parameters
    ----------
    client : distributed.Client
    weights, schemes, one_axis, done, progress, cancelled
        As in `qviz.models.audit.audit`.

    Yields
    ------
    Row
        Those of `audit`, in its order, equal to the last bit where all machines have the same libraries, and two cores
        or more.

    Raises
    ------
    Problem
        When a worker has no qviz, or several were lost with the same task.
    Cancelled
        When asked to stop.
    """
    known = frozenset(done)
    total = sum(each.nbytes or 1 for each in weights) or 1
    _prepare_all(client)
    asking = _Asking(client, cancelled)
    try:
        asked = list(_asked(asking, weights, schemes, one_axis, known))
        told = 0
        for weight, rows in asked:
            check(cancelled)
            yield from rows()
            told += weight.nbytes or 1
            progress(min(1.0, told / total))
    finally:
        asking.drop()


Rows = Callable[[], list[Row]]


def _asked(
    asking: _Asking,
    weights: Sequence[Weight],
    schemes: Sequence[Scheme],
    one_axis: bool,
    known: frozenset[tuple[str, Scheme]],
) -> Iterator[tuple[Weight, Rows]]:
    """Every tensor with what gives its rows, once they are known; all is asked for before the first is waited for."""
    bundle: list[tuple[Weight, list[Scheme]]] = []
    waiting: list[tuple[Weight, Rows]] = []
    size = 0

    def close() -> None:
        nonlocal bundle, size
        if bundle:
            future = asking.submit(measure_bundle, bundle, one_axis)
            for place, (weight, _) in enumerate(bundle):
                waiting.append((weight, _of_bundle(asking, future, place, weight)))
        bundle, size = [], 0

    for weight in weights:
        wanted = [scheme for scheme in schemes if (weight.name, scheme) not in known]
        if not wanted or left_in_float(weight, one_axis=one_axis) is not None:
            # Nothing is read: it keeps its place in the order.
            bundle.append((weight, wanted))
        elif len(parts_of(weight)) > 1:
            close()
            waiting.append((weight, _in_parts(asking, weight, wanted, one_axis)))
        else:
            bundle.append((weight, wanted))
            size += weight.nbytes or 1
            if size >= BUNDLE:
                close()
    close()
    return iter(waiting)


def _of_bundle(asking: _Asking, future: Any, place: int, weight: Weight) -> Rows:
    def rows() -> list[Row]:
        return [found.told_of(weight) for found in asking.result(future)[place]]

    return rows


def _in_parts(asking: _Asking, weight: Weight, schemes: Sequence[Scheme], one_axis: bool) -> Rows:
    """A tensor that is no task: several read a part of it each."""
    parts = parts_of(weight)
    counted = (
        [scheme for scheme in schemes if scheme.granularity.kind == "tensor"] if is_counted(weight, schemes) else []
    )
    parted = [scheme for scheme in schemes if scheme not in counted and is_parted(weight, scheme)]
    counts = [asking.submit(Part.patterns, part) for part in parts] if counted else []
    looks: list[Any] = []

    def first(by_rows: Sequence[Scheme], by_range: Sequence[Scheme]) -> list[FirstLook]:
        return [asking.result(look) for look in looks]

    def second(scales: Sequence[QParams]) -> list[Any]:
        futures = [asking.submit(second_look, part, scales, priority=SOON) for part in parts]
        return [asking.result(future) for future in futures]

    if parted:
        looks = [asking.submit(first_look, part, parted) for part in parts]
    rest = [scheme for scheme in schemes if scheme not in counted and scheme not in parted]
    whole = asking.submit(measure_bundle, [(weight, rest)], one_axis) if rest else None

    def rows() -> list[Row]:
        found: dict[Scheme, Row] = {}
        missing: list[Scheme] = []
        if counted:
            try:
                total: Counts = reduce(add, (asking.result(count) for count in counts))
                dtype: Any = weight.entry.dtype
                found |= counted_rows(weight, of_patterns(total, dtype), counted, asking.cancelled)
            except Problem:
                missing += counted
        if parted:
            try:
                figures = looked_at(weight, parted, first, second)
                found |= {scheme: Row(weight, scheme, each) for scheme, each in figures.items()}
            except Problem:
                missing += parted
        late = [scheme for scheme in schemes if scheme in missing or (scheme in counted and scheme not in found)]
        others = [whole] if whole is not None else []
        if late:  # what is wrong with a part is said of the whole
            others.append(asking.submit(measure_bundle, [(weight, late)], one_axis, priority=SOON))
        for other in others:
            found |= {each.row.scheme: each.told_of(weight) for each in asking.result(other)[0]}
        return [found[scheme] for scheme in schemes]

    return rows


class _Asking:
    """Tasks that were handed out, and how their answers are waited for."""

    def __init__(self, client: Any, cancelled: IsCancelled) -> None:
        self._client, self.cancelled = client, cancelled
        self._futures: list[Any] = []
        self._compiled = compiler.ready()

    def submit(self, task: Callable[..., Any], *given: Any, priority: int = 0) -> Any:
        """Hand a task out."""
        future = self._client.submit(_done, self._compiled, task, *given, priority=priority, pure=False)
        self._futures.append(future)
        return future

    def result(self, future: Any) -> Any:
        """What a task found, waited for."""
        from distributed import KilledWorker, wait

        while not future.done():
            check(self.cancelled)
            try:
                wait([future], timeout=PATIENCE)
            except TimeoutError:
                continue
        try:
            return future.result()
        except KilledWorker as error:
            raise Problem(
                "{count} workers were lost with the same task, as if their memory had run out: give each more of it.",
                count=LOST + 1,
            ) from error

    def drop(self) -> None:
        """Nobody waits for the rest."""
        self._client.cancel([future for future in self._futures if not future.done()])
        self._futures.clear()


# -- on the workers


def _done(compiled: bool, task: Callable[..., Any], *given: Any) -> Any:
    """The answer of a task, with the loops that the others have."""
    if compiled:
        compiler.warm_up()
    return task(*given)


def measure_bundle(bundle: Sequence[tuple[Weight, Sequence[Scheme]]], one_axis: bool) -> list[list[Found]]:
    """The rows of some tensors, each under schemes of its own."""
    return [
        [Found.of(row) for row in audit([weight], schemes, one_axis=one_axis)] if schemes else []
        for weight, schemes in bundle
    ]


def first_look(part: Part, schemes: Sequence[Scheme]) -> FirstLook:
    """What one reading of a part tells."""
    from qviz.models.parts import is_by_rows

    by_rows = [scheme for scheme in schemes if is_by_rows(scheme)]
    return FirstLook.at(part, by_rows, [scheme for scheme in schemes if scheme not in by_rows])


def _about() -> tuple[str, str]:
    """Which libraries a worker has."""
    from importlib.metadata import version

    return version("qviz"), np.__version__


def _prepare_all(client: Any) -> None:
    """Make sure that every worker has this qviz.

    Raises
    ------
    Problem
        When one has none, or another.
    """
    try:
        found = client.run(_about)
    except Exception as error:
        raise Problem(
            "A worker could not begin ({reason}): install this qviz on every machine of the cluster.",
            reason=f"{type(error).__name__}: {error}"[:120],
        ) from error
    if not found:
        raise Problem("The cluster has no workers: start dask worker on each machine.")
    ours = _about()
    other = next((each for each in found.values() if each != ours), None)
    if other is not None:
        raise Problem(
            "A worker has qviz {theirs} with NumPy {numpy}, and here it is {ours} with {own}: install the same on all.",
            theirs=other[0],
            numpy=other[1],
            ours=ours[0],
            own=ours[1],
        )
