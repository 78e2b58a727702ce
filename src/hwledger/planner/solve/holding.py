"""One plan held to limits: what is met, what is missed by how much, and where the interval leaves it open."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hwledger.planner.plan import Plan
from hwledger.planner.solve.cost import cost_of
from hwledger.planner.solve.limits import RESERVE, Limits, Miss, miss
from hwledger.planner.solve.question import cost_misses, host_misses, served_per_second, speed_misses
from hwledger.planner.throughput import Figure, Throughput

OF_SPEED: Final = {
    "ttft_seconds": "ttft_seconds",
    "tpot_seconds": "tpot_seconds",
    "min_tokens_per_second": "decode_tokens_per_second",
}
"""Limits of speed, and the figure that is held to each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One limit and what a plan has of it.

    Attributes:
        limit: a field of ``Limits``.
        wanted: the limit.
        got: what the plan has, by the best figure; ``None`` where that is not known.
        interval: its 80 % interval; ``None`` where it has none.
        miss: how it is missed; ``None``: it is met.
    """

    limit: str
    wanted: float
    got: float | None
    interval: tuple[float, float] | None = None
    miss: Miss | None = None

    @property
    def open(self) -> bool:
        """Whether the limit lies within the interval, so that either may be."""
        return self.interval is not None and self.interval[0] < self.wanted < self.interval[1]


def held_to(plan: Plan, limits: Limits, throughput: Throughput | None) -> tuple[Held, ...]:
    """Return each limit that is set, with what the plan has of it.

    Args:
        plan: planned with the reserve kept free already.
        limits: what is asked; memory of the devices themselves is the plan's verdict.
        throughput: the plan's speed under the traffic that was asked.
    """
    cost = cost_of(plan.request.devices, limits.price_kind)
    misses = (*cost_misses(cost, limits), *speed_misses(throughput, limits), *host_misses(plan, limits))
    missed = {one.limit: one for one in misses}
    got = {**_figures(throughput), "max_watts": cost.watts, "max_price_per_hour": cost.of(limits.price_kind),
           "ram_bytes": plan.host_bytes}  # fmt: skip
    asked = ((name, getattr(limits, name)) for name in got)
    found = [
        Held(limit=name, wanted=wanted, got=got[name], interval=_interval(name, throughput),
             miss=missed.get(name))
        for name, wanted in asked if wanted is not None
    ]  # fmt: skip
    return (*found, *_reserve(plan, limits))


def _figures(throughput: Throughput | None) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name in OF_SPEED:
        figure = _figure(name, throughput)
        found[name] = figure.value if figure else None
    return {**found, "min_requests_per_second": served_per_second(throughput)}


def _figure(limit: str, throughput: Throughput | None) -> Figure | None:
    found: Figure | None = getattr(throughput, OF_SPEED[limit]) if throughput and limit in OF_SPEED else None
    return found


def _interval(limit: str, throughput: Throughput | None) -> tuple[float, float] | None:
    figure = _figure(limit, throughput)
    return (figure.low, figure.high) if figure else None


def _reserve(plan: Plan, limits: Limits) -> Iterator[Held]:
    """Yield what stays free of the fullest device, the reserve included; a plan has it already."""
    if not limits.reserve_bytes or plan.fit is None:
        return
    free = plan.fit.headroom_bytes + limits.reserve_bytes
    yield Held(
        limit=RESERVE, wanted=limits.reserve_bytes, got=free, miss=miss(RESERVE, limits.reserve_bytes, free)
    )
