"""DeepSeek-V4 attention: a short window of full records beside a compressed long-range cache."""

from dataclasses import dataclass
from typing import ClassVar

from hwledger.model.mixers.latent import Indexer


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressedAttention:
    """Window plus compressed records (DeepSeek-V4 ``compress_ratios``).

    Attributes:
        query_heads: heads that ask.
        head_width: elements of one cached record (``head_dim``; rotary part included).
        rope_width: rotary elements within ``head_width``.
        window: tokens whose full records are kept.
        ratio: tokens folded into one long-range record; 0 or 1: the window is all there is.
        indexer: picks long-range records (ratio 4); ``None`` where all are read (ratio 128).
    """

    query_heads: int
    head_width: int
    rope_width: int
    window: int
    ratio: int
    indexer: Indexer | None = None
    name: ClassVar[str] = "compressed attention"
