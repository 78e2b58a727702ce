"""The geometry that every attention with separate keys and values shares."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyValueGeometry:
    """Heads and widths of one attention layer; covers MHA, GQA and MQA.

    Attributes:
        query_heads: heads that ask.
        kv_heads: heads that are cached; equal to ``query_heads`` for MHA, 1 for MQA.
        key_width: elements of one key head.
        value_width: elements of one value head; differs from ``key_width`` in e.g. MiMo-V2.
        shares_cache_of: index of the earlier layer whose cache this layer reads; ``None``: its own.
        index_width: elements per token of a key-only index cache (block-sparse attention); 0: none.
    """

    query_heads: int
    kv_heads: int
    key_width: int
    value_width: int
    shares_cache_of: int | None = None
    index_width: int = 0

    @property
    def elements_per_token(self) -> int:
        """Cached elements of one token: keys plus values over all cached heads."""
        return self.kv_heads * (self.key_width + self.value_width)

    def heads_on_rank(self, tensor_parallel: int) -> int:
        """Cached heads that one of ``tensor_parallel`` ranks holds.

        More ranks than heads replicate them: a rank never holds less than one
        (vLLM 0.33.0 ``config/model.py`` ``get_num_kv_heads``).
        """
        return max(1, self.kv_heads // tensor_parallel)
