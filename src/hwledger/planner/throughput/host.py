"""The part of a model that is in host memory on llama.cpp: what it adds to a step and to a prompt.

Cards and host take turns: while one works, the others wait.
"""

from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from hwledger.device.node import Node
from hwledger.planner.plan import Plan
from hwledger.planner.throughput.assumptions import Assumed, assumed
from hwledger.planner.throughput.figure import Traffic
from hwledger.planner.throughput.layout import Layout
from hwledger.planner.throughput.terms import MICROSECOND, NOTHING, Share
from hwledger.planner.throughput.work import Work, cached_element_bytes

FEWEST_COPIED: Final = 32
"""Shorter prompts are multiplied where the weights are (llama.cpp b11434 ``op_offload_min_batch_size``)."""


@dataclass(frozen=True, slots=True)
class Host:
    """One plan's host.

    Attributes:
        plan, work, layout: what is asked, what it takes, and where it is.
        node: the host and the slots.
        micro_batch: tokens that are prefilled in one go.
    """

    plan: Plan
    work: Work
    layout: Layout
    node: Node
    micro_batch: int

    def decode(self, batch: int, tokens: int, depth: float) -> Assumed | None:
        """Return the seconds that the host takes for its share of a step; ``None`` where it has none."""
        share, work = self.layout.host, self.work
        if share is None:
            return None
        size = work.layer_bytes * share.layers + work.head_bytes * share.head
        size += work.expert_bytes(tokens) * share.experts
        cache = work.cache_bytes(depth, *cached_element_bytes(self.plan)) + work.state_traffic_bytes()
        size += batch * cache * share.cache
        layers = work.layers * max(share.layers, share.experts, share.cache)
        return _over(size, self._bandwidth(), assumed("host_bandwidth_share"), layers)

    def prefill(self, traffic: Traffic) -> Assumed | str | None:
        """Return the seconds that the host's share adds to a prompt; ``None`` where it has none.

        Weights that are copied to a device are waited for (llama.cpp issue 25859); what the host multiplies
        or attends to itself is, too. A text says why it is not known.
        """
        if self.layout.host is None:
            return None
        own = self._operations(traffic)
        computed = _of_rate(own, assumed("host_flops_per_second")) if own else None
        if not self._copies(traffic):
            return computed
        copied = self._copied(self.layout.host, traffic)
        return copied if computed is None or isinstance(copied, str) else _both(copied, computed)

    def lent(self, traffic: Traffic) -> Share:
        """Return the host's share that a device runs during a prompt, on copies."""
        host = self.layout.host
        if host is None or not self._copies(traffic):
            return NOTHING
        return host if self.layout.attended else replace(host, cache=0.0)

    def _copies(self, traffic: Traffic) -> bool:
        """Whether the prompt's batches are large enough for weights to be copied."""
        return self.layout.copied and traffic.prompt_tokens >= FEWEST_COPIED

    def _operations(self, traffic: Traffic) -> float:
        """Return the operations of a prompt that the host's processor does."""
        host, lent, work = self.layout.host or NOTHING, self.lent(traffic), self.work
        tokens = traffic.prompt_tokens
        dense = 2.0 * tokens * work.layer_parameters * (host.layers - lent.layers)
        routed = 2.0 * tokens * (work.active_parameters - work.layer_parameters)
        attention = work.prefill_attention_flops(tokens, traffic.cached_tokens) * (host.cache - lent.cache)
        return dense + routed * (host.experts - lent.experts) + attention

    def _copied(self, host: Share, traffic: Traffic) -> Assumed | str:
        """Return the seconds of copying weights and caches to a device, once per micro-batch."""
        tokens, work, lane = traffic.prompt_tokens, self.work, self._lane()
        if lane is None:
            return (
                "weights are copied from host memory for every batch, and the slot's bandwidth is not known"
            )
        size = work.layer_bytes * host.layers
        size += work.expert_bytes(min(tokens, self.micro_batch)) * host.experts
        if self.layout.attended:
            depth = traffic.cached_tokens + tokens / 2
            size += work.cache_bytes(depth, *cached_element_bytes(self.plan)) * host.cache
        size = ceil(tokens / self.micro_batch) * size + work.head_bytes * host.head
        return _over(size, Assumed(lane, lane, lane, ""), assumed("pcie_share"), 0.0)

    def _lane(self) -> float | None:
        slots = (device.pcie_bytes_per_second for device in self.plan.request.devices)
        return self.node.pcie_bytes_per_second or next((slot for slot in slots if slot), None)

    def _bandwidth(self) -> Assumed:
        known = self.node.host_bandwidth_bytes_per_second
        if known is None:
            return assumed("host_bandwidth_bytes_per_second")
        return Assumed(known, known, known, self.node.source)


def _over(size: float, bandwidth: Assumed, share: Assumed, layers: float) -> Assumed:
    """Return the seconds that ``size`` bytes take, and ``layers`` layers beside."""
    each = assumed("host_layer_microseconds")
    return Assumed(
        size / (bandwidth.value * share.value) + layers * each.value * MICROSECOND,
        size / (bandwidth.high * share.high) + layers * each.low * MICROSECOND,
        size / (bandwidth.low * share.low) + layers * each.high * MICROSECOND,
        bandwidth.source or share.source,
    )


def _of_rate(flops: float, rate: Assumed) -> Assumed:
    """Return the seconds that operations take."""
    return Assumed(flops / rate.value, flops / rate.high, flops / rate.low, rate.source)


def _both(one: Assumed, other: Assumed) -> Assumed:
    """Return the sum of two times."""
    return Assumed(
        one.value + other.value, one.low + other.low, one.high + other.high,
        f"{one.source}; {other.source}",
    )  # fmt: skip
