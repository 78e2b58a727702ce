"""The decoder layers of a GGUF file, from its keys and the defaults of its architecture.

Source: llama.cpp b11434 ``src/llama-model.cpp`` ``load_hparams``, ``src/llama-hparams.cpp`` and each
architecture's ``load_arch_hparams`` (see ``data/architectures.csv``).
"""

from dataclasses import dataclass

from hwledger.errors import MalformedError
from hwledger.library.config.reader import MAX_LAYERS
from hwledger.library.gguf.architectures import Architecture, architecture
from hwledger.library.gguf.channels import channel_of
from hwledger.library.gguf.keys import Keys
from hwledger.library.gguf.sliding import windows
from hwledger.library.gguf.states import recurrent_layers, state_mixer
from hwledger.model.layers import LayerSpec
from hwledger.model.mixers import (
    ChunkedAttention,
    CompressedAttention,
    FullAttention,
    Indexer,
    KeyValueMixer,
    LatentAttention,
    Mixer,
    RecurrentMixer,
    ShortConvolution,
    SlidingAttention,
)

SHARED_FROM = 20  # gemma3n caches its first 20 layers, src/models/gemma3n.cpp
LONG_CONTEXT = 1 << 20  # glm-dsa files of this context and more share indexers, src/models/glm-dsa.cpp
SHARING = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What all layers of one model share while they are read.

    Attributes:
        keys: the file's keys.
        family: defaults of the architecture.
        total: layers with the MTP ones.
        trunk: layers without them.
        heads, kv_heads, feed_forward: per layer.
        key, value: widths of a head, of sliding layers where ``*_sliding``.
        windows: window per layer, 0: full.
        recurrent: whether a layer keeps a state.
        experts: layers that have experts, where the tensor list says so.
    """

    keys: Keys
    family: Architecture
    total: int
    trunk: int
    heads: tuple[int, ...]
    kv_heads: tuple[int, ...]
    feed_forward: tuple[int, ...]
    key: int
    value: int
    key_sliding: int
    value_sliding: int
    windows: tuple[int, ...]
    recurrent: tuple[bool, ...]
    experts: frozenset[int] | None


def read_layers(
    keys: Keys, experts: frozenset[int] | None
) -> tuple[tuple[LayerSpec, ...], tuple[LayerSpec, ...]]:
    """Return the decoder layers and the MTP layers.

    Args:
        keys: the file's keys.
        experts: layers that have expert tensors; ``None`` where the tensor list is not known.

    Raises:
        MalformedError: a key is absent, of the wrong type or contradicts another one.
    """
    stack = _stack(keys, experts)
    made = _merged([_layer(stack, index) for index in range(stack.total)])
    trunk, mtp = made[: stack.trunk], made[stack.trunk :]
    traits = stack.family.traits
    if "loops" in traits:
        trunk = _looped(trunk, max(1, keys.number("num_loops", 1)))
    if "router_layer" in traits:
        router = FullAttention(query_heads=1, kv_heads=1, key_width=stack.key, value_width=stack.value)
        trunk = (*trunk, LayerSpec(index=len(trunk), kind="full_attention", mixers=(router,)))
    return trunk, mtp


def _stack(keys: Keys, experts: frozenset[int] | None) -> Stack:
    family = architecture(keys.architecture)
    total = _block_count(keys)
    trunk = total - min(keys.number("nextn_predict_layers"), total)
    trunk = trunk or total  # a draft model that is nothing but MTP layers
    heads = keys.per_layer("attention.head_count", total)
    kv_heads = (
        keys.per_layer("attention.head_count_kv", total) if keys.has("attention.head_count_kv") else heads
    )
    width = keys.required("embedding_length")
    attends = heads[0] > 0 or "key_length_without_heads" in family.traits
    default = width // heads[0] if heads[0] else 0
    key = keys.number("attention.key_length", default) if attends else 0
    value = keys.number("attention.value_length", default) if attends else 0
    feed_forward = keys.per_layer("feed_forward_length", total)
    recurrent = recurrent_layers(keys, family.recurrent, trunk, total, kv_heads, feed_forward)
    return Stack(
        keys=keys, family=family, total=total, trunk=trunk, heads=heads, kv_heads=kv_heads,
        feed_forward=feed_forward, key=key, value=value,
        key_sliding=keys.number("attention.key_length_swa", key),
        value_sliding=keys.number("attention.value_length_swa", value),
        windows=windows(keys, family, trunk, total, recurrent), recurrent=recurrent, experts=experts,
    )  # fmt: skip


def _block_count(keys: Keys) -> int:
    """Return the number of blocks; a count that no file could back is refused before it takes memory."""
    count = keys.required("block_count")
    if count > MAX_LAYERS:
        raise MalformedError(
            f"{keys.source}: {keys.architecture}.block_count is {count:,}; at most {MAX_LAYERS} layers "
            "can be read"
        )
    return count


def _layer(stack: Stack, index: int) -> LayerSpec:
    both = stack.family.recurrent == "both"
    mixers: list[Mixer] = []
    if both or not stack.recurrent[index]:
        mixers += _attention(stack, index)
    if both or stack.recurrent[index]:
        mixers.append(state_mixer(stack.keys, stack.heads[0], stack.key, stack.family.traits))
    channel = channel_of(stack.keys, index, stack.feed_forward[index], stack.experts)
    kind = _kind(tuple(mixers), has_experts=stack.experts is not None and index in stack.experts)
    return LayerSpec(index=index, kind=kind, mixers=tuple(mixers), channel=channel)


_KINDS = (
    (ShortConvolution, "conv"),
    (RecurrentMixer, "linear_attention"),
    (SlidingAttention, "sliding_attention"),
    (ChunkedAttention, "chunked_attention"),
)


def _kind(mixers: tuple[Mixer, ...], *, has_experts: bool) -> str:
    if not mixers:
        return "moe" if has_experts else "mlp"
    if len(mixers) > 1:
        return "hybrid"
    mixer = mixers[0]
    if isinstance(mixer, CompressedAttention):
        compressed = "compressed_sparse_attention" if mixer.indexer else "heavily_compressed_attention"
        return compressed if mixer.ratio > 1 else "sliding_attention"
    if isinstance(mixer, LatentAttention) and mixer.indexer:
        return "indexed_attention"
    return next((kind for family, kind in _KINDS if isinstance(mixer, family)), "full_attention")


def _attention(stack: Stack, index: int) -> list[Mixer]:
    if stack.kv_heads[index] == 0:
        return []
    if stack.family.recurrent == "kv_ff_zero" and stack.feed_forward[index] > 0:
        return []  # Nemotron-H: layers with a feed-forward block have nothing else
    if "compressed" in stack.family.traits:
        return [_compressed(stack, index)]
    if "mla" in stack.family.traits and stack.keys.number("attention.key_length_mla"):
        return [_latent(stack, index)]
    if "mla" in stack.family.traits and _stores_heads(stack, index):
        return [_expanded(stack, index)]
    return [_separate(stack, index)]


def _separate(stack: Stack, index: int) -> KeyValueMixer:
    window = stack.windows[index]
    heads, kv_heads = stack.heads[index], stack.kv_heads[index]
    shared, index_width = _shared(stack, index), _index_width(stack, index)
    if not window:
        return FullAttention(
            query_heads=heads, kv_heads=kv_heads, key_width=stack.key, value_width=stack.value,
            shares_cache_of=shared, index_width=index_width,
        )  # fmt: skip
    if "chunked" in stack.family.traits:
        return ChunkedAttention(
            query_heads=heads, kv_heads=kv_heads, key_width=stack.key_sliding,
            value_width=stack.value_sliding, shares_cache_of=shared, chunk=window,
        )  # fmt: skip
    return SlidingAttention(
        query_heads=heads, kv_heads=kv_heads, key_width=stack.key_sliding, value_width=stack.value_sliding,
        shares_cache_of=shared, index_width=index_width, window=window,
    )  # fmt: skip


def _shared(stack: Stack, index: int) -> int | None:
    """The layer whose cache this one reads: the last of its kind among those that cache."""
    first = stack.total
    if "shares_from_20" in stack.family.traits:
        first = SHARED_FROM
    elif "shares_cache" in stack.family.traits:
        first = stack.total - stack.keys.number("attention.shared_kv_layers")
    if index < first or first <= 1:
        return None
    return first - (2 if stack.windows[index] else 1)


def _index_width(stack: Stack, index: int) -> int:
    width = stack.keys.number("attention.indexer.key_length")
    if "index_attention" in stack.family.traits:
        return width
    after = "index_after_dense" in stack.family.traits and index >= stack.keys.number(
        "leading_dense_block_count"
    )
    return width if after else 0


def _latent(stack: Stack, index: int) -> Mixer:
    """MLA with absorbed keys: one K head of the latent and the rotary part, no V."""
    keys = stack.keys
    if stack.windows[index]:
        return SlidingAttention(
            query_heads=stack.heads[index], kv_heads=stack.kv_heads[index], key_width=stack.key_sliding,
            value_width=0, window=stack.windows[index],
        )  # fmt: skip
    rope = keys.number("rope.dimension_count", 64)
    cached = stack.key * stack.kv_heads[index]
    return LatentAttention(
        query_heads=stack.heads[index], latent_rank=cached - rope, rope_width=rope,
        nope_width=max(0, keys.number("attention.key_length_mla") - rope),
        value_width=keys.number("attention.value_length_mla"),
        query_rank=keys.number("attention.q_lora_rank") or None, indexer=_indexer(stack, index),
    )  # fmt: skip


def _stores_heads(stack: Stack, index: int) -> bool:
    """Whether a file without MLA keys holds full keys and values of every head."""
    latent = stack.keys.number("attention.kv_lora_rank") > 0
    return latent and stack.heads[index] == stack.kv_heads[index] and not stack.windows[index]


def _expanded(stack: Stack, index: int) -> LatentAttention:
    rope = min(stack.keys.number("rope.dimension_count", 64), stack.key)
    return LatentAttention(
        query_heads=stack.heads[index], latent_rank=stack.keys.number("attention.kv_lora_rank"),
        rope_width=rope, nope_width=stack.key - rope, value_width=stack.value,
        query_rank=stack.keys.number("attention.q_lora_rank") or None, expanded=True,
    )  # fmt: skip


def _indexer(stack: Stack, index: int) -> Indexer | None:
    keys, traits = stack.keys, stack.family.traits
    width, top = keys.number("attention.indexer.key_length"), keys.number("attention.indexer.top_k")
    absent = "indexer" not in traits or not width or index >= stack.trunk
    if absent or ("indexer_optional" in traits and not top) or not _owns_indexer(stack, index):
        return None
    pooled = 3 if keys.number("attention.indexer.kpool") else 1  # key, gate and pooled value per token
    return Indexer(heads=keys.number("attention.indexer.head_count"), key_width=width * pooled, top_k=top)


def _owns_indexer(stack: Stack, index: int) -> bool:
    keys = stack.keys
    if keys.has("attention.indexer.types"):
        return bool(keys.per_layer("attention.indexer.types", stack.trunk)[index])
    if "indexer_every_4" in stack.family.traits and keys.number("context_length") >= LONG_CONTEXT:
        return index < 2 or index % SHARING == 2  # noqa: PLR2004 - layers 0, 1, 2, 6, 10 …
    return True


def _compressed(stack: Stack, index: int) -> CompressedAttention:
    keys = stack.keys
    ratio = keys.per_layer("attention.compress_ratios", stack.total)[index]
    indexer = Indexer(
        heads=keys.number("attention.indexer.head_count"),
        key_width=keys.number("attention.indexer.key_length"),
        top_k=keys.number("attention.indexer.top_k"),
    )
    return CompressedAttention(
        query_heads=stack.heads[index], head_width=stack.key, rope_width=keys.number("rope.dimension_count"),
        window=keys.number("attention.sliding_window"), ratio=ratio,
        indexer=indexer if ratio == SHARING else None,
    )  # fmt: skip


def _looped(layers: tuple[LayerSpec, ...], loops: int) -> tuple[LayerSpec, ...]:
    """Layers that run several times keep a cache for each pass."""
    many = layers * loops
    return tuple(
        LayerSpec(index=i, kind=one.kind, mixers=one.mixers, channel=one.channel)
        for i, one in enumerate(many)
    )


def _merged(layers: list[LayerSpec]) -> tuple[LayerSpec, ...]:
    """Let equal layers share one mixers and one channel object, so that later steps can skip them."""
    mixers: dict[tuple[Mixer, ...], tuple[Mixer, ...]] = {}
    channels: dict[object, object] = {}
    merged = []
    for one in layers:
        channel = channels.setdefault(one.channel, one.channel)
        same = mixers.setdefault(one.mixers, one.mixers)
        merged.append(LayerSpec(index=one.index, kind=one.kind, mixers=same, channel=channel))  # type: ignore[arg-type]
    return tuple(merged)
