"""What is in a checkpoint? Its tensors with their places in the model, from headers alone."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable
from functools import cached_property, lru_cache
from pathlib import Path

from qviz.core.frozen import frozen
from qviz.core.problems import Problem
from qviz.files.addresses import is_address
from qviz.files.atomic import same_file
from qviz.files.entry import TensorEntry
from qviz.files.memory import without_collections
from qviz.files.offers import named_dtype
from qviz.files.readers import expand, list_tensors
from qviz.files.region import PACKED
from qviz.files.registry import FORMATS

_ROLES: tuple[tuple[str, str], ...] = (
    ("norm", r"(\w+_)?norm\d*|ln_?\w*|(?>\w*?layer_?norm)\w*|bn\d*|batch_?norm\w*"),
    ("qkv", r"qkv(_proj)?|wqkv|c_attn|query_key_value|in_proj(_weight)?|attn_qkv"),
    ("gate_up", r"gate_up_proj"),
    ("q", r"(self_)?q(_proj|_lin)?|query|wq|attn_q|to_q|q_[ab]_proj"),
    ("k", r"(self_)?k(_proj|_lin)?|key|wk|attn_k|to_k"),
    ("v", r"(self_)?v(_proj|_lin)?|value|wv|attn_v|to_v"),
    ("kv", r"kv(_proj)?|kv_[ab]_proj\w*|kv_a_proj_with_mqa"),
    ("o", r"o(_proj)?|out_proj|wo|attn_output|to_out"),
    ("router", r"router|gate|ffn_gate_inp"),
    ("gate", r"gate_proj|w1|ffn_gate(_exps|_shexp)?"),
    ("up", r"up_proj|w3|ffn_up(_exps|_shexp)?|fc1|c_fc|dense_h_to_4h|lin1|linear1"),
    ("down", r"down_proj|w2|ffn_down(_exps|_shexp)?|fc2|dense_4h_to_h|lin2|linear2"),
    ("embedding", r"embed_tokens|wte|wpe|token_embd|word_embeddings|tok_embeddings|position_embeddings|embed\w*"),
    ("head", r"lm_head|output|classifier|head|embed_out"),
    ("conv", r"conv\w*"),
)
"""What each part of a name says of a tensor, the first that fits; the last parts of a name are asked first."""

_COMPILED = tuple((role, re.compile(pattern)) for role, pattern in _ROLES)
_LEAVES = frozenset({"weight", "bias", "weight_packed", "qweight", "scales", "weight_scale", "kernel"})


@frozen
class Weight:
    """One tensor of a checkpoint; its place in the model is looked up when it is asked for.

    Attributes
    ----------
    name : str
        As the file has it; that of the file stands in front where several files are opened together.
    entry : TensorEntry
    """

    name: str
    entry: TensorEntry

    @cached_property
    def module(self) -> str:
        """The part of the name before the last dot or slash."""
        key = self._key
        return key[: max(key.rstrip("./").rfind("."), key.rstrip("./").rfind("/"), 0)]

    @cached_property
    def layer(self) -> int | None:
        """The first number in the name."""
        return layer_of(self.parts)

    @cached_property
    def role(self) -> str:
        """What it does there: ``"q"``, ``"up"``, ``"norm"`` …; ``""`` where its name does not tell."""
        return role_of(self.parts)

    @cached_property
    def is_expert(self) -> bool:
        """Whether it is one of several experts."""
        return is_expert(self.parts)

    @cached_property
    def nbytes(self) -> int | None:
        """What it takes in the file."""
        return nbytes_of(self.entry)

    @property
    def _key(self) -> str:
        return self.entry.key or self.entry.name

    @property
    def parts(self) -> list[str]:
        """Its name, cut at dots and slashes; it is cut each time."""
        return [part for part in self._key.replace("/", ".").split(".") if part]

    @property
    def shape(self) -> tuple[int, ...] | None:
        """As the file says it; None where only reading tells."""
        return self.entry.shape

    @property
    def elements(self) -> int | None:
        """How many numbers it has."""
        return elements_of(self.entry.shape)

    @property
    def is_float(self) -> bool:
        """Whether it holds fractions, as far as the file tells: whole numbers and truth values are no weights."""
        dtype = self.entry.dtype
        return dtype is None or not dtype.startswith(("int", "uint", "bool"))

    @property
    def axes(self) -> int | None:
        """How many axes are longer than 1."""
        return axes_of(self.entry.shape)


@frozen
class Checkpoint:
    """All tensors of some files, in their order, and what could not be read."""

    weights: tuple[Weight, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors together."""
        return sum(each.nbytes or 0 for each in self.weights)


