"""A cluster audits as one machine does, to the last bit, whoever is lost on the way: asked of processes here."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from qviz.core import MSE, IntFormat, PerAxis, PerBlock, PerTensor, Scheme
from qviz.core.problems import Problem
from qviz.core.work import Cancelled
from qviz.models import audit as audits
from qviz.models import cluster, parts
from qviz.models.audit import audit
from qviz.models.checkpoint import Weight, open_checkpoint

GRANULARITIES = [PerTensor(), PerAxis(0), PerAxis(1), PerBlock(-1, 16)]
SCHEMES = [
    *(Scheme(IntFormat(4), granularity=each) for each in GRANULARITIES),
    Scheme(IntFormat(8), symmetric=False),
    Scheme(IntFormat(4), range_rule=MSE()),
]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Two processes: to bring them up takes most of the time of these tests."""
    pytest.importorskip("distributed")
    with cluster.connected(workers=2) as found:
        yield found


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Weight, ...]:
    """Small tensors, which are bundled, and large ones, which are parted."""
    monkeypatch.setattr(cluster, "BUNDLE", 2000)
    monkeypatch.setattr(parts, "PART", 1 << 12)
    monkeypatch.setattr(audits, "COUNTED_FROM", 5000)
    random = np.random.default_rng(0)
    large = {f"{d.__name__}.weight": random.standard_t(4, (90, 64)).astype(d) for d in (np.float32, np.float16)}
    large["bfloat16.weight"] = random.standard_normal((90, 64)).astype(ml_dtypes.bfloat16)
    large["hollow.weight"] = np.where(np.arange(90)[:, None] < 45, np.nan, large["float32.weight"])
    small = {f"l.{i}.up.weight": random.standard_normal((16, 32)).astype(np.float16) for i in range(6)}
    others = {"norm": np.ones(8, np.float32), "nan": np.full((2, 2), np.nan, np.float32), "steps": np.arange(4)}
    save_file(large | small | others, tmp_path / "m.safetensors")
    return open_checkpoint([tmp_path / "m.safetensors"]).weights


def told(rows: Iterator[Any]) -> list[dict[str, Any]]:
    return [row.to_dict() | {"scheme": row.scheme} for row in rows]


def test_the_answer_is_that_of_one_machine(client: Any, weights: tuple[Weight, ...]) -> None:
    shares: list[float] = []
    found = told(cluster.audit_on(client, weights, SCHEMES, progress=shares.append))
    assert found == told(audit(weights, SCHEMES))
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_what_is_known_is_not_asked_for(client: Any, weights: tuple[Weight, ...]) -> None:
    done = [(weights[0].name, SCHEMES[0]), (weights[5].name, SCHEMES[1])]
    found = told(cluster.audit_on(client, weights, SCHEMES[:2], done=done))
    assert found == told(audit(weights, SCHEMES[:2], done=done))


def test_it_is_cancelled_between_answers(client: Any, weights: tuple[Weight, ...]) -> None:
    rows: list[Any] = []
    with pytest.raises(Cancelled):
        rows.extend(cluster.audit_on(client, weights, SCHEMES, cancelled=lambda: len(rows) >= 3))
    assert 3 <= len(rows) < len(weights) * len(SCHEMES)


def dies_once(compiled: bool, task: Callable[..., Any], *given: Any) -> Any:
    """The first worker that measures a part ends in the middle of it."""
    if task is cluster.first_look:
        try:
            (given[0].weight.entry.path.parent / "lost").touch(exist_ok=False)
        except FileExistsError:
            pass
        else:
            os._exit(1)
    return task(*given)


def test_a_lost_worker_loses_nothing(
    client: Any, weights: tuple[Weight, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cluster, "_done", dies_once)
    found = told(cluster.audit_on(client, weights, SCHEMES))
    assert (tmp_path / "lost").exists()
    assert found == told(audit(weights, SCHEMES))


def test_what_is_missing_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(Problem, match=r"needs Dask, which is not installed: pip install 'qviz\[cluster\]'\."),
        cluster.connected(),
    ):
        pass


def test_nobody_answers() -> None:
    pytest.importorskip("distributed")
    with pytest.raises(Problem, match="Nobody answers at nowhere"), cluster.connected("nowhere"):
        pass
