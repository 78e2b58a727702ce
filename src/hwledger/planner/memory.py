"""What an engine profile answers: the components of memory, each with its basis and its place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

HOST: Final = -1
"""Place of a component that lives in host memory; devices count from 0."""


class Basis(StrEnum):
    """How far a figure can be trusted."""

    EXACT = "exact"  # computed from headers or config by a rule checked against the engine
    MEASURED = "measured"  # seen in a run or reported by the engine
    CALIBRATED = "calibrated"  # fitted to measurements; carries an interval
    ASSUMED = "assumed"  # a stated assumption


class Category(StrEnum):
    """Which total of the plan a component adds to."""

    WEIGHTS = "weights"
    KV_CACHE = "kv_cache"
    STATE = "state"
    COMPUTE = "compute"
    OUTPUT = "output"
    GRAPH = "graph"
    RUNTIME = "runtime"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One part of the memory on one place.

    Attributes:
        name: what it is; the category's own name for its main part (``weights``, ``kv_cache``).
        category: total that it adds to. Host-side scratch is ``runtime``, so that ``compute``
            is what the devices need.
        size_bytes: best figure.
        basis: how far to trust it.
        source: rule, file and version, or measurement.
        place: device number, or ``HOST``.
        low_bytes, high_bytes: 80 % interval; equal to ``size_bytes`` where the figure is exact.
    """

    name: str
    category: Category
    size_bytes: int
    basis: Basis
    source: str
    place: int = 0
    low_bytes: int | None = None
    high_bytes: int | None = None

    @property
    def interval_bytes(self) -> tuple[int, int]:
        """The 80 % interval."""
        low = self.size_bytes if self.low_bytes is None else self.low_bytes
        high = self.size_bytes if self.high_bytes is None else self.high_bytes
        return low, high


@dataclass(frozen=True, slots=True)
class LayerMemory:
    """Memory of one decoder layer over all devices and all concurrent requests."""

    kv_cache_bytes: int
    state_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What an engine's KV pool holds.

    Attributes:
        kv_pool_bytes: bytes of the pool on one rank.
        max_tokens: tokens that the engine would print for it.
        max_concurrency: requests of full length that it would print.
    """

    kv_pool_bytes: int
    max_tokens: int
    max_concurrency: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineMemory:
    """An engine profile's answer.

    Attributes:
        components: every part, on every device and the host.
        layers: cache and state of each decoder layer, in order.
        context_tokens: tokens of one request as the engine resolves them.
        concurrency: requests as the engine resolves them.
        kv_type: number type of the cache, as the engine names it.
        options: every option that shaped the answer, defaults included.
        kv_cache_bytes_per_token: growth of the cache for one more token of one request, on all
            devices, at this length (sliding windows that are full do not grow).
        bytes_per_request: cache and state that one request of ``context_tokens`` takes.
        capacity: the pool, where the engine has one and its size is known.
        usable_share: share of each device that the engine lets itself use (vLLM's
            ``gpu_memory_utilization``).
        not_modelled: what is left out, in short sentences.
        warnings: what the user should know.
    """

    components: tuple[Component, ...]
    layers: tuple[LayerMemory, ...]
    context_tokens: int
    concurrency: int
    kv_type: str
    options: Mapping[str, object] = field(default_factory=dict)
    kv_cache_bytes_per_token: int = 0
    bytes_per_request: int = 0
    capacity: Capacity | None = None
    usable_share: float = 1.0
    not_modelled: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
