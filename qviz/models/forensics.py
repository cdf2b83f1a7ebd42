"""Which recipe made this quantized tensor of that original? Found by trying the conventions that qviz has, bit for bit.

A wrong claim is worse than none: it is made only where the codes that a recipe gives are those of the file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.arithmetic.quantize import fake_quantize
from qviz.core.arrays import Array, FloatArray
from qviz.core.formats.codebooks import Codebook
from qviz.core.formats.floats import FLOATS, FloatFormat
from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.frozen import frozen
from qviz.core.problems import N_, Phrase, Problem
from qviz.core.questions.calibration import choose_qparams
from qviz.core.ranges import ggml
from qviz.core.ranges.ggml_types import TYPES
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import Granularity, PerAxis, PerBlock, PerTensor
from qviz.core.tensors.tensor import SMALL_FLOATS, Tensor
from qviz.core.work import IsCancelled, check, never
from qviz.files.entry import Encoding, TensorEntry
from qviz.files.small import small_dtype
from qviz.models.checkpoint import Weight

ALL = 0.9999
"""Share of equal codes from which on a tensor counts as rounded to nearest; what is left are ties."""

MOST = 0.5
"""Share of equal codes below which nothing is said, even of equal scales."""

UNTOUCHED = 0.1
"""Share of columns that GPTQ may leave as they were rounded."""

UNEVEN = 5
"""By how many standard deviations columns have to differ in how many of their codes were moved."""

RISING = 4
"""By how many standard deviations more codes have to be moved in later columns of the first group."""

FEWEST = 8
"""Scales that have to fit where one group of each row is looked at."""

LARGEST = 1 << 24
"""Elements of which so many rows are looked at: a recipe is the same for all."""

WEIGHTED = frozenset({"Q4_0", "Q4_1", "Q5_0", "Q5_1"})
"""llama.cpp's simple types that an importance matrix changes; Q8_0, TQ and FP4 look at none."""

SIMPLE_GROUP = 32
"""Elements of a block of these."""

ENOUGH = 8
"""Groups that an importance matrix would have changed: fewer may be as they are by chance."""

_ROUNDING = {"float32": 4e-7, "float16": 5.5e-4, "bfloat16": 4.4e-3}
"""How far a product may be off where the scale was stored in that type."""

_SCALES = re.compile(r"(scale|scales|absmax|SCB|scale_inv)$")


@frozen
class Recipe:
    """What made a tensor.

    Attributes
    ----------
    scheme : Scheme or None
        None for llama.cpp's own types.
    equal : float
        The share of equal codes.
    conventions : tuple of str
        Who gives these codes: there may be several.
    phrase : Phrase
        What a person hears.
    """

    scheme: Scheme | None
    equal: float
    conventions: tuple[str, ...]
    phrase: Phrase


def recipe_of(
    original: FloatArray,
    quantized: FloatArray,
    weight: Weight,
    *,
    dtype: str = "float32",
    cancelled: IsCancelled = never,
) -> Recipe | None:
    """Which recipe gives these values; None where no claim is safe.

    Parameters
    ----------
    original : float32 array
        Finite values, as they were.
    quantized : float32 array of the same shape
        What the codes of the file stand for.
    weight : Weight
        The quantized tensor: how its file keeps it.
    dtype : str
        The type that the original was stored in: some libraries compute in it.

    Raises
    ------
    Cancelled
        When asked to stop.
    """
    if original.shape != quantized.shape or original.ndim < 1 or not np.isfinite(original).all():
        return None
    if np.array_equal(original, quantized):
        return None
    original, quantized = _few_rows(original), _few_rows(quantized)
    encoding = weight.entry.encoding
    if encoding is None:
        return _of_ggml(original, quantized, weight.entry.dtype or "")
    rounding = _ROUNDING.get(_scale_type(encoding), 0.0)
    if not rounding:
        return None
    if encoding.name == "MLX":  # its own way of choosing scales is not among the conventions
        return None
    made = _found(original, quantized, weight, dtype, rounding, cancelled)
    recipe = _best(made, encoding, lambda scheme: _is_carried_on(original, quantized, scheme, dtype, rounding))
    if recipe is None and encoding.group is not None:
        recipe = _of_first_group(original, quantized, weight, dtype, rounding, cancelled)
    return recipe


