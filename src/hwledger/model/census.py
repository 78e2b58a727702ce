"""Counting parameters: total, active for one token, per part and per layer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hwledger.model.channel import MixtureOfExperts
from hwledger.model.layers import LayerSpec
from hwledger.model.tensors import Part, Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """Parameter counts of one model. MTP heads are apart: they are in the file, not in the model.

    Attributes:
        total: all parameters, tied ones once, towers included.
        active: parameters that one token passes through; the input embedding is counted
            (DeepSeek's and Qwen's convention; OpenAI's leaves it out).
        embedding: the input embedding, per-layer embeddings included.
        mtp: parameters of the MTP heads.
        by_part: total per part.
        by_layer: total per decoder layer.
        active_by_layer: active per decoder layer.
    """

    total: int
    active: int
    embedding: int
    mtp: int
    by_part: dict[Part, int] = field(default_factory=dict)
    by_layer: tuple[int, ...] = ()
    active_by_layer: tuple[int, ...] = ()


def active_parameters(tensor: Tensor, layer: LayerSpec | None) -> int:
    """Parameters of a tensor that one token uses: routed experts count by their active share."""
    channel = layer.channel if layer else None
    if tensor.part is not Part.EXPERTS or not isinstance(channel, MixtureOfExperts):
        return tensor.parameters
    return tensor.parameters * channel.active_experts // channel.experts


def count_parameters(
    tensors: Iterable[Tensor], mtp_tensors: Iterable[Tensor], layers: Sequence[LayerSpec]
) -> Census:
    """Return the census of a tensor list; cost is linear in the number of tensors."""
    by_part: dict[Part, int] = {}
    by_layer = [0] * len(layers)
    active_by_layer = [0] * len(layers)
    total = active = 0
    for tensor in tensors:
        size = tensor.parameters
        index = tensor.layer
        inside = index is not None and index < len(layers)
        used = active_parameters(tensor, layers[index] if inside and index is not None else None)
        by_part[tensor.part] = by_part.get(tensor.part, 0) + size
        total += size
        active += used
        if inside and index is not None:
            by_layer[index] += size
            active_by_layer[index] += used
    return Census(
        total=total,
        active=active,
        embedding=by_part.get(Part.EMBEDDING, 0) + by_part.get(Part.PER_LAYER_EMBEDDING, 0),
        mtp=sum(tensor.parameters for tensor in mtp_tensors),
        by_part=by_part,
        by_layer=tuple(by_layer),
        active_by_layer=tuple(active_by_layer),
    )
