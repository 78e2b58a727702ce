"""Feed-forward blocks of a GGUF file's layers."""

from hwledger.library.gguf.keys import Keys
from hwledger.model.channel import ChannelMixer, DenseMLP, MixtureOfExperts


def channel_of(keys: Keys, index: int, width: int, experts: frozenset[int] | None) -> ChannelMixer | None:
    """Return the feed-forward block of layer ``index``; ``None`` where it has none.

    Args:
        keys: the file's keys.
        index: the layer.
        width: its dense width, 0 where it has none.
        experts: layers with expert tensors; ``None`` where the tensor list is not known, and the keys
            for leading dense and interleaved layers decide.
    """
    if has_experts(keys, index, experts):
        total = keys.per_layer("block_count", 1)[0]
        used = keys.per_layer("expert_used_count", total)[index]
        expert_width = keys.per_layer("expert_feed_forward_length", total)[index] or width
        shared = keys.number("expert_shared_feed_forward_length")
        return MixtureOfExperts(
            experts=keys.number("expert_count"), active_experts=used, expert_width=expert_width,
            shared_width=shared or keys.number("expert_shared_count") * expert_width,
        )  # fmt: skip
    return DenseMLP(width=width) if width else None


def has_experts(keys: Keys, index: int, experts: frozenset[int] | None) -> bool:
    """Return whether a layer routes tokens to experts."""
    if not keys.number("expert_count"):
        return False
    if experts is not None:
        return index in experts
    step = keys.number("interleave_moe_layer_step", 1) or 1
    return index >= keys.number("leading_dense_block_count") and (index + 1) % step == 0
