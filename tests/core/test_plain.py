"""What is saved stays as it was; what is read is judged strictly, in one sentence."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from qviz.core import Problem, Scheme
from qviz.core.formats.table import NUMBER_FORMATS
from qviz.core.plain import Tagged, from_plain, tagged_from_plain, to_plain
from qviz.core.ranges.table import RANGE_RULES
from qviz.core.tensors.granularity import GRANULARITIES
from tests.every import every

SAVED = {
    "int": '{"kind": "int", "bits": 8, "signed": true}',
    "float": '{"kind": "float", "format": "e4m3fn"}',
    "codebook": '{"kind": "codebook", "format": "nf4"}',
    "tensor": '{"kind": "tensor"}',
    "axis": '{"kind": "axis", "axis": 0}',
    "block": '{"kind": "block", "axis": -1, "block_size": 32}',
    "token": '{"kind": "token"}',
    "minmax": '{"kind": "minmax"}',
    "percentile": '{"kind": "percentile", "percentile": 99.9}',
    "mse": '{"kind": "mse"}',
    "entropy": '{"kind": "entropy", "bins": 2048, "quantized_bins": 128, "batch_axis": null}',
    "abs_max": '{"kind": "abs_max"}',
    "moving_average": '{"kind": "moving_average", "averaging_constant": 0.01, "batch_axis": null}',
    "onnxruntime_percentile": (
        '{"kind": "onnxruntime_percentile", "percentile": 99.999, "magnitudes": true, "batch_axis": null}'
    ),
    "torch_histogram": '{"kind": "torch_histogram", "batch_axis": null}',
    "paddle_kl": '{"kind": "paddle_kl"}',
    "paddle_hist": '{"kind": "paddle_hist", "hist_percent": 0.99999}',
    "paddle_avg": '{"kind": "paddle_avg", "batch_axis": null}',
    "paddle_mse": '{"kind": "paddle_mse", "onnx_format": false, "batch_axis": null}',
    "paddle_emd": '{"kind": "paddle_emd", "onnx_format": false, "batch_axis": null}',
    "paddle_ptf": '{"kind": "paddle_ptf", "batch_axis": null}',
    "tensorrt_entropy": '{"kind": "tensorrt_entropy"}',
    "manual": '{"kind": "manual", "low": -1.0, "high": 1.0}',
    "known": '{"kind": "known", "scale": [1.0], "zero_point": [0.0]}',
    "tile": '{"kind": "tile", "rows": 128, "columns": 128}',
}
"""How version 0.1 wrote each part of a scheme."""

PARTS = {**NUMBER_FORMATS, **GRANULARITIES, **RANGE_RULES}


@every("kind", PARTS)
def test_each_part_is_written_as_it_was_and_comes_back(kind: str) -> None:
    part = PARTS[kind]()
    assert json.dumps(part.to_dict()) == SAVED[kind]
    assert tagged_from_plain(PARTS, json.loads(SAVED[kind]), "part") == part


def test_a_scheme_is_written_in_its_order() -> None:
    assert json.dumps(Scheme().to_dict()) == (
        f'{{"number_format": {SAVED["int"]}, "symmetric": true, "granularity": {SAVED["tensor"]}, '
        f'"range_rule": {SAVED["minmax"]}, "convention": "onnxruntime"}}'
    )


@dataclass(frozen=True)
class Lens:
    curve: float = 1.0
    marks: tuple[int, ...] = ()


@dataclass(frozen=True)
class Camera:
    name: str = "box"
    shots: int = 0
    flash: bool = False
    zoom: float | None = None
    lens: Lens = field(default_factory=Lens)


@dataclass(frozen=True)
class Round(Tagged):
    kind: ClassVar[str] = "round"
    width: float = 2.0
    count: int = 1


def test_parts_within_parts_come_back() -> None:
    camera = Camera("pin", 3, True, 2.5, Lens(0.5, (1, 2)))
    plain = to_plain(camera)
    assert plain == {"name": "pin", "shots": 3, "flash": True, "zoom": 2.5, "lens": {"curve": 0.5, "marks": [1, 2]}}
    assert from_plain(Camera, json.loads(json.dumps(plain)), "camera") == camera
    assert from_plain(Camera, {}, "camera") == Camera()


def test_a_whole_number_will_do_for_a_float_and_becomes_one() -> None:
    read = from_plain(Camera, {"zoom": 2}, "camera")
    assert (read.zoom, type(read.zoom)) == (2.0, float)


@every(
    ("data", "said"),
    [
        (None, "This is no camera: expected an object with name, shots, flash, zoom, lens."),
        ([], "This is no camera: expected an object with name, shots, flash, zoom, lens."),
        ({"lens": 3}, "This is no camera's lens: expected an object with curve, marks."),
        ({"tripod": 1}, "The camera knows no “tripod”: it has name, shots, flash, zoom, lens."),
        ({"lens": {"tint": 1}}, "The camera's lens knows no “tint”: it has curve, marks."),
        ({"name": 3}, "The camera's name cannot be 3."),
        ({"name": None}, "The camera's name cannot be None."),
        ({"shots": True}, "The camera's shots cannot be True."),
        ({"shots": 2.0}, "The camera's shots cannot be 2.0."),
        ({"shots": "2"}, "The camera's shots cannot be '2'."),
        ({"flash": 1}, "The camera's flash cannot be 1."),
        ({"zoom": False}, "The camera's zoom cannot be False."),
        ({"lens": {"curve": None}}, "The camera's lens's curve cannot be None."),
        ({"lens": {"marks": [1, 2.5]}}, "The camera's lens's marks cannot be [1, 2.5]."),
        ({"lens": {"marks": {"1": 2}}}, "The camera's lens's marks cannot be {'1': 2}."),
    ],
)
def test_what_does_not_fit_is_one_sentence(data: object, said: str) -> None:
    with pytest.raises(Problem) as caught:
        from_plain(Camera, data, "camera")
    assert str(caught.value) == said


@every(
    ("data", "said"),
    [
        (3, "The shape is unknown: its “kind” must be one of round."),
        ({"width": 1.0}, "The shape is unknown: its “kind” must be one of round."),
        ({"kind": "square"}, "The shape is unknown: its “kind” must be one of round."),
        ({"kind": ["round"]}, "The shape is unknown: its “kind” must be one of round."),
        ({"kind": "round", "height": 1}, "The shape cannot have height = 1."),
        ({"kind": "round", "width": True}, "The shape cannot have width = True."),
        ({"kind": "round", "count": 1.5}, "The shape cannot have count = 1.5."),
        ({"kind": "round", "width": 10**400}, "The shape has a number that is too large."),
    ],
)
def test_a_tagged_part_that_does_not_fit_is_one_sentence(data: object, said: str) -> None:
    with pytest.raises(Problem) as caught:
        tagged_from_plain({"round": Round}, data, "shape")
    assert str(caught.value) == said
