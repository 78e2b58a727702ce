"""What a layer mixes channels with: a dense MLP or a mixture of experts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseMLP:
    """A feed-forward block of ``width`` hidden units; ``gated`` ones have three matrices, others two."""

    width: int
    gated: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureOfExperts:
    """Routed experts, of which a token uses ``active_experts``, beside shared ones that it always uses."""

    experts: int
    active_experts: int
    expert_width: int
    shared_width: int = 0
    gated: bool = True


ChannelMixer = DenseMLP | MixtureOfExperts
