"""The cost of one attention layer at a depth: cached elements that are read, operations that are done."""

from dataclasses import dataclass
from math import inf

from hwledger.model.mixers import (
    ChunkedAttention,
    CompressedAttention,
    CrossAttention,
    FullAttention,
    LatentAttention,
    Mixer,
    SlidingAttention,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionWork:
    """One attention layer.

    Attributes:
        key_elements, value_elements: cached elements of one visible token.
        heads: heads that ask: scores that an engine without flash attention writes per visible token.
        decode_flops_per_token, prefill_flops_per_token: operations for one visible token and one query;
            they differ for MLA, whose projections are absorbed while decoding.
        window: the most tokens that a query sees; infinite for full attention.
        floor: tokens that a query sees whatever the depth (an encoder's output).
        ratio: tokens that one record of the long-range cache stands for; 0: there is none.
        records: the most such records that a query reads.
        index_elements, index_flops_per_token: of the indexer, which looks at every token or record.
    """

    key_elements: int
    value_elements: int
    heads: int
    decode_flops_per_token: float
    prefill_flops_per_token: float
    window: float = inf
    floor: int = 0
    ratio: int = 0
    records: float = inf
    index_elements: int = 0
    index_flops_per_token: float = 0.0

    def visible(self, depth: float) -> float:
        """Tokens or records that one query reads with ``depth`` tokens before it."""
        seen = self.floor or min(depth, self.window)
        return seen + min(self.records, depth / self.ratio) if self.ratio else seen

    def cache_bytes(self, depth: float, key_bytes: float, value_bytes: float) -> float:
        """Bytes that one query reads; the indexer's keys count a byte each (fp8)."""
        row = self.key_elements * key_bytes + self.value_elements * value_bytes
        return self.visible(depth) * row + self._indexed(depth) * self.index_elements

    def decode_flops(self, depth: float) -> float:
        """Operations of one decoded token."""
        return self.visible(depth) * self.decode_flops_per_token + self._indexing(depth)

    def prefill_flops(self, tokens: float, depth: float) -> float:
        """Operations of ``tokens`` causal queries after ``depth`` cached tokens."""
        seen = self._sum_visible(tokens, depth)
        return seen * self.prefill_flops_per_token + tokens * self._indexing(depth + tokens / 2)

    def prefill_scores(self, tokens: float, depth: float) -> float:
        """Attention scores of ``tokens`` causal queries after ``depth`` cached tokens, over all heads."""
        return self.heads * self._sum_visible(tokens, depth)

    def _indexed(self, depth: float) -> float:
        return depth / self.ratio if self.ratio else depth

    def _indexing(self, depth: float) -> float:
        return self._indexed(depth) * self.index_flops_per_token

    def _sum_visible(self, tokens: float, depth: float) -> float:
        """Sum over the queries of what each sees, as an integral."""
        if self.floor:
            return tokens * self.floor
        total = _ramp(tokens, depth, self.window)
        if self.ratio:
            total += _ramp(tokens, depth, self.records * self.ratio) / self.ratio
        return total


def _ramp(tokens: float, depth: float, limit: float) -> float:
    """Integral of min(x, limit) from ``depth`` to ``depth + tokens``."""
    end = depth + tokens
    if end <= limit:
        return tokens * (depth + tokens / 2)
    if depth >= limit:
        return tokens * limit
    return (limit * limit - depth * depth) / 2 + (end - limit) * limit


def attention_work(mixer: Mixer) -> AttentionWork | None:
    """Return the cost of a mixer that attends; ``None`` for one that keeps a state."""
    match mixer:
        case FullAttention() | SlidingAttention() | ChunkedAttention() | CrossAttention():
            return _separate(mixer)
        case LatentAttention():
            return _latent(mixer)
        case CompressedAttention():
            return _compressed(mixer)
        case _:
            return None


def _separate(mixer: FullAttention | SlidingAttention | ChunkedAttention | CrossAttention) -> AttentionWork:
    """Keys and values apart; a chunk is half full on the average."""
    flops = 2.0 * mixer.query_heads * (mixer.key_width + mixer.value_width)
    window, floor = inf, 0
    if isinstance(mixer, SlidingAttention):
        window = mixer.window
    elif isinstance(mixer, ChunkedAttention):
        window = mixer.chunk / 2
    elif isinstance(mixer, CrossAttention):
        floor = mixer.source_tokens
    return AttentionWork(
        key_elements=mixer.kv_heads * mixer.key_width, value_elements=mixer.kv_heads * mixer.value_width,
        heads=mixer.query_heads,
        decode_flops_per_token=flops, prefill_flops_per_token=flops, window=window, floor=floor,
        index_elements=mixer.index_width,
    )  # fmt: skip


def _latent(mixer: LatentAttention) -> AttentionWork:
    """MLA (arXiv 2405.04434): absorbed while decoding, expanded heads while prefilling."""
    expanded = 2.0 * mixer.query_heads * (mixer.expanded_key_width + mixer.value_width)
    absorbed = 2.0 * mixer.query_heads * (mixer.elements_per_token + mixer.latent_rank)
    heads = mixer.query_heads if mixer.expanded else 0
    indexer = mixer.indexer
    return AttentionWork(
        key_elements=heads * mixer.expanded_key_width if heads else mixer.elements_per_token,
        value_elements=heads * mixer.value_width, heads=mixer.query_heads,
        decode_flops_per_token=expanded if heads else absorbed, prefill_flops_per_token=expanded,
        window=indexer.top_k if indexer else inf,
        index_elements=indexer.key_width if indexer else 0,
        index_flops_per_token=2.0 * indexer.heads * indexer.key_width if indexer else 0.0,
    )  # fmt: skip


def _compressed(mixer: CompressedAttention) -> AttentionWork:
    """A window of records beside compressed ones, of which an indexer picks some (DeepSeek-V4)."""
    indexer = mixer.indexer
    flops = 4.0 * mixer.query_heads * mixer.head_width
    return AttentionWork(
        key_elements=mixer.head_width, value_elements=0, heads=mixer.query_heads,
        decode_flops_per_token=flops, prefill_flops_per_token=flops,
        window=mixer.window, ratio=mixer.ratio if mixer.ratio > 1 else 0,
        records=indexer.top_k if indexer else inf,
        index_elements=indexer.key_width if indexer else 0,
        index_flops_per_token=2.0 * indexer.heads * indexer.key_width if indexer else 0.0,
    )  # fmt: skip
