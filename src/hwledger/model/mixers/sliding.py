"""Sliding-window attention: a token sees the last ``window`` tokens only."""

from dataclasses import dataclass
from typing import ClassVar

from hwledger.model.mixers.key_value import KeyValueGeometry


@dataclass(frozen=True, slots=True, kw_only=True)
class SlidingAttention(KeyValueGeometry):
    """Softmax attention over a window (Beltagy et al. 2020); ``window`` counts the token itself.

    Attention sinks (gpt-oss) are parameters of the layer and take no cache.
    """

    window: int
    name: ClassVar[str] = "sliding window"
