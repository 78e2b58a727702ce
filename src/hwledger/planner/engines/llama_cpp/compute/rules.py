"""Closed forms of llama.cpp's compute buffers, in f32 elements per token of the graph.

They follow the tensors that are alive together at the widest points of the graph: the activation of
the feed-forward block (gate, up and their product: 3 F), the scores without flash attention, the inner
tensors of a recurrent mixer, and the logits (llama.cpp b11549 ``src/llama-graph.cpp`` ``build_ffn``,
``build_moe_ffn``, ``build_attn_mha``; allocation order: ``ggml/src/ggml-alloc.c``). The terms were
checked against libllama's own planner at b11063 and b11549 on 30 model shapes; what the allocator
leaves as gaps is in the intervals.

Two graph styles: ``CLASSIC`` (b9496 to b11063), whose only hidden-width input is the embedding, and
``MIXED`` (b11549), where a batch may mix tokens and embeddings and more inputs stay alive. Up to b8211
(``EARLY``, ``OLDEST``) the mask is f32 with an f16 copy for flash attention; public logs show it.
"""

from enum import StrEnum

from hwledger.planner.engines.llama_cpp.compute.shape import (
    AttentionGraph,
    FeedForwardGraph,
    GraphShape,
    LayerGraph,
    StateGraph,
    StateKind,
)


class Style(StrEnum):
    """How the graph's inputs are built; follows from the build number."""

    OLDEST = "oldest"  # before 2026: f32 mask, one hidden vector on the host
    EARLY = "early"  # up to b8211: f32 mask
    CLASSIC = "classic"  # b9496 to b11063
    MIXED = "mixed"  # b11549: tokens and embeddings in one batch


class Place(StrEnum):
    """Where the graph runs."""

    DEVICE = "device"
    CPU = "cpu"


HIDDEN_INPUTS = {Place.DEVICE: 4, Place.CPU: 5}
"""Hidden-width tensors alive beside a block in the mixed style (measured at b11549)."""

HOST_HIDDEN = {Style.OLDEST: 1, Style.EARLY: 2, Style.CLASSIC: 2, Style.MIXED: 4}
"""Hidden-width inputs on the host: the token embeddings, and room for embeddings that are given."""

AGED = (Style.OLDEST, Style.EARLY)
"""Styles with an f32 mask."""

SINGLE_INDEX = 2
"""An i64 index per token and cache half: two f32 elements."""


def mask_elements(shape: GraphShape) -> float:
    """Return the attention masks on the computing device: f16 with flash attention, f32 without.

    An indexer's mask is f16 always.
    """
    cells = sum(shape.cells)
    index = shape.index_cells / 2
    if not shape.flash_attention:
        return cells + index
    return cells / 2 + index


def attentions(shape: GraphShape) -> tuple[AttentionGraph, ...]:
    """Return the attention of every layer that has one."""
    return tuple(layer.attention for layer in shape.layers if layer.attention is not None)


def index_elements(shape: GraphShape, style: Style) -> float:
    """Return positions and cache indices.

    Without flash attention V is stored transposed and needs an index per element of the widest V
    (llama.cpp b11063 ``src/llama-kv-cache.cpp`` ``build_input_v_idxs``). The oldest builds wrote the cache
    through views and needed no indices.
    """
    if style is Style.OLDEST:
        return shape.positions
    value = max((attention.value for attention in attentions(shape)), default=0)
    per_value = 1 if shape.flash_attention else value
    per_cache = SINGLE_INDEX + (SINGLE_INDEX * per_value if value else 0)
    indexer = SINGLE_INDEX if shape.index_cells else 0
    return shape.positions + per_cache * len(shape.cells) + indexer + shape.rotations / shape.n_tokens


def input_elements(shape: GraphShape, style: Style) -> float:
    """Return masks, positions and indices together."""
    extra = 2 if style is Style.MIXED else 0
    return mask_elements(shape) + index_elements(shape, style) + extra


def feed_forward_elements(shape: GraphShape, block: FeedForwardGraph) -> float:
    """Return a feed-forward block at its widest.

    Gate, up and product are alive together; an ungated block is activated in place. What the
    experts return is laid out over gate and up where it fits there, behind them where it does not.
    """
    copies = 3 if block.gated else 1
    expert_output = block.experts_used * shape.n_embd
    spill = expert_output if expert_output > (copies - 1) * block.width else 0
    return copies * block.width + spill


