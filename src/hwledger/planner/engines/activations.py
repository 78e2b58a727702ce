"""Widths of a model that estimates of activation memory need."""

from hwledger.model.channel import DenseMLP, MixtureOfExperts
from hwledger.model.kept import kept
from hwledger.model.layers import LayerSpec
from hwledger.model.mixers import RecurrentMixer
from hwledger.model.number_types import NumberType, number_type
from hwledger.model.spec import ModelSpec


def hidden_units(spec: ModelSpec) -> int:
    """Return the elements per token that are alive at the widest point of a layer.

    The residual, its normalised copy and the block's output, beside the widest inner activation: the
    gate, up and product of an MLP, or queries, keys, values and the attention's output.
    """
    return 3 * spec.hidden_size + kept(spec, "widest layer", lambda: _widest(spec))


def _widest(spec: ModelSpec) -> int:
    return max((max(_channel(layer), _mixers(layer)) for layer in spec.layers), default=0)


def attention_heads(spec: ModelSpec) -> int:
    """Return the most query heads of any layer; 0 for a model without attention."""
    heads = [getattr(mixer, "query_heads", 0) for layer in spec.layers for mixer in layer.mixers]
    return max(heads, default=0)


def activation_type(spec: ModelSpec) -> NumberType:
    """Return the type of activations and caches: the model's own where it is a plain float, else bf16."""
    kind = number_type(spec.number_type)
    return kind if kind.name in {"bf16", "f16", "f32"} else number_type("bf16")


def item_bytes(spec: ModelSpec) -> int:
    """Return the bytes of one activation."""
    return activation_type(spec).block_bytes


def _channel(layer: LayerSpec) -> int:
    channel = layer.channel
    if isinstance(channel, DenseMLP):
        return channel.width * (3 if channel.gated else 2)
    if isinstance(channel, MixtureOfExperts):
        return (channel.active_experts * channel.expert_width + channel.shared_width) * 3
    return 0


def _mixers(layer: LayerSpec) -> int:
    total = 0
    for mixer in layer.mixers:
        if isinstance(mixer, RecurrentMixer):
            total += 2 * mixer.conv_channels()
        else:
            heads = mixer.query_heads
            width: int = getattr(mixer, "key_width", 0) or getattr(mixer, "head_width", 0)
            width = width or getattr(mixer, "expanded_key_width", 0)
            total += 4 * heads * width
    return total
