"""Tensors of a checkpoint: what each is, how many parameters it has and how it is shared out."""

from dataclasses import dataclass
from enum import StrEnum
from math import prod


class Part(StrEnum):
    """What a tensor belongs to."""

    EMBEDDING = "embedding"
    PER_LAYER_EMBEDDING = "per_layer_embedding"
    LM_HEAD = "lm_head"
    ATTENTION = "attention"
    INDEXER = "indexer"
    STATE = "mixer_ssm_linear"
    MLP = "mlp"
    EXPERTS = "experts"
    SHARED_EXPERTS = "shared_experts"
    ROUTER = "router"
    NORM = "norm"
    TOWER = "vision_audio"
    OTHER = "other"


class Split(StrEnum):
    """How tensor parallelism divides a tensor over ranks."""

    REPLICATED = "replicated"  # norms, routers, MLA's down projections, indexers
    SHARDED = "sharded"  # column or row parallel
    KV_HEADS = "kv_heads"  # sharded until there are fewer heads than ranks, replicated then
    VOCAB = "vocab"  # rows padded to 64, then sharded


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor, or ``copies`` alike ones (the experts of a layer).

    Attributes:
        name: name in the checkpoint; ``*`` stands for the expert number where ``copies`` > 1.
        shape: logical shape as the framework holds it (out, in); packed storage is unfolded.
        part: what it belongs to.
        layer: index of its decoder layer; ``None`` outside the layers. MTP layers count on from
            the last one.
        copies: how many alike tensors this stands for.
        split: how tensor parallelism divides it.
        linear: a matrix of a linear layer, which is what quantisation methods pack.
        stored_type: number type in the file, where a header said so.
        stored_bytes: bytes in the file of all copies, where a header said so.
    """

    name: str
    shape: tuple[int, ...]
    part: Part
    layer: int | None = None
    copies: int = 1
    split: Split = Split.REPLICATED
    linear: bool = False
    stored_type: str | None = None
    stored_bytes: int | None = None

    @property
    def parameters(self) -> int:
        """Elements over all copies."""
        return prod(self.shape) * self.copies
