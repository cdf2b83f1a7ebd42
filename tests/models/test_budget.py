"""The choice of formats is the best there is: it equals that of trying all of them."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from qviz.core import IntFormat, PerBlock, Problem, Scheme
from qviz.models import plans
from qviz.models.audit import audit
from qviz.models.budget import KEEP, Front, Option, Unit, allocate, smallest, units_of
from qviz.models.checkpoint import open_checkpoint
from tests.every import every
from tests.files.test_pytorch import Stored, saved, tensor


def some_units(seed: int, count: int, options: int, largest: int = 1000) -> list[Unit]:
    random = np.random.default_rng(seed)
    return [
        Unit(
            (f"u{number}",),
            tuple(
                Option(
                    str(place), int(random.integers(1, largest)), float(random.exponential()) * random.integers(0, 3)
                )
                for place in range(options)
            ),
        )
        for number in range(count)
    ]


def by_trying(units: list[Unit], nbytes: int) -> float:
    best = math.inf
    for choice in itertools.product(*(unit.options for unit in units)):
        if sum(option.nbytes for option in choice) <= nbytes:
            best = min(best, math.fsum(option.error for option in choice))
    return best


@every("seed", range(40))
def test_it_equals_trying_all(seed: int) -> None:
    random = np.random.default_rng(1000 + seed)
    units = some_units(seed, int(random.integers(1, 7)), int(random.integers(1, 6)), [8, 1000][seed % 2])
    least = sum(unit.smallest for unit in units)
    most = sum(max(option.nbytes for option in unit.options) for unit in units)
    for nbytes in {least, most, *(int(n) for n in random.integers(least, most + 1, 6))}:
        found = allocate(units, nbytes)
        assert found.is_exact
        assert found.nbytes <= nbytes
        assert found.error == pytest.approx(by_trying(units, nbytes), rel=1e-12, abs=1e-15)
        chosen = [unit.options[place] for unit, place in zip(units, found.choices, strict=True)]
        assert sum(option.nbytes for option in chosen) == found.nbytes


def test_ties_and_options_that_nothing_speaks_for() -> None:
    same = Unit(("a",), (Option("x", 5, 1.0), Option("y", 5, 1.0), Option("worse", 9, 2.0)))
    found = allocate([same] * 6, 40)
    assert (found.error, found.nbytes, found.is_exact) == (6.0, 30, True)


def test_three_hundred_layers_with_eight_formats() -> None:
    random = np.random.default_rng(0)
    units = []
    for number in range(300):
        elements = int(random.integers(1, 40)) * 100_000
        spread = float(random.lognormal()) * elements
        bits = [2.5, 3.5, 4.5, 5.5, 6.5, 8.5, 16, 32]
        options = [
            Option(f"{b}", int(elements * b / 8), spread * 4.0**-b * float(random.uniform(0.7, 1.3))) for b in bits
        ]
        units.append(Unit((f"layer {number}",), tuple(options)))
    total = sum(unit.options[2].nbytes for unit in units)
    found = allocate(units, total)
    assert found.is_exact
    assert total * 0.9999 < found.nbytes <= total
    assert found.error < sum(unit.options[2].error for unit in units)


def test_too_few_bytes_are_told() -> None:
    with pytest.raises(Problem, match="take 7 B at least, more than 6 B"):
        allocate([Unit(("a",), (Option("x", 7, 1.0),))], 6)


@pytest.mark.parametrize("count", [5, 80])
def test_the_front_goes_from_the_smallest_to_the_best(count: int) -> None:
    units = some_units(3, count, 5)
    found = Front.of(units)
    assert found.nbytes[0] == smallest(units).nbytes
    assert found.error[-1] == pytest.approx(sum(min(o.error for o in unit.options) for unit in units), abs=1e-12)
    assert (np.diff(found.nbytes) > 0).all()
    assert (np.diff(found.error) < 0).all()
    for at in range(0, len(found), max(1, count // 5)):  # what lies on the hull is the best for its bytes
        assert allocate(units, int(found.nbytes[at])).error == pytest.approx(found.error[at], abs=1e-12)
        chosen = [unit.options[choice] for unit, choice in zip(units, found.choices(at), strict=True)]
        assert sum(option.nbytes for option in chosen) == found.nbytes[at]
        assert sum(option.error for option in chosen) == pytest.approx(found.error[at], abs=1e-12)


SCHEMES = {Scheme(IntFormat(bits), granularity=PerBlock(-1, 32)): f"int{bits}" for bits in (8, 4)}


def test_siblings_share_a_format_and_what_is_left_in_float_counts(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    names = [f"layers.{i}.attn.{role}_proj.weight" for i in range(2) for role in "qkvo"]
    names += [f"layers.0.mlp.experts.{i}.up_proj.weight" for i in range(3)]
    tensors = {name: random.standard_normal((8, 64)).astype(np.float32) for name in names}
    tensors["norm.weight"] = np.ones(64, np.float32)
    save_file(tensors, tmp_path / "m.safetensors")
    rows = list(audit(open_checkpoint([tmp_path]).weights, list(SCHEMES)))
    units, rest = units_of(rows, SCHEMES)
    assert rest == 256
    assert {frozenset(unit.names) for unit in units} == {
        *(frozenset(f"layers.{i}.attn.{role}_proj.weight" for role in "qkv") for i in range(2)),
        *(frozenset([f"layers.{i}.attn.o_proj.weight"]) for i in range(2)),
        frozenset(names[-3:]),
    }
    assert all([option.name for option in unit.options] == ["int8", "int4", KEEP] for unit in units)
    q = next(unit for unit in units if len(unit.names) == 3 and "attn" in unit.names[0])
    assert q.options[-1] == Option(KEEP, 3 * 2048, 0.0)
    by_name = {row.key: row for row in rows}
    eight = next(scheme for scheme, name in SCHEMES.items() if name == "int8")
    figures = [by_name[(name, eight)].figures for name in q.names]
    assert q.options[0].error == pytest.approx(sum(f.mse * 512 for f in figures if f is not None))


def test_formats_below_a_limit_are_no_choice(tmp_path: Path) -> None:
    save_file({"w": np.random.default_rng(0).standard_normal((8, 64)).astype(np.float32)}, tmp_path / "m.safetensors")
    rows = list(audit(open_checkpoint([tmp_path]).weights, list(SCHEMES)))
    (unit,), _ = units_of(rows, SCHEMES, at_least_db=30)
    assert [option.name for option in unit.options] == ["int8", KEEP]


def test_a_format_that_overflows_is_no_choice_and_hides_no_other_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    huge = np.sign(rng.standard_normal((8, 64))).astype(np.float32) * np.float32(3e38)
    small = [rng.standard_normal((8, 64)).astype(np.float32) for _ in range(2)]
    for each, largest in enumerate((huge, huge * np.float32(0.3))):
        folder = tmp_path / str(each)
        folder.mkdir()
        save_file({"a": small[0], "b": small[1], "huge": largest}, folder / "m.safetensors")
        rows = list(audit(open_checkpoint([folder]).weights, list(SCHEMES)))
        units, _ = units_of(rows, SCHEMES)
        assert all(math.isfinite(option.error) for unit in units for option in unit.options)
        front = Front.of(units)
        for at in range(len(front)):
            chosen = [unit.options[place] for unit, place in zip(units, front.choices(at), strict=True)]
            assert front.error[at] == pytest.approx(math.fsum(option.error for option in chosen), rel=1e-12)


def test_tied_weights_count_once(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((4, 32)).astype(np.float32)
    tied = tensor(Stored("FloatStorage", "0", 128), 0, (4, 32), (32, 1))
    saved(tmp_path / "m.pt", {"embed_tokens.weight": tied, "lm_head.weight": tied}, data__0=values.tobytes())
    units, rest = units_of(audit(open_checkpoint([tmp_path]).weights, list(SCHEMES)), SCHEMES)
    assert [unit.names for unit in units] == [("embed_tokens.weight",)]
    assert rest == 0


def test_viewers_of_graphs_get_the_bits_of_the_nodes_that_read_a_tensor(tmp_path: Path) -> None:
    from onnx import TensorProto, helper, numpy_helper, save

    weight = numpy_helper.from_array(np.ones((4, 4), np.float32), "w")
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4, 4]) for name in ("x", "y")]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], "mul")], "g", ports[:1], ports[1:], [weight]
    )
    save(helper.make_model(graph), tmp_path / "m.onnx")
    choices = [plans.Choice("w", Scheme(IntFormat(4))), plans.Choice("other", None)]
    netron = json.loads(plans.exported(plans.NETRON, choices, [tmp_path / "m.onnx"]))
    assert [(each["target"], each["value"]) for each in netron["metrics"]] == [("mul", 4.0)]
    explorer = json.loads(plans.exported(plans.MODEL_EXPLORER, choices, [tmp_path / "m.onnx"]))
    assert explorer["main"]["results"] == {"mul": {"value": 4.0}}
    with pytest.raises(Problem, match="open the ONNX model itself"):
        plans.exported(plans.NETRON, choices, [tmp_path / "none.safetensors"])
