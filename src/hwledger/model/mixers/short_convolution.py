"""Gated short convolution (LFM2)."""

from dataclasses import dataclass
from typing import ClassVar

from hwledger.model.mixers.recurrent import RecurrentMixer


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortConvolution(RecurrentMixer):
    """Depthwise convolution over ``channels`` with ``conv_kernel`` taps; no recurrent state."""

    channels: int
    conv_kernel: int
    name: ClassVar[str] = "short convolution"

    @property
    def conv_taps(self) -> int:
        """Past inputs that the convolution keeps per channel."""
        return self.conv_kernel - 1

    def conv_channels(self, tensor_parallel: int = 1) -> int:
        """Channels of the window on one rank."""
        return self.channels // tensor_parallel
