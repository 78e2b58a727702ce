"""LayerSpec: one decoder layer."""

from dataclasses import dataclass

from hwledger.model.channel import ChannelMixer
from hwledger.model.mixers import Mixer


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSpec:
    """One decoder layer.

    Attributes:
        index: position in the stack, from 0.
        kind: what the layer does, in the words of transformers' ``layer_types``:
            ``full_attention``, ``sliding_attention``, ``chunked_attention``, ``linear_attention``,
            ``indexed_attention``, ``compressed_sparse_attention``, ``heavily_compressed_attention``,
            ``conv``, ``hybrid`` (attention and a state in one layer), ``moe`` / ``mlp`` (no mixer).
        mixers: none, one, or both of a hybrid layer.
        channel: the feed-forward block; ``None`` where the layer has none.
    """

    index: int
    kind: str
    mixers: tuple[Mixer, ...]
    channel: ChannelMixer | None = None
