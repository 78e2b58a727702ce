"""Kimi delta attention, KDA (Kimi-Linear, Kimi-K3, GLM-5.3-Flash)."""

from dataclasses import dataclass
from typing import ClassVar

from hwledger.model.mixers.recurrent import RecurrentMixer


@dataclass(frozen=True, slots=True, kw_only=True)
class KimiDeltaAttention(RecurrentMixer):
    """Delta rule with a gate per channel (arXiv 2510.26692). Shapes: vLLM 0.33.0 ``kda_state_shape``."""

    heads: int
    head_width: int
    conv_kernel: int
    name: ClassVar[str] = "KDA"

    @property
    def conv_taps(self) -> int:
        """Past inputs that the convolution keeps per channel."""
        return self.conv_kernel - 1

    def conv_channels(self, tensor_parallel: int = 1) -> int:
        """Channels on one rank: query, key and value, H d each, over tp."""
        return 3 * self.heads * self.head_width // tensor_parallel

    def state_elements(self, tensor_parallel: int = 1) -> int:
        """Elements of the state on one rank: H / tp × d × d."""
        return self.heads // tensor_parallel * self.head_width**2
