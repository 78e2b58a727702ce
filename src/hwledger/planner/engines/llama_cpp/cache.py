"""Bytes of llama.cpp's KV cache and recurrent state, one layer at a time, from the layer's mixers.

Sources: llama.cpp b11549 ``src/llama-kv-cache.cpp`` (constructor), ``src/llama-kv-cache-iswa.cpp``,
``src/llama-kv-cache-dsa.cpp``, ``src/llama-kv-cache-msa.cpp``, ``src/llama-kv-cache-dsv4.cpp``,
``src/llama-memory-recurrent.cpp`` and ``src/llama-hparams.cpp`` (``n_embd_r``, ``n_embd_s``).

All formulas are sums, products and whole divisions of the context's numbers, so that these may be arrays.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from hwledger.model.layers import LayerSpec
from hwledger.model.mixers import (
    ChunkedAttention,
    CompressedAttention,
    CrossAttention,
    FullAttention,
    LatentAttention,
    Mixer,
    RecurrentMixer,
    SlidingAttention,
)
from hwledger.model.number_types import NumberType
from hwledger.planner.engines.llama_cpp.context import ResolvedContext, lesser
from hwledger.planner.engines.llama_cpp.dialect import Dialect
from hwledger.planner.memory import LayerMemory
from hwledger.units import round_up

FLOAT_BYTES = 4  # states are f32
COMPRESSED_PAD = 256
OVERLAPPING_RATIO = 4  # layers of this ratio fold two overlapping windows and own an indexer


@dataclass(frozen=True, slots=True)
class _Rules:
    """What the formulas of one plan share: the context, the dialect and the widest V of the model."""

    context: ResolvedContext
    dialect: Dialect
    widest_value: int

    def row(self, kind: NumberType, elements: int) -> int:
        """Bytes of one cell's row over all streams."""
        return kind.nbytes(elements) * self.context.streams


def layer_memories(
    layers: tuple[LayerSpec, ...], context: ResolvedContext, dialect: Dialect
) -> tuple[LayerMemory, ...]:
    """Return cache and state of every layer; equal layers are computed once."""
    rules = _Rules(context, dialect, widest_value(layers))
    known: dict[tuple[Mixer, ...], LayerMemory] = {}
    found = []
    last: LayerSpec | None = None
    for layer in layers:
        if last is None or layer.mixers is not last.mixers:
            if layer.mixers not in known:
                known[layer.mixers] = _layer(layer.mixers, rules)
            memory = known[layer.mixers]
        last = layer
        found.append(memory)
    return tuple(found)


def widest_value(layers: Iterable[LayerSpec]) -> int:
    """Return the widest V row of the model, which every layer takes where V is stored transposed."""
    distinct = {id(layer.mixers): layer.mixers for layer in layers}.values()
    return max((_value_width(mixer) for mixers in distinct for mixer in mixers), default=0)


def _value_width(mixer: Mixer) -> int:
    if isinstance(mixer, FullAttention | SlidingAttention | ChunkedAttention):
        return mixer.kv_heads * mixer.value_width
    if isinstance(mixer, LatentAttention) and mixer.expanded:
        return mixer.query_heads * mixer.value_width
    return 0


def _layer(mixers: tuple[Mixer, ...], rules: _Rules) -> LayerMemory:
    if not rules.dialect.cached:
        return LayerMemory(kv_cache_bytes=0, state_bytes=0)
    if not mixers and rules.dialect.empty_layers and not rules.context.flash_attn:
        # a layer without KV heads is cached all the same, and transposed V is as wide as the widest
        v = rules.row(rules.context.type_v, rules.widest_value) * rules.context.n_ctx_seq
        return LayerMemory(kv_cache_bytes=v, state_bytes=0)
    return LayerMemory(
        kv_cache_bytes=sum(_kv(mixer, rules) for mixer in mixers),
        state_bytes=sum(_state(mixer, rules.context) for mixer in mixers),
    )


