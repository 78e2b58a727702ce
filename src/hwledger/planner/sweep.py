"""Sweeps: thousands of plans of one model over context, concurrency, KV type and weight type.

Weights do not depend on the workload and caches do not depend on how the weights are packed, so the two
are planned apart and added as arrays. Where an engine's scratch does depend on the packing (copies of
offloaded tensors), every combination is planned in full.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwledger.planner.engine import EngineProfile
from hwledger.planner.memory import Category, EngineMemory
from hwledger.planner.request import Request, Workload

Bytes = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The plans of a sweep.

    Attributes:
        weights, kv_caches, contexts, concurrencies: the axes, in this order.
        device_bytes: planned bytes per device, shape (weights, kv_caches, contexts, concurrencies, devices).
        usable_bytes: what each device lets the engine use, shape (devices,); empty where none was given.
    """

    weights: tuple[str | None, ...]
    kv_caches: tuple[str | None, ...]
    contexts: tuple[int, ...]
    concurrencies: tuple[int, ...]
    device_bytes: Bytes
    usable_bytes: Bytes

    @property
    def total_bytes(self) -> Bytes:
        """Bytes over all devices, shape (weights, kv_caches, contexts, concurrencies)."""
        total: Bytes = self.device_bytes.sum(axis=-1)
        return total

    @property
    def fits(self) -> NDArray[np.bool_]:
        """Whether every device holds its share; all true where no device was given."""
        if not self.usable_bytes.size:
            return np.ones(self.device_bytes.shape[:-1], dtype=bool)
        return np.asarray((self.device_bytes <= self.usable_bytes).all(axis=-1))


def sweep(  # noqa: PLR0913 - the axes
    request: Request,
    profile: EngineProfile,
    *,
    contexts: Sequence[int],
    concurrencies: Sequence[int],
    kv_caches: Sequence[str | None] = (None,),
    weights: Sequence[str | None] = (None,),
) -> Sweep:
    """Return the plans of every combination of the axes; each equals the plan made alone.

    Args:
        request: everything that does not vary: model, version, options, devices.
        profile: the engine.
        contexts: tokens of one request.
        concurrencies: requests at once.
        kv_caches: number types of the cache; ``None``: as in ``request``.
        weights: types of the weights; ``None``: as in ``request``.

    Raises:
        UsageError: the engine refuses a combination.
    """
    plans = _Plans(request, profile)
    first = replace(request, workload=Workload(context_tokens=contexts[0], concurrency=concurrencies[0]))
    packed = [plans.at(first, kv_caches[0], name) for name in weights]
    if all(_scratch(memory) == _scratch(packed[0]) for memory in packed):
        shares = np.stack([plans.devices(memory, weights_only=True) for memory in packed])
        cached = plans.grid(first, kv_caches, contexts, concurrencies, weights[0])
        device_bytes = shares[:, None, None, None, :] + (cached - shares[0])[None]
    else:
        grids = [plans.grid(first, kv_caches, contexts, concurrencies, name) for name in weights]
        device_bytes = np.stack(grids)
    usable = [round(d.usable_bytes * packed[0].usable_share) for d in request.devices]
    return Sweep(
        weights=tuple(weights),
        kv_caches=tuple(kv_caches),
        contexts=tuple(contexts),
        concurrencies=tuple(concurrencies),
        device_bytes=device_bytes,
        usable_bytes=np.array(usable, dtype=np.int64),
    )


class _Plans:
    """Plans single points and adds them up per device."""

    def __init__(self, request: Request, profile: EngineProfile) -> None:
        self.request = request
        self.profile = profile
        self.places = max(1, len(request.devices))

    def at(self, request: Request, kv_cache: str | None, weights: str | None) -> EngineMemory:
        kv_cache = self.request.kv_cache if kv_cache is None else kv_cache
        weights = self.request.weights if weights is None else weights
        memory = self.profile.memory(replace(request, kv_cache=kv_cache, weights=weights))
        self.places = max(self.places, *(component.place + 1 for component in memory.components))
        return memory

    def devices(self, memory: EngineMemory, *, weights_only: bool = False) -> Bytes:
        totals = [0] * self.places
        for component in memory.components:
            if component.place >= 0 and (component.category is Category.WEIGHTS or not weights_only):
                totals[component.place] += component.size_bytes
        return np.array(totals, dtype=np.int64)

    def grid(
        self,
        request: Request,
        kv_caches: Sequence[str | None],
        contexts: Sequence[int],
        concurrencies: Sequence[int],
        weights: str | None,
    ) -> Bytes:
        """Return bytes per device, shape (kv_caches, contexts, concurrencies, devices)."""
        shape = (len(kv_caches), len(contexts), len(concurrencies), self.places)
        points = [
            self.devices(
                self.at(replace(request, workload=Workload(context_tokens=c, concurrency=u)), kv, weights)
            )
            for kv in kv_caches
            for c in contexts
            for u in concurrencies
        ]
        return np.array(points, dtype=np.int64).reshape(shape)


def _scratch(memory: EngineMemory) -> list[tuple[str, int, int]]:
    return [
        (component.name, component.place, component.size_bytes)
        for component in memory.components
        if component.category is not Category.WEIGHTS
    ]
