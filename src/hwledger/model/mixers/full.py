"""Full softmax attention: every token's keys and values are kept for the whole context."""

from dataclasses import dataclass
from typing import ClassVar

from hwledger.model.mixers.key_value import KeyValueGeometry


@dataclass(frozen=True, slots=True, kw_only=True)
class FullAttention(KeyValueGeometry):
    """Softmax attention over the whole context (Vaswani et al. 2017; GQA: Ainslie et al. 2023)."""

    name: ClassVar[str] = "full attention"
