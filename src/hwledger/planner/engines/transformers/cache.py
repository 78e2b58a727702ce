"""Cache bytes of one mixer under transformers.

Source: transformers 5.23.0 ``cache_utils.py`` (``DynamicLayer``, ``DynamicSlidingWindowLayer``,
``DynamicIndexedLayer``, ``StaticLayer``, ``StaticSlidingWindowLayer``, ``QuantizedLayer``,
``Fp8QuantizedLayer``, ``LinearAttentionLayer``); checked against caches filled by its models.
"""

from dataclasses import dataclass
from typing import Final

from hwledger.model.mixers import (
    ChunkedAttention,
    CompressedAttention,
    CrossAttention,
    FullAttention,
    LatentAttention,
    Mixer,
    RecurrentMixer,
    Rwkv,
    SlidingAttention,
)
from hwledger.units import cdiv

STATE_ITEM_BYTES: Final = 4
"""Recurrent states are float32 whatever the model's type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRules:
    """How one request's caches are kept.

    Attributes:
        tokens: tokens of the request; the length of a static cache.
        item_bytes: bytes of one element of the model's number type.
        static: preallocated caches.
        bits: bits of a quantised cache; ``None``: not quantised.
        group: elements that share a scale and a shift; 0: one scale for all (fp8).
        residual: tokens that a quantised cache may hold unquantised.
    """

    tokens: int
    item_bytes: int
    static: bool = False
    bits: int | None = None
    group: int = 64
    residual: int = 0

    def row_bytes(self, width: int) -> int:
        """Bytes of one cached vector."""
        if self.bits is None:
            return width * self.item_bytes
        scales = 2 * self.item_bytes * cdiv(width, self.group) if self.group else 0
        return cdiv(width * self.bits, 8) + scales

    def windowed(self, window: int) -> int:
        """Tokens that a layer with a window keeps: the window when static, one less when dynamic."""
        return min(self.tokens, window if self.static else max(1, window - 1))


def kv_rows(mixer: Mixer, rules: CacheRules) -> int:
    """Return the tokens that the cache of one layer holds."""
    if isinstance(mixer, RecurrentMixer) or getattr(mixer, "shares_cache_of", None) is not None:
        return 0
    if isinstance(mixer, CrossAttention):
        return mixer.source_tokens
    if isinstance(mixer, SlidingAttention):
        return rules.windowed(mixer.window)
    if isinstance(mixer, ChunkedAttention):
        return rules.windowed(mixer.chunk)
    if isinstance(mixer, CompressedAttention):
        far = rules.tokens // mixer.ratio if mixer.ratio > 1 else 0
        return rules.windowed(mixer.window) + far
    return rules.tokens


def token_bytes(mixer: Mixer, rules: CacheRules) -> int:
    """Return the bytes of one token in one layer; MLA keeps its latent and its rotary key."""
    if isinstance(mixer, FullAttention | SlidingAttention | ChunkedAttention | CrossAttention):
        index = mixer.index_width * rules.item_bytes
        return (
            mixer.kv_heads * (rules.row_bytes(mixer.key_width) + rules.row_bytes(mixer.value_width)) + index
        )
    if isinstance(mixer, LatentAttention):
        index = mixer.indexer.key_width * rules.item_bytes if mixer.indexer else 0
        return rules.row_bytes(mixer.latent_rank) + rules.row_bytes(mixer.rope_width) + index
    if isinstance(mixer, CompressedAttention):  # keys and values are one tensor
        return mixer.head_width * rules.item_bytes
    return 0


def kv_bytes(mixer: Mixer, rules: CacheRules) -> int:
    """Return the bytes of keys and values (or latents) of one request in one layer."""
    main = kv_rows(mixer, rules) * token_bytes(mixer, rules)
    if isinstance(mixer, CompressedAttention) and mixer.indexer:
        far = rules.tokens // mixer.ratio if mixer.ratio > 1 else 0
        return main + far * mixer.indexer.key_width * rules.item_bytes
    return main


def grows(mixer: Mixer, rules: CacheRules) -> bool:
    """Whether one more token makes the layer's cache larger."""
    if rules.static or isinstance(mixer, CrossAttention | CompressedAttention):
        return False
    longer = CacheRules(tokens=rules.tokens + 1, item_bytes=rules.item_bytes)
    return kv_rows(mixer, longer) > kv_rows(mixer, rules)


def state_bytes(mixer: Mixer, rules: CacheRules) -> int:
    """Return the bytes of the state of one request in one layer.

    The window of a convolution is kept as wide as its kernel, one more than it needs.
    """
    if not isinstance(mixer, RecurrentMixer):
        return 0
    taps = mixer.conv_taps if isinstance(mixer, Rwkv) or not mixer.conv_taps else mixer.conv_taps + 1
    return taps * mixer.conv_channels() * rules.item_bytes + mixer.state_elements() * STATE_ITEM_BYTES