def _of_first_group(
    original: FloatArray, quantized: FloatArray, weight: Weight, dtype: str, rounding: float, cancelled: IsCancelled
) -> Recipe | None:
    """GPTQ finds the scales of later groups in what the errors of earlier ones made of them: the first tells."""
    encoding = weight.entry.encoding
    assert encoding is not None and encoding.group is not None
    if original.ndim != 2 or len(original) < FEWEST or original.shape[1] <= encoding.group:
        return None
    here = (slice(None), slice(0, encoding.group))
    made = _found(original[here], quantized[here], weight, dtype, rounding, cancelled)
    found = [(share, False, scheme) for share, is_whole, scheme in made if not is_whole]
    if len(found) < len(made) or len({scheme.symmetric for _, _, scheme in found}) != 1:
        return None
    share = max(each[0] for each in found)
    schemes = [scheme for equal, _, scheme in found if equal == share]
    # The first column is reached by no error.
    made_here = fake_quantize(original[here], choose_qparams(Tensor(original[here], dtype=dtype), schemes[0]))
    if _equal_share(made_here[:, :1], quantized[:, :1], rounding) < ALL:
        return None
    if _rise(_moved(made_here, quantized[here], rounding)) < RISING:
        return None
    names = tuple(dict.fromkeys(scheme.convention for scheme in schemes))
    said = N_(
        "scales of {codes}, {group}, {mode}, as {who} in the first group, of whose codes {share} % are rounded to "
        "nearest: errors were carried on from column to column, as GPTQ carries them"
    )
    values = {
        "codes": encoding.codes,
        "group": _group_phrase(encoding, schemes[0]),
        "mode": Phrase(N_("symmetric")) if schemes[0].symmetric else Phrase(N_("asymmetric")),
        "who": _who(names),
        "share": f"{100 * share:.4g}",
    }
    return Recipe(schemes[0], share, names, Phrase(said, **values))


def _found(
    original: FloatArray, quantized: FloatArray, weight: Weight, dtype: str, rounding: float, cancelled: IsCancelled
) -> list[tuple[float, bool, Scheme]]:
    """The schemes that some codes are of: the share of equal ones, and whether all are."""
    encoding = weight.entry.encoding
    assert encoding is not None
    source = Tensor(original, weight.name, dtype=dtype)
    found: list[tuple[float, bool, Scheme]] = []
    for scheme in _candidates(encoding, original.shape):
        check(cancelled)
        try:
            qparams = choose_qparams(source, scheme)
            made = fake_quantize(original, qparams)
        except Problem:
            continue
        share = max(
            _equal_share(made, quantized, rounding),
            _equal_share(_narrowed(made, dtype), _narrowed(quantized, dtype), 0),
        )
        if share >= ALL:
            found.append((share, True, scheme))
        elif share >= MOST and _on_the_grid(quantized, qparams, rounding):
            found.append((share, False, scheme))
    return found


