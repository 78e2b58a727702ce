"""Multi-head latent attention (MLA), with or without a sparse-attention indexer (DSA)."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexer:
    """The indexer of DeepSeek sparse attention: a small key per token picks ``top_k`` tokens.

    A layer that reuses an earlier layer's selection has no indexer of its own (GLM-5.2
    ``indexer_types``) and keeps no index cache.
    """

    heads: int
    key_width: int
    top_k: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentAttention:
    """Attention that caches one compressed latent per token (DeepSeek-V2, arXiv 2405.04434, §2.1).

    Attributes:
        query_heads: heads that ask.
        latent_rank: elements of the compressed latent (``kv_lora_rank``).
        rope_width: elements of the shared rotary key (``qk_rope_head_dim``).
        nope_width: elements of a head's non-rotary key (``qk_nope_head_dim``).
        value_width: elements of a head's value (``v_head_dim``).
        query_rank: rank of the query compression; ``None``: queries are not compressed.
        indexer: the layer's own indexer; ``None``: dense, or shared with an earlier layer.
        expanded: an engine without an absorbed kernel for this family caches the heads instead.
    """

    query_heads: int
    latent_rank: int
    rope_width: int
    nope_width: int
    value_width: int
    query_rank: int | None = None
    indexer: Indexer | None = None
    expanded: bool = False
    name: ClassVar[str] = "MLA"

    @property
    def elements_per_token(self) -> int:
        """Cached elements of one token: the latent and the rotary key, once for all heads."""
        return self.latent_rank + self.rope_width

    @property
    def expanded_key_width(self) -> int:
        """Elements of one head's key when the latent is expanded: non-rotary and rotary part."""
        return self.nope_width + self.rope_width
