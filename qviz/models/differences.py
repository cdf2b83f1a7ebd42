"""What differs between two checkpoints? Their tensors are matched by name, and compared value by value."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qviz.core.problems import N_, Phrase, Problem
from qviz.core.questions.figures import sqnr_db
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.models.checkpoint import Weight
from qviz.models.forensics import Recipe, recipe_of

_BLOCK = 1 << 20

MOST_LOOKED_AT = 1 << 28
"""Elements of a tensor whose recipe is looked for."""

_GGUF = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "token_embd": "embed_tokens",
    "output_norm": "norm",
    "output": "lm_head",
}
"""llama.cpp's names of a layer's parts, and those of Hugging Face's Llama."""


@dataclass(frozen=True)
class Difference:
    """What the second checkpoint has in place of a tensor of the first.

    Attributes
    ----------
    name : str
        In the first; in the second where the first has none.
    first, second : Weight or None
        None where one of them has no such tensor.
    sqnr_db : float
        20·log10(‖a‖ / ‖a − b‖) in dB; infinite where they are equal, NaN where they were not compared.
    mse, max_abs_error : float
        Over the elements that are finite in both.
    equal : int
        Elements that are the same; NaN equals NaN.
    elements : int
        Of the first.
    problem : Phrase, Problem or None
        Why they were not compared.
    recipe : Recipe or None
        What made the second of the first, where that is sure.
    """

    name: str
    first: Weight | None
    second: Weight | None
    sqnr_db: float = math.nan
    mse: float = math.nan
    max_abs_error: float = math.nan
    equal: int = 0
    elements: int = 0
    problem: Phrase | Problem | None = None
    recipe: Recipe | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        first, second = (None if each is None else each.entry for each in (self.first, self.second))
        found: dict[str, Any] = {
            "name": self.name,
            "second_name": None if self.second is None else self.second.name,
            "shape": _listed(first.shape if first is not None else second.shape if second is not None else None),
            "dtype": None if first is None else first.dtype,
            "second_dtype": None if second is None else second.dtype,
            "bytes": None if self.first is None else self.first.nbytes,
            "second_bytes": None if self.second is None else self.second.nbytes,
            "elements": self.elements,
            "equal": self.equal,
        }
        for name in ("sqnr_db", "mse", "max_abs_error"):
            value = getattr(self, name)
            found[name] = value if math.isfinite(value) else None
        found["problem"] = None if self.problem is None else str(self.problem)
        found["recipe"] = None if self.recipe is None else str(self.recipe.phrase)
        found["recipe_equal"] = None if self.recipe is None else self.recipe.equal
        return found


def _listed(shape: tuple[int, ...] | None) -> list[int] | None:
    return None if shape is None else list(shape)


def plain_name(name: str) -> str:
    """A tensor's name as all ways to write a checkpoint have it.

    Examples
    --------
    >>> plain_name("blk.3.ffn_up.weight"), plain_name("model.layers.3.mlp.up_proj.weight")
    ('layers.3.mlp.up_proj.weight', 'layers.3.mlp.up_proj.weight')
    """
    for prefix in ("state_dict.", "module.", "_orig_mod.", "model.language_model.", "language_model.", "model."):
        name = name.removeprefix(prefix)
    block = re.fullmatch(r"blk\.(\d+)\.(\w+)\.(weight|bias)", name)
    if block and block[2] in _GGUF:
        return f"layers.{block[1]}.{_GGUF[block[2]]}.{block[3]}"
    whole = re.fullmatch(r"(\w+)\.(weight|bias)", name)
    return f"{_GGUF[whole[1]]}.{whole[2]}" if whole and whole[1] in _GGUF else name


def llama_name(name: str) -> str:
    """A tensor's name as llama.cpp has it; as it is where llama.cpp has none.

    Examples
    --------
    >>> llama_name("model.layers.3.mlp.up_proj.weight"), llama_name("lm_head.weight")
    ('blk.3.ffn_up.weight', 'output.weight')
    """
    plain = plain_name(name)
    names = {hugging: llama for llama, hugging in _GGUF.items()}
    layer = re.fullmatch(r"layers\.(\d+)\.(.+)\.(weight|bias)", plain)
    if layer and layer[2] in names:
        return f"blk.{layer[1]}.{names[layer[2]]}.{layer[3]}"
    whole = re.fullmatch(r"(.+)\.(weight|bias)", plain)
    return f"{names[whole[1]]}.{whole[2]}" if whole and whole[1] in names else name


def differences(
    first: Sequence[Weight],
    second: Sequence[Weight],
    *,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Iterator[Difference]:
    """Compare every tensor of one checkpoint with that of the other.

    Yields
    ------
    Difference
        In the order of the first; then what only the second has.

    Raises
    ------
    Cancelled
        When asked to stop.
    """
    exact = {each.name: each for each in second}
    plain: dict[str, Weight] = {}
    for each in second:
        plain.setdefault(plain_name(each.name), each)
    met: set[str] = set()
    total = sum(each.elements or 1 for each in first) or 1
    done = 0
    for weight in first:
        check(cancelled)
        other = exact.get(weight.name) or plain.get(plain_name(weight.name))
        if other is None:
            missing = Phrase(N_("only in the first"))
            yield Difference(weight.name, weight, None, elements=weight.elements or 0, problem=missing)
        else:
            met.add(other.name)
            yield _difference(weight, other, cancelled)
        done += weight.elements or 1
        progress(done / total)
    for each in second:
        if each.name not in met:
            yield Difference(each.name, None, each, problem=Phrase(N_("only in the second")))


def _difference(first: Weight, second: Weight, cancelled: IsCancelled) -> Difference:
    try:
        a, b = (_values(each, cancelled) for each in (first, second))
    except Problem as problem:
        return Difference(first.name, first, second, elements=first.elements or 0, problem=problem)
    if a.shape != b.shape:
        said = Phrase(N_("shape {first} here, {second} there"), first=a.shape, second=b.shape)
        return Difference(first.name, first, second, elements=a.elements, problem=said)
    signal = noise = largest = 0.0
    equal = compared = 0
    for start in range(0, a.elements, _BLOCK):
        check(cancelled)
        one, two = (np.asarray(each.values[start : start + _BLOCK]) for each in (a, b))
        equal += int(np.count_nonzero((one == two) | (np.isnan(one) & np.isnan(two))))
        finite = np.isfinite(one) & np.isfinite(two)
        left = one[finite].astype(np.float64)
        error = two[finite].astype(np.float64) - left
        compared += left.size
        signal += float(left @ left)
        noise += float(error @ error)
        largest = max(largest, float(np.abs(error).max(initial=0)))
    return Difference(
        first.name,
        first,
        second,
        float(sqnr_db(np.float64(signal), np.float64(noise))),
        noise / max(1, compared),
        largest,
        equal,
        a.elements,
        recipe=None if equal == a.elements else _recipe(a, b, second, cancelled),
    )


def _recipe(a: Tensor, b: Tensor, second: Weight, cancelled: IsCancelled) -> Recipe | None:
    if not a.all_finite or a.elements > MOST_LOOKED_AT:
        return None
    one, two = (np.asarray(each.values[0 : each.elements]).reshape(a.shape) for each in (a, b))
    return recipe_of(one, two, second, dtype=a.dtype, cancelled=cancelled)


def _values(weight: Weight, cancelled: IsCancelled) -> Tensor:
    if weight.entry.refused is not None:
        raise weight.entry.refused
    return Tensor(weight.entry.load(cancelled=cancelled), weight.name, counted=False, cancelled=cancelled)
