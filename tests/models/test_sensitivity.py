"""One layer at a time, exactly: the same as a network built anew for each."""

from __future__ import annotations

import math

import numpy as np
import pytest
from onnx import helper, numpy_helper

from qviz.core import MSE, FloatFormat, IntFormat, PerAxis, PerBlock, Problem, Scheme
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.work import Cancelled
from qviz.models.activations import activation_parameters, ranges, spans
from qviz.models.kept_values import KeptValues
from qviz.models.node_errors import NodeCut, node_errors
from qviz.models.output_figures import Answers
from qviz.models.pieces import Pieces
from qviz.models.preparation import prepare_network
from qviz.models.sensitivity import ALONE, RESTORED, Sensitivity
from qviz.models.sessions import open_session, run
from qviz.models.stacked_weights import StackedWeights, stackable
from qviz.models.units import units_by_group, units_by_node
from qviz.models.weights import Weight, bits_of, quantized_weight, values_of, weights_of
from tests.every import every
from tests.models.made import (
    chain,
    classifier,
    model_of,
    network,
    pictures,
    recurrent,
    sentences,
    transformer,
    value,
)

INT4 = Scheme(IntFormat(4), granularity=PerAxis(0))
UINT8 = IntFormat(8, signed=False)


def ready(model):
    return prepare_network(network(model)).network


@pytest.fixture(scope="module")
def net():
    return ready(classifier())


def naive(net, samples, quantized):
    """A whole network built with other weights."""
    model = type(net.model)()
    model.CopyFrom(net.model)
    for tensor in model.graph.initializer:
        if tensor.name in quantized:
            tensor.CopyFrom(numpy_helper.from_array(quantized[tensor.name], tensor.name))
    sums = Answers([p.name for p in net.outputs])
    first, second = open_session(net.model), open_session(model)
    for sample in samples:
        sums.add(run(first, sample), run(second, sample))
    return sums.sqnr_db


@every(
    ("model", "samples"),
    [(classifier(), pictures(3)), (transformer(), sentences(3)), (recurrent(), None)],
    ids=["classifier", "transformer", "recurrent"],
)
@every("mode", [ALONE, RESTORED])
def test_it_equals_a_network_built_anew(model, samples, mode):
    net = ready(model)
    samples = samples or [
        {"x": np.random.default_rng(i).standard_normal((5, 1, 6)).astype(np.float32)} for i in range(3)
    ]
    asked = Sensitivity(net, samples, INT4)
    for loss in asked.sweep(mode):
        mine = {w.name for w in loss.unit.weights}
        chosen = mine if mode == ALONE else asked.weights.keys() - mine
        expected = naive(net, samples, {name: asked.quantized(name) for name in chosen})
        # Beyond 120 dB it is the order of additions that differs.
        assert min(loss.sqnr_db, 120) == pytest.approx(min(expected, 120), abs=0.01)
        assert loss.samples == 3


def test_everything_equals_a_network_built_anew(net):
    samples = pictures(2)
    asked = Sensitivity(net, samples, INT4)
    quantized = {name: asked.quantized(name) for name in asked.weights}
    assert asked.everything().sqnr_db == pytest.approx(naive(net, samples, quantized), abs=0.01)
    left = asked.units[0]
    kept = {name: value for name, value in quantized.items() if name not in {w.name for w in left.weights}}
    assert asked.everything(frozenset({left.name})).sqnr_db == pytest.approx(naive(net, samples, kept), abs=0.01)


def test_nothing_quantized_is_exact(net):
    asked = Sensitivity(net, pictures(1), {})
    assert asked.everything().noise < 1e-12


def test_a_changed_scheme_moves_the_output(net):
    asked = Sensitivity(net, pictures(2), INT4)
    before = asked.everything().sqnr_db
    for name in asked.weights:
        asked.change(name, Scheme(IntFormat(8), granularity=PerAxis(0)))
    assert asked.everything().sqnr_db > before + 15
    for name in asked.weights:
        asked.change(name, None)
    assert asked.everything().noise < 1e-12


