"""The base of mixers whose memory is a state of constant size per request."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrentMixer:
    """A mixer that keeps a convolution window and a recurrent state, whatever the context.

    Attributes:
        state_type: number type of the recurrent state that the model asks for (``float32`` in
            ``mamba_ssm_dtype``); ``None``: the engine's default.
    """

    state_type: str | None = None
    name: ClassVar[str] = "recurrent"

    def conv_channels(self, tensor_parallel: int = 1) -> int:
        """Channels of the convolution window on one rank; 0 where there is no convolution."""
        del tensor_parallel
        return 0

    @property
    def conv_taps(self) -> int:
        """Past inputs that the convolution keeps per channel: kernel size minus one."""
        return 0

    def conv_elements(self, tensor_parallel: int = 1, speculative_tokens: int = 0) -> int:
        """Elements of the convolution window of one request on one rank."""
        if self.conv_taps == 0:
            return 0
        return (self.conv_taps + speculative_tokens) * self.conv_channels(tensor_parallel)

    def state_elements(self, tensor_parallel: int = 1) -> int:
        """Elements of the recurrent state of one request on one rank."""
        del tensor_parallel
        return 0
