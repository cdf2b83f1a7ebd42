"""How does a person say what files become as inputs of a network?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from qviz.core.frozen import frozen
from qviz.core.problems import Problem
from qviz.models.network import Port


@frozen
class PictureSettings:
    """How a picture becomes an input.

    Attributes
    ----------
    layout : str
        ``"NCHW"`` or ``"NHWC"``.
    colours : str
        ``"RGB"``, ``"BGR"`` or ``"L"`` (grey).
    scale : float
        What bytes are multiplied by: 1/255 for 0 … 1, 1 for 0 … 255.
    mean, deviation : tuples of float
        Taken away and divided by, after scaling; one number or one for each colour.
    keep_aspect : bool
        Whether the picture keeps its shape, with grey beside it, as detectors are fed.
    """

    layout: str = "NCHW"
    colours: str = "RGB"
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)
    keep_aspect: bool = False

    def __post_init__(self) -> None:
        if self.layout not in ("NCHW", "NHWC") or self.colours not in ("RGB", "BGR", "L"):
            raise Problem(
                "{layout} with {colours} is no way to lay out a picture: take NCHW or NHWC, and RGB, BGR or L.",
                layout=self.layout,
                colours=self.colours,
            )
        if 0 in self.deviation:
            raise Problem("A deviation of 0 cannot be divided by: take 1 for none.")


IMAGENET = PictureSettings(mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225))


@frozen
class DataSettings:
    """How files become inputs.

    Attributes
    ----------
    picture : PictureSettings
    tokenizer : Path or None
        A ``tokenizer.json``, for lines of text.
    length : int
        Tokens a sample, where the network does not fix them.
    dimensions : mapping of str to int
        Numbers for open dimensions.
    """

    picture: PictureSettings = field(default_factory=PictureSettings)
    tokenizer: Path | None = None
    length: int = 128
    dimensions: Mapping[str, int] = field(default_factory=dict)


def filled_with(port: Port, dimensions: Mapping[str, int]) -> list[int | str | None]:
    """The shape of an input with numbers where they are given."""
    return [
        each
        if isinstance(each, int)
        else dimensions.get(each if isinstance(each, str) else f"{port.name}:{place}", None)
        for place, each in enumerate(port.shape or ())
    ]