class Counting(list):
    """Samples that count how often they are read."""

    reads = 0

    def __getitem__(self, place):
        self.reads += 1
        return super().__getitem__(place)


def chained(count=2):
    return Counting({"v0": np.random.default_rng(i).standard_normal((4, 8)).astype(np.float32)} for i in range(count))


@pytest.mark.parametrize("room", [1 << 28, 0], ids=["kept", "no room"])
def test_a_move_runs_no_more_than_what_comes_behind_the_layer(monkeypatch, room):
    monkeypatch.setattr("qviz.models.quantized_network.KEPT_BYTES", room)
    monkeypatch.setattr("qviz.models.quantized_network.WORTH_SECONDS", 1e-9)  # as if each layer took long
    net, samples = ready(chain()), chained()
    asked = Sensitivity(net, samples, INT4)
    asked.everything()
    reads = samples.reads
    for bits, layer in enumerate((6, 6, 11, 0, 6, 2), 2):
        asked.change(f"w{layer}", Scheme(IntFormat(bits), granularity=PerAxis(0)))
        before = asked.inferences
        found = asked.everything()
        anew = Sensitivity(net, list(samples), asked.schemes).everything()
        assert found.noise == pytest.approx(anew.noise, rel=1e-6)
        if room:
            assert asked.inferences - before == pytest.approx(2 * (12 - layer) / 12)
    before = asked.inferences
    asked.everything()
    assert (asked.inferences == before) is bool(room)
    assert (samples.reads == reads) is bool(room)


def test_pieces_that_take_no_time_are_run_together():
    pieces = Pieces(ready(chain()), count=12)
    assert len(pieces) == 12
    assert pieces.spans(0) == pieces.spans(1) == [(0, 11)]
    assert pieces.spans(3) == [(0, 3), (4, 7), (8, 11)]
    assert pieces.spans(12) == pieces.spans(99) == [(piece, piece) for piece in range(12)]


@pytest.mark.parametrize("scheme", [INT4, Scheme(UINT8, symmetric=False, granularity=PerAxis(1))], ids=str)
def test_small_weights_are_quantized_together_as_each_alone(scheme):
    net = ready(transformer())
    values, weights = values_of(net), {weight.name: weight for weight in weights_of(net)}
    values["wk"][3, 3] = np.nan
    found = StackedWeights(weights.values(), values).quantized(dict.fromkeys(weights, scheme))
    assert sorted(found) == ["table", "w1", "w2", "wq", "wv"]  # what is spoilt is asked about alone
    for name, x_hat in found.items():
        np.testing.assert_array_equal(x_hat, quantized_weight(weights[name], values[name], scheme))


@every(
    "scheme",
    [
        Scheme(IntFormat(4)),
        Scheme(IntFormat(4), granularity=PerAxis(0), range_rule=MSE()),
        Scheme(FloatFormat("e2m1fn"), granularity=PerBlock(-1, 16), convention="nvfp4"),
    ],
    ids=str,
)
def test_weights_that_share_a_scale_are_quantized_alone(scheme):
    net = ready(transformer())
    stacked = StackedWeights(weights_of(net), values_of(net))
    assert not stacked.quantized(dict.fromkeys(values_of(net), scheme))


def test_rows_of_any_length_are_quantized_as_each_alone():
    rng = np.random.default_rng(0)
    lengths = (1, 9, 15, 16, 17, 64, 500, 1000)
    weights = [Weight(f"w{columns}", "n", "Gemm", 1, (12, columns), (0,), 4) for columns in lengths]
    values = {each.name: rng.standard_normal(each.shape).astype(np.float32) for each in weights}
    values["w9"][2], values["w9"][3] = 0, 0.5
    tried = set()
    for name in CONVENTIONS:
        for number_format in (INT4.number_format, UINT8, FloatFormat("e4m3fn")):
            for symmetric in (True, False):
                try:
                    scheme = Scheme(number_format, symmetric, PerAxis(0), convention=name)
                except Problem:  # what this runtime does not have
                    continue
                if stackable(scheme):
                    tried.add(name)
                    found = StackedWeights(weights, values).quantized({each.name: scheme for each in weights})
                    for each in weights:
                        alone = quantized_weight(each, values[each.name], scheme)
                        np.testing.assert_array_equal(found[each.name], alone, f"{name}, {each.name}")
    assert {"textbook", "onnxruntime", "pytorch", "paddle"} <= tried


