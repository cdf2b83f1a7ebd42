"""Tensors are picked by what a person writes, put in order by columns, and put together by layer and role."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from qviz.core.formats.integers import IntFormat
from qviz.core.problems import Problem
from qviz.core.schemes.scheme import Scheme
from qviz.files.entry import TensorEntry
from qviz.models.audit import audit
from qviz.models.checkpoint import Weight, open_checkpoint
from qviz.models.weight_filter import weight_filter
from qviz.models.weight_table import WeightTable, grouped, weight_map
from tests.every import every

SHAPES = {
    "model.embed_tokens.weight": (64, 16),
    "model.layers.0.self_attn.q_proj.weight": (16, 16),
    "model.layers.0.mlp.up_proj.weight": (32, 16),
    "model.layers.0.input_layernorm.weight": (16,),
    "model.layers.2.self_attn.q_proj.weight": (16, 16),
    "model.layers.10.self_attn.q_proj.weight": (16, 16),
    "model.layers.10.mlp.experts.3.up_proj.weight": (32, 16),
}


@pytest.fixture(scope="module")
def table() -> WeightTable:
    """Seven tensors; those of layer 0 were measured: q has 20 dB, up 40 dB."""

    def load(**_: object) -> np.ndarray:
        raise AssertionError

    weights = [
        Weight(
            name, TensorEntry(name, Path("m.safetensors"), name, shape, "float32" if "up" in name else "bfloat16", load)
        )
        for name, shape in SHAPES.items()
    ]
    made = WeightTable(weights)
    made.numbers["sqnr"][1:3] = 20, 40
    made.numbers["saturated"][1:3] = 0.25, 0
    return made


def picked(table: WeightTable, text: str) -> list[int]:
    return np.flatnonzero(weight_filter(text)(table)).tolist()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", [0, 1, 2, 3, 4, 5, 6]),
        ("Q_PROJ", [1, 4, 5]),
        ("layers.0 proj", [1, 2]),
        ("'layers.0' and not norm", [1, 2]),
        ("sqnr < 30", [1]),
        ("sqnr >= 30", [2]),
        ("sqnr != 20", [2]),
        ("not sqnr < 30", [0, 2, 3, 4, 5, 6]),
        ("bytes > 1 KiB", [0, 2, 6]),
        ("bytes>1KiB and role=up", [2, 6]),
        ("bytes <= 512B or layer = 10", [1, 3, 4, 5, 6]),
        ("(layer = 10 or layer = 2) and role = q", [4, 5]),
        ("saturated >= 25 %", [1]),
        ("type = bf*", [0, 1, 3, 4, 5]),
        ("type != float32", [0, 1, 3, 4, 5]),
        ("name ~ LAYERS.2", [4]),
        ('name ~ "layers.1"', [5, 6]),
        ("name = *LAYERS.2*", [4]),
        ("name != *layers.*", [0]),
        ("name = *layers.2", []),
        ("name = 'model.layers.?.*[q]*'", []),
        ("name = model*layers.?.*q_p*.w?ight", [1, 4]),
        (f"name = {'*e' * 60}x", []),
        ("axes < 2", [3]),
        ("experts", [6]),
        ("elements ≥ 1_024", [0]),
        ("shape = '16 × 16'", [1, 4, 5]),
        ("layer < 1e1", [1, 2, 3, 4]),
        ("__import__('os').system('true')", []),
    ],
)
def test_what_is_written_picks_tensors(table: WeightTable, text: str, rows: list[int]) -> None:
    assert picked(table, text) == rows


@every(
    ("text", "said"),
    [
        ("sqnt < 30", "“sqnt <” says nothing of a tensor: compare bytes,"),
        ("sqnr < high", "“sqnr” is compared with a number, such as 30, 1.5 MiB or 0.1 %, not with “high”."),
        ("bytes > 3 parsecs >", "“parsecs >” says nothing of a tensor"),
        ("sqnr <", "ends where something has to follow"),
        ("(a and b", "A parenthesis is open"),
        ("a) or b", "“)” has no partner"),
        ("< 3", "“<” has no partner"),
        ("role < q", "“role <” says nothing"),
        ("a and", "ends where something has to follow"),
        ('"open', '“"” has no partner'),
        ("( " * 300, "too long"),
    ],
)
def test_what_can_not_be_understood_is_said(text: str, said: str) -> None:
    with pytest.raises(Problem) as caught:
        weight_filter(text)
    assert said in str(caught.value)


def test_columns_give_an_order_and_what_is_not_known_comes_last(table: WeightTable) -> None:
    rows = np.arange(len(table))
    assert table.order(rows, "").tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert table.order(rows, "sqnr").tolist()[:2] == [1, 2]
    assert table.order(rows, "sqnr", descending=True).tolist()[:3] == [2, 1, 0]
    assert table.order(rows, "bytes", descending=True).tolist() == [0, 2, 6, 1, 4, 5, 3]
    assert table.order(rows[1:6], "name").tolist() == [3, 2, 1, 4, 5]  # layer 2 before layer 10
    assert table.order(rows[4:], "type").tolist() == [4, 5, 6]
    assert table.order(rows[4:], "type", descending=True).tolist() == [6, 4, 5]


def test_tensors_of_a_layer_or_role_are_put_together(table: WeightTable) -> None:
    rows = np.arange(len(table))
    layers = {group.key: group for group in grouped(table, rows, "layer")}
    assert list(layers) == ["0", "2", "10", ""]
    assert layers["0"].rows.tolist() == [1, 2, 3]
    assert layers["0"].nbytes == 16 * 16 * 2 + 32 * 16 * 4 + 16 * 2
    assert layers["0"].sqnr == 20
    assert np.isnan(layers["2"].sqnr)
    assert layers["0"].saturated == 0.25
    roles = {group.key: group.rows.tolist() for group in grouped(table, rows, "role")}
    assert roles == {"embedding": [0], "q": [1, 4, 5], "up": [2, 6], "norm": [3]}


def test_the_map_has_a_cell_for_each_layer_and_role(table: WeightTable) -> None:
    found = weight_map(table, "sqnr")
    assert found.layers == (0, 2, 10)
    assert found.roles == ("q", "up", "norm")
    np.testing.assert_array_equal(found.values[:, 0], [20, 40, np.nan])
    assert found.counts.tolist() == [[1, 1, 1], [1, 0, 1], [1, 0, 0]]
    sizes = weight_map(table, "bytes").values
    assert sizes[1, 2] == 2048
    assert np.isnan(sizes[1, 1])


def test_what_an_audit_finds_is_filled_in(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((64, 32)).astype(np.float32)
    head = json.dumps({"w": {"dtype": "F32", "shape": [64, 32], "data_offsets": [0, 8192]}}).encode()
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + values.tobytes())
    weights = open_checkpoint([tmp_path / "m.safetensors"]).weights
    made = WeightTable(weights)
    made.fill(audit(weights, [Scheme(IntFormat(8))], tails=True))
    flat = values.astype(np.float64).ravel()
    centred = flat - flat.mean()
    assert made.numbers["sqnr"][0] > 35
    assert made.numbers["kurtosis"][0] == pytest.approx(np.mean(centred**4) / np.mean(centred**2) ** 2)
    assert made.numbers["outlier"][0] == pytest.approx(np.abs(flat).max() / np.sqrt(np.mean(flat**2)))
    made.clear()
    assert np.isnan(made.numbers["sqnr"]).all()
