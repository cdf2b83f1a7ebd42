"""The integer product is ONNX Runtime's own, and every figure of its loss is that of plain float64 NumPy."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from qviz.core import (
    FloatFormat,
    IntFormat,
    Manual,
    PerAxis,
    PerBlock,
    Percentile,
    PerTensor,
    PerToken,
    Problem,
    Scheme,
    Tensor,
    choose_qparams,
    dequantize,
    quantize,
)
from qviz.core.questions import pair_sums, product, product_blocks
from qviz.core.questions.pair_sums import lost_in_pairs
from qviz.core.questions.product import multiply, quantized_product
from qviz.core.questions.product_blocks import integer_product
from qviz.core.questions.product_operands import OperandProblem
from qviz.core.questions.product_sums import BINS
from qviz.core.schemes.dynamic import DYNAMIC_RUNTIMES, laid_out
from qviz.core.work import Cancelled
from tests.every import every
from tests.golden.record_conventions import recorded_tensors
from tests.golden.record_product import TORCHAO, VECTORS
from tests.processors import right

DYNAMIC = Scheme(IntFormat(8, signed=False), symmetric=False, convention="onnxruntime_dynamic")
RNG = np.random.default_rng(1)
X = RNG.standard_normal((9, 40)).astype(np.float32) * np.geomspace(0.1, 5, 9, dtype=np.float32)[:, None]
W = RNG.standard_normal((40, 12)).astype(np.float32) / 6


def run(nodes, inputs, outputs, initializers, feeds):
    """What ONNX Runtime answers."""
    import onnxruntime as ort

    def value(name, kind):
        return helper.make_tensor_value_info(name, kind, None)

    graph = helper.make_graph(
        nodes,
        "g",
        [value(name, TensorProto.FLOAT) for name in inputs],
        [value(name, kind) for name, kind in outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in initializers.items()],
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def dynamic_quantize_linear(x):
    node = helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"])
    kinds = [("q", TensorProto.UINT8), ("s", TensorProto.FLOAT), ("z", TensorProto.UINT8)]
    return run([node], ["x"], kinds, {}, {"x": x})


def weight_of(scheme):
    """Codes, scale and zero point of W as a model stores them."""
    q = choose_qparams(W, scheme)
    return quantize(W, q), q.scale, q.zero_point.astype(scheme.number_format.dtype)


# -- against ONNX Runtime


@every("name", [n for n in recorded_tensors() if n not in ("denormal",)])
def test_codes_of_an_activation_are_those_of_dynamic_quantize_linear(name):
    x = recorded_tensors()[name]
    codes, scale, zero_point = dynamic_quantize_linear(x)
    q = choose_qparams(x, DYNAMIC)
    if scale < np.finfo(np.float32).tiny:
        pytest.skip("a denormal scale is a degenerate range here")
    np.testing.assert_array_equal(q.scale, scale)
    np.testing.assert_array_equal(q.zero_point, zero_point)
    np.testing.assert_array_equal(quantize(x, q), codes)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-3, 3), st.sampled_from([1e-6, 1e-2, 1.0, 7.3, 1e4]))
def test_and_of_any_activation(seed, shift, spread):
    x = ((np.random.default_rng(seed).standard_normal(64) + shift) * spread).astype(np.float32)
    codes, scale, zero_point = dynamic_quantize_linear(x)
    q = choose_qparams(x, DYNAMIC)
    assert (q.scale, q.zero_point) == (scale, zero_point)
    np.testing.assert_array_equal(quantize(x, q), codes)


WEIGHTS = {
    "int8 symmetric": Scheme(IntFormat(8)),
    "uint8 asymmetric": Scheme(IntFormat(8, False), symmetric=False),
    "int8 per channel": Scheme(IntFormat(8), granularity=PerAxis(1)),
}


@every("name", WEIGHTS)
def test_the_output_is_that_of_matmul_integer_scaled(name):
    codes, scale, zero_point = weight_of(WEIGHTS[name])
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["xq", "xs", "xz"]),
        helper.make_node("MatMulInteger", ["xq", "wq", "xz", "wz"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["xs", "ws"], ["s"]),
        helper.make_node("Mul", ["float", "s"], ["y"]),
    ]
    if name == "int8 per channel":
        nodes[1] = helper.make_node("MatMulInteger", ["xq", "wq", "xz"], ["sum"])
    outputs = [("y", TensorProto.FLOAT), ("sum", TensorProto.INT32)]
    y, sums = run(nodes, ["x"], outputs, {"wq": codes, "ws": scale, "wz": zero_point}, {"x": X})
    sure = right(dynamic_quantize_linear(X)[0], codes)
    np.testing.assert_allclose(quantized_product(X, W, DYNAMIC, WEIGHTS[name])[sure], y[sure], rtol=3e-7, atol=0)
    if sure.all():
        assert multiply(X, W, DYNAMIC, WEIGHTS[name]).largest_sum == np.abs(sums.astype(np.int64)).max()


@every("name", WEIGHTS)
def test_the_output_is_that_of_dynamic_quantize_matmul(name):
    codes, scale, zero_point = weight_of(WEIGHTS[name])
    node = helper.make_node("DynamicQuantizeMatMul", ["x", "wq", "ws", "wz"], ["y"], domain="com.microsoft")
    initializers = {"wq": codes, "ws": scale, "wz": zero_point}
    (y,) = run([node], ["x"], [("y", TensorProto.FLOAT)], initializers, {"x": X})
    sure = right(dynamic_quantize_linear(X)[0], codes)
    np.testing.assert_allclose(quantized_product(X, W, DYNAMIC, WEIGHTS[name])[sure], y[sure], rtol=3e-7, atol=0)


# -- against torchao


def recorded():
    data = dict(np.load(VECTORS))
    return {
        name: {key.split("/", 1)[1]: value for key, value in data.items() if key.startswith(f"{name}/")}
        for name in {key.split("/")[0] for key in data}
    }


@every("name", sorted(recorded()))
def test_codes_and_outputs_are_torchaos(name):
    answer = recorded()[name]
    x_scheme, w_scheme = TORCHAO["asymmetric" if name.endswith("asymmetric") else "symmetric"]
    for operand, scheme in (("x", x_scheme), ("w", w_scheme)):
        q = choose_qparams(answer[operand], scheme)
        np.testing.assert_array_equal(q.scale, answer[f"{operand}_scale"])
        np.testing.assert_array_equal(q.zero_point, answer[f"{operand}_zero_point"])
        np.testing.assert_array_equal(quantize(answer[operand], q), answer[f"{operand}_codes"])
    y = quantized_product(answer["x"], answer["w"], x_scheme, w_scheme, transposed=True)
    # It scales the sum by Sx, then by Sw, and takes the zero points out afterwards: float32 rounds otherwise.
    np.testing.assert_allclose(y, answer["y"], rtol=2e-6, atol=2e-6 * np.abs(answer["y"]).max())


# -- against plain NumPy

PAIRS = {
    "per tensor": (Scheme(), Scheme()),
    "per token and channel": (Scheme(granularity=PerToken()), Scheme(IntFormat(4), granularity=PerAxis(1))),
    "asymmetric": (DYNAMIC, Scheme(IntFormat(8), symmetric=False, granularity=PerAxis(1))),
    "groups": (Scheme(granularity=PerToken()), Scheme(IntFormat(4), False, PerBlock(0, 16))),
    "clipped": (Scheme(range_rule=Percentile(95)), Scheme(IntFormat(3), range_rule=Manual(-0.2, 0.2))),
    "16 bits": (Scheme(IntFormat(16)), Scheme(IntFormat(16))),
}


def db(signal, noise):
    return 20 * math.log10(np.linalg.norm(signal) / np.linalg.norm(noise))


@every("name", PAIRS)
@every("block", [1 << 21, 80])
@every("transposed", [False, True])
def test_every_figure_is_that_of_float64(name, block, transposed, monkeypatch):
    monkeypatch.setattr(product_blocks, "BLOCK", block)
    x_scheme, w_scheme = PAIRS[name]
    x64, w64 = X.astype(np.float64), W.astype(np.float64)
    qx, qw = choose_qparams(X, x_scheme), choose_qparams(W, w_scheme)
    integers = [quantize(a, q) - q.grouped(a.shape)[1].astype(np.int64) for a, q in ((X, qx), (W, qw))]
    scales = [np.broadcast_to(q.grouped(a.shape)[0], a.shape) for a, q in ((X, qx), (W, qw))]
    stretch = getattr(w_scheme.granularity, "block_size", 40)
    both, largest = np.zeros((9, 12), np.float32), 0
    for at in range(0, 40, stretch):
        sums = integers[0][:, at : at + stretch].astype(np.int64) @ integers[1][at : at + stretch].astype(np.int64)
        both += sums.astype(np.float32) * (scales[0][:, :1] * scales[1][at])
        largest = max(largest, np.abs(sums).max())
    x_hat, w_hat = (dequantize(quantize(a, q), q).astype(np.float64) for a, q in ((X, qx), (W, qw)))
    outputs = {"weight": x64 @ w_hat, "activation": x_hat @ w64, "both": both.astype(np.float64)}
    y = x64 @ w64

    if transposed:
        w_scheme = laid_out(w_scheme, True)
    given = W.T if transposed else W
    told = []
    p = multiply(X, given, x_scheme, w_scheme, transposed=transposed, progress=told.append)

    assert told == sorted(told)
    assert told[-1] == 1
    assert p.shape == y.shape
    assert p.largest_sum == largest
    np.testing.assert_array_equal(
        quantized_product(X, given, x_scheme, w_scheme, transposed=transposed), outputs["both"]
    )
    for source, output in outputs.items():
        loss, error = p.losses[source], output - y
        assert loss.mse == pytest.approx(np.mean(error**2), rel=1e-10)
        assert loss.max_abs_error == pytest.approx(np.abs(error).max(), rel=1e-10)
        assert loss.sqnr_db == pytest.approx(db(y, error), abs=1e-9)
        cosine = (y * output).sum() / np.linalg.norm(y) / np.linalg.norm(output)
        assert loss.cosine == pytest.approx(cosine, abs=1e-12)
        expected = np.histogram(error, p.errors.edges)[0]
        assert p.errors.counts[source].sum() == y.size
        assert np.abs(p.errors.counts[source] - expected).sum() <= 2  # an error on an edge
    error = outputs["both"] - y
    for axis, lines in ((1, p.rows), (0, p.columns)):
        np.testing.assert_allclose(lines.mse, np.mean(error**2, axis=axis))
        np.testing.assert_allclose(lines.max_abs_error, np.abs(error).max(axis=axis))
        np.testing.assert_allclose(
            lines.sqnr_db, 10 * np.log10((y**2).sum(axis=axis) / (error**2).sum(axis=axis)), rtol=1e-9
        )
        assert lines.worst_first[0] == np.argmin(lines.sqnr_db)
    np.testing.assert_array_equal(p.row_scales, scales[0].max(axis=1))
    np.testing.assert_array_equal(p.column_scales, scales[1].max(axis=0))
    s = p.sample
    np.testing.assert_allclose(s.exact, y[s.row, s.column])
    np.testing.assert_array_equal(s.quantized, outputs["both"][s.row, s.column])
    assert s.exact.size == y.size  # few enough for all


def test_all_axes_but_the_last_are_rows():
    x = X.reshape(3, 3, 40)
    p = multiply(x, W, Scheme(granularity=PerToken()), Scheme())
    assert p.activation.shape == (9, 40)
    assert p.row_scales.shape == (9,)
    assert p.loss == multiply(X, W, Scheme(granularity=PerAxis(0)), Scheme()).loss
    assert multiply(X[0], W, Scheme(), Scheme()).shape == (1, 12)


def test_of_many_outputs_some_are_drawn():
    p = multiply(RNG.standard_normal((100, 8)), RNG.standard_normal((8, 90)), Scheme(), Scheme())
    assert p.sample.exact.size == product.SAMPLE
    assert len(set(zip(p.sample.row.tolist(), p.sample.column.tolist(), strict=True))) == product.SAMPLE


def test_without_error_there_is_no_noise():
    x = np.array([[127.0, -127.0], [0.0, 0.0]])
    p = multiply(x, np.array([[127.0], [1.0]]), Scheme(), Scheme())
    assert p.loss.sqnr_db == math.inf
    assert p.loss.cosine == 1
    assert p.errors.counts["both"][BINS] == 2
    assert p.to_dict()["sqnr_db"] is None
    assert math.isnan(multiply(x * 0, np.ones((2, 1)), Scheme(), Scheme()).loss.cosine)


def test_plain_values_for_json():
    p = multiply(X, W, *PAIRS["per token and channel"])
    data = p.to_dict()
    assert (data["rows"], data["features"], data["outputs"]) == (9, 40, 12)
    assert data["mse"] == p.loss.mse
    assert data["weight_alone"]["sqnr_db"] == p.losses["weight"].sqnr_db
    assert data["activation_alone"]["sqnr_db"] == p.losses["activation"].sqnr_db
    assert data["worst_row"] == np.argmin(p.rows.sqnr_db)
    assert data["worst_output"] == np.argmin(p.columns.sqnr_db)
    assert data["fits_int32"] is True


def test_sums_beyond_the_accumulators_of_a_runtime_are_told():
    p = multiply(np.ones((1, 8)), np.ones((8, 1)), Scheme(IntFormat(16)), Scheme(IntFormat(16)))
    assert p.largest_sum == 8 * 32767**2
    assert not p.fits_int32


# -- kernels that add up in pairs


def by_hand(x, w):
    """The sums that ``vpmaddubsw`` and what follows it give, and how many pairs saturate."""
    sums, count = np.zeros((x.shape[0], w.shape[1]), np.int64), 0
    for k in range(0, x.shape[1], 2):
        pair = x[:, k : k + 2].astype(np.int64) @ w[k : k + 2].astype(np.int64)
        count += np.count_nonzero(np.clip(pair, -32768, 32767) != pair)
        sums += np.clip(pair, -32768, 32767)
    return sums, count


def test_two_products_saturate_where_int16_ends():
    changes, count = lost_in_pairs(np.array([[210, 198]], np.int32), np.array([[-81], [-80]], np.int32))
    assert (changes.tolist(), count) == ([[32850 - 32768]], 1)
    changes, count = lost_in_pairs(np.array([[255, 255, 255]], np.int32), np.array([[127], [1], [127]], np.int32))
    assert (changes.tolist(), count) == ([[0]], 0)  # 32,640 fits, and the third feature has no neighbour


@every("together", [7, 1 << 16])
@every(("rows", "features", "outputs"), [(5, 64, 7), (3, 9, 11), (1, 1, 4), (17, 250, 3)])
def test_saturated_sums_are_those_added_up_by_hand(monkeypatch, rows, features, outputs, together):
    monkeypatch.setattr(pair_sums, "TOGETHER", together)
    rng = np.random.default_rng(features)
    x = rng.integers(0, 256, (rows, features)).astype(np.int32)
    w = rng.integers(-128, 128, (features, outputs)).astype(np.int32)
    changes, count = lost_in_pairs(x, w)
    sums, expected = by_hand(x, w)
    np.testing.assert_array_equal(x @ w + changes, sums)
    assert count == expected


@pytest.mark.parametrize("signed", [True, False])
def test_what_saturating_pairs_do_to_an_output(signed):
    rng = np.random.default_rng(2)
    x, w = rng.uniform(-1, 2, (6, 50)).astype(np.float32), rng.uniform(-1, 1, (50, 8)).astype(np.float32)
    activation, weight = Scheme(IntFormat(8, signed), signed), Scheme(granularity=PerAxis(1))
    p = multiply(x, w, activation, weight)
    qx, qw = p.activation_qparams, p.weight_qparams
    codes, of_weight = quantize(x, qx).astype(np.int64) + 128 * signed, quantize(w, qw).astype(np.int64)
    sums, count = by_hand(codes, of_weight)
    plain = codes @ of_weight
    offset = (int(qx.zero_point) + 128 * signed) * of_weight.sum(axis=0)
    scale = qx.scale * qw.scale
    y, exact = (sums - offset).astype(np.float32) * scale, x.astype(float) @ w
    assert p.pairs.pairs == count > 0
    assert p.pairs.outputs == np.count_nonzero(sums != plain)
    assert p.pairs.of_outputs == 48
    assert p.pairs.largest_change == np.abs(y.astype(float) - (plain - offset).astype(np.float32) * scale).max()
    assert p.pairs.loss.mse == pytest.approx(np.mean((y - exact) ** 2))
    assert p.pairs.loss.sqnr_db < p.loss.sqnr_db
    assert p.to_dict()["int16_pairs"]["outputs_changed"] == p.pairs.outputs
    np.testing.assert_array_equal(
        quantized_product(x, w, activation, weight), (plain - offset).astype(np.float32) * scale
    )


def test_seven_bits_of_an_activation_never_saturate():
    x, w = np.full((3, 8), 5.0), np.full((8, 2), -1.0)
    activation = Scheme(IntFormat(8, False), False, convention="pytorch_reduce_range")
    p = multiply(x, w, activation, Scheme())
    assert (p.pairs.pairs, p.pairs.outputs, p.pairs.largest_change) == (0, 0, 0)
    assert p.pairs.loss == p.loss
    assert multiply(x, w, replace(activation, convention="onnxruntime"), Scheme()).pairs.pairs == 3 * 2 * 4


@pytest.mark.parametrize(("activation", "weight"), [(IntFormat(16), IntFormat(8)), (IntFormat(8), IntFormat(8, False))])
def test_other_codes_are_not_added_up_in_pairs(activation, weight):
    p = multiply(X, W, Scheme(activation), Scheme(weight))
    assert p.pairs is None
    assert p.to_dict()["int16_pairs"] is None


def test_an_activation_quantized_per_token_does_not_suffer_from_a_loud_one():
    x = X.copy()
    x[4] *= 1000
    whole = multiply(x, W, Scheme(), Scheme(granularity=PerAxis(1)))
    each = multiply(x, W, Scheme(granularity=PerAxis(0)), Scheme(granularity=PerAxis(1)))
    assert each.rows.sqnr_db.min() > whole.rows.sqnr_db.min() + 30


# -- exact sums


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 40), st.integers(1, 2**31), st.integers(0, 2**32 - 1), st.sampled_from([1 << 10, 1 << 53]))
def test_integer_products_are_exact(features, largest, seed, limit):
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(-largest, largest, shape, endpoint=True) for shape in ((3, features), (features, 2)))
    b //= 1 << 20
    exact = a.astype(object) @ b.astype(object)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(product_blocks, "EXACT_DOUBLE", max(limit, int(np.abs(a).max()) * int(np.abs(b).max()) + 1))
        found = integer_product(a, b)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, exact.astype(np.int64))


def test_products_of_codes_take_single_precision_as_far_as_it_is_exact():
    a = np.full((1, 1041), 127)
    assert integer_product(a, a.T)[0, 0] == 127 * 127 * 1041  # > 2²⁴, and odd


# -- problems


@every(
    ("x", "w", "transposed", "said"),
    [
        (
            (3, 4),
            (5, 6),
            False,
            "An activation of shape (3, 4) does not fit a weight of shape (5, 6): choose an activation whose last axis "
            "has 5 features, or a weight whose first axis has 4.",
        ),
        (
            (3, 4),
            (5, 6),
            True,
            "An activation of shape (3, 4) does not fit a weight of shape (5, 6): choose an activation whose last axis "
            "has 6 features, or a weight whose last axis has 4.",
        ),
        (
            (3, 4),
            (6, 4),
            False,
            "An activation of shape (3, 4) does not fit a weight of shape (6, 4): choose the weight's layout "
            "outputs × features.",
        ),
        (
            (3, 4),
            (4, 6),
            True,
            "An activation of shape (3, 4) does not fit a weight of shape (4, 6): choose the weight's layout "
            "features × outputs.",
        ),
        ((3, 4), (4,), False, "The weight has shape (4,): choose one with two axes, features and outputs."),
    ],
)
def test_shapes_that_do_not_fit(x, w, transposed, said):
    with pytest.raises(Problem) as problem:
        multiply(np.ones(x), np.ones(w), Scheme(), Scheme(), transposed=transposed)
    assert str(problem.value) == said


def test_what_is_not_finite_has_no_product():
    x = X.copy()
    x[2, 3] = np.inf
    with pytest.raises(Problem, match="1 of the activation's 360 elements are not finite"):
        multiply(x, W, Scheme(), Scheme())
    with pytest.raises(Problem, match="1 of the activation's 360 elements are not finite"):
        multiply(Tensor(x), W, Scheme(), Scheme())
    with pytest.raises(Problem, match="the weight's 480 elements are not finite"):
        multiply(X, np.where(W > 0, W, np.nan), Scheme(), Scheme())


def test_scales_along_the_features_cannot_be_taken_out():
    with pytest.raises(Problem, match=r"Scales of an activation .* choose per tensor or per token") as problem:
        multiply(X, W, Scheme(granularity=PerAxis(1)), Scheme())
    assert problem.value.operand == "activation"
    for axis, transposed in ((0, False), (1, True)):
        with pytest.raises(Problem, match=r"Scales of a weight .* or per block along the features") as problem:
            multiply(X, W.T if transposed else W, Scheme(), Scheme(granularity=PerAxis(axis)), transposed=transposed)
        assert problem.value.operand == "weight"
    with pytest.raises(Problem, match="A block of 64 is longer than axis 0") as problem:
        multiply(X, W, Scheme(), Scheme(granularity=PerBlock(0, 64)))
    assert problem.value.operand == "weight"


@pytest.mark.parametrize(
    ("scheme", "name"),
    [
        (Scheme(FloatFormat("e4m3fn")), "float8_e4m3fn under “ONNX Runtime”"),
        (Scheme(granularity=PerBlock(-1, 32), convention="gguf"), r"int8 under “GGUF \(llama.cpp\)”"),
    ],
)
def test_other_codes_than_integers_are_not_multiplied(scheme, name):
    with pytest.raises(Problem, match=f"Codes of {name} are no plain integers") as problem:
        multiply(X, W, Scheme(), scheme)
    assert problem.value.operand == "weight"


def test_a_real_zero_point_makes_no_integers():
    textbook = Scheme(IntFormat(8, False), symmetric=False, granularity=PerTensor(), convention="textbook")
    with pytest.raises(Problem, match="Under “Textbook” the zero point is not a whole number"):
        multiply(X, W, textbook, Scheme())


def test_it_can_be_stopped():
    with pytest.raises(Cancelled):
        multiply(X, W, Scheme(), Scheme(), cancelled=lambda: True)


FAR = np.finfo(np.float32).max
EXTREMES = {
    "far": np.array([[FAR, -FAR, 1], [1, 2, 3]], np.float32),
    "far and near": np.array([[FAR, 1e-45, 0], [0, 0, 0]], np.float32),
    "near": np.array([[1e-45, -1e-40, 0]], np.float32),
    "zeros": np.zeros((2, 3), np.float32),
    "ones": np.ones((2, 3), np.float32),
}


@every(("x", "w"), [(x, w) for x in EXTREMES.values() for w in EXTREMES.values()])
def test_extremes_are_multiplied_or_refused_without_a_warning(x, w):
    for preset in (DYNAMIC_RUNTIMES["torchao_int8"], DYNAMIC_RUNTIMES["onnxruntime"]):
        try:
            found = multiply(x, w, preset.activation, laid_out(preset.weight, True), transposed=True)
        except Problem as problem:
            assert "by a constant" in str(problem)
        else:
            assert np.isfinite([loss.mse for loss in found.losses.values()]).all()


@pytest.mark.parametrize("operand", ["activation", "weight"])
def test_an_operand_that_leaves_float32_is_named(operand):
    preset, far, one = DYNAMIC_RUNTIMES["torchao_int8"], EXTREMES["far"][:1], np.full((1, 3), 1e-3, np.float32)
    x, w = (far, one) if operand == "activation" else (one, far)
    with pytest.raises(OperandProblem, match=f"Values of the {operand} go beyond float32") as caught:
        multiply(x, w, preset.activation, laid_out(preset.weight, True), transposed=True)
    assert caught.value.operand == operand