def test_a_scheme_for_all_weights_is_run_at_once(monkeypatch):
    monkeypatch.setattr("qviz.models.quantized_network.WORTH_SECONDS", 1e-9)  # as if each layer took long
    net, samples = ready(chain()), chained()
    asked = Sensitivity(net, samples, INT4)
    asked.everything()
    for bits in (2, 6):
        for name in asked.weights:
            asked.change(name, Scheme(IntFormat(bits), granularity=PerAxis(0)))
        before = asked.inferences
        found = asked.everything().noise
        assert asked.inferences - before == 2
        assert found == pytest.approx(Sensitivity(net, samples, asked.schemes).everything().noise, rel=1e-6)


def test_values_before_the_first_change_take_the_room_of_others():
    kept = KeptValues(2 * 80)
    first, second = [{"w": np.zeros(1)} for _ in range(4)], [{"w": np.zeros(1)} for _ in range(4)]
    assert kept.begin(first) == (0, None)
    values = [{"v": np.full(10, float(piece))} for piece in range(5)]
    for piece in range(5):
        kept.keep(piece, values[piece])
    assert kept.begin(first)[0] == 1  # two of them fit
    assert kept.begin([*first[:3], second[3]]) == (1, values[1])
    for piece in range(1, 5):
        kept.keep(piece, values[piece])
    assert kept.begin([*first[:3], second[3]]) == (4, values[4])
    assert kept.begin(first) == (3, values[3])
    assert kept.begin(second)[1] is None


def test_what_was_left_in_float_is_not_taken_for_quantized():
    asked = Sensitivity(ready(chain()), chained(), INT4)
    whole, none = asked.everything().noise, asked.everything(frozenset(u.name for u in asked.units)).noise
    assert none < 1e-12 < whole
    assert asked.everything().noise == whole


def test_sums_are_told_sample_by_sample():
    asked = Sensitivity(ready(chain()), chained(3), INT4)
    told = []
    whole = asked.everything(found=lambda sums, count: told.append((sums.noise, count)))
    assert [count for _, count in told] == [1, 2, 3]
    assert told[-1][0] == whole.noise != told[0][0]


def test_prefixes_cost_half_an_inference():
    net = ready(chain())
    samples = [{"v0": np.random.default_rng(i).standard_normal((4, 8)).astype(np.float32)} for i in range(2)]
    asked = Sensitivity(net, samples, INT4)
    list(asked.sweep())
    baselines = 2 * len(samples)
    assert (asked.inferences - baselines) / len(asked.units) / len(samples) == pytest.approx(13 / 24)


def test_more_samples_than_fit_are_taken_in_turns(net):
    samples = pictures(3)
    asked = Sensitivity(net, samples, INT4)
    kept = [loss.sqnr_db for loss in asked.sweep()]
    assert [loss.sqnr_db for loss in asked.sweep(keep_bytes=1)] == kept


def test_it_can_be_stopped_and_what_was_found_stays(net):
    asked = Sensitivity(net, pictures(1), INT4)
    found = []
    with pytest.raises(Cancelled):
        found.extend(loss for loss in _stopping(asked, found))
    assert len(found) == 1
    rest = [n for n in range(len(asked.units)) if asked.units[n].name != found[0].unit.name]
    assert len(list(asked.sweep(order=rest))) == len(asked.units) - 1


def _stopping(asked, found):
    for loss in asked.sweep(cancelled=lambda: bool(found)):
        found.append(loss)
    yield from ()


