"""How does a picture become an input of a network, and what does that input look like?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from qviz.core.arrays import Array, FloatArray
from qviz.core.problems import N_, Phrase, Problem
from qviz.files.problems import FileProblem, system_errors
from qviz.models.data_settings import DataSettings, PictureSettings, filled_with
from qviz.models.network import Network, Port
from qviz.models.sessions import Feeds, filled_shape

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff"})


MOST_PIXELS = 1 << 28


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


def picture_port(network: Network, path: Path) -> Port:
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


def picture_feeds(path: Path, port: Port, settings: DataSettings) -> Feeds:
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
