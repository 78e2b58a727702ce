"""Mamba-2 state space duality (Codestral-Mamba, Nemotron-H, Falcon-H1, Zamba2, Granite-4, Bamba)."""

from dataclasses import dataclass
from typing import ClassVar

from hwledger.model.mixers.recurrent import RecurrentMixer


@dataclass(frozen=True, slots=True, kw_only=True)
class Mamba2(RecurrentMixer):
    """Mamba-2 (Dao & Gu 2024). Shapes: vLLM 0.33.0 ``mamba_utils.py`` ``mamba2_state_shape``.

    Attributes:
        heads: state heads (H).
        head_width: elements of a head (P); ``heads × head_width`` is the inner width.
        state_size: state per head element (N).
        groups: groups that share B and C (G).
        conv_kernel: taps of the depthwise convolution.
    """

    heads: int
    head_width: int
    state_size: int
    groups: int
    conv_kernel: int
    name: ClassVar[str] = "Mamba-2"

    @property
    def inner_width(self) -> int:
        """Channels after the input projection."""
        return self.heads * self.head_width

    @property
    def conv_taps(self) -> int:
        """Past inputs that the convolution keeps per channel."""
        return self.conv_kernel - 1

    def groups_for(self, tensor_parallel: int) -> int:
        """Groups over all ranks: replicated up to one per rank where they do not divide."""
        return self.groups if self.groups % tensor_parallel == 0 else tensor_parallel

    def conv_channels(self, tensor_parallel: int = 1) -> int:
        """Channels on one rank: (I + 2 G N) / tp."""
        return (self.inner_width + 2 * self.groups_for(tensor_parallel) * self.state_size) // tensor_parallel

    def state_elements(self, tensor_parallel: int = 1) -> int:
        """Elements of the state on one rank: H / tp × P × N."""
        return self.heads // tensor_parallel * self.head_width * self.state_size