def test_without_samples_or_weights_there_is_a_sentence(net):
    with pytest.raises(Problem, match="no sample"):
        Sensitivity(net, [], INT4)
    with pytest.raises(Problem, match="no weights"):
        Sensitivity(net, pictures(1), INT4, units=[])


def with_activations(net, samples):
    units = units_by_node(net, activations=True)
    points = [point for unit in units for point in unit.points]
    known = ranges(net, samples, Scheme(UINT8, symmetric=False), sorted({p.value for p in points}))
    return units, {point: activation_parameters(*known[point.value], UINT8) for point in points}


def test_activations_are_quantized_where_they_enter(net):
    samples = pictures(2)
    units, parameters = with_activations(net, samples)
    asked = Sensitivity(net, samples, {}, activations=parameters, units=units)
    whole = asked.everything()
    assert 25 < whole.sqnr_db < 60
    assert asked.everything(frozenset(u.name for u in units)).noise < 1e-12
    first = next(iter(asked.sweep(order=[0])))
    x = samples[0]["x"]
    p = parameters[units[0].points[0]]
    codes = np.clip(np.rint(x / p.scale) + p.zero_point, 0, 255)
    by_hand = ((codes - p.zero_point) * p.scale).astype(np.float32)
    session = open_session(net.model)
    sums = Answers(["y"])
    for sample in samples:
        codes = np.clip(np.rint(sample["x"] / p.scale) + p.zero_point, 0, 255)
        by_hand = ((codes - p.zero_point.astype(np.float32)) * p.scale).astype(np.float32)
        sums.add(run(session, sample), run(session, {"x": by_hand}))
    assert first.sqnr_db == pytest.approx(sums.sqnr_db, abs=0.01)


def test_errors_of_nodes_end_in_the_error_of_the_output(net):
    samples = pictures(2)
    units, parameters = with_activations(net, samples)
    asked = Sensitivity(net, samples, INT4, activations=parameters, units=units)
    errors = list(node_errors(asked))
    assert errors[-1].accumulated_db == pytest.approx(asked.everything().sqnr_db, abs=1e-3)
    by_name = {error.node: error for error in errors}
    relu = next(name for name in by_name if "pool" in name)
    assert math.isinf(by_name[relu].isolated_db)
    first = errors[0]
    assert first.isolated_db == first.accumulated_db


@pytest.mark.parametrize("make", [classifier, transformer])
def test_errors_of_nodes_are_the_same_however_little_lives_at_once(make):
    net = ready(make())
    port = net.inputs[0]
    rng = np.random.default_rng(0)
    shape = tuple(int(n) for n in port.shape)
    sample = {
        port.name: rng.integers(0, 50, shape)
        if port.dtype == "int64"
        else rng.standard_normal(shape).astype(np.float32)
    }
    asked = Sensitivity(net, [sample], INT4)
    cut = NodeCut(net, live_bytes=1)
    assert len(cut.stretches) > 4 > len(NodeCut(net).stretches) == 1
    for one, other in zip(node_errors(asked, cut=cut), node_errors(asked), strict=True):
        for field in ("isolated_db", "accumulated_db", "low", "high"):
            assert getattr(one, field) == pytest.approx(getattr(other, field), abs=1e-3)


def test_what_is_not_quantized_has_no_error():
    net = ready(classifier())
    weights = weights_of(net)
    errors = {e.node: e for e in node_errors(Sensitivity(net, pictures(1), {weights[1].name: INT4}))}
    assert [math.isinf(each.isolated_db) for each in errors.values()] == [name != weights[1].node for name in errors]
    assert math.isinf(errors[weights[0].node].accumulated_db)
    assert math.isfinite(errors[weights[2].node].accumulated_db)


