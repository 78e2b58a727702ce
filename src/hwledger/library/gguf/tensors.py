"""Tensors of a GGUF file as the model's: which part and layer each belongs to.

Names: llama.cpp b11434 ``gguf-py/gguf/constants.py`` ``TENSOR_NAMES``.
"""

import re
from typing import TYPE_CHECKING

from hwledger.model.tensors import Part, Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hwledger.library.gguf.reader import GgufTensor

_BLOCK = re.compile(r"blk\.(\d{1,5})\.(.+)")

_OUTSIDE = (
    (re.compile(r"token_embd\.|token_types\.|position_embd\."), Part.EMBEDDING),
    (re.compile(r"per_layer_token_embd\."), Part.PER_LAYER_EMBEDDING),
    (re.compile(r"output\."), Part.LM_HEAD),
    (re.compile(r"(output|token_embd)_norm|.*norm\."), Part.NORM),
    (re.compile(r"v\.|mm\.|a\."), Part.TOWER),
)
_INSIDE = (
    (re.compile(r"ffn_.*_(ch)?exps\b"), Part.EXPERTS),
    (re.compile(r"ffn_.*_shexp\b|ffn_.*_shared\b"), Part.SHARED_EXPERTS),
    (re.compile(r"ffn_gate_inp|exp_probs_b"), Part.ROUTER),
    (re.compile(r"indexer"), Part.INDEXER),
    (re.compile(r".*norm"), Part.NORM),
    (re.compile(r"attn_|cross_attn_"), Part.ATTENTION),
    (re.compile(r"ssm_|time_mix_|shortconv"), Part.STATE),
    (re.compile(r"ffn_|channel_mix_"), Part.MLP),
    (re.compile(r"per_layer_|inp_gate|proj"), Part.PER_LAYER_EMBEDDING),
)


def model_tensors(tensors: "Iterable[GgufTensor]") -> tuple[Tensor, ...]:
    """Return the tensors with their part, layer, logical shape (rows first) and bytes in the file."""
    return tuple(_tensor(one) for one in tensors)


def _tensor(one: "GgufTensor") -> Tensor:
    block = _BLOCK.match(one.name)
    rules = _INSIDE if block else _OUTSIDE
    inner = block[2] if block else one.name
    part = next((part for pattern, part in rules if pattern.match(inner)), Part.OTHER)
    return Tensor(
        name=one.name,
        shape=tuple(reversed(one.shape)),
        part=part,
        layer=int(block[1]) if block else None,
        linear=part not in {Part.NORM, Part.EMBEDDING, Part.OTHER} and len(one.shape) > 1,
        stored_type=one.type.name,
        stored_bytes=one.nbytes,
    )


def expert_layers(tensors: "Iterable[Tensor]") -> frozenset[int]:
    """Return the layers that hold expert tensors."""
    return frozenset(one.layer for one in tensors if one.part is Part.EXPERTS and one.layer is not None)


def plain_type(tensors: "Iterable[Tensor]") -> str:
    """Return the 16 or 32-bit type that holds most parameters; ``f16`` where all matrices are packed."""
    held = dict.fromkeys(("f16", "bf16", "f32"), 0)
    for one in tensors:
        if one.stored_type in held and one.linear:
            held[one.stored_type] += one.parameters
    return max(held, key=lambda name: held[name])
