"""A network becomes a few boxes without cycles, each with a place of its own."""

from __future__ import annotations

import numpy as np
from onnx import numpy_helper

from qviz.core import IntFormat, PerAxis, Scheme
from qviz.models.advice import advice
from qviz.models.graph_layout import BOX_HEIGHT, BOX_WIDTH, boxes_of, lay_out
from qviz.models.node_errors import node_errors
from qviz.models.sensitivity import ALONE, RESTORED, Sensitivity
from qviz.models.units import units_by_group, units_by_node
from tests.every import every
from tests.models.made import classifier, network, pictures, transformer


def test_what_reads_a_layer_alone_is_in_its_box() -> None:
    net = network(classifier())
    boxes, edges = boxes_of(net, units_by_node(net))
    assert [box.nodes for box in boxes] == [
        ("/block1/conv", "/block1/relu"),
        ("/block2/conv", "/block2/relu", "/head/pool", "/head/flat"),
        ("/head/gemm",),
    ]
    assert edges == ((0, 1), (1, 2))
    assert boxes[0].operators == ("Conv", "Relu")
    assert boxes[2].bytes == 10 * 16 * 4


@every("units", [units_by_node, units_by_group])
@every("most", [3, 5, 150])
def test_edges_lead_forward_and_every_node_is_in_one_box(units, most) -> None:
    net = network(transformer())
    boxes, edges = boxes_of(net, units(net), most)
    assert len(boxes) <= most
    assert all(a < b for a, b in edges)
    nodes = [node for box in boxes for node in box.nodes]
    assert sorted(nodes) == sorted(node.name for node in net.model.graph.node)


def test_boxes_do_not_overlap_and_ways_begin_and_end_at_their_boxes() -> None:
    net = network(transformer())
    drawn = lay_out(*boxes_of(net, units_by_node(net)))
    for i, (x, y) in enumerate(drawn.centers):
        for a, b in drawn.centers[:i]:
            assert abs(x - a) >= BOX_WIDTH or abs(y - b) >= BOX_HEIGHT
    for (source, target), way in zip(drawn.edges, drawn.ways, strict=True):
        for end, box in ((way[0], source), (way[-1], target)):
            x, y = drawn.centers[box]
            assert abs(end[0] - x) <= BOX_WIDTH / 2 + 1
            assert abs(end[1] - y) <= BOX_HEIGHT / 2 + 1


def test_the_advice_names_the_worst_layer_and_what_it_would_give_back() -> None:
    model = classifier()
    weights = next(t for t in model.graph.initializer if t.name == "w2")
    values = np.array(numpy_helper.to_array(weights))
    values[3] *= 100  # one output that reaches far: the others fall between the steps
    weights.CopyFrom(numpy_helper.from_array(values, "w2"))
    net = network(model)
    scheme = Scheme(IntFormat(8))
    asked = Sensitivity(net, pictures(3), scheme)
    losses = {(mode, loss.unit.name): loss for mode in (ALONE, RESTORED) for loss in asked.sweep(mode)}
    errors = {error.node: error for error in node_errors(asked)}
    given = advice(net, losses, errors, scheme, {}, asked.everything().sqnr_db)
    assert given is not None
    assert given.unit.name == "/block2/conv"
    assert str(given.sentences[0]).startswith("/block2/conv hurts most")
    assert "widest" in str(given.sentences[1])
    assert given.scheme == Scheme(IntFormat(8), granularity=PerAxis(0))


def test_without_a_sweep_there_is_no_advice() -> None:
    assert advice(network(classifier()), {}, {}, Scheme(), {}, 40.0) is None
