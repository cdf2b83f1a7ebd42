"""Under which other names, or in which parts, does another checkpoint have a tensor?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from qviz.core.problems import N_, Problem
from qviz.core.work import IsCancelled, Progress, ignore, never
from qviz.files.entry import TensorEntry, with_changes
from qviz.files.problems import FileProblem
from qviz.models.checkpoint import Weight

_GGUF = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_qkv": "self_attn.qkv_proj",
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

FUSED = {
    "qkv_proj": ("q_proj", "k_proj", "v_proj"),
    "gate_up_proj": ("gate_proj", "up_proj"),
}
"""Matrices that some checkpoints keep as one, rows above rows."""


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


def _parts_of(plain: str) -> tuple[str, ...]:
    """The names of the matrices that a fused one is made of; none for another."""
    for fused, parts in FUSED.items():
        head, found, tail = plain.partition(f".{fused}.")
        if found:
            return tuple(f"{head}.{part}.{tail}" for part in parts)
    return ()


def _fused_of(plain: str) -> str:
    """The name of the fused matrix that one would be a part of; ``""`` for another."""
    for fused, parts in FUSED.items():
        for part in parts:
            head, found, tail = plain.partition(f".{part}.")
            if found:
                return f"{head}.{fused}.{tail}"
    return ""


class Names:
    """The tensors of a checkpoint by their plain names."""

    def __init__(self, weights: Sequence[Weight]) -> None:
        self.exact = {each.name: each for each in weights}
        self.plain: dict[str, Weight] = {}
        for each in weights:
            self.plain.setdefault(plain_name(each.name), each)

    def counterpart(self, weight: Weight, others: Names) -> tuple[Weight, tuple[Weight, ...]] | None:
        """What this checkpoint has in place of a tensor of ``others``, and which of its tensors that is made of."""
        plain = plain_name(weight.name)
        found = self.exact.get(weight.name) or self.plain.get(plain)
        if found is not None:
            return found, (found,)
        return self._joined(weight, plain) or self._cut(weight, plain, others)

    def _joined(self, weight: Weight, plain: str) -> tuple[Weight, tuple[Weight, ...]] | None:
        """The parts of a fused matrix, one above the other."""
        parts = [self.plain.get(name) for name in _parts_of(plain)]
        known = [part for part in parts if part is not None]
        if not parts or len(known) < len(parts) or weight.shape is None:
            return None
        rows = sum(_rows(part) for part in known)
        if rows != weight.shape[0] or any(part.shape is None or part.shape[1:] != weight.shape[1:] for part in known):
            return None
        first = known[0].entry
        types = {part.entry.dtype for part in known}
        changed = with_changes(
            first,
            shape=weight.shape,
            dtype=types.pop() if len(types) == 1 else "?",
            nbytes=sum(part.nbytes or 0 for part in known),
            load=partial(_stacked, tuple(part.entry for part in known)),
            encoding=None,
            counted=None,
            bits=None,
        )
        return Weight(" + ".join(part.name for part in known), changed), tuple(known)

    def _cut(self, weight: Weight, plain: str, others: Names) -> tuple[Weight, tuple[Weight, ...]] | None:
        """The rows of a fused matrix that a part stands for: where they begin, the other checkpoint's parts tell."""
        fused = self.plain.get(_fused_of(plain))
        if fused is None or fused.shape is None or weight.shape is None or fused.shape[1:] != weight.shape[1:]:
            return None
        names = _parts_of(_fused_of(plain))
        siblings = [others.plain.get(name) for name in names]
        rows = [_rows(each) if each is not None else 0 for each in siblings]
        if 0 in rows or sum(rows) != fused.shape[0]:
            return None
        place = names.index(plain)
        start = sum(rows[:place])
        changed = with_changes(
            fused.entry,
            shape=weight.shape,
            nbytes=(fused.nbytes or 0) * rows[place] // fused.shape[0],
            load=partial(_some_rows, fused.entry, start, start + rows[place]),
            counted=None,
            bits=None,
        )
        return Weight(f"{fused.name} [{start}:{start + rows[place]}]", changed), (fused,)


def _rows(weight: Weight) -> int:
    return weight.shape[0] if weight.shape else 0


def _stacked(
    entries: tuple[TensorEntry, ...], *, progress: Progress = ignore, cancelled: IsCancelled = never
) -> np.ndarray[Any, Any]:
    loaded = [_array(each, cancelled) for each in entries]
    return np.concatenate(loaded)


def _some_rows(
    entry: TensorEntry, start: int, stop: int, *, progress: Progress = ignore, cancelled: IsCancelled = never
) -> np.ndarray[Any, Any]:
    return _array(entry, cancelled)[start:stop]


def _array(entry: TensorEntry, cancelled: IsCancelled) -> np.ndarray[Any, Any]:
    shape: Mapping[str, Any] | Any = entry.shape
    try:
        return np.asarray(entry.load(cancelled=cancelled)[:]).reshape(shape)
    except ValueError as error:
        if isinstance(error, Problem):
            raise
        raise FileProblem(entry.path, N_("has changed since it was opened"), N_("Open it again.")) from error
