"""The weights beside a config: header tensors of safetensors and npz files, read for their exact bytes."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hwledger.model.layers import LayerSpec
from hwledger.model.mixers import FullAttention
from hwledger.model.number_types import NumberType
from hwledger.model.spec import Fact, ModelSpec
from hwledger.model.tensors import Part, Tensor

if TYPE_CHECKING:
    from hwledger.library.checkpoint import Checkpoint

_LAYER = re.compile(r"(?:^|\.)(?:layers|layer|h|blocks|block|blk)\.(\d+)\.")
_TOWER = re.compile(r"(?:^|\.)(?:vision|visual|audio|mm_projector|multi_modal|image)[\w]*\.")
_PARTS: tuple[tuple[re.Pattern[str], Part], ...] = tuple(
    (re.compile(pattern), part)
    for pattern, part in (
        (r"shared_expert", Part.SHARED_EXPERTS),
        (r"experts\.", Part.EXPERTS),
        (r"lm_head|output_layer|embed_out", Part.LM_HEAD),
        (r"embed_tokens_per_layer", Part.PER_LAYER_EMBEDDING),
        (r"embed|wte|wpe", Part.EMBEDDING),
        (r"norm|ln_", Part.NORM),
        (r"indexer", Part.INDEXER),
        (r"attn|attention", Part.ATTENTION),
        (r"mamba|mixer|linear_attn|conv", Part.STATE),
        (r"router|mlp\.gate\.", Part.ROUTER),
        (r"mlp|feed_forward|ffn", Part.MLP),
    )
)


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a header, whatever the format; ``shape`` as stored, so packed where the weights are."""

    name: str
    dtype: NumberType
    shape: tuple[int, ...]
    nbytes: int


def with_stored_weights(spec: ModelSpec, checkpoint: "Checkpoint") -> ModelSpec:
    """Return ``spec`` with the exact tensors that the checkpoint's headers list."""
    mlx = checkpoint.tensor_format == "npz" or isinstance(spec.metadata.get("quantization"), dict)
    return replace(
        spec,
        format="mlx" if mlx else "safetensors",
        source=checkpoint.where,
        stored_tensors=tuple(as_tensor(tensor) for tensor in checkpoint.tensors),
        facts={**spec.facts, "weights": _weights(checkpoint)},
    )


def spec_from_weights(checkpoint: "Checkpoint") -> ModelSpec:
    """Return what the tensors alone say of a model without a config.

    Weights are exact. Layers are read from tensor names; the cached width is the output width of the
    key and value projections, which is what a cache holds whatever the number of heads.
    """
    stored = tuple(as_tensor(tensor) for tensor in checkpoint.tensors)
    embedding = next((t for t in stored if t.part is Part.EMBEDDING and len(t.shape) == 2), None)  # noqa: PLR2004
    vocab, hidden = embedding.shape if embedding else (0, 0)
    return ModelSpec(
        id=checkpoint.name, architecture="unknown", source=checkpoint.where, format="safetensors",
        hidden_size=hidden, vocab_size=vocab, context_length=None, number_type="bf16",
        layers=tuple(_layers(stored)), tensors=stored, exact_tensors=True,
        metadata=dict(checkpoint.adapter or {}),
        facts={"weights": _weights(checkpoint)},
        unknowns=(
            "there is no config.json: layers and cache widths are read from tensor names and shapes alone",
        ),
    )  # fmt: skip


def _weights(checkpoint: "Checkpoint") -> Fact:
    total = sum(tensor.nbytes for tensor in checkpoint.tensors)
    return Fact(total, f"headers of the weights in {checkpoint.where}")


def as_tensor(stored: StoredTensor) -> Tensor:
    """Return a header tensor with its layer and part, both told by its name."""
    match = _LAYER.search(stored.name)
    tower = _TOWER.search(stored.name)
    part = next((part for pattern, part in _PARTS if pattern.search(stored.name)), Part.OTHER)
    return Tensor(
        name=stored.name,
        shape=stored.shape,
        part=Part.TOWER if tower else part,
        layer=int(match[1]) if match and not tower else None,
        linear=len(stored.shape) > 1,
        stored_type=stored.dtype.name,
        stored_bytes=stored.nbytes,
    )


def _layers(tensors: Iterable[Tensor]) -> list[LayerSpec]:
    widths: dict[int, dict[str, int]] = {}
    count = 0
    for tensor in tensors:
        if tensor.layer is None:
            continue
        count = max(count, tensor.layer + 1)
        match = re.search(r"\.([kv])_proj\.weight$", tensor.name)
        if match:
            widths.setdefault(tensor.layer, {})[match[1]] = tensor.shape[0]
    return [_layer(index, widths.get(index, {})) for index in range(count)]


def _layer(index: int, widths: dict[str, int]) -> LayerSpec:
    if not {"k", "v"} <= widths.keys():
        return LayerSpec(index=index, kind="unknown", mixers=())
    mixer = FullAttention(query_heads=1, kv_heads=1, key_width=widths["k"], value_width=widths["v"])
    return LayerSpec(index=index, kind="full_attention", mixers=(mixer,))
