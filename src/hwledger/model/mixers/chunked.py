"""Chunked local attention: a token sees the tokens of its own chunk only."""

from dataclasses import dataclass
from typing import ClassVar

from hwledger.model.mixers.key_value import KeyValueGeometry


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkedAttention(KeyValueGeometry):
    """Softmax attention within fixed chunks of ``chunk`` tokens (Llama 4's ``attention_chunk_size``)."""

    chunk: int
    name: ClassVar[str] = "chunked attention"
