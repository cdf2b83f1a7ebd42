"""What is a network fed? Samples from a person's own files, one at a time, however many there are.

Pictures are turned into an input the way its owner says (size, layout, scaling, mean and deviation): a wrong guess here
costs more than any quantization, so that nothing is guessed silently; `checks` says what looks wrong.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.arrays import Array
from qviz.core.frozen import frozen
from qviz.core.problems import N_, Phrase, Problem
from qviz.files.problems import FileProblem, system_errors
from qviz.files.stamp import Stamp, check_stamp
from qviz.models.activations import Span
from qviz.models.array_samples import npy_readers, npz_readers
from qviz.models.data_settings import DataSettings, filled_with
from qviz.models.network import Network
from qviz.models.not_finite import sentences
from qviz.models.pictures import PICTURES, picture_feeds, picture_port
from qviz.models.sessions import Feeds, random_feeds

TEXTS = frozenset({".txt", ".jsonl"})


@frozen(eq=False)
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
        When a file cannot be read, or does not fit the network's inputs. Of a file that changes after it was opened no
        sample is given any more: reading one raises a ``ChangedFile``.
    Problem
        When there is no file at all.
    """
    settings = settings or DataSettings()
    readers: list[Any] = []
    files = tuple(_files([Path(p) for p in paths]))
    for path in files:
        ending, stamp = path.suffix.lower(), _stamp(path)
        if ending == ".npy":
            found = npy_readers(network, path, settings)
        elif ending == ".npz":
            found = npz_readers(network, path, settings)
        elif ending in PICTURES:
            found = [partial(picture_feeds, path, picture_port(network, path), settings)]
        elif ending in TEXTS:
            found = _text_readers(network, path, settings)
        else:
            raise FileProblem(
                path,
                N_("is no data for a network"),
                N_("Give .npy, .npz, pictures, or text with a tokenizer file."),
            )
        readers += [partial(_unchanged, path, stamp, reader) for reader in found]
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
    lost = {name: span.missing for name, span in found.items() if span.missing}
    inputs, outputs = (
        {port.name: lost[port.name] for port in some if port.name in lost} for some in (network.inputs, network.outputs)
    )
    said += sentences({}, inputs, outputs)
    constant = [name for name, span in found.items() if span.constant and name not in ports]
    if len(constant) == 1:
        said.append(
            Phrase("A tensor inside never changes ({name}): is the data as the network wants it?", name=constant[0])
        )
    elif constant:
        said.append(
            Phrase(
                "{count} tensors inside never change ({name}, …): is the data as the network wants it?",
                count=len(constant),
                name=constant[0],
            )
        )
    return tuple(said)


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        with system_errors(path):
            is_folder = path.is_dir()
        if is_folder:
            inside = sorted(_inside(path), key=_natural)
            known = {".npy", ".npz", *PICTURES, *TEXTS}
            yield from (p for p in inside if p.suffix.lower() in known and not p.name.startswith("."))
        else:
            with system_errors(path):
                path.stat()
            yield path


def _inside(folder: Path) -> list[Path]:
    """All files in a folder and in those within it, none of which is passed over because it must not be read."""
    found = []
    for place, _, names in os.walk(folder, onerror=_refused):
        found += [path for name in names if (path := Path(place, name)).is_file()]
    return found


def _refused(error: OSError) -> None:
    with system_errors(Path(os.fsdecode(error.filename or ""))):
        raise error


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]


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
    stamp = _stamp(settings.tokenizer)
    return [partial(_unchanged, settings.tokenizer, stamp, partial(_tokens, line, network, settings)) for line in lines]


def _stamp(path: Path) -> Stamp:
    with system_errors(path):
        return Stamp.of(path)


def _unchanged(path: Path, stamp: Stamp, reader: Callable[[], Feeds]) -> Feeds:
    """A sample of the file that was opened: figures over many samples are of one state of it."""
    try:
        feeds = reader()
    except Problem:
        raise
    except Exception:  # of what does not lie any more where it lay
        check_stamp(path, stamp)
        raise
    check_stamp(path, stamp)
    return feeds


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
    found: dict[str, Array] = {}
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
