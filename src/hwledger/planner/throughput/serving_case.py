"""From a model, an engine and devices to the case that the serving model answers."""

from dataclasses import replace
from typing import Final

from hwledger.device.node import Node
from hwledger.device.spec import DeviceSpec
from hwledger.model.kept import mixers_of
from hwledger.model.mixers import LatentAttention
from hwledger.model.spec import ModelSpec
from hwledger.planner.memory import HOST, Category
from hwledger.planner.plan import Plan
from hwledger.planner.throughput.parallel import Parallel, cache_heads, parallel_of
from hwledger.planner.throughput.serving_loads import ServingCase
from hwledger.planner.throughput.setting import weights_type
from hwledger.planner.throughput.work import cached_element_bytes, work_of

CLASSES: Final = (
    ("fp4", ("nvfp4", "mxfp4", "fp4")),
    ("fp8", ("fp8", "mxfp8")),
    ("int8", ("int8", "8bit", "q8")),
    ("int4", ("int4", "4bit", "nf4", "awq", "gptq", "q4", "iq4")),
)
"""Classes of packing that engines have kernels of their own for, by how the packing's name starts."""

UNTIMED: Final = (
    ("decode_context_parallel_size", 1),
    ("async_scheduling", True),
    ("max_num_batched_tokens", None),
    ("swap_space", None),
)
"""Options that change the speed and are not modelled, and the value at which they do not."""


def serving_case(  # noqa: PLR0913 - what the speed of serving depends on
    spec: ModelSpec,
    device: DeviceSpec,
    *,
    engine: str,
    parallel: Parallel,
    weights: str | None = None,
    cache_bytes: float = 2.0,
    most_running: int | None = None,
    power_share: float = 1.0,
    drafted: int = 0,
    acceptance: float = 0.0,
) -> ServingCase:
    """Return the case of a model in some packing on alike devices.

    Raises:
        UnknownOptionError: there is no such type of weights.
    """
    return ServingCase(
        engine=engine, work=work_of(spec, weights), device=device, parallel=parallel,
        weights=weight_class(spec, weights), cache_bytes=cache_bytes, cache_heads=cache_heads(spec),
        latent=any(isinstance(m, LatentAttention) for m in mixers_of(spec)),
        most_running=most_running, power_share=power_share, drafted=drafted, acceptance=acceptance,
    )  # fmt: skip


def drafted_tokens(plan: Plan) -> int:
    """Return how many tokens the plan's engine drafts per step; 0 where it does not speculate."""
    drafted = plan.memory.options.get("num_speculative_tokens")
    return drafted if isinstance(drafted, int) else 0


def case_of_plan(
    plan: Plan,
    *,
    engine: str | None = None,
    node: Node | None = None,
    power_share: float = 1.0,
    acceptance: float | None = None,
) -> ServingCase:
    """Return the case of a plan; ``engine`` where another one than the plan's is asked for.

    The slowest device stands for all of them, with the node's link where one is given. The plan must have
    devices. What it drafts counts where an ``acceptance`` is stated.
    """
    slowest = min(plan.request.devices, key=lambda device: device.bandwidth_bytes_per_second or 0)
    if node is not None:
        slowest = linked(slowest, node)
    seqs = plan.memory.options.get("max_num_seqs")
    made = serving_case(
        plan.spec, slowest, engine=engine or plan.engine, parallel=parallel_of(plan),
        weights=plan.request.weights, cache_bytes=sum(cached_element_bytes(plan)) / 2,
        most_running=seqs if isinstance(seqs, int) else None, power_share=power_share,
        drafted=drafted_tokens(plan) if acceptance is not None else 0, acceptance=acceptance or 0.0,
    )  # fmt: skip
    return replace(
        made, pool=pool_of(plan), offloaded_bytes=_offloaded(plan),
        batched_tokens=_whole(plan, "max_num_batched_tokens"),
        eager=bool(plan.memory.options.get("enforce_eager")), untimed=_untimed(plan),
    )  # fmt: skip


def linked(device: DeviceSpec, node: Node) -> DeviceSpec:
    """Return a device with the links of its node."""
    return replace(
        device, link=node.link, link_bytes_per_second=node.link_bytes_per_second,
        pcie_bytes_per_second=node.pcie_bytes_per_second or device.pcie_bytes_per_second,
    )  # fmt: skip


def pool_of(plan: Plan) -> tuple[float, int] | None:
    """Return how many requests of full length one replica's pool holds, and that length."""
    capacity = plan.memory.capacity
    return None if capacity is None else (capacity.max_concurrency, plan.memory.context_tokens)


def _offloaded(plan: Plan) -> float:
    """Return the mean bytes of weights that one rank keeps in host memory."""
    parts = [c for c in plan.memory.components if c.place == HOST and c.category is Category.WEIGHTS]
    return sum(part.size_bytes for part in parts) / max(1, parallel_of(plan).devices)


def _untimed(plan: Plan) -> tuple[str, ...]:
    """Return the settings that were asked for and that the serving model does not know."""
    given = plan.request.options
    return tuple(f"{name}={given[name]}" for name, plain in UNTIMED if given.get(name, plain) != plain)


def _whole(plan: Plan, name: str) -> int | None:
    value = plan.memory.options.get(name)
    return value if isinstance(value, int) else None


def weight_class(spec: ModelSpec, override: str | None = None) -> str:
    """Return the class of most of a model's matrices, as stored or re-packed: ``fp8``, ``plain``."""
    name = weights_type(spec, override).lower()
    return next((kind for kind, starts in CLASSES if name.startswith(starts)), "plain")