def residual_elements(shape: GraphShape, layer: LayerGraph, style: Style, place: Place) -> float:
    """Return the hidden-width tensors that are alive beside a layer's widest block.

    Where attention and feed-forward run in parallel, attention's result waits for the other; where
    blocks read the residual stream unnormalised, there is no normalised copy of it.
    """
    around = shape.n_embd * (layer.parallel - layer.post_norm)
    if style is Style.MIXED:
        return HIDDEN_INPUTS[place] * shape.n_embd + around
    extra = 1 if place is Place.CPU else 0
    return (2 + extra) * shape.n_embd + leftover_elements(shape, layer) + around


def leftover_elements(shape: GraphShape, layer: LayerGraph) -> float:
    """Return what the mixer leaves as a gap in front of the feed-forward block (classic style)."""
    first = shape.layers[0]
    leading = first.state
    if leading is not None and first.attention is None:
        widths = {StateKind.MAMBA2: leading.inner, StateKind.GATED_DELTA: shape.n_embd}
        return widths.get(leading.kind, 0)
    attention = layer.attention
    if attention is None or attention.fused:
        return 0
    return attention.output if attention.latent_query else attention.query


def scores_elements(shape: GraphShape, attention: AttentionGraph) -> float:
    """Return attention without flash attention: scores, queries and what follows them."""
    scores = attention.cells * attention.heads
    if attention.latent_query:
        return scores + latent_elements(shape, attention)
    gate = attention.query if attention.gated else 0
    return scores + gate


def latent_elements(shape: GraphShape, attention: AttentionGraph) -> float:
    """Return the absorbed queries, the latent output and the plain queries of MLA.

    Without flash attention the latents are transposed: cells x rank of f16, once for the graph.
    """
    width = attention.latent_query + attention.latent_output + attention.query
    if attention.index_query:
        width += 2 * attention.latent_output
    rank = attention.latent_output // attention.heads
    transposed = attention.cells * rank / 2 / shape.n_tokens
    return width + (transposed if transposed > attention.latent_query else 0)


def attention_elements(shape: GraphShape, attention: AttentionGraph, style: Style, place: Place) -> float:
    """Return the widest point of an attention, the hidden-width tensors included."""
    hidden = HIDDEN_INPUTS[place] if style is Style.MIXED else 2 + (place is Place.CPU)
    if shape.flash_attention:
        return hidden * shape.n_embd + flash_elements(shape, attention)
    scores = scores_elements(shape, attention)
    if attention.latent_query:
        return HIDDEN_INPUTS[place] * shape.n_embd + scores
    if style is Style.MIXED:
        queries = 0 if attention.fused else attention.query
        queries += attention.query if attention.query > shape.n_embd else 0
        return hidden * shape.n_embd + scores + queries
    if attention.fused:
        return (hidden - 1) * shape.n_embd + scores + attention.query
    return hidden * shape.n_embd + scores + 2 * attention.query


def flash_elements(shape: GraphShape, attention: AttentionGraph) -> float:
    """Return attention with flash attention beside the hidden-width tensors."""
    if not attention.latent_query:
        return 2 * attention.query + attention.key + attention.value
    if attention.index_query:
        selection = attention.index_query + attention.index_top + 2 * attention.cells
        return 2 * (attention.latent_query + attention.latent_output) + selection
    return 2 * attention.latent_query + attention.query + shape.n_embd


def state_elements(shape: GraphShape, state: StateGraph, style: Style, place: Place) -> float:
    """Return the widest point of a recurrent mixer, the hidden-width tensors included."""
    mixed = style is Style.MIXED
    hidden = HIDDEN_INPUTS[place] if mixed else HIDDEN_INPUTS[place] - 2
    scan = 4 * state.inner + state.small if mixed and place is Place.DEVICE else 5 * state.inner
    older = 0 if mixed else state.inner
    inner = {
        StateKind.MAMBA1: scan,
        StateKind.MAMBA2: state.projected + 2 * state.channels + state.inner + older,
        StateKind.GATED_DELTA: 2 * state.channels + 1.5 * state.inner,
        StateKind.RWKV: 15 * state.inner + older,
        StateKind.SHORT_CONVOLUTION: 2 * state.projected,
        StateKind.OTHER: 4 * state.inner,
    }[state.kind]
    return hidden * shape.n_embd + inner + carried_elements(shape, state, style, place)


