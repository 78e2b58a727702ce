"""Tower: adds the tensors of a vision or audio tower to a draft; its layers are copies of one."""

from hwledger.library.config.draft import Draft
from hwledger.model.tensors import Part, Split

_PART = Part.TOWER


class Tower:
    """The tensors under one prefix of a model. ``layers`` of the methods is how many alike ones there are."""

    def __init__(self, draft: Draft, prefix: str) -> None:
        self._draft = draft
        self._prefix = prefix

    def matrix(self, name: str, out: int, inputs: int, *, bias: bool = False, layers: int = 1) -> None:
        """Add a linear layer."""
        self._draft.linear(
            f"{self._prefix}{name}", out, inputs, _PART, bias=bias, split=Split.REPLICATED, copies=layers
        )

    def array(self, name: str, *shape: int, layers: int = 1) -> None:
        """Add something that is no linear layer: a table of positions, a convolution, a scale."""
        self._draft.add(f"{self._prefix}{name}", shape, _PART, copies=layers)

    def norm(self, name: str, width: int, *, bias: bool = True, layers: int = 1) -> None:
        """Add a LayerNorm, or an RMS norm where it has no bias."""
        self.array(f"{name}.weight", width, layers=layers)
        if bias:
            self.array(f"{name}.bias", width, layers=layers)

    def patches(self, name: str, width: int, *kernel: int, bias: bool = True) -> None:
        """Add a convolution that turns patches into vectors."""
        self.array(f"{name}.weight", width, *kernel)
        if bias:
            self.array(f"{name}.bias", width)

    def attention(
        self, name: str, width: int, *, bias: bool = True, layers: int = 1, out: str = "out_proj"
    ) -> None:
        """Add q, k, v and output projections of full width."""
        for matrix in ("q_proj", "k_proj", "v_proj", out):
            self.matrix(f"{name}.{matrix}", width, width, bias=bias, layers=layers)

    def fused_attention(self, name: str, width: int, *, bias: bool = True, layers: int = 1) -> None:
        """Add one matrix for q, k and v, and the output projection."""
        self.matrix(f"{name}.qkv", 3 * width, width, bias=bias, layers=layers)
        self.matrix(f"{name}.proj", width, width, bias=bias, layers=layers)

    def mlp(  # noqa: PLR0913 - the knobs that towers really turn
        self,
        name: str,
        width: int,
        inner: int,
        *,
        names: tuple[str, ...] = ("fc1", "fc2"),
        bias: bool = True,
        layers: int = 1,
    ) -> None:
        """Add a feed-forward block; three names make it gated, the last one leads back."""
        for matrix in names[:-1]:
            self.matrix(f"{name}.{matrix}", inner, width, bias=bias, layers=layers)
        self.matrix(f"{name}.{names[-1]}", width, inner, bias=bias, layers=layers)


GATED = ("gate_proj", "up_proj", "down_proj")
