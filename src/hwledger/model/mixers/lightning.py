"""Lightning (linear) attention (MiniMax-Text-01, MiniMax-M1, Bailing)."""

from dataclasses import dataclass
from typing import ClassVar

from hwledger.model.mixers.recurrent import RecurrentMixer


@dataclass(frozen=True, slots=True, kw_only=True)
class LightningAttention(RecurrentMixer):
    """Linear attention with decay (arXiv 2401.04658): one d × d state per head, no convolution."""

    heads: int
    head_width: int
    name: ClassVar[str] = "lightning attention"

    def state_elements(self, tensor_parallel: int = 1) -> int:
        """Elements of the state on one rank: H / tp × d × d."""
        return self.heads // tensor_parallel * self.head_width**2
