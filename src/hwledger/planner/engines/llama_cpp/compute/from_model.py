"""GraphShape of a ModelSpec: each layer's mixers and feed-forward block as widths."""

from collections.abc import Callable, Iterable
from typing import Final

from hwledger.model.channel import ChannelMixer, DenseMLP
from hwledger.model.layers import LayerSpec
from hwledger.model.mixers import (
    ChunkedAttention,
    CompressedAttention,
    CrossAttention,
    FullAttention,
    GatedDeltaNet,
    LatentAttention,
    Mamba1,
    Mamba2,
    Mixer,
    RecurrentMixer,
    Rwkv,
    ShortConvolution,
    SlidingAttention,
)
from hwledger.model.spec import ModelSpec
from hwledger.planner.engines.llama_cpp.compute.shape import (
    AttentionGraph,
    FeedForwardGraph,
    GraphShape,
    LayerGraph,
    StateGraph,
    StateKind,
)
from hwledger.planner.engines.llama_cpp.compute.traits import LayerTraits, traits_of
from hwledger.planner.engines.llama_cpp.context import ResolvedContext
from hwledger.units import cdiv

STEP_WIDTH: Final = 16
"""Mamba-1's time-step rank is hidden width over this, unless stated (Gu & Dao 2023, ``dt_rank="auto"``)."""


def graph_of_model(spec: ModelSpec, context: ResolvedContext, *, windows: bool = True) -> GraphShape:
    """Return the worst-case graph of a model in a context.

    Args:
        spec: the model.
        context: the context as llama.cpp resolves it.
        windows: sliding layers have a cache of their own; not so for architectures whose windows
            llama.cpp ignores.
    """

    def cells(mixer: Mixer) -> int:
        return mixer_cells(mixer, context) if windows else context.n_ctx_seq

    distinct = traits_of(spec).distinct
    mixers = tuple(dict.fromkeys(mixer for layer, _ in distinct for mixer in layer.mixers))
    caches = {(slides(one) and windows, cells(one)) for one in mixers if cached(one)}
    indexed = [cells(one) for one in mixers if isinstance(one, LatentAttention) and one.indexer is not None]
    tokens = min(context.n_ubatch, context.n_ctx)
    return GraphShape(
        n_vocab=spec.vocab_size,
        n_embd=spec.hidden_size,
        layers=distinct_layers(spec, cells),
        cells=tuple(count for _, count in sorted(caches)),
        index_cells=max(indexed, default=0),
        n_tokens=tokens,
        n_outputs=min(tokens, context.n_outputs_max or tokens),
        n_seqs=context.n_seq_max,
        flash_attention=context.flash_attn,
        positions=positions_of(spec),
        per_layer_input=per_layer_width(spec) * len(spec.layers),
        parallel_streams=max(1, number(spec, "altup.num_inputs", "altup_num_inputs")),
        rotations=rotations(mixers, context),
    )


def distinct_layers(spec: ModelSpec, cells: Callable[[Mixer], int]) -> tuple[LayerGraph, ...]:
    """Return the graphs of the layers that differ, in order of first appearance."""
    graphs = (layer_graph(spec, layer, cells, own) for layer, own in traits_of(spec).distinct)
    return tuple(dict.fromkeys(graphs))


def slides(mixer: Mixer) -> bool:
    """Return whether a mixer looks back a window or a chunk only."""
    return isinstance(mixer, SlidingAttention | ChunkedAttention)


def cached(mixer: Mixer) -> bool:
    """Return whether a mixer has cells in an attention cache."""
    return not isinstance(mixer, RecurrentMixer | CrossAttention)


def mixer_cells(mixer: Mixer, context: ResolvedContext) -> int:
    """Return the cells of one stream of a mixer's cache."""
    if isinstance(mixer, SlidingAttention | CompressedAttention):
        return context.window_cells(mixer.window)
    if isinstance(mixer, ChunkedAttention):
        return context.window_cells(mixer.chunk)
    return context.n_ctx_seq


def layer_graph(
    spec: ModelSpec, layer: LayerSpec, cells: Callable[[Mixer], int], traits: LayerTraits
) -> LayerGraph:
    """Return one layer's widths."""
    attention = state = None
    for mixer in layer.mixers:
        if isinstance(mixer, RecurrentMixer):
            state = state_graph(spec, mixer)
        else:
            attention = attention_graph(mixer, cells(mixer), traits) or attention
    attends = attention is not None
    return LayerGraph(
        attention=attention,
        state=state,
        feed_forward=blocks(layer.channel),
        parallel=attends and traits.parallel,
        post_norm=attends and traits.post_norm,
    )


def attention_graph(mixer: Mixer, cells: int, traits: LayerTraits) -> AttentionGraph | None:
    """Return an attention's widths; ``None`` for cross attention, which keeps no cells."""
    if isinstance(mixer, LatentAttention):
        return latent_graph(mixer, cells)
    if isinstance(mixer, CompressedAttention):
        width = mixer.query_heads * mixer.head_width
        return AttentionGraph(
            heads=mixer.query_heads, query=width, output=width, key=mixer.head_width, value=0, cells=cells
        )
    if not isinstance(mixer, FullAttention | SlidingAttention | ChunkedAttention):
        return None
    query = mixer.query_heads * mixer.key_width
    return AttentionGraph(
        heads=mixer.query_heads,
        query=query,
        output=mixer.query_heads * mixer.value_width,
        key=mixer.kv_heads * mixer.key_width,
        value=mixer.kv_heads * mixer.value_width,
        cells=cells,
        fused=traits.fused,
        gated=traits.gated or traits.query_rows == 2 * query,
    )


