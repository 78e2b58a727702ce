"""RWKV time mixing (RWKV-5, -6, -7)."""

from dataclasses import dataclass
from typing import ClassVar

from hwledger.model.mixers.recurrent import RecurrentMixer


@dataclass(frozen=True, slots=True, kw_only=True)
class Rwkv(RecurrentMixer):
    """Linear-attention RNN with token shift (Peng et al. 2023-2025).

    Attributes:
        width: hidden width (``n_embd``).
        head_width: elements of one head of the wkv state.
        token_shifts: past hidden vectors kept: time mix and channel mix (2), or time mix only (1).
    """

    width: int
    head_width: int
    token_shifts: int = 2
    name: ClassVar[str] = "RWKV"

    @property
    def conv_taps(self) -> int:
        """Past hidden vectors that token shift keeps."""
        return self.token_shifts

    def conv_channels(self, tensor_parallel: int = 1) -> int:
        """Elements of one shifted hidden vector; not divided over ranks."""
        del tensor_parallel
        return self.width

    def state_elements(self, tensor_parallel: int = 1) -> int:
        """Elements of the wkv state on one rank: heads × d × d = width × d."""
        return self.width * self.head_width // tensor_parallel
