"""Which tensors show what quantization does, when there is no file at hand?"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.frozen import frozen
from qviz.core.problems import N_, Problem
from qviz.core.work import IsCancelled, Progress, check, ignore, never

BLOCK = 1 << 20
"""Elements drawn between two looks at the cancel flag. A part of the recipe: it decides the numbers."""

MOST_ELEMENTS = 2**31

Sampler = Callable[[int, int], np.ndarray[Any, Any]]
"""Draws the flat elements ``start`` to ``stop``; called for one block after the other."""


@frozen
class Parameter:
    """One number that shapes a distribution, and how far it may be turned."""

    name: str
    label: str
    default: float
    minimum: float
    maximum: float
    step: float
    description: str


@frozen
class Generator:
    """One row of the table of distributions.

    ``sampler(rng, shape, **parameters)`` gives the ``Sampler`` of one tensor.
    """

    key: str
    label: str
    description: str
    parameters: tuple[Parameter, ...]
    sampler: Callable[..., Sampler]


@frozen
class GeneratorSpec:
    """Everything that decides a generated tensor.

    ``parameters`` holds pairs of name and value; those left out have their defaults.
    """

    kind: str = "normal"
    shape: tuple[int, ...] = (64, 256)
    seed: int = 0
    parameters: tuple[tuple[str, float], ...] = ()


def generate(spec: GeneratorSpec, *, progress: Progress = ignore, cancelled: IsCancelled = never) -> FloatArray:
    """Draw the tensor that ``spec`` describes.

    Parameters
    ----------
    spec : GeneratorSpec
        Equal specs give equal numbers.
    progress : Callable[[float], None]
        Told the fraction that is done, block by block.
    cancelled : Callable[[], bool]
        Asked between blocks.

    Returns
    -------
    float32 array, C-contiguous, of shape ``spec.shape``

    Raises
    ------
    Problem
        For an unknown kind or parameter, a value out of its range, a shape without elements or
        with more than 2**31 of them, or when memory runs out.
    Cancelled
    """
    size = _checked_size(spec)
    values = _checked_values(spec)
    rng = np.random.default_rng(spec.seed)
    sampler = GENERATORS[spec.kind].sampler(rng, spec.shape, **values)
    try:
        flat = np.empty(size, dtype=np.float32)
    except MemoryError as error:
        raise Problem("{size:,} elements do not fit in memory: choose a smaller shape.", size=size) from error
    for start in range(0, size, BLOCK):
        check(cancelled)
        stop = min(start + BLOCK, size)
        flat[start:stop] = sampler(start, stop)
        progress(stop / size)
    return flat.reshape(spec.shape)


def _checked_size(spec: GeneratorSpec) -> int:
    if not spec.shape or min(spec.shape) < 1 or len(spec.shape) > 64:
        raise Problem("The shape {shape} has no elements: give it 1 to 64 axes of length 1 or more.", shape=spec.shape)
    size = math.prod(spec.shape)
    if size > MOST_ELEMENTS:
        raise Problem(
            "The shape {shape} has {size:,} elements: choose one of at most {most_elements:,}.",
            shape=spec.shape,
            size=size,
            most_elements=MOST_ELEMENTS,
        )
    if spec.seed < 0:
        raise Problem("The seed {seed} is negative: choose 0 or more.", seed=spec.seed)
    return size


def _checked_values(spec: GeneratorSpec) -> dict[str, float]:
    """Every parameter of the kind with its value."""
    generator = GENERATORS.get(spec.kind)
    if generator is None:
        raise Problem(
            "There is no generator '{kind}': choose one of {choices}.", kind=spec.kind, choices=", ".join(GENERATORS)
        )
    values = {parameter.name: parameter.default for parameter in generator.parameters}
    for name, value in spec.parameters:
        if name not in values:
            raise Problem(
                "The generator '{kind}' has no parameter '{name}': it has {parameters}.",
                kind=spec.kind,
                name=name,
                parameters=", ".join(values),
            )
        values[name] = value
    for parameter in generator.parameters:
        value = values[parameter.name]
        # Written so that NaN fails too.
        if not parameter.minimum <= value <= parameter.maximum:
            raise Problem(
                "The parameter '{name}' of the generator '{kind}' is {value:g}: choose {least:g} to {most:g}.",
                name=parameter.name,
                kind=spec.kind,
                value=value,
                least=parameter.minimum,
                most=parameter.maximum,
            )
    return values


def _normal(rng: np.random.Generator, shape: tuple[int, ...], mean: float, std: float) -> Sampler:
    return lambda start, stop: rng.standard_normal(stop - start, dtype=np.float32) * std + mean


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], low: float, high: float) -> Sampler:
    if low > high:
        raise Problem("The generator 'uniform' has low {low:g} above high {high:g}: swap them.", low=low, high=high)
    return lambda start, stop: rng.random(stop - start, dtype=np.float32) * (high - low) + low


def _laplace(rng: np.random.Generator, shape: tuple[int, ...], loc: float, scale: float) -> Sampler:
    return lambda start, stop: rng.laplace(loc, scale, stop - start)


def _student_t(rng: np.random.Generator, shape: tuple[int, ...], degrees: float, scale: float) -> Sampler:
    return lambda start, stop: rng.standard_t(degrees, stop - start) * scale


def _bimodal(rng: np.random.Generator, shape: tuple[int, ...], separation: float, std: float) -> Sampler:
    def draw(start: int, stop: int) -> np.ndarray[Any, Any]:
        side = rng.integers(0, 2, stop - start, dtype=np.int8) - np.float32(0.5)
        return rng.standard_normal(stop - start, dtype=np.float32) * std + side * separation

    return draw


def _relu(rng: np.random.Generator, shape: tuple[int, ...], std: float) -> Sampler:
    return lambda start, stop: np.maximum(rng.standard_normal(stop - start, dtype=np.float32) * std, 0)


def _channel_outliers(
    rng: np.random.Generator, shape: tuple[int, ...], std: float, channels: float, factor: float
) -> Sampler:
    length = math.prod(shape[1:])
    chosen = rng.choice(shape[0], min(round(channels), shape[0]), replace=False)

    def draw(start: int, stop: int) -> np.ndarray[Any, Any]:
        block = rng.standard_normal(stop - start, dtype=np.float32) * std
        for channel in chosen.tolist():
            # A slice that ends before it begins is empty: then the channel is not in this block.
            block[max(channel * length - start, 0) : max((channel + 1) * length - start, 0)] *= factor
        return block

    return draw


def _activations(
    rng: np.random.Generator, shape: tuple[int, ...], std: float, features: float, factor: float, spread: float
) -> Sampler:
    length = shape[-1]
    scale = np.ones(length, np.float32)
    scale[rng.choice(length, min(round(features), length), replace=False)] = factor
    tokens = np.exp(rng.standard_normal(math.prod(shape[:-1]), dtype=np.float32) * np.float32(spread))

    def draw(start: int, stop: int) -> np.ndarray[Any, Any]:
        at = np.arange(start, stop)
        block = rng.standard_normal(stop - start, dtype=np.float32) * std
        return np.asarray(block * scale[at % length] * tokens[at // length])

    return draw


_STD = Parameter(
    "std", N_("Standard deviation"), 1.0, 0.0, 100.0, 0.1, N_("How far values typically lie from the mean.")
)

_TABLE = (
    Generator(
        "normal",
        N_("Normal"),
        N_(
            "The bell curve of most trained weights: many small values, so a range from minimum to maximum"
            " spends most levels on few of them."
        ),
        (Parameter("mean", N_("Mean"), 0.0, -100.0, 100.0, 0.1, N_("Where the middle of the bell lies.")), _STD),
        _normal,
    ),
    Generator(
        "uniform",
        N_("Uniform"),
        N_(
            "Every value is equally likely, the case that evenly spaced levels fit best: the mean squared"
            " error is scale²/12, as the textbooks say."
        ),
        (
            Parameter("low", N_("Lowest"), -1.0, -100.0, 100.0, 0.1, N_("No value lies below.")),
            Parameter("high", N_("Highest"), 1.0, -100.0, 100.0, 0.1, N_("No value lies above.")),
        ),
        _uniform,
    ),
    Generator(
        "laplace",
        N_("Laplace"),
        N_(
            "A sharp peak with longer tails than the normal distribution, as in sparse layers: clipping the"
            " tails begins to pay."
        ),
        (
            Parameter("loc", N_("Peak"), 0.0, -100.0, 100.0, 0.1, N_("Where the peak lies.")),
            Parameter("scale", N_("Scale"), 1.0, 0.0, 100.0, 0.1, N_("The mean distance from the peak.")),
        ),
        _laplace,
    ),
    Generator(
        "student_t",
        N_("Student's t"),
        N_("Heavy tails: a few huge values stretch the range until all the others share a handful of levels."),
        (
            Parameter(
                "degrees", N_("Degrees of freedom"), 3.0, 1.0, 100.0, 0.5, N_("The fewer, the heavier the tails.")
            ),
            Parameter("scale", N_("Scale"), 1.0, 0.0, 100.0, 0.1, N_("Stretches the whole distribution.")),
        ),
        _student_t,
    ),
    Generator(
        "bimodal",
        N_("Two peaks"),
        N_("Two bells with a gap between them: evenly spaced levels in the gap are never used."),
        (
            Parameter("separation", N_("Separation"), 4.0, 0.0, 100.0, 0.1, N_("The distance from peak to peak.")),
            Parameter("std", N_("Standard deviation"), 0.5, 0.0, 100.0, 0.1, N_("The width of each of the peaks.")),
        ),
        _bimodal,
    ),
    Generator(
        "relu",
        N_("After a ReLU"),
        N_(
            "Activations after a ReLU, half of them exactly 0 and none below: signed symmetric codes waste"
            " every negative level."
        ),
        (Parameter("std", N_("Standard deviation"), 1.0, 0.0, 100.0, 0.1, N_("Of the values before the ReLU.")),),
        _relu,
    ),
    Generator(
        "channel_outliers",
        N_("Outlier channels"),
        N_(
            "A few channels of axis 0 are far larger than the rest, as in large language models: one scale"
            " for the whole tensor ruins all others, a scale per channel does not."
        ),
        (
            _STD,
            Parameter("channels", N_("Outlier channels"), 2.0, 0.0, 256.0, 1.0, N_("How many; at most all there are.")),
            Parameter("factor", N_("Factor"), 20.0, 1.0, 1000.0, 1.0, N_("How many times larger they are.")),
        ),
        _channel_outliers,
    ),
    Generator(
        "activations",
        N_("Activations"),
        N_(
            "What a layer of a language model is given: in every token (row) the same few features (columns) are far"
            " larger than the rest, and some tokens are louder than others."
        ),
        (
            _STD,
            Parameter("features", N_("Outlier features"), 4.0, 0.0, 256.0, 1.0, N_("How many; at most all there are.")),
            Parameter("factor", N_("Factor"), 20.0, 1.0, 1000.0, 1.0, N_("How many times larger they are.")),
            Parameter(
                "spread", N_("Spread of tokens"), 0.5, 0.0, 4.0, 0.1, N_("Of the logarithm of a token's loudness.")
            ),
        ),
        _activations,
    ),
)

GENERATORS: dict[str, Generator] = {generator.key: generator for generator in _TABLE}

ARTICLE_VALUES: FloatArray = np.array(
    [
        -0.47069794,
        0.8608386,
        -0.947035,
        -1.0697421,
        0.10035864,
        0.0013437,
        0.6782814,
        0.7141242,
        -0.09668107,
        0.4391506,
    ],
    dtype=np.float32,
)
"""The ten values of the introductory worked example; read-only, for all share them."""

ARTICLE_VALUES.setflags(write=False)