SUFFIXES = tuple(suffix for form in FORMATS if form.of_weights for suffix in form.suffixes)
"""How files of weights are called, and neither samples nor tables are."""

_MOST_LOOKED_AT = 10_000


def holds_weights(path: Path) -> bool:
    """Whether a file is called as checkpoints are, or a folder has one that is."""
    try:
        if path.is_dir():
            return any(
                each.name.lower().endswith(SUFFIXES) for each in itertools.islice(path.iterdir(), _MOST_LOOKED_AT)
            )
    except OSError:
        return False
    return path.name.lower().endswith(SUFFIXES)


def files_of(checkpoint: Checkpoint) -> tuple[Path, ...]:
    """Those that its tensors are read from."""
    return tuple(dict.fromkeys(each.entry.path for each in checkpoint.weights))


def open_checkpoint(paths: Iterable[str | Path], *, but: Path | None = None) -> Checkpoint:
    """List the tensors of files and folders.

    Parameters
    ----------
    paths : iterable of str or Path
        Or addresses of safetensors files, or of folders of them, in object storage: ``s3://bucket/model``.
    but : Path, optional
        What a folder may hold without that it belongs to the checkpoint, such as a table of its figures.

    Raises
    ------
    Problem
        When none of them can be read.
    """
    with without_collections():
        return _opened(paths, but)


def _opened(paths: Iterable[str | Path], but: Path | None) -> Checkpoint:
    listed: list[tuple[Path, tuple[TensorEntry, ...]]] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            if isinstance(path, str) and is_address(path):
                from qviz.files.remote import list_entries

                listed.append((Path(path), list_entries(path)))
                continue
            files = [file for file in expand([path]) if but is None or not same_file(file, but)]
        except Problem as problem:
            problems.append(problem)
            continue
        for file in files:
            try:
                listed.append((file, list_tensors(file)))
            except Problem as problem:
                problems.append(problem)
    if not listed:
        raise problems[0] if problems else Problem("There is no file to look at: give one.")
    several = len(listed) > 1
    weights = [
        Weight(each.name if several else each.key or each.name, each) for _, entries in listed for each in entries
    ]
    return Checkpoint(tuple(weights), tuple(problems))


def elements_of(shape: tuple[int, ...] | None) -> int | None:
    """How many numbers a tensor of a shape has; None where only reading tells."""
    return None if shape is None else math.prod(shape)


def axes_of(shape: tuple[int, ...] | None) -> int | None:
    """How many axes of a shape are longer than 1."""
    return None if shape is None else sum(length > 1 for length in shape)


def layer_of(parts: list[str]) -> int | None:
    """The first number in the parts of a name."""
    found = next((int(part) for part in parts if len(part) < 9 and part.isdecimal()), None)
    return found if found is not None else _block(parts)


def is_expert(parts: list[str]) -> bool:
    """Whether the parts of a name say that it is one of several experts."""
    return any("expert" in part or part.endswith("_exps") for part in parts)


def _block(parts: list[str]) -> int | None:
    found = re.search(r"(?:layer|block|h|blk)_?(\d{1,8})", " ".join(parts))
    return int(found[1]) if found else None


def role_of(parts: list[str]) -> str:
    """What a tensor does, by the parts of its name; ``""`` where they do not tell.

    Examples
    --------
    >>> role_of(["model", "layers", "0", "self_attn", "q_proj", "weight"])
    'q'
    >>> role_of(["blk", "3", "ffn_down_exps", "weight"])
    'down'
    """
    return next(filter(None, map(_role, reversed(parts))), "")


@lru_cache(1 << 12)
def _role(part: str) -> str:
    lower = part.lower()
    if lower in _LEAVES or lower.isdigit():
        return ""
    return next((role for role, pattern in _COMPILED if pattern.fullmatch(lower)), "")


def nbytes_of(entry: TensorEntry) -> int | None:
    """What a tensor takes in its file; None where that is not known."""
    if entry.nbytes is not None or entry.shape is None or entry.dtype is None:
        return entry.nbytes
    try:
        bits = PACKED.get(entry.dtype) or 8 * named_dtype(entry.dtype).itemsize
    except TypeError:
        return None
    return -(-math.prod(entry.shape) * bits // 8)
