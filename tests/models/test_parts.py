"""A tensor that is too large for one go is measured in parts, which tell of it what one go tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from qviz.core import IntFormat, PerAxis, PerBlock, PerTensor, Scheme, measure
from qviz.core.tensors.value_counts import of_patterns
from qviz.core.work import Cancelled
from qviz.models import parts
from qviz.models.audit import audit
from qviz.models.checkpoint import Weight, open_checkpoint
from tests.every import every

GRANULARITIES = [PerTensor(), PerAxis(0), PerAxis(1), PerAxis(-1), PerBlock(-1, 8)]
FIGURES = ("mse", "mae", "max_abs_error", "sqnr_db", "relative_rmse", "cosine", "rounding_mse", "clipping_mse")


def schemes() -> list[Scheme]:
    return [
        Scheme(IntFormat(bits), symmetric, each)
        for bits in (8, 4)
        for symmetric in (True, False)
        for each in GRANULARITIES
    ]


def saved(folder: Path, values: Any) -> Weight:
    save_file({"w": values}, folder / "m.safetensors")
    (weight,) = open_checkpoint([folder / "m.safetensors"]).weights
    return weight


@every("dtype", [np.float32, np.float16, ml_dtypes.bfloat16, np.float64])
@every("shape", [(37, 16), (9, 4, 8)])
def test_parts_tell_what_the_whole_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: Any, shape: tuple[int, ...]
) -> None:
    values = np.random.default_rng(0).standard_t(4, shape).astype(dtype)
    values.reshape(-1)[7] = np.nan
    weight = saved(tmp_path, values)
    whole = {row.scheme: row for row in audit([weight], schemes())}
    monkeypatch.setattr(parts, "PART", 256)
    assert len(parts.parts_of(weight)) > 2
    assert all(parts.is_parted(weight, scheme) for scheme in schemes())
    for row in audit([weight], schemes()):
        expected = whole[row.scheme].figures
        assert row.figures is not None
        assert expected is not None
        for name in FIGURES:
            assert getattr(row.figures, name) == pytest.approx(getattr(expected, name), rel=1e-12), name
        for name in ("name", "dtype", "shape", "elements", "finite", "scheme", "saturated", "group_count"):
            assert getattr(row.figures, name) == getattr(expected, name), name
        assert row.figures.storage == expected.storage
        if expected.worst_group is not None and row.figures.worst_group is not None:
            assert row.figures.worst_group.index == expected.worst_group.index


def test_one_axis_is_parted_by_its_elements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).standard_normal(300).astype(np.float32)
    weight = saved(tmp_path, values)
    monkeypatch.setattr(parts, "PART", 256)
    (row,) = audit([weight], [Scheme()], one_axis=True)
    assert row.figures is not None
    assert row.figures.mse == pytest.approx(measure(values, Scheme()).figures.mse, rel=1e-12)
    assert not parts.is_parted(weight, Scheme(granularity=PerBlock(-1, 8)))


def test_what_the_whole_decides_is_measured_in_one_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weight = saved(tmp_path, np.random.default_rng(2).standard_normal((32, 32)).astype(np.float32))
    monkeypatch.setattr(parts, "PART", 256)
    from qviz.core import MSE, FloatFormat

    searched = Scheme(IntFormat(4), range_rule=MSE())
    two_levels = Scheme(FloatFormat("float4_e2m1fn"), granularity=PerBlock(-1, 16), convention="nvfp4")
    for scheme in (searched, two_levels):
        assert not parts.is_parted(weight, scheme)
        (row,) = audit([weight], [scheme])
        assert row.figures is not None
        assert row.figures.mse == measure(weight.entry.load(), scheme).figures.mse


def test_a_part_without_finite_values_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).standard_normal((40, 16)).astype(np.float32)
    values[8:16] = np.nan
    weight = saved(tmp_path, values)
    monkeypatch.setattr(parts, "PART", 256)
    (row,) = audit([weight], [Scheme()])
    assert row.figures is not None
    assert row.figures.mse == measure(values, Scheme()).figures.mse


def test_it_is_cancelled_between_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weight = saved(tmp_path, np.ones((40, 16), np.float32))
    monkeypatch.setattr(parts, "PART", 256)
    told: list[float] = []
    with pytest.raises(Cancelled):
        parts.measured(weight, [Scheme()], progress=told.append, cancelled=lambda: len(told) >= 3)
    assert len(told) == 3


def test_counts_of_parts_are_those_of_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weight = saved(tmp_path, np.random.default_rng(4).standard_normal((40, 16)).astype(np.float16))
    whole = weight.entry.counted
    assert whole is not None
    monkeypatch.setattr(parts, "PART", 256)
    monkeypatch.setattr(parts, "READ", 50)
    found = sum(part.patterns() for part in parts.parts_of(weight))
    assert of_patterns(found, "float16").values.tolist() == whole().values.tolist()
    assert int(found.sum()) == 640