def _kv(mixer: Mixer, rules: _Rules) -> int:
    match mixer:
        case CrossAttention():  # keys and values of the encoder are recomputed in the graph
            return 0
        case FullAttention() | SlidingAttention() | ChunkedAttention():
            return _separate(mixer, rules)
        case LatentAttention():
            return _latent(mixer, rules)
        case CompressedAttention():
            return _compressed(mixer, rules.context)
        case _:
            return 0


def _separate(mixer: FullAttention | SlidingAttention | ChunkedAttention, rules: _Rules) -> int:
    """K and V; without flash attention V is transposed and as wide as the widest layer's."""
    if mixer.shares_cache_of is not None:
        return 0
    context = rules.context
    value = mixer.kv_heads * mixer.value_width if context.flash_attn else rules.widest_value
    width = rules.row(context.type_k, mixer.kv_heads * mixer.key_width) + rules.row(context.type_v, value)
    index = _index_row(mixer.index_width, mixer.value_width, rules) if mixer.index_width else 0
    return width * _cells(mixer, rules) + index * context.n_ctx_seq


def _cells(mixer: FullAttention | SlidingAttention | ChunkedAttention, rules: _Rules) -> int:
    match mixer:
        case SlidingAttention() if rules.dialect.windows:
            return rules.context.window_cells(mixer.window)
        case ChunkedAttention() if rules.dialect.windows:
            return rules.context.window_cells(mixer.chunk)
        case _:
            return rules.context.n_ctx_seq


def _index_row(key: int, value: int, rules: _Rules) -> int:
    """Row of an index cache; the one of block-sparse attention keeps a V that nothing reads."""
    unused = rules.row(rules.context.type_v, value) if rules.dialect.index_values else 0
    return rules.row(rules.context.type_k, key) + unused


def _latent(mixer: LatentAttention, rules: _Rules) -> int:
    """The latent and the rotary key as one K head without V; all heads where the file has no MLA keys."""
    context = rules.context
    if mixer.expanded:
        value = mixer.query_heads * mixer.value_width if context.flash_attn else rules.widest_value
        key = mixer.query_heads * mixer.expanded_key_width
        return (rules.row(context.type_k, key) + rules.row(context.type_v, value)) * context.n_ctx_seq
    index = mixer.indexer.key_width if mixer.indexer else 0
    row = rules.row(context.type_k, mixer.elements_per_token)
    return (row + (rules.row(context.type_k, index) if index else 0)) * context.n_ctx_seq


def _compressed(mixer: CompressedAttention, context: ResolvedContext) -> int:
    """Window records, then one record per ``ratio`` tokens, and the indexer's; one stream per sequence."""
    needed = mixer.window + context.n_ubatch
    window = (
        context.n_ctx_seq if context.swa_full else round_up(lesser(context.n_ctx_seq, needed), context.pad)
    )
    record = context.type_k.nbytes(mixer.head_width)
    if mixer.ratio <= 1:
        return record * window * context.n_seq_max
    cells = round_up(-(-context.n_ctx_seq // mixer.ratio), COMPRESSED_PAD)
    index = context.type_k.nbytes(mixer.indexer.key_width) if mixer.indexer else 0
    return (record * window + (record + index) * cells) * context.n_seq_max


def _state(mixer: Mixer, context: ResolvedContext) -> int:
    rows = context.n_seq_max * (1 + context.n_rs_seq)
    if isinstance(mixer, RecurrentMixer):
        return (mixer.conv_elements() + mixer.state_elements()) * FLOAT_BYTES * rows
    if isinstance(mixer, CompressedAttention) and mixer.ratio > 1:
        return _compressor_elements(mixer) * FLOAT_BYTES * rows
    return 0


def _compressor_elements(mixer: CompressedAttention) -> int:
    """Records and scores that wait to be folded; the overlapping kind keeps two windows, twice as wide."""
    overlap = 2 if mixer.ratio == OVERLAPPING_RATIO else 1
    index = mixer.indexer.key_width if mixer.indexer else 0
    return 2 * (overlap * mixer.ratio) * overlap * (mixer.head_width + index)
