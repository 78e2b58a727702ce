"""How a plan shares a model out over devices, as far as speed depends on it."""

from collections.abc import Mapping
from dataclasses import dataclass

from hwledger.model.kept import mixers_of
from hwledger.model.mixers import LatentAttention
from hwledger.model.spec import ModelSpec
from hwledger.planner.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallel:
    """Ranks of each kind.

    Attributes:
        tensor: ranks that share every layer.
        pipeline: ranks that share out the layers.
        expert: ranks that hold whole experts each; 1: every rank holds a part of each expert.
        data: copies of the attention that share the requests (``dp attention``).
    """

    tensor: int = 1
    pipeline: int = 1
    expert: int = 1
    data: int = 1

    @property
    def devices(self) -> int:
        """Devices that are used."""
        return self.tensor * self.pipeline * self.data

    def __str__(self) -> str:
        """Return the ranks as people write them: ``TP8 EP8``."""
        kinds = (("TP", self.tensor), ("PP", self.pipeline), ("EP", self.expert), ("DP", self.data))
        return " ".join(f"{name}{ranks}" for name, ranks in kinds if ranks > 1) or "TP1"


def parallel_of(plan: Plan) -> Parallel:
    """Return the ranks that the plan's options state; the engine profile has checked them."""
    options = plan.memory.options
    tensor = _whole(options, "tensor_parallel_size")
    data = _whole(options, "data_parallel_size")
    spread = tensor * data if options.get("enable_expert_parallel") else 1
    return Parallel(
        tensor=tensor, pipeline=_whole(options, "pipeline_parallel_size"), expert=spread, data=data
    )


def cache_heads(spec: ModelSpec) -> int:
    """Return over how many tensor-parallel ranks the KV cache can be split: 1 where a latent is kept."""
    mixers = mixers_of(spec)
    if any(isinstance(mixer, LatentAttention) for mixer in mixers):
        return 1
    heads = [getattr(mixer, "kv_heads", None) for mixer in mixers]
    return min((each for each in heads if each), default=1)


def _whole(options: Mapping[str, object], name: str) -> int:
    value = options.get(name)
    return value if isinstance(value, int) and value > 0 else 1
