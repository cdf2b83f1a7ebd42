"""What is a network fed? Samples from a person's own files, one at a time, however many there are.

Pictures are turned into an input the way its owner says (size, layout, scaling, mean and deviation): a wrong guess here
costs more than any quantization, so that nothing is guessed silently; `checks` says what looks wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.arrays import Array, FloatArray
from qviz.core.problems import N_, Phrase, Problem
from qviz.files.problems import FileProblem, system_errors
from qviz.models.activations import Span
from qviz.models.network import Network, Port
from qviz.models.sessions import filled_shape, random_feeds

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff"})
TEXTS = frozenset({".txt", ".jsonl"})
MOST_PIXELS = 1 << 28

Feeds = dict[str, Array]


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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


@dataclass(frozen=True, eq=False)
class FileSamples:
    """Samples of files; see `open_samples`.

    Attributes
    ----------
    readers : tuple of callables
        Each gives one sample.
    random : bool
        Whether they are noise.
    files : tuple of Path
        What they are read from.
    """

    readers: tuple[Any, ...]
    random: bool = False
    files: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.readers)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return FileSamples(self.readers[place], self.random)
        sample: Feeds = self.readers[place]()
        return sample

    def __iter__(self) -> Iterator[Feeds]:
        for reader in self.readers:
            yield reader()

    def split(self, share: float = 0.5, seed: int = 0) -> tuple[FileSamples, FileSamples]:
        """Some to calibrate on, and the others, which are held out; drawn by chance, the same for a seed.

        With a single sample both are that one.
        """
        if len(self) < 2:
            return self, self
        order = np.random.default_rng(seed).permutation(len(self))
        count = min(len(self) - 1, max(1, round(share * len(self))))
        first, second = sorted(order[:count].tolist()), sorted(order[count:].tolist())
        return (
            FileSamples(tuple(self.readers[i] for i in first), self.random),
            FileSamples(tuple(self.readers[i] for i in second), self.random),
        )


def random_samples(network: Network, count: int = 8, dimensions: Mapping[str, int] | None = None) -> FileSamples:
    """Noise, for want of data: every figure from it has to say so (``random`` is True)."""
    return FileSamples(
        tuple(partial(random_feeds, network, dict(dimensions or {}), seed) for seed in range(count)), random=True
    )


def open_samples(network: Network, paths: Sequence[str | Path], settings: DataSettings | None = None) -> FileSamples:
    """The samples in files and folders, in natural order.

    ``.npy`` holds one input, ``.npz`` one array an input by its name; where an array has one axis more than the input,
    or more along its first axis than the network takes at once, that axis counts samples. Pictures and lines of text
    are a sample each.

    Parameters
    ----------
    network : Network
        Prepared.
    paths : sequence of str or Path
    settings : DataSettings, optional

    Raises
    ------
    FileProblem
        When a file cannot be read, or does not fit the network's inputs.
    Problem
        When there is no file at all.
    """
    settings = settings or DataSettings()
    readers: list[Any] = []
    files = tuple(_files([Path(p) for p in paths]))
    for path in files:
        ending = path.suffix.lower()
        if ending == ".npy":
            readers += _npy_readers(network, path, settings)
        elif ending == ".npz":
            readers += _npz_readers(network, path, settings)
        elif ending in PICTURES:
            readers.append(partial(_picture, path, _picture_port(network, path), settings))
        elif ending in TEXTS:
            readers += _text_readers(network, path, settings)
        else:
            raise FileProblem(
                path,
                N_("is no data for a network"),
                N_("Give .npy, .npz, pictures, or text with a tokenizer file."),
            )
    if not readers:
        raise Problem("There is no data in {paths}: give files or a folder of them.", paths=", ".join(map(str, paths)))
    return FileSamples(tuple(readers), files=files)


def checks(samples: FileSamples, found: Mapping[str, Span], network: Network) -> tuple[Phrase, ...]:
    """What looks wrong with data, from the spans of what flows through the network.

    Parameters
    ----------
    samples : FileSamples
        Those that the spans are of.
    found : mapping of str to Span
        See `activations.spans`.
    """
    said: list[Phrase] = []
    if samples.random:
        said.append(Phrase("This is random data: no figure from it says anything about real inputs."))
    growing = [name for name, span in found.items() if span.still_growing]
    if growing and len(samples) > 1:
        said.append(
            Phrase(
                "The last sample still widened {count} of {all} ranges: more data would change the scales.",
                count=len(growing),
                all=len(found),
            )
        )
    ports = {port.name for port in network.inputs}
    for name in ports & found.keys():
        span = found[name]
        if span.constant:
            said.append(
                Phrase("The input {name} is {value:.4g} everywhere, in every sample.", name=name, value=span.low)
            )
        if span.missing:
            said.append(Phrase("The input {name} holds {count:,} NaN or infinities.", name=name, count=span.missing))
    constant = [name for name, span in found.items() if span.constant and name not in ports]
    if constant:
        said.append(
            Phrase(
                "{count} tensors inside never change ({name}, …): is the data as the network wants it?",
                count=len(constant),
                name=constant[0],
            )
        )
    return tuple(said)


def looks_wrong(port: Port, picture: PictureSettings, sample: FloatArray) -> Phrase | None:
    """What a person sees at once on a picture that was laid out or scaled in a wrong way."""
    shape = filled_shape(port)
    if len(shape) == 4 and shape[1] not in (1, 3, 4) and shape[3] in (1, 3, 4) and picture.layout == "NCHW":
        return Phrase("The input {name} has its colours last: take NHWC.", name=port.name)
    if len(shape) == 4 and shape[3] not in (1, 3, 4) and shape[1] in (1, 3, 4) and picture.layout == "NHWC":
        return Phrase("The input {name} has its colours first: take NCHW.", name=port.name)
    if port.dtype == "uint8" and picture.scale != 1:
        return Phrase("The input {name} takes bytes: scale by 1, without mean and deviation.", name=port.name)
    return None


def seen_picture(network: Network, sample: Mapping[str, Array], picture: PictureSettings) -> Array | None:
    """The first sample of a picture as the network sees it: its own colours in its own scale, from least to most.

    Returns
    -------
    uint8 array, shape (height, width, 3), or None
        None where no input looks like a picture.
    """
    for port in network.inputs:
        values = np.asarray(sample.get(port.name, 0))
        if values.ndim != 4 or values.dtype.kind not in "fu":
            continue
        image = values[0].astype(np.float32)
        if picture.layout == "NCHW" or image.shape[-1] not in (1, 3):
            image = np.moveaxis(image, 0, -1)
        if image.shape[-1] not in (1, 3) or min(image.shape[:2]) < 2 or not np.isfinite(image).all():
            continue
        low, high = float(image.min()), float(image.max())
        shown = np.round((image - low) * (255 / (high - low) if high > low else 0)).astype(np.uint8)
        return np.ascontiguousarray(np.broadcast_to(shown, (*shown.shape[:2], 3)))
    return None


# --- files ----------------------------------------------------------------------------------------------


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            with system_errors(path):
                inside = sorted((p for p in path.rglob("*") if p.is_file()), key=_natural)
            known = {".npy", ".npz", *PICTURES, *TEXTS}
            yield from (p for p in inside if p.suffix.lower() in known and not p.name.startswith("."))
        else:
            with system_errors(path):
                path.stat()
            yield path


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]


def _header(file: Any, path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except ValueError:
        raise FileProblem(path, N_("is no array"), N_("Save it with numpy.save.")) from None
    if dtype.hasobject:
        raise FileProblem(path, N_("holds Python objects, which are never read"), N_("Save plain numbers."))
    return tuple(int(n) for n in shape), bool(fortran), dtype


def _npy_readers(network: Network, path: Path, settings: DataSettings) -> list[Any]:
    ports = network.inputs
    if len(ports) != 1:
        names = ", ".join(port.name for port in ports)
        raise FileProblem(
            path,
            N_("holds one array, but this network has the inputs {names}"),
            N_("Save them in an .npz under these names."),
            names=names,
        )
    port = ports[0]
    with system_errors(path), path.open("rb") as file:
        shape, fortran, dtype = _header(file, path)
        start, there = file.tell(), path.stat().st_size
    count, each = _counted(shape, port, settings, path)
    nbytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if start + nbytes > there:
        raise FileProblem(path, N_("is shorter than its header says"), N_("Copy or download it again."))
    if fortran or count == 1:
        return [partial(_npy_whole, path, port, i, each) for i in range(count)]
    size = nbytes // count
    return [partial(_npy_row, path, port, start + i * size, size, dtype, each) for i in range(count)]


def _npy_whole(path: Path, port: Port, place: int, each: tuple[int, ...]) -> Feeds:
    with system_errors(path):
        array = np.load(path, allow_pickle=False)
    rows = array.reshape(-1, *each) if array.size == int(np.prod(each)) else array.reshape(array.shape[0], *each)
    return {port.name: _typed(rows[place], port, path)}


def _npy_row(path: Path, port: Port, start: int, size: int, dtype: np.dtype[Any], each: tuple[int, ...]) -> Feeds:
    with system_errors(path), path.open("rb") as file:
        file.seek(start)
        data = file.read(size)
    if len(data) != size:
        raise FileProblem(path, N_("has become shorter"), N_("Open it again."))
    return {port.name: _typed(np.frombuffer(data, dtype).reshape(each), port, path)}


def _npz_readers(network: Network, path: Path, settings: DataSettings) -> list[Any]:
    import zipfile

    ports = {port.name: port for port in network.inputs}
    try:
        with system_errors(path), np.load(path, allow_pickle=False) as archive:
            names = set(archive.files)
            missing = [name for name in ports if name not in names]
            if missing and len(ports) == 1 and len(names) == 1:
                keys = {next(iter(ports)): next(iter(names))}
            elif missing:
                raise FileProblem(
                    path,
                    N_("has no array called {name}, which the network asks for"),
                    N_("Save every input under its name."),
                    name=missing[0],
                )
            else:
                keys = {name: name for name in ports}
            shapes = {name: archive[key].shape for name, key in keys.items()}
    except Problem:
        raise
    except (zipfile.BadZipFile, ValueError, KeyError):
        raise FileProblem(path, N_("is no archive of arrays"), N_("Save it with numpy.savez.")) from None
    counted = {name: _counted(shape, ports[name], settings, path) for name, shape in shapes.items()}
    counts = {count for count, _ in counted.values()}
    if len(counts) > 1:
        said = ", ".join(f"{name}: {count}" for name, (count, _) in counted.items())
        raise FileProblem(
            path, N_("has another number of samples for each input ({said})"), N_("Save as many of each."), said=said
        )
    return [partial(_npz_row, path, keys, counted, ports, i) for i in range(counts.pop())]


def _npz_row(path: Path, keys: dict[str, str], counted: dict[str, Any], ports: dict[str, Port], place: int) -> Feeds:
    with system_errors(path), np.load(path, allow_pickle=False) as archive:
        found = {}
        for name, key in keys.items():
            count, each = counted[name]
            array = archive[key]
            row = array.reshape(each) if count == 1 else array.reshape(count, *each)[place]
            found[name] = _typed(row, ports[name], path)
    return found


def _counted(shape: tuple[int, ...], port: Port, settings: DataSettings, path: Path) -> tuple[int, tuple[int, ...]]:
    """How many samples an array holds, and the shape of one as the network takes it."""
    wanted = port.shape
    if wanted is None:
        return 1, shape
    fits = [n if isinstance(n, int) else None for n in filled_with(port, settings.dimensions)]

    def matches(part: tuple[int, ...], pattern: list[int | None]) -> bool:
        return len(part) == len(pattern) and all(b is None or a == b for a, b in zip(part, pattern, strict=True))

    if matches(shape, fits) and (not fits or fits[0] is not None or shape[0] == 1):
        return 1, shape
    if len(shape) == len(fits) + 1 and matches(shape[1:], fits):
        return shape[0], shape[1:]
    batch = (fits[0] or 1) if fits else 1
    if fits and len(shape) == len(fits) and matches(shape[1:], fits[1:]) and shape[0] % batch == 0 and shape[0]:
        return shape[0] // batch, (batch, *shape[1:])
    if fits and len(shape) == len(fits) - 1 and fits[0] in (None, 1) and matches(shape, fits[1:]):
        return 1, (1, *shape)
    said = " × ".join(str(n) if n is not None else "?" for n in fits) or "one number"
    raise FileProblem(
        path,
        N_("has the shape {shape}, but the input {name} takes {said}"),
        N_("Save it in that shape, samples along a first axis."),
        shape=" × ".join(map(str, shape)) or "()",
        name=port.name,
        said=said,
    )


def filled_with(port: Port, dimensions: Mapping[str, int]) -> list[int | str | None]:
    """The shape of an input with numbers where they are given."""
    return [
        each
        if isinstance(each, int)
        else dimensions.get(each if isinstance(each, str) else f"{port.name}:{place}", None)
        for place, each in enumerate(port.shape or ())
    ]


def _typed(array: Array, port: Port, path: Path) -> Array:
    if array.dtype.kind not in "fiub" or port.dtype == "string":
        raise FileProblem(
            path,
            N_("holds {given}, but the input {name} takes {wanted}"),
            N_("Save numbers of that type."),
            given=str(array.dtype),
            name=port.name,
            wanted=port.dtype,
        )
    return np.ascontiguousarray(array.astype(port.dtype, copy=False))


def _picture_port(network: Network, path: Path) -> Port:
    """The input that takes pictures: the only one, or the only one with four axes."""
    ports = network.inputs
    shaped = [port for port in ports if port.shape is not None and len(port.shape) in (3, 4)]
    if len(ports) == 1 and shaped:
        return shaped[0]
    raise FileProblem(
        path,
        N_("is a picture, but this network does not take one picture"),
        N_("Save its inputs in an .npz under their names."),
    )


def _picture(path: Path, port: Port, settings: DataSettings) -> Feeds:
    return {port.name: read_picture(path, port, settings)}


def read_picture(path: Path, port: Port, settings: DataSettings) -> Array:
    """A picture as the network takes it, shape and type of the input.

    Raises
    ------
    FileProblem
        When it is no picture, too large, or does not fit the input.
    """
    from PIL import Image, UnidentifiedImageError

    picture = settings.picture
    shape = [n if isinstance(n, int) else None for n in filled_with(port, settings.dimensions)]
    if len(shape) == 3:
        shape = [1, *shape]
    height, width = (shape[2], shape[3]) if picture.layout == "NCHW" else (shape[1], shape[2])
    channels = shape[1] if picture.layout == "NCHW" else shape[3]
    colours = "L" if channels == 1 else picture.colours
    if channels not in (None, 1, 3) or (channels == 3 and colours == "L"):
        raise FileProblem(
            path,
            N_("is a picture, but the input {name} takes {channels} channels in the layout {layout}"),
            N_("Choose another layout."),
            name=port.name,
            channels=channels,
            layout=picture.layout,
        )
    try:
        with system_errors(path):
            stream = path.open("rb")
        with stream, Image.open(stream) as image:
            if image.width * image.height > MOST_PIXELS:
                raise FileProblem(path, N_("has too many pixels"), N_("Make it smaller."))
            loaded = image.convert("L" if colours == "L" else "RGB")
    except Problem:
        raise
    except (UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError):
        raise FileProblem(path, N_("is no picture that can be read"), N_("Save it as PNG or JPEG.")) from None
    except OSError as error:
        with system_errors(path):
            raise error from None
    size = (width or loaded.width, height or loaded.height)
    if picture.keep_aspect:
        ratio = min(size[0] / loaded.width, size[1] / loaded.height)
        inside = max(1, round(loaded.width * ratio)), max(1, round(loaded.height * ratio))
        around = Image.new(loaded.mode, size, 114 if loaded.mode == "L" else (114, 114, 114))
        place = (size[0] - inside[0]) // 2, (size[1] - inside[1]) // 2
        around.paste(loaded.resize(inside, Image.Resampling.BILINEAR), place)
        loaded = around
    elif loaded.size != size:
        loaded = loaded.resize(size, Image.Resampling.BILINEAR)
    pixels = np.asarray(loaded, np.float32)
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if colours == "BGR":
        pixels = pixels[:, :, ::-1]
    mean, deviation = np.array(picture.mean, np.float32), np.array(picture.deviation, np.float32)
    if mean.size not in (1, pixels.shape[2]) or deviation.size not in (1, pixels.shape[2]):
        raise Problem("Mean and deviation need one number, or one for each of {count} colours.", count=pixels.shape[2])
    values = (pixels * np.float32(picture.scale) - mean) / deviation
    if picture.layout == "NCHW":
        values = values.transpose(2, 0, 1)
    values = values[None]
    if port.dtype.startswith(("u", "i")):
        values = np.rint(values)
    return np.ascontiguousarray(values.reshape(values.shape[-len(port.shape or values.shape) :]).astype(port.dtype))


def _text_readers(network: Network, path: Path, settings: DataSettings) -> list[Any]:
    if settings.tokenizer is None:
        raise FileProblem(
            path, N_("is text, which needs a tokenizer"), N_("Give the tokenizer.json of the model as well.")
        )
    with system_errors(path):
        try:
            lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        except UnicodeDecodeError:
            raise FileProblem(path, N_("is not text in UTF-8"), N_("Save it as UTF-8.")) from None
    return [partial(_tokens, line, network, settings) for line in lines]


def _tokens(line: str, network: Network, settings: DataSettings) -> Feeds:
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise Problem("Text needs the package tokenizers: pip install tokenizers.") from None
    assert settings.tokenizer is not None
    with system_errors(settings.tokenizer):
        content = settings.tokenizer.read_bytes()
    try:
        text = content.decode()
        tokenizer = Tokenizer.from_str(text)
    except Exception:
        raise FileProblem(
            settings.tokenizer, N_("is no tokenizer file"), N_("Give the tokenizer.json of the model.")
        ) from None
    encoded = tokenizer.encode(line)
    parts = {"input_ids": encoded.ids, "attention_mask": encoded.attention_mask, "token_type_ids": encoded.type_ids}
    found: Feeds = {}
    for port in network.inputs:
        if port.name not in parts:
            raise Problem(
                "The input {name} cannot be made from text: only input_ids, attention_mask and token_type_ids can.",
                name=port.name,
            )
        fixed = filled_with(port, settings.dimensions)[-1]
        length = fixed if isinstance(fixed, int) else min(settings.length, len(encoded.ids))
        row = (parts[port.name][:length] + [0] * length)[:length]
        found[port.name] = np.array([row], port.dtype)
    return found
