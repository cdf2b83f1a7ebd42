"""The names that people script against: all of them are there, take shorthands, and say what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import qviz.core
from qviz.core import (
    MSE,
    PRESETS,
    Codebook,
    FloatFormat,
    GeneratorSpec,
    IntFormat,
    Manual,
    MovingAverage,
    PerAxis,
    PerBlock,
    Percentile,
    PerGroup,
    PerTensor,
    PerToken,
    Problem,
    Scheme,
    Tensor,
    analyze,
    choose_qparams,
    compare_conventions,
    generate,
    measure,
    pareto,
    storage,
    sweep,
)
from tests.every import every

NAMES = [
    "CONVENTIONS",
    "MSE",
    "AbsMax",
    "Analysis",
    "Codebook",
    "Convention",
    "Entropy",
    "FloatFormat",
    "IntFormat",
    "Known",
    "Manual",
    "Metrics",
    "MinMax",
    "MovingAverage",
    "OnnxRuntimePercentile",
    "PaddleAverage",
    "PaddleEMD",
    "PaddleHistogram",
    "PaddleKL",
    "PaddleMSE",
    "PaddlePTF",
    "PerAxis",
    "PerBlock",
    "PerTensor",
    "PerTile",
    "PerToken",
    "Percentile",
    "Problem",
    "Product",
    "QParams",
    "Scheme",
    "SortedTensor",
    "Storage",
    "Tensor",
    "TorchHistogram",
    "analyze",
    "choose_qparams",
    "dequantize",
    "estimate",
    "fake_quantize",
    "format_named",
    "loss_curves",
    "measure",
    "multiply",
    "pointed_out",
    "range_caveat",
    "prepare",
    "qparams_known",
    "quantize",
    "quantized_product",
    "stack",
    "storage",
    "PRESETS",
    "GeneratorSpec",
    "compare_conventions",
    "generate",
    "pareto",
    "sweep",
]
"""What can be imported from `qviz.core`, from the first version on."""


@every("name", NAMES)
def test_a_name_that_was_there_stays(name: str) -> None:
    assert hasattr(qviz.core, name)
    assert name in qviz.core.__all__


def test_what_is_called_as_torchao_calls_it_hides_nothing() -> None:
    assert qviz.core.PerGroup(32) == qviz.core.PerBlock(-1, 32)
    assert "PerGroup" not in qviz.core.__all__


def test_storage_is_the_function() -> None:
    import qviz.core.questions.analysis

    assert callable(qviz.core.storage)
    assert qviz.core.storage is storage


def test_the_new_names_work_together() -> None:
    x = generate(GeneratorSpec("normal", shape=(8, 64)))
    found = list(sweep(x, [Scheme("int8"), Scheme("int4"), PRESETS[0].scheme]))
    best = pareto([m.storage.bits_per_element for m in found], [m.sqnr_db for m in found])
    assert set(best.tolist()) <= {0, 1, 2}
    assert compare_conventions(x, Scheme("int8"))


# --- shorthands -------------------------------------------------------------------------------------


@every(
    ("short", "long"),
    [
        (Scheme(), Scheme(IntFormat(8), True, PerTensor(), qviz.core.MinMax(), "onnxruntime")),
        (Scheme("int8"), Scheme(IntFormat(8))),
        (Scheme("uint4", symmetric=False), Scheme(IntFormat(4, signed=False), False)),
        (Scheme("e4m3", convention="torchao"), Scheme(FloatFormat("e4m3fn"), convention="torchao")),
        (Scheme("float8_e5m2", convention="torchao"), Scheme(FloatFormat("e5m2"), convention="torchao")),
        (Scheme("nf4", convention="textbook"), Scheme(Codebook("nf4"), convention="textbook")),
        (Scheme(granularity="tensor"), Scheme(granularity=PerTensor())),
        (Scheme(granularity="axis"), Scheme(granularity=PerAxis(0))),
        (Scheme(granularity="block"), Scheme(granularity=PerBlock(-1, 32))),
        (Scheme(granularity="token"), Scheme(granularity=PerToken())),
        (Scheme(range_rule="mse"), Scheme(range_rule=MSE())),
        (Scheme(symmetric=np.True_), Scheme(symmetric=True)),
    ],
)
def test_a_shorthand_is_the_scheme_in_full(short: Scheme, long: Scheme) -> None:
    assert short == long
    assert hash(short) == hash(long)
    assert Scheme.from_dict(short.to_dict()) == long


def test_a_group_is_a_block_of_the_last_axis() -> None:
    assert PerGroup(128) == PerBlock(axis=-1, block_size=128)
    assert PerGroup(group_size=64) == PerBlock(block_size=64)
    with pytest.raises(Problem, match="A block of 0 has no element"):
        PerGroup(0)


@every("layout", ["e4m3fn", "e5m2fnuz", "e2m1fn", "bfloat16"])
def test_a_float_format_is_known_by_its_own_name(layout: str) -> None:
    float_format = FloatFormat(layout)
    assert FloatFormat(float_format.name) == float_format
    assert FloatFormat(float_format.name).format == layout


def test_numbers_of_numpy_become_pythons() -> None:
    for part in (PerAxis(np.int64(1)), PerBlock(np.int8(-1), np.uint16(16)), IntFormat(np.int32(4), np.bool_(False))):  # type: ignore[arg-type]
        assert [type(v) for v in vars(part).values()] in ([int], [int, int], [int, bool])
    assert type(Manual(np.float32(-1), np.float64(1)).low) is float
    assert type(Percentile(99).percentile) is int


@every(
    ("make", "said"),
    [
        (lambda: Scheme(8), "number format cannot be 8: give one such as IntFormat(8), or its name, “int8”"),
        (lambda: Scheme(None), "number format cannot be None"),
        (lambda: Scheme(IntFormat), "number format cannot be <class"),
        (lambda: Scheme([]), "number format cannot be []"),
        (lambda: Scheme("int"), "There is no number format “int”: choose one of int2 … int16"),
        (lambda: Scheme("int99"), "99 bits cannot be shown"),
        (lambda: Scheme(symmetric="yes"), "“symmetric” cannot be 'yes': give True or False"),
        (lambda: Scheme(symmetric=1), "“symmetric” cannot be 1"),
        (lambda: Scheme(symmetric=None), "“symmetric” cannot be None"),
        (lambda: Scheme(granularity=3), "granularity cannot be 3: give one such as PerAxis(0), or one of tensor, axis"),
        (lambda: Scheme(granularity=PerAxis), "granularity cannot be <class"),
        (lambda: Scheme(granularity="channel"), "no granularity “channel”: choose one of tensor, axis, block, token"),
        (lambda: Scheme(granularity=None), "granularity cannot be None"),
        (lambda: Scheme(range_rule=99.9), "range rule cannot be 99.9: give one such as MinMax(), or one of minmax"),
        (lambda: Scheme(range_rule=MSE), "range rule cannot be <class"),
        (lambda: Scheme(range_rule="max"), "no range rule “max”: choose one of minmax, percentile"),
        (lambda: Scheme(range_rule=None), "range rule cannot be None"),
        (lambda: Scheme(convention=None), "convention cannot be None: give one of textbook"),
        (lambda: Scheme(convention=[]), "convention cannot be []"),
        (lambda: Scheme(convention="abacus"), "There is no convention “abacus”"),
        (lambda: PerAxis("0"), "PerAxis's axis cannot be '0': give a whole number"),
        (lambda: PerAxis(1.0), "PerAxis's axis cannot be 1.0: give a whole number"),
        (lambda: PerAxis(True), "PerAxis's axis cannot be True: give a whole number"),
        (lambda: PerAxis(None), "PerAxis's axis cannot be None: give a whole number"),
        (lambda: PerGroup("32"), "PerBlock's block_size cannot be '32': give a whole number"),
        (lambda: IntFormat("8"), "8 bits cannot be shown: choose a bit width from 2 to 16"),
        (lambda: IntFormat(8, "yes"), "IntFormat's signed cannot be 'yes': give True or False"),
        (lambda: FloatFormat(8), "FloatFormat's format cannot be 8: give a name"),
        (lambda: FloatFormat([]), "FloatFormat's format cannot be []: give a name"),
        (lambda: Codebook(None), "Codebook's format cannot be None: give a name"),
        (lambda: Percentile("99"), "Percentile's percentile cannot be '99': give a number"),
        (lambda: Manual(-1, None), "Manual's high cannot be None: give a number"),
        (lambda: Manual(0, 10**400), "give one that float64 can hold"),
        (lambda: MovingAverage(0.5, "0"), "MovingAverage's batch_axis cannot be '0': give a whole number"),
    ],
)
def test_what_no_scheme_can_be_made_of_is_a_problem(make: Any, said: str) -> None:
    with pytest.raises(Problem) as caught:
        make()
    assert said in str(caught.value)


def test_a_shorthand_answers_like_the_scheme_in_full() -> None:
    x = np.random.default_rng(0).normal(0, 1, (4, 64)).astype(np.float32)
    assert (
        analyze(x, Scheme("int4", granularity="axis")).mse
        == analyze(x, Scheme(IntFormat(4), granularity=PerAxis())).mse
    )


# --- in a session of Python -------------------------------------------------------------------------

EVERY_SCHEME = [preset.scheme for preset in PRESETS] + [
    Scheme(range_rule=Manual(-1.0, 2.5)),
    Scheme("int4", granularity=PerAxis(1), range_rule=MovingAverage(0.5, 0)),
]


def test_a_scheme_reads_as_it_is_typed_in() -> None:
    assert repr(Scheme()) == (
        "Scheme('int8', symmetric=True, granularity='tensor', range_rule='minmax', convention='onnxruntime')"
    )
    assert repr(Scheme("uint4", False, PerAxis(1), Percentile(99.0), "textbook")) == (
        "Scheme('uint4', symmetric=False, granularity=PerAxis(axis=1), range_rule=Percentile(percentile=99.0), "
        "convention='textbook')"
    )


@every("scheme", EVERY_SCHEME)
def test_what_a_scheme_reads_gives_it_back(scheme: Scheme) -> None:
    assert eval(repr(scheme), vars(qviz.core)) == scheme  # (the names of this very package)


def test_a_tensor_says_what_it_is() -> None:
    assert repr(Tensor(np.arange(6.0).reshape(2, 3), "w")) == "Tensor('w', shape=(2, 3), float64, 0 … 5)"
    holed = np.array([-1, np.nan, np.inf, 1e300, 2, np.nan])
    assert repr(Tensor(holed)) == ("Tensor('tensor', shape=(6,), float64, -1 … 2, 2 NaN, 1 infinite, 1 beyond float32)")
    large = Tensor(np.ones(1 << 20, np.float32), "large", counted=False)
    assert repr(large) == "Tensor('large', shape=(1048576,), float32, 1 … 1, judged from a sample)"


def test_quantization_parameters_say_what_they_are() -> None:
    one = choose_qparams([-1.27, 1.0], Scheme())
    assert repr(one) == "QParams(int8 of onnxruntime, scale 0.01, zero_point 0, codes -128 … 127)"
    two = choose_qparams([[-1.0, 1.55], [0.0, 5.1]], Scheme("uint8", False, "axis"))
    assert repr(two) == "QParams(uint8 of onnxruntime, 2 scales 0.01 … 0.02, zero_point 0 … 100, codes 0 … 255)"


def test_an_answer_says_what_was_lost() -> None:
    tensor = Tensor(np.array([-1.27, 0.5, 0.014]), "w")
    said = repr(analyze(tensor, Scheme()))
    assert said == (
        f"Analysis('w' (3,): SQNR 50.66 dB, MSE 5.333e-06, max error 0.004, 0 saturated, 18.67 bits an element, "
        f"{Scheme()!r})"
    )
    assert repr(measure(tensor, Scheme())) == said.replace("Analysis", "Metrics")
    assert repr(analyze(tensor, Scheme()).figures) == said.replace("Analysis", "Figures")


@every("granularity", ["tensor", "axis", "block"])
def test_each_is_one_short_line(granularity: str) -> None:
    x = np.random.default_rng(0).normal(0, 1, (256, 256)).astype(np.float32)
    answer = analyze(Tensor(x, "blocks.0.attention.query.weight"), Scheme(granularity=granularity))
    for each in (answer, answer.tensor, answer.qparams, answer.scheme, answer.figures):
        assert "\n" not in repr(each)
        assert len(repr(each)) < 280
    assert "array(" not in repr(answer)
