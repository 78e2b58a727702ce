"""Cache bytes of one mixer under mlx-lm.

Sources: mlx-lm 0.32.2 ``mlx_lm/models/cache.py`` (``KVCache``, ``RotatingKVCache``, ``QuantizedKVCache``,
``ChunkedKVCache``, ``ArraysCache``) and ``mlx_lm/generate.py`` (``maybe_quantize_kv_cache``).
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
    ShortConvolution,
    SlidingAttention,
)
from hwledger.units import round_up

STEP: Final = 256
"""Tokens by which a cache grows (``KVCache.step``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRules:
    """How one request's caches are kept.

    Attributes:
        tokens: tokens of the request.
        item_bytes: bytes of one element of the model's number type.
        bits: bits of a quantised cache; ``None``: not quantised, or not yet at this length.
        group: elements that share a scale and a bias.
        most: ``max_kv_size`` where the model takes it; ``None``: unbounded.
        latent_expanded: the architecture caches the heads of MLA and not the latent.
        prefill_step: tokens of the prompt that are processed at once.
    """

    tokens: int
    item_bytes: int
    bits: int | None = None
    group: int = 64
    most: int | None = None
    latent_expanded: bool = False
    prefill_step: int = 2048

    def row_bytes(self, width: int) -> int:
        """Bytes of one cached vector: packed with a 16-bit scale and bias per group where quantised."""
        if self.bits is None:
            return width * self.item_bytes
        return width * self.bits // 8 + 2 * (width // self.group) * self.item_bytes

    def grown(self) -> int:
        """Tokens that an unbounded cache has room for."""
        return round_up(self.tokens, STEP) if self.most is None else self.rotating(self.most)

    def rotating(self, window: int) -> int:
        """Tokens that a rotating cache has room for once decoding has begun."""
        return min(window, round_up(self.tokens, STEP))


def kv_bytes(mixer: Mixer, rules: CacheRules) -> int:
    """Return the bytes of keys and values (or latents) of one request in one layer."""
    return kv_rows(mixer, rules) * token_bytes(mixer, rules) + index_bytes(mixer, rules)


def kv_rows(mixer: Mixer, rules: CacheRules) -> int:
    """Return the tokens that the cache of one layer has room for."""
    if isinstance(mixer, CrossAttention):
        return mixer.source_tokens
    if getattr(mixer, "shares_cache_of", None) is not None or isinstance(mixer, RecurrentMixer):
        return 0
    if isinstance(mixer, SlidingAttention):
        return rules.rotating(mixer.window)
    if isinstance(mixer, ChunkedAttention):  # the front is cut off before the next step is added
        return min(round_up(mixer.chunk + min(rules.prefill_step, rules.tokens), STEP), rules.grown())
    if isinstance(mixer, CompressedAttention):
        far = rules.tokens // mixer.ratio if mixer.ratio > 1 else 0
        return rules.rotating(mixer.window) + far
    return rules.grown()


def token_bytes(mixer: Mixer, rules: CacheRules) -> int:
    """Return the bytes of one token in the main cache of one layer."""
    if isinstance(mixer, FullAttention | SlidingAttention | ChunkedAttention | CrossAttention):
        return mixer.kv_heads * (rules.row_bytes(mixer.key_width) + rules.row_bytes(mixer.value_width))
    if isinstance(mixer, LatentAttention):
        if rules.latent_expanded:
            return mixer.query_heads * (
                rules.row_bytes(mixer.expanded_key_width) + rules.row_bytes(mixer.value_width)
            )
        return rules.row_bytes(mixer.latent_rank) + rules.row_bytes(mixer.rope_width)
    if isinstance(mixer, CompressedAttention):
        return rules.row_bytes(mixer.head_width)
    return 0


def index_bytes(mixer: Mixer, rules: CacheRules) -> int:
    """Return the bytes of an indexer's keys of one request in one layer.

    ``deepseek_v32.py`` keeps them in a ``KVCache`` whose values are zeros of the same size.
    """
    if isinstance(mixer, CompressedAttention) and mixer.indexer and mixer.ratio > 1:
        return rules.tokens // mixer.ratio * mixer.indexer.key_width * rules.item_bytes
    if isinstance(mixer, LatentAttention) and mixer.indexer:
        return 2 * rules.grown() * mixer.indexer.key_width * rules.item_bytes
    return rules.grown() * getattr(mixer, "index_width", 0) * rules.item_bytes


def grows(mixer: Mixer, rules: CacheRules) -> bool:
    """Whether one more token makes the layer's cache larger, apart from steps."""
    if isinstance(mixer, FullAttention | LatentAttention):
        owned = getattr(mixer, "shares_cache_of", None) is None
        return owned and (rules.most is None or rules.tokens < rules.most)
    return isinstance(mixer, SlidingAttention) and rules.tokens < mixer.window


def state_bytes(mixer: Mixer, rules: CacheRules) -> int:
    """Return the bytes of the recurrent state of one request in one layer.

    The convolution window is in the model's type. Delta rules keep their state in float32
    (``gated_delta.py``), RWKV in the model's type; Mamba's follows the promotion of its inputs with
    the float32 step sizes.
    """
    if not isinstance(mixer, RecurrentMixer):
        return 0
    wide = rules.item_bytes if isinstance(mixer, Rwkv | ShortConvolution) else 4
    return mixer.conv_elements() * rules.item_bytes + mixer.state_elements() * wide


def prefill_overshoot(mixer: Mixer, rules: CacheRules) -> int:
    """Return what a rotating cache holds above its window while the prompt is processed.

    ``RotatingKVCache._update_concat`` keeps up to window + step - 1 tokens until decoding begins.
    """
    if not isinstance(mixer, SlidingAttention) or mixer.shares_cache_of is not None:
        return 0
    step = min(rules.prefill_step, rules.tokens)
    most = min(mixer.window + step - 1, rules.tokens)
    return max(0, most - rules.rotating(mixer.window)) * token_bytes(mixer, rules)
