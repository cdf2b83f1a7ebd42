"""Does the script that a person takes home give the same codes?"""

from __future__ import annotations

import contextlib
import functools
import io
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qviz.core import (
    CONVENTIONS,
    MSE,
    Codebook,
    FloatFormat,
    IntFormat,
    Manual,
    MinMax,
    PerAxis,
    PerBlock,
    Percentile,
    PerTensor,
    PerTile,
    PerToken,
    Problem,
    Scheme,
    Tensor,
    choose_qparams,
    dequantize,
    measure,
    qparams_from_values,
    quantize,
)
from qviz.core.formats.codebooks import CODEBOOKS
from qviz.core.formats.floats import FLOATS
from qviz.core.ranges.paddle import PaddleKL
from qviz.core.ranges.torch import TorchHistogram
from qviz.core.runtimes.precision import rounding_to
from qviz.core.schemes.fitting import check_fits
from qviz.core.scripts.numpy_script import python_snippet
from qviz.core.tensors.generators import ARTICLE_VALUES
from tests.every import every
from tests.pairs import pairs
from tests.schemes import FREE_CONVENTIONS, OF_ANY_LENGTH

RULES = (MinMax(), Percentile(99.0), Percentile(51.5), Manual(-1.2, 0.7), Manual(0.1, 2))
GRANULARITIES = (PerTensor(), PerAxis(0), PerAxis(1), PerAxis(-1))
X = np.random.default_rng(5).normal(0.1, 1, (5, 4, 3)).astype(np.float32)