def latent_graph(mixer: LatentAttention, cells: int) -> AttentionGraph:
    """Return MLA's widths: absorbed, or with keys and values of all heads where it is expanded."""
    query = mixer.query_heads * mixer.expanded_key_width
    output = mixer.query_heads * mixer.value_width
    if mixer.expanded:
        return AttentionGraph(
            heads=mixer.query_heads, query=query, output=output, key=query, value=output, cells=cells
        )
    indexer = mixer.indexer
    return AttentionGraph(
        heads=mixer.query_heads,
        query=query,
        output=output,
        key=mixer.elements_per_token,
        value=0,
        cells=cells,
        latent_query=mixer.query_heads * mixer.elements_per_token,
        latent_output=mixer.query_heads * mixer.latent_rank,
        index_query=indexer.heads * indexer.key_width if indexer else 0,
        index_top=indexer.top_k if indexer else 0,
    )


def state_graph(spec: ModelSpec, mixer: RecurrentMixer) -> StateGraph:
    """Return a recurrent mixer's widths."""
    state, window, channels = mixer.state_elements(), mixer.conv_elements(), mixer.conv_channels()
    kind, inner, projected, small = StateKind.OTHER, channels or spec.hidden_size, 0, 0
    if isinstance(mixer, Mamba1):
        kind, inner = StateKind.MAMBA1, mixer.inner_width
        rank = number(spec, "ssm.time_step_rank", "time_step_rank", "mamba_dt_rank")
        small = 2 * (rank or cdiv(spec.hidden_size, STEP_WIDTH)) + 2 * mixer.state_size
    elif isinstance(mixer, Mamba2):
        kind, inner = StateKind.MAMBA2, mixer.inner_width
        projected = inner + channels + mixer.heads
    elif isinstance(mixer, GatedDeltaNet):
        kind, inner = StateKind.GATED_DELTA, mixer.value_heads * mixer.value_width
    elif isinstance(mixer, Rwkv):
        kind, inner = StateKind.RWKV, mixer.width
    elif isinstance(mixer, ShortConvolution):
        kind, inner, projected = StateKind.SHORT_CONVOLUTION, mixer.channels, 3 * mixer.channels
    return StateGraph(
        kind=kind,
        inner=inner,
        projected=projected,
        channels=channels,
        small=small,
        state=state,
        window=window,
    )


def blocks(channel: ChannelMixer | None) -> tuple[FeedForwardGraph, ...]:
    """Return a layer's feed-forward blocks: routed experts and shared ones apart."""
    if channel is None:
        return ()
    if isinstance(channel, DenseMLP):
        return (FeedForwardGraph(width=channel.width, gated=channel.gated),)
    used = channel.active_experts
    routed = FeedForwardGraph(width=used * channel.expert_width, experts_used=used, gated=channel.gated)
    shared = FeedForwardGraph(width=channel.shared_width, gated=channel.gated)
    return (routed, shared) if channel.shared_width else (routed,)


def number(spec: ModelSpec, *keys: str) -> int:
    """Return the first of these metadata keys that is a whole number, with the GGUF prefix or without."""
    for key in keys:
        for name in (f"{spec.architecture}.{key}", key):
            value = spec.metadata.get(name)
            if isinstance(value, int) and not isinstance(value, bool):
                return value
    return 0


def per_layer_width(spec: ModelSpec) -> int:
    """Return the width of one layer's per-layer embedding; 0 without any."""
    return number(spec, "embedding_length_per_layer_input", "hidden_size_per_layer_input")


def positions_of(spec: ModelSpec) -> int:
    """Return the numbers of one position: four with multi-section rope (Qwen2-VL and later)."""
    sections = spec.metadata.get(f"{spec.architecture}.rope.dimension_sections")
    rope = spec.metadata.get("rope_parameters") or spec.metadata.get("rope_scaling")
    multi = sections or (isinstance(rope, dict) and rope.get("mrope_section"))
    return 4 if multi else 1


def rotations(mixers: Iterable[Mixer], context: ResolvedContext) -> int:
    """Return the Hadamard matrices of an indexer and of a quantised cache (b11063 and later).

    K is rotated by a matrix of its head's width, V by 64 x 64, once per cache.
    """
    mixers = tuple(mixers)
    indexers = (one.indexer for one in mixers if isinstance(one, LatentAttention))
    index = max((one.key_width**2 for one in indexers if one is not None), default=0)
    if context.type_k.block == 1:
        return index
    kinds = FullAttention | SlidingAttention | ChunkedAttention
    widths = {one.key_width for one in mixers if isinstance(one, kinds) and one.key_width % 64 == 0}
    return index + sum(width * width + 64 * 64 for width in widths)