def test_a_logarithm_of_nothing_spoils_no_node():
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"], name="product"),
        helper.make_node("Relu", ["m"], ["r"], name="relu"),
        helper.make_node("Log", ["r"], ["l"], name="log"),
        helper.make_node("Exp", ["l"], ["y"], name="exp"),
    ]
    w = np.random.default_rng(0).standard_normal((8, 6)).astype(np.float32)
    net = ready(model_of(nodes, [value("x", 4, 8)], [value("y", 4, 6)], {"w": w}))
    x = np.random.default_rng(1).standard_normal((4, 8)).astype(np.float32)
    assert (x @ w < 0).any()
    errors = {error.node: error for error in node_errors(Sensitivity(net, [{"x": x}], INT4))}
    assert all(math.isfinite(error.accumulated_db) for error in errors.values())
    assert -20 < errors["log"].low < errors["log"].high < 10


def test_groups_join_what_belongs_together():
    net = ready(transformer())
    assert [u.name for u in units_by_group(net)] == [u.name for u in units_by_node(net)]
    names = [f"/layer{i}/{part}/MatMul" for i in range(40) for part in ("q", "k", "v")]
    from qviz.models.units import Unit, _runs, _scope

    runs = _runs([(_scope(name, 1), Unit(name, (name,), ())) for name in names])
    assert len(runs) == 40
    assert runs[3][0] == "layer3"


@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_pieces_answer_as_the_whole(net, count):
    sample = pictures(1)[0]
    pieces = Pieces(net, count=count)
    values = dict(sample)
    for piece in range(len(pieces)):
        values = pieces.kept(pieces.advance(pieces.session(piece), values), piece + 1)
    (expected,) = run(open_session(net.model), sample)
    np.testing.assert_allclose(values["y"], expected, rtol=1e-5, atol=1e-6)
    assert list(values) == ["y"]


SCHEMES = [
    Scheme(IntFormat(4), granularity=PerBlock(-1, 32)),
    Scheme(FloatFormat("e2m1fn"), granularity=PerBlock(-1, 32), convention="mx_floor"),
    Scheme(FloatFormat("e2m1fn"), granularity=PerBlock(-1, 16), convention="nvfp4"),
    Scheme(IntFormat(8), granularity=PerBlock(-1, 32), convention="gguf"),
    Scheme(IntFormat(8), granularity=PerAxis(1)),
    Scheme(IntFormat(8)),
]


@every("scheme", SCHEMES, ids=lambda s: f"{s.convention}-{s.granularity.kind}")
@every("make", [classifier, transformer, recurrent])
def test_any_scheme_lies_over_any_weight(make, scheme):
    net = ready(make())
    values = values_of(net)
    for weight in weights_of(net):
        found = quantized_weight(weight, values[weight.name], scheme)
        assert found.shape == values[weight.name].shape
        assert np.abs(found - values[weight.name]).max() < np.abs(values[weight.name]).max()
        assert bits_of(weight, scheme) >= weight.elements * scheme.number_format.bits


def test_per_axis_is_per_output(net):
    weight = next(w for w in weights_of(net) if w.operator == "Gemm")
    values = values_of(net)[weight.name]
    found = quantized_weight(weight, values, Scheme(IntFormat(8), granularity=PerAxis(0)))
    outputs = np.moveaxis(values, weight.outputs[0], 0).reshape(10, -1)
    step = np.abs(outputs).max(axis=1) / 127
    error = np.abs(np.moveaxis(found - values, weight.outputs[0], 0).reshape(10, -1)).max(axis=1)
    assert (error <= step / 2 * 1.0001).all()


def test_ranges_are_the_same_however_little_is_held(net):
    samples = pictures(4)
    from qviz.core import Percentile

    for rule in (Percentile(99.0), MSE()):
        scheme = Scheme(UINT8, symmetric=False, range_rule=rule)
        assert ranges(net, samples, scheme) == ranges(net, samples, scheme, held_bytes=1)


def test_spans_tell_what_still_grows(net):
    samples = pictures(3)
    samples.append({"x": samples[0]["x"] * 5})
    found = spans(net, samples)
    assert found["x"].still_growing
    assert not spans(net, samples[::-1])["x"].still_growing
    assert found["x"].low == min(float(s["x"].min()) for s in samples)
