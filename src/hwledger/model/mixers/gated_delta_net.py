"""Gated delta net (Qwen3-Next, Qwen3.5 and later, OLMo-hybrid)."""

from dataclasses import dataclass
from typing import ClassVar

from hwledger.model.mixers.recurrent import RecurrentMixer


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedDeltaNet(RecurrentMixer):
    """Gated delta rule (Yang et al. 2024). Shapes: vLLM 0.33.0 ``gated_delta_net_state_shape``."""

    key_heads: int
    value_heads: int
    key_width: int
    value_width: int
    conv_kernel: int
    name: ClassVar[str] = "gated delta net"

    @property
    def conv_taps(self) -> int:
        """Past inputs that the convolution keeps per channel."""
        return self.conv_kernel - 1

    def conv_channels(self, tensor_parallel: int = 1) -> int:
        """Channels on one rank: queries and keys (2 Hk Dk) and values (Hv Dv), over tp."""
        return (2 * self.key_heads * self.key_width + self.value_heads * self.value_width) // tensor_parallel

    def state_elements(self, tensor_parallel: int = 1) -> int:
        """Elements of the state on one rank: Hv / tp × Dv × Dk."""
        return self.value_heads // tensor_parallel * self.value_width * self.key_width