class Ran:
    """What a script left behind, and what it printed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, script: str, x: object) -> None:
        self.script = script
        self.asked: list[str] = []
        printed, names = io.StringIO(), {}

        def load(path: str) -> Any:
            self.asked.append(path)
            return np.array(x.values[:]).reshape(x.shape) if isinstance(x, Tensor) else np.array(x)

        with monkeypatch.context() as patch, contextlib.redirect_stdout(printed), np.errstate():
            patch.setattr(np, "load", load)
            exec(script, names)
        self.names: dict[str, Any] = names
        self.printed = printed.getvalue()


def check(monkeypatch: pytest.MonkeyPatch, x: Any, scheme: Scheme) -> Ran:
    """Run the script and compare everything it computes, bit for bit."""
    tensor = x if isinstance(x, Tensor) else Tensor(x)
    q = choose_qparams(tensor, scheme)
    ran = Ran(monkeypatch, python_snippet(q, all_finite=tensor.all_finite), x)
    codes = quantize(tensor, q)
    np.testing.assert_array_equal(ran.names["codes"], codes, strict=True)
    np.testing.assert_array_equal(ran.names["x_hat"], dequantize(codes, q), strict=True)
    scale, zero_point = (np.broadcast_to(np.ravel(ran.names[name]), q.scale.size) for name in ("scale", "zero_point"))
    np.testing.assert_array_equal(scale.ravel(), q.scale.ravel())
    np.testing.assert_array_equal(zero_point.ravel(), q.zero_point.ravel())
    mse = measure(tensor, scheme, qparams=q).mse
    assert ran.names["mse"] == pytest.approx(mse, rel=1e-12, abs=0, nan_ok=True)
    return ran


@every(("convention", "granularity", "rule"), pairs(FREE_CONVENTIONS, GRANULARITIES, RULES), ids=str)
def test_the_codes_are_those_of_qviz(
    monkeypatch: pytest.MonkeyPatch, convention: str, granularity: Any, rule: Any
) -> None:
    def offers(bits: int, signed: bool, symmetric: bool) -> bool:
        return CONVENTIONS[convention].offers(IntFormat(bits, signed), symmetric)

    for bits, signed, symmetric in pairs((2, 4, 8, 16), (True, False), (True, False), where=offers):
        check(monkeypatch, X, Scheme(IntFormat(bits, signed), symmetric, granularity, rule, convention))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("convention", ["torchao", "onnxruntime", "onnxruntime_reduce_range", "pytorch"])
def test_a_tensor_of_16_bits_is_computed_with_as_the_runtime_does(
    monkeypatch: pytest.MonkeyPatch, convention: str, dtype: str
) -> None:
    x = rounding_to(dtype)(np.random.default_rng(6).normal(0.1, 1, (6, 64)))  # type: ignore[misc]
    formats = (IntFormat(8), IntFormat(8, False), IntFormat(4), IntFormat(4, False), FloatFormat("e4m3fn"))
    for number_format, symmetric in product(formats, (True, False)):
        for granularity in (PerTensor(), PerAxis(0), PerBlock(-1, 32), PerToken(), PerTile(2, 5)):
            if CONVENTIONS[convention].offers(number_format, symmetric):
                scheme = Scheme(number_format, symmetric, granularity, convention=convention)
                check(monkeypatch, Tensor(x, dtype=dtype), scheme)


@every(
    ("convention", "granularity", "rule"),
    pairs(FREE_CONVENTIONS, GRANULARITIES, (MSE(), TorchHistogram(batch_axis=None), PaddleKL())),
    ids=str,
)
def test_a_searched_range_is_written_down_as_it_was_found(
    monkeypatch: pytest.MonkeyPatch, convention: str, granularity: Any, rule: Any
) -> None:
    for symmetric in (True, False):
        number_format = IntFormat(8, CONVENTIONS[convention].signed_only)
        if CONVENTIONS[convention].offers(number_format, symmetric):
            check(monkeypatch, X, Scheme(number_format, symmetric, granularity, rule, convention))


@every("convention", FREE_CONVENTIONS)
@every(
    "x",
    [
        pytest.param([[2.5, 2.5], [2.5, 2.5]], id="one value"),
        pytest.param([[-2.5, -2.5], [-2.5, -2.5]], id="one negative value"),
        pytest.param([[0.0, 0.0], [0.0, 0.0]], id="zeros"),
        pytest.param([[0.0, 0.0], [-1.0, 3.0]], id="a row of zeros beside another"),
        pytest.param([[1.0, 1.0], [-1.0, 3.0]], id="a row of one value beside another"),
        pytest.param([[0.0, 1e-45], [3e-44, -1e-44]], id="denormal"),
        pytest.param([[3.0, 4.0], [5.0, 6.0]], id="all positive"),
        pytest.param([[-0.0, 1.0], [0.5, 0.25]], id="negative zero"),
    ],
)
def test_ranges_without_room_for_a_scale(monkeypatch: pytest.MonkeyPatch, convention: str, x: Any) -> None:
    x = np.array(x, np.float32)
    for signed, symmetric, granularity, rule in product(
        (True, False), (True, False), (PerTensor(), PerAxis(0)), (MinMax(), Percentile(99.0))
    ):
        if not CONVENTIONS[convention].offers(IntFormat(8, signed), symmetric):
            continue
        check(monkeypatch, x, Scheme(IntFormat(8, signed), symmetric, granularity, rule, convention))


@every("convention", FREE_CONVENTIONS)
@every("symmetric", [True, False])
def test_what_is_not_finite_is_left_out(monkeypatch: pytest.MonkeyPatch, convention: str, symmetric: bool) -> None:
    x = X.copy()
    x[0, 0] = np.nan, np.inf, -np.inf
    for granularity, rule in product(GRANULARITIES, RULES):
        number_format = IntFormat(8, CONVENTIONS[convention].signed_only)
        if CONVENTIONS[convention].offers(number_format, symmetric):
            check(monkeypatch, x, Scheme(number_format, symmetric, granularity, rule, convention))


@pytest.mark.filterwarnings("ignore:All-NaN:RuntimeWarning")
@every("convention", FREE_CONVENTIONS)
@every("symmetric", [True, False])
def test_a_channel_without_a_finite_value(monkeypatch: pytest.MonkeyPatch, convention: str, symmetric: bool) -> None:
    x = X.copy()
    x[2] = np.nan
    for rule in (MinMax(), Percentile(99.0)):
        number_format = IntFormat(8, CONVENTIONS[convention].signed_only)
        if CONVENTIONS[convention].offers(number_format, symmetric):
            check(monkeypatch, x, Scheme(number_format, symmetric, PerAxis(0), rule, convention))


@every("shape", [(1,), (7,), (1, 1), (2, 1, 3)], ids=str)
def test_small_shapes(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]) -> None:
    x = np.linspace(-1, 2, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    for granularity, rule in product((PerTensor(), PerAxis(0), PerAxis(-1)), RULES):
        check(monkeypatch, x, Scheme(IntFormat(4, False), False, granularity, rule))


@every("dtype", ["float64", "float16", "int8", "uint16", "bool"])
def test_other_types_are_taken_as_float32(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    check(monkeypatch, np.abs(X * 3).astype(dtype), Scheme(IntFormat(4), False))


def test_the_article(monkeypatch: pytest.MonkeyPatch) -> None:
    scheme = Scheme(IntFormat(8, signed=False), symmetric=False, convention="textbook")
    ran = check(monkeypatch, ARTICLE_VALUES, scheme)
    assert ran.printed.startswith("codes [ 79 255  16   0 155 141 231 236 129 199] MSE 5.4746")


def test_it_reads_the_file_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    q = choose_qparams(X, Scheme())
    name = 'it\'s "x".npy'
    assert Ran(monkeypatch, python_snippet(q, name), X).asked == [name]
    monkeypatch.chdir(tmp_path)
    np.save("tensor.npy", X)
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(python_snippet(q), names)
    np.testing.assert_array_equal(names["codes"], quantize(X, q))


def test_it_reads_well() -> None:
    x = Tensor(X)
    assert python_snippet(choose_qparams(x, Scheme())) == (
        "import numpy as np\n"
        "\n"
        "# int8, symmetric, per tensor, ONNX Runtime arithmetic\n"
        "x = np.load('tensor.npy').astype(np.float32)\n"
        "qmin, qmax = -128, 127\n"
        "\n"
        "absmax = np.max(np.abs(x))\n"
        "absmax = np.float32(absmax).astype(float)\n"
        "scale = 2 * absmax / 254\n"
        "zero_point = 0\n"
        "scale, zero_point = np.float32(scale), np.float32(zero_point)\n"
        "\n"
        "codes = np.clip(np.rint(x / scale) + zero_point, qmin, qmax)\n"
        "x_hat = (codes - zero_point) * scale\n"
        "codes = codes.astype(np.int8)\n"
        "mse = np.mean((x_hat.astype(float) - x) ** 2)\n"
        'print("codes", codes.ravel()[:10], "MSE", mse)\n'
    )
    scheme = Scheme(IntFormat(4, False), False, PerAxis(-1), Percentile(99.5), "textbook")
    middle = python_snippet(choose_qparams(x, scheme)).partition("# ")[2].partition("codes =")[0]
    assert middle == (
        "uint4, asymmetric, per axis -1, Textbook arithmetic\n"
        "x = np.load('tensor.npy').astype(np.float32)\n"
        "axes = tuple(a for a in range(x.ndim) if a != x.ndim - 1)\n"
        "qmin, qmax = 0, 15\n"
        "\n"
        "upper = (1 + 99.5 / 100) / 2\n"
        "low, high = np.quantile(x.astype(float), [1 - upper, upper], axis=axes, keepdims=True)\n"
        "low, high = np.float32([low, high]).astype(float)\n"
        "scale = (high - low) / (qmax - qmin)\n"
        "zero_point = qmax - high / scale\n"
        "scale, zero_point = np.float32(scale), np.float32(zero_point)\n"
        "\n"
    )


@pytest.mark.parametrize("scheme", [Scheme(), Scheme(symmetric=False, granularity=PerAxis(0))])
def test_only_what_is_needed_is_written(scheme: Scheme) -> None:
    plain = python_snippet(choose_qparams(X, scheme))
    assert "narrow" not in plain
    assert "nan" not in plain
    assert "narrow" in python_snippet(choose_qparams(np.zeros((2, 3)), scheme))


@every("convention", ["pytorch", "torchao", "tflite"])
def test_a_range_wider_than_float32(monkeypatch: pytest.MonkeyPatch, convention: str) -> None:
    x = np.float32([3e38, -2e38, 1e38])
    check(monkeypatch, x, Scheme(symmetric=False, convention=convention))
    assert "seterr" not in python_snippet(choose_qparams(x / 2, Scheme(symmetric=False, convention=convention)))


# --- every row of the table ------------------------------------------------------------------------

FORMATS = (
    *(IntFormat(bits, signed) for bits in (4, 5, 8) for signed in (True, False)),
    *(FloatFormat(name) for name in FLOATS),
    *(Codebook(name) for name in CODEBOOKS),
)
FEW_FORMATS = (IntFormat(8), IntFormat(4, False), FloatFormat("e4m3fn"), FloatFormat("e2m1fn"), Codebook("nf4"))
EVERY_GRANULARITY = (
    PerTensor(),
    PerAxis(1),
    PerToken(),
    PerTile(2, 16),
    PerBlock(-1, 16),
    PerBlock(-1, 32),
    PerBlock(-1, 36),
    PerBlock(0, 2),
)
W = (np.random.default_rng(6).standard_t(3, (3, 96)) * [[0.3], [4], [60]]).astype(np.float32)
W[1, :3] = 0, -0.0, 1e-3


def every_scheme(convention: str, rules: Any, formats: Any = FEW_FORMATS) -> list[Scheme]:
    """Of everything that a runtime offers of these, any two choices."""

    @functools.cache
    def fits(number_format: Any, symmetric: bool, granularity: Any) -> bool:
        try:
            scheme = Scheme(number_format, symmetric, granularity, convention=convention)
            check_fits(scheme, W.shape)  # some runtimes have full blocks alone
        except Problem:
            return False
        return True

    def there(number_format: Any, symmetric: bool, granularity: Any, rule: Any) -> bool:
        if not fits(number_format, symmetric, granularity):
            return False
        with contextlib.suppress(Problem):
            Scheme(number_format, symmetric, granularity, rule, convention)
            return True
        return False

    rows = pairs(formats, (True, False), EVERY_GRANULARITY, rules, where=there)
    return [Scheme(*row, convention) for row in rows]


@pytest.mark.parametrize("convention", OF_ANY_LENGTH)
def test_every_format_and_granularity_has_a_script(monkeypatch: pytest.MonkeyPatch, convention: str) -> None:
    schemes = every_scheme(convention, (MinMax(),), FORMATS)
    schemes += every_scheme(convention, (Percentile(97.0), Manual(-1, 1), Manual(-2, 0.5)))
    assert len(schemes) >= 4 or CONVENTIONS[convention].has_one_format
    for scheme in schemes:
        ran = check(monkeypatch, W, scheme)
        # Scales that follow from the elements are written down, one a group.
        long = CONVENTIONS[convention].of_elements
        longest = max((line for line in ran.script.splitlines() if not (long and "np.array(" in line)), key=len)
        assert len(longest) <= 120, f"{scheme}: a formula, or scales that do not follow from one: {longest[:60]}"
        assert "\n\n\n\n" not in ran.script


@pytest.mark.filterwarnings("ignore:All-NaN:RuntimeWarning")
@every("convention", OF_ANY_LENGTH)
def test_every_format_and_granularity_leaves_out_what_is_not_finite(
    monkeypatch: pytest.MonkeyPatch, convention: str
) -> None:
    x = W.copy()
    x[0, :40] = np.nan
    x[1, 5:8] = np.nan, np.inf, -np.inf
    for scheme in every_scheme(convention, (MinMax(), Percentile(97.0))):
        check(monkeypatch, x, scheme)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@every("convention", OF_ANY_LENGTH)
@every("size", [0.0, 1e-45, 1e-39, 1e-30, 3e38], ids=str)
def test_where_float32_ends(monkeypatch: pytest.MonkeyPatch, convention: str, size: float) -> None:
    x = (np.sign(W) * np.float32(size)).astype(np.float32)
    for scheme in every_scheme(convention, (MinMax(),)):
        with contextlib.suppress(Problem):  # GGUF's scales are float16
            check(monkeypatch, x, scheme)


def test_of_two_as_far_the_first_has_its_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.zeros((2, 64), np.float32)
    x[0, [3, 9]], x[1, [4, 5]] = (2, -2), (-3, 3)
    for rule in (MinMax(), Percentile(100.0), Manual(-1, 1), MSE()):
        check(monkeypatch, x, Scheme(IntFormat(4, False), True, PerBlock(-1, 32), rule, "gguf"))


@every("scheme", [Scheme(), Scheme(granularity=PerToken()), Scheme(convention="pytorch")], ids=str)
def test_scales_that_somebody_else_chose_are_written_down(monkeypatch: pytest.MonkeyPatch, scheme: Scheme) -> None:
    own = choose_qparams(W, scheme)
    q = qparams_from_values(own.scale * np.float32(1.25), own.zero_point, scheme)
    ran = Ran(monkeypatch, python_snippet(q), W)
    np.testing.assert_array_equal(ran.names["codes"], quantize(W, q), strict=True)
    np.testing.assert_array_equal(ran.names["x_hat"], dequantize(quantize(W, q), q), strict=True)


def test_a_searched_range_of_thousands_of_blocks_is_a_problem() -> None:
    x = np.random.default_rng(0).standard_normal((80, 256)).astype(np.float32)
    scheme = Scheme(granularity=PerBlock(-1, 4), range_rule=MSE())
    with pytest.raises(Problem, match=r"cannot hold the numbers of 5,120 groups: choose the range from min to max"):
        python_snippet(choose_qparams(x, scheme))
    assert len(python_snippet(choose_qparams(x, Scheme(granularity=PerBlock(-1, 4))))) < 2000


@pytest.mark.parametrize("bits", [4, 5])
def test_a_block_of_gguf_whose_scale_has_no_inverse_loses_its_middle(
    monkeypatch: pytest.MonkeyPatch, bits: int
) -> None:
    x = np.linspace(-1, 1, 32, dtype=np.float32) * np.float32([[1], [1e-38], [0]])
    scheme = Scheme(IntFormat(bits, False), True, PerBlock(-1, 32), convention="gguf")
    codes = check(monkeypatch, x, scheme).names["codes"]
    assert len(np.unique(codes[0])) > 1 << (bits - 1)
    np.testing.assert_array_equal(codes[1:] - [[0], [1 << (bits - 1)]], 0)


@every(
    ("convention", "number_format", "granularity", "values", "dtype"),
    [
        pytest.param("iq4_nl", Codebook("iq4_nl"), PerBlock(-1, 32), [1e15], "float32", id="a search that overflows"),
        pytest.param("bitsandbytes_double", Codebook("fp4_bnb"), PerBlock(-1, 32), [np.nan, 3e38], "float32", id="NaN"),
        pytest.param("torchao", FloatFormat("bfloat16"), PerTensor(), [65504.0], "float16", id="beyond float16"),
        pytest.param("textbook", Codebook("iq4_nl"), PerTensor(), [np.nan], "float16", id="NaN without a level of 0"),
    ],
)
def test_where_nothing_is_left_of_a_block_codes_and_values_are_the_same(
    monkeypatch: pytest.MonkeyPatch, convention: str, number_format: Any, granularity: Any, values: Any, dtype: str
) -> None:
    x = np.resize(np.float32([*values, 1, -2, 0.5]), (2, 64))
    tensor = Tensor(x, dtype=dtype)
    with np.errstate(all="ignore"):
        q = choose_qparams(tensor, Scheme(number_format, True, granularity, convention=convention))
        codes = quantize(tensor, q)
        ran = Ran(monkeypatch, python_snippet(q, all_finite=tensor.all_finite), x)
        np.testing.assert_array_equal(ran.names["codes"], codes, strict=True)
        np.testing.assert_array_equal(ran.names["x_hat"], dequantize(codes, q), strict=True)
