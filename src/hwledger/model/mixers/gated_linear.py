"""Gated linear recurrence, RG-LRU (RecurrentGemma, Griffin)."""

from dataclasses import dataclass
from typing import ClassVar

from hwledger.model.mixers.recurrent import RecurrentMixer


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedLinearRecurrence(RecurrentMixer):
    """Real-gated linear recurrence (De et al. 2024, arXiv 2402.19427): one value per channel.

    Attributes:
        width: channels (``lru_width``).
        conv_kernel: taps of the depthwise convolution before it.
    """

    width: int
    conv_kernel: int
    name: ClassVar[str] = "gated linear recurrence"

    @property
    def conv_taps(self) -> int:
        """Past inputs that the convolution keeps per channel."""
        return self.conv_kernel - 1

    def conv_channels(self, tensor_parallel: int = 1) -> int:
        """Channels of the window on one rank."""
        return self.width // tensor_parallel

    def state_elements(self, tensor_parallel: int = 1) -> int:
        """Elements of the state on one rank: one per channel."""
        return self.width // tensor_parallel
