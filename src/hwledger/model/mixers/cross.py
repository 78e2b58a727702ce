"""Cross attention: keys and values come from an encoder and are computed once per request."""

from dataclasses import dataclass
from typing import ClassVar

from hwledger.model.mixers.key_value import KeyValueGeometry


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossAttention(KeyValueGeometry):
    """Attention over ``source_tokens`` encoder outputs; its cache does not grow with the context.

    Attributes:
        source_tokens: the most encoder tokens of one request (Whisper: 1500).
    """

    source_tokens: int
    name: ClassVar[str] = "cross attention"
