"""Mamba-1 selective state space (Jamba, Falcon-Mamba)."""

from dataclasses import dataclass
from typing import ClassVar

from hwledger.model.mixers.recurrent import RecurrentMixer


@dataclass(frozen=True, slots=True, kw_only=True)
class Mamba1(RecurrentMixer):
    """Mamba-1 (Gu & Dao 2023). Shapes: vLLM 0.33.0 ``mamba_utils.py`` ``mamba1_state_shape``.

    Attributes:
        inner_width: channels after the input projection (``expand`` × hidden).
        state_size: state per channel (N).
        conv_kernel: taps of the depthwise convolution.
    """

    inner_width: int
    state_size: int
    conv_kernel: int
    name: ClassVar[str] = "Mamba-1"

    @property
    def conv_taps(self) -> int:
        """Past inputs that the convolution keeps per channel."""
        return self.conv_kernel - 1

    def conv_channels(self, tensor_parallel: int = 1) -> int:
        """Channels of the convolution window on one rank: I / tp."""
        return self.inner_width // tensor_parallel

    def conv_elements(self, tensor_parallel: int = 1, speculative_tokens: int = 0) -> int:
        """Elements of the window; Mamba-1 has no slots for speculative tokens."""
        del speculative_tokens
        return self.conv_taps * self.conv_channels(tensor_parallel)

    def state_elements(self, tensor_parallel: int = 1) -> int:
        """Elements of the state on one rank: I / tp × N."""
        return self.inner_width // tensor_parallel * self.state_size