def _few_rows(values: FloatArray) -> FloatArray:
    if values.size <= LARGEST or values.ndim < 2:
        return values
    return values[: max(1, LARGEST // int(np.prod(values.shape[1:])))]


def _moved(made: FloatArray, quantized: FloatArray, rounding: float) -> Array:
    """Which codes are others than those rounded to nearest."""
    return np.asarray(np.abs(made - quantized) > rounding * np.abs(made))


def _rise(moved: Array) -> float:
    """By how many standard deviations more of them are moved in later columns than chance would move there."""
    rows, columns = moved.shape
    share = float(moved.mean())
    places = np.arange(columns) - (columns - 1) / 2
    spread = math.sqrt(rows * share * (1 - share) * float(places @ places))
    return float(places @ np.count_nonzero(moved, axis=0)) / spread if spread else 0.0


def _is_carried_on(original: FloatArray, quantized: FloatArray, scheme: Scheme, dtype: str, rounding: float) -> bool:
    """Whether codes were moved from column to column, and not here and there.

    GPTQ reaches its first column, whichever that is, with no error of another one, and the later ones with more and
    more. Random or learned rounding moves codes in all columns alike (as far as chance goes, which is what Pearson's χ²
    tells); another original that differs in some columns leaves the others as they were.
    """
    if original.ndim != 2:
        return False
    made = fake_quantize(original, choose_qparams(Tensor(original, dtype=dtype), scheme))
    moved = np.count_nonzero(_moved(made, quantized, rounding), axis=0)
    rows, columns = original.shape
    share = float(moved.mean()) / rows
    if not 0 < share < 1:
        return False
    chi_squared = float(np.square(moved - rows * share).sum()) / (rows * share * (1 - share))
    is_uneven = chi_squared - columns > UNEVEN * math.sqrt(2 * columns)
    untouched = np.count_nonzero(moved == 0)
    return bool(is_uneven and untouched <= columns * UNTOUCHED and moved.min() <= rows * share / 4)


def _best(
    found: list[tuple[float, bool, Scheme]], encoding: Encoding, is_carried_on: Callable[[Scheme], bool]
) -> Recipe | None:
    if not found:
        return None
    whole = [each for each in found if each[1]]
    share = max(each[0] for each in (whole or found))
    schemes = [scheme for equal, _, scheme in (whole or found) if equal == share]
    # Signs of the codes alone tell nothing: one scheme for each convention and mode.
    names = tuple(sorted(dict.fromkeys(scheme.convention for scheme in schemes), key=lambda name: name == "textbook"))
    if not whole and len({scheme.symmetric for scheme in schemes}) > 1:
        return None
    scheme = schemes[0]
    values = {
        "codes": encoding.codes,
        "group": _group_phrase(encoding, scheme),
        "mode": Phrase(N_("symmetric")) if scheme.symmetric else Phrase(N_("asymmetric")),
        "who": _who(names),
        "share": f"{100 * share:.4g}",
    }
    said = N_("rounded to nearest, {codes}, {group}, {mode}, as {who}: {share} % of the codes are equal")
    if not whole:
        said = N_(
            "scales of {codes}, {group}, {mode}, as {who}, and {share} % of the codes rounded to nearest: "
            "the rest was moved, as GPTQ and its like move them"
        )
        if not is_carried_on(scheme):
            said = N_(
                "scales of {codes}, {group}, {mode}, as {who}, and {share} % of the codes rounded to nearest: "
                "the rest was moved, as GPTQ and its like move them, or rounded in another way, or of other weights"
            )
    return Recipe(scheme, share, names, Phrase(said, **values))


def _group_phrase(encoding: Encoding, scheme: Scheme) -> Phrase:
    if isinstance(scheme.granularity, PerBlock):
        return Phrase(N_("{size} to a scale"), size=scheme.granularity.block_size)
    if isinstance(scheme.granularity, PerTensor):
        return Phrase(N_("one scale"))
    return Phrase(N_("a scale for each row"))


def _who(names: tuple[str, ...]) -> Phrase:
    labels = [CONVENTIONS[name].label for name in names]
    if len(labels) > 2:
        return Phrase(N_("{first}, {second} and {rest} more"), first=labels[0], second=labels[1], rest=len(labels) - 2)
    if len(labels) == 2:
        return Phrase(N_("{first} and {second}"), first=labels[0], second=labels[1])
    return Phrase("{first}", first=labels[0])


def _scale_type(encoding: Encoding) -> str:
    parts: list[TensorEntry] = [part for part in encoding.parts if _SCALES.search(str(part.key))]
    types = {part.dtype for part in parts}
    if encoding.name == "NVFP4":
        return "float32"
    if any("nested" in str(part.key) for part in encoding.parts):
        return ""  # the scales are quantized themselves
    return str(types.pop()) if len(types) == 1 else ""


def _candidates(encoding: Encoding, shape: tuple[int, ...]) -> Iterator[Scheme]:
    for number_format in _formats(encoding.codes):
        for granularity in _granularities(encoding, shape):
            for convention in CONVENTIONS:
                for symmetric in (True, False):
                    try:
                        yield Scheme(number_format, symmetric, granularity, convention=convention)
                    except Problem:
                        continue


def _formats(codes: str) -> list[NumberFormat]:
    whole = re.fullmatch(r"u?int(\d+)", codes)
    if whole and 2 <= int(whole[1]) <= 8:
        return [IntFormat(int(whole[1])), IntFormat(int(whole[1]), signed=False)]
    if codes == "nf4":
        return [Codebook("nf4")]
    name = codes.removeprefix("float8_").removeprefix("float4_")
    return [FloatFormat(name)] if name in FLOATS and codes != name else []


def _granularities(encoding: Encoding, shape: tuple[int, ...]) -> list[Granularity]:
    if encoding.group is not None:
        return [PerBlock(-1, encoding.group)]
    scales = [part for part in encoding.parts if _SCALES.search(str(part.key))]
    many = max((int(np.prod(part.shape)) for part in scales if part.shape), default=0)
    if many == 1:
        return [PerTensor()]
    return [PerAxis(0)] if many == shape[0] else []


def _equal_share(made: FloatArray, found: FloatArray, rounding: float) -> float:
    near = np.abs(made - found) <= rounding * np.abs(made)
    return float(np.count_nonzero(near)) / made.size


def _narrowed(values: FloatArray, dtype: str) -> FloatArray:
    """As a runtime decodes that computes in a narrower type."""
    if dtype not in SMALL_FLOATS and dtype != "float16":
        return values
    return values.astype(small_dtype(dtype) if dtype in SMALL_FLOATS else np.float16).astype(np.float32)


def _on_the_grid(quantized: FloatArray, qparams: QParams, rounding: float) -> bool:
    """Whether all values lie on the grid of these scales, whichever codes they have."""
    if rounding > _ROUNDING["float16"] or not isinstance(qparams.number_format, IntFormat):  # anything would, nearly
        return False
    return _equal_share(fake_quantize(quantized, qparams), quantized, rounding) >= ALL


def _of_ggml(original: FloatArray, quantized: FloatArray, dtype: str) -> Recipe | None:
    """Types of llama.cpp: its own quantizer without importances, or none that is known."""
    try:
        made = _ggml(np.ascontiguousarray(original, np.float32), dtype)
    except Problem:
        return None
    if made is None:
        return None
    if not np.array_equal(made.reshape(-1), quantized.reshape(-1)):
        return None
    said = N_("llama.cpp's {type}: every value is equal, with or without an importance matrix")
    if dtype in TYPES or dtype in WEIGHTED:
        said = N_("llama.cpp's {type} without an importance matrix: every value is equal")
        if _telling(original, quantized, dtype) < ENOUGH:
            said = N_("llama.cpp's {type}: every value is equal, with or without an importance matrix")
    return Recipe(None, 1.0, ("gguf",), Phrase(said, type=dtype))


def _telling(original: FloatArray, quantized: FloatArray, dtype: str) -> int:
    """In how many groups importances, all alike, would have left other values: only these tell of the matrix."""
    if dtype not in TYPES:
        return original.size // SIMPLE_GROUP
    rows = original.reshape(-1, original.shape[-1])
    alike = ggml.encode(np.ascontiguousarray(rows, np.float32), dtype, np.ones(rows.shape[1], np.float32))
    other = alike.values().reshape(-1) != quantized.reshape(-1)
    return int(np.count_nonzero(other.reshape(-1, TYPES[dtype].group).any(axis=1)))


def _ggml(original: FloatArray, dtype: str) -> FloatArray | None:
    import gguf

    from qviz.files.ggml_blocks import encoded_bytes

    kind = getattr(gguf.GGMLQuantizationType, dtype, None)
    if kind is None or original.ndim < 2:
        return None
    rows = original.reshape(-1, original.shape[-1])
    try:
        packed: Any = encoded_bytes(rows, dtype)
    except Problem:
        try:
            packed = gguf.quants.quantize(rows, kind)
        except (NotImplementedError, ValueError, gguf.quants.QuantError):
            return None
    width = gguf.quants.quant_shape_to_byte_shape(rows.shape, kind)[-1]
    blocks = np.ascontiguousarray(packed).view(np.uint8).reshape(len(rows), width)
    return np.asarray(gguf.quants.dequantize(blocks, kind))