def carried_elements(shape: GraphShape, state: StateGraph, style: Style, place: Place) -> float:
    """Return the states of all sequences, spread over the tokens of the graph."""
    mixed = style is Style.MIXED
    windows = {
        StateKind.MAMBA1: 1 if place is Place.CPU else 0,
        StateKind.MAMBA2: 1,
        StateKind.GATED_DELTA: 0,
        StateKind.RWKV: 0,
    }.get(state.kind, 1)
    if not mixed:
        windows += 2 if state.kind is StateKind.MAMBA1 else 1
    states = 2 if state.kind is StateKind.RWKV and not mixed else 1
    return (states * state.state + windows * state.window) * shape.n_seqs / shape.n_tokens


def layer_elements(shape: GraphShape, layer: LayerGraph, style: Style, place: Place) -> float:
    """Return the widest point of one layer without the inputs of the graph."""
    residual = residual_elements(shape, layer, style, place)
    points = [residual]
    points += [residual + feed_forward_elements(shape, block) for block in layer.feed_forward]
    if layer.attention is not None:
        points.append(attention_elements(shape, layer.attention, style, place))
    if layer.state is not None:
        points.append(state_elements(shape, layer.state, style, place))
    return max(points)


def per_layer_input_elements(shape: GraphShape) -> float:
    """Return the residual streams of AltUp beyond the first, as far as they are alive together."""
    return 1.5 * shape.n_embd * shape.parallel_streams if shape.parallel_streams > 1 else 0


def widest_layer(shape: GraphShape, style: Style, place: Place) -> float:
    """Return LAYER: the widest point before the output matrix.

    Early builds cast the f32 mask to f16 for flash attention, once: 6 bytes a cell at that moment.
    """
    inputs = input_elements(shape, style)
    hidden = HIDDEN_INPUTS[place] * shape.n_embd
    casts = style in AGED and shape.flash_attention
    cast = 1.5 * sum(shape.cells) + hidden if casts else 0
    layers = max(layer_elements(shape, layer, style, place) for layer in shape.layers)
    aside = shape.per_layer_input + per_layer_input_elements(shape)
    return max(cast, inputs + max(layers + aside, hidden + 4 * shape.per_layer_input))


def logits_elements(shape: GraphShape, style: Style, place: Place) -> float:
    """Return OUT: the logits and what is alive beside them.

    Mixed: the inputs stay alive too, unless the logits fit where the mask was.
    """
    logits = shape.n_vocab * shape.n_outputs / shape.n_tokens
    if style is not Style.MIXED:
        return logits + beside_logits(shape, style, place) * shape.n_outputs / shape.n_tokens
    inputs = input_elements(shape, style) + shape.per_layer_input
    room = logits <= mask_elements(shape)
    return (0 if room else logits) + inputs + HIDDEN_INPUTS[place] * shape.n_embd


def beside_logits(shape: GraphShape, style: Style, place: Place) -> float:
    """Return what is alive beside the logits in the classic style.

    The normalised hidden vectors; in graphs that leave gaps a second set, which lies where the
    mask was or, if that is too small, behind it.
    """
    if place is Place.DEVICE and all(map(leaves_no_gap, shape.layers)):
        return shape.n_embd
    second = any(layer.attention for layer in shape.layers) and place is Place.DEVICE
    behind = second and mask_elements(shape) <= shape.n_embd
    return 2 * shape.n_embd + (input_elements(shape, style) if behind else 0)


def leaves_no_gap(layer: LayerGraph) -> bool:
    """Return whether a layer is attention from three matrices and one feed-forward block."""
    fused = layer.attention is not None and layer.attention.fused
    return layer.state is None and not fused and len(layer.feed_forward) < 2  # noqa: PLR2004


def device_elements(shape: GraphShape, style: Style, place: Place) -> float:
    """Return the compute buffer of the one place that runs every layer, in elements per token."""
    return max(logits_elements(shape, style, place), widest_layer(shape, style, place))


def host_elements(shape: GraphShape, style: Style) -> float:
    """Return the host's compute buffer beside a GPU: inputs, and the embeddings taken there."""
    hidden = HOST_HIDDEN[style]
    masks = sum(shape.cells) if style in AGED else mask_elements(shape)
    extra = 4 if style is Style.MIXED else 1
    logits = shape.n_outputs / shape.n_tokens if shape.n_outputs > 1 else 0
    return hidden * shape.n_embd + masks + index_elements(shape, style) + extra + logits
