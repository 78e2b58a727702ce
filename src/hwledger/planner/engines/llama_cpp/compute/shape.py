"""What the size of llama.cpp's worst-case graph depends on, in plain numbers.

llama.cpp reserves its compute buffers by laying out one graph of ``n_ubatch`` tokens at the full
context (llama.cpp b11063 and b11549, ``src/llama-context.cpp`` ``sched_reserve``). Widths here are
elements per token; all activations are f32.
"""

from dataclasses import dataclass
from enum import StrEnum


class StateKind(StrEnum):
    """Recurrent mixers, by the graph that llama.cpp builds for them."""

    MAMBA1 = "mamba1"
    MAMBA2 = "mamba2"
    GATED_DELTA = "gated_delta"
    RWKV = "rwkv"
    SHORT_CONVOLUTION = "short_convolution"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionGraph:
    """The attention of one layer.

    Attributes:
        heads: query heads.
        query: width of all queries (heads x key head).
        output: width of all heads' values (heads x value head), the input of the output matrix.
        key, value: cached widths over all KV heads; ``value`` is 0 where no V is cached (MLA).
        cells: cache cells that one token can see (one stream).
        fused: queries, keys and values come from one matrix.
        gated: the query matrix carries an output gate as wide as the queries.
        latent_query: queries in the latent space with their rotary part (MLA); 0 elsewhere.
        latent_output: attention output in the latent space (MLA); 0 elsewhere.
        index_query: width of the indexer's queries; 0 without an indexer.
        index_top: tokens that the indexer picks.
    """

    heads: int
    query: int
    output: int
    key: int
    value: int
    cells: int
    fused: bool = False
    gated: bool = False
    latent_query: int = 0
    latent_output: int = 0
    index_query: int = 0
    index_top: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StateGraph:
    """The recurrent mixer of one layer.

    Attributes:
        kind: which graph.
        inner: inner width (value width of a gated delta net, hidden width of RWKV).
        projected: width of the input projection.
        channels: channels of the convolution.
        small: widths of the small projections together (time step, B, C).
        state: elements of the recurrent state of one request.
        window: elements of the convolution window of one request.
    """

    kind: StateKind
    inner: int
    projected: int = 0
    channels: int = 0
    small: int = 0
    state: int = 0
    window: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedForwardGraph:
    """One feed-forward block.

    Attributes:
        width: intermediate width that one token passes; used experts x expert width.
        experts_used: experts that one token passes; 0: dense.
        gated: gate and up matrices (SwiGLU); otherwise up alone, activated in place.
    """

    width: int
    experts_used: int = 0
    gated: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerGraph:
    """One layer: an attention, a state, or both, and its feed-forward blocks.

    Attributes:
        attention, state: the mixers; ``None`` where the layer has none of the kind.
        feed_forward: blocks that run one after the other.
        parallel: the feed-forward block takes attention's input and not its result (Cohere, Falcon).
        post_norm: blocks read the residual stream as it is and are normalised afterwards (OLMo 2).
    """

    attention: AttentionGraph | None = None
    state: StateGraph | None = None
    feed_forward: tuple[FeedForwardGraph, ...] = ()
    parallel: bool = False
    post_norm: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphShape:
    """One worst-case graph.

    Attributes:
        n_vocab: rows of the output matrix.
        n_embd: width of the residual stream.
        layers: the distinct layers of the model.
        cells: cells of one stream of each attention cache that the model has.
        index_cells: cells of one stream of the indexer's cache; 0: no indexer.
        n_tokens: tokens of the graph (``n_ubatch``).
        n_outputs: tokens of it whose logits are computed.
        n_seqs: sequences of the graph (``n_seq_max``).
        flash_attention: attention runs in one kernel, without a score matrix.
        positions: numbers that one token's position takes (4 with multi-section rope).
        per_layer_input: per-layer embeddings of one token over all layers (Gemma 3n); 0: none.
        parallel_streams: copies of the residual stream that are carried along (AltUp); 1: none.
        rotations: elements of the Hadamard matrices that a quantised cache needs.
    """

    n_vocab: int
    n_embd: int
    layers: tuple[LayerGraph, ...]
    cells: tuple[int, ...]
    n_tokens: int
    n_outputs: int
    n_seqs: int = 1
    index_cells: int = 0
    flash_attention: bool = True
    positions: int = 1
    per_layer_input: int = 0
    parallel_streams: int = 1
    rotations: int = 0
