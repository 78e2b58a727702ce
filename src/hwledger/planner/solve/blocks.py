"""Memory of very many candidates: devices x counts x layouts x weights x cache types, as arrays.

Two devices of one class differ in their context and their usable bytes only, so that a block of plans is
made once for a class (weights and caches apart, as ``planner/sweep.py`` does) and held against all of its
devices. Each entry equals the plan made alone; reported answers are planned again all the same.
"""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwledger.device.spec import DeviceSpec
from hwledger.errors import HwledgerError
from hwledger.planner.memory import HOST, Category, EngineMemory
from hwledger.planner.request import Request
from hwledger.planner.solve.choices import Layout, device_class, layouts_of, type_choices
from hwledger.planner.solve.quality import KV_CACHE, WEIGHTS
from hwledger.planner.solve.question import Question
from hwledger.units import MIB

Devices = tuple[DeviceSpec, ...]
Bytes = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Block:
    """Plans of one class of devices, one count and one layout.

    Attributes:
        request: of the class's first set of devices; weights and cache type as in the question.
        sets: the sets of devices, alike in class and number.
        layout: options that share the model out.
        weights, kv_caches: the types, ``None`` as in the question.
        missing: bytes that the fullest device lacks (negative: that it keeps free), shape
            (sets, weights, kv_caches).
        usable: usable bytes of that device, same shape.
        total: bytes over all devices and the host, same shape.
        host: bytes in host memory, same shape.
        runs: whether the devices run the types, same shape.
        memory: the first plan of the block, contexts left out.
        kv_types: the cache types as the engine names them.
    """

    request: Request
    memory: EngineMemory
    kv_types: tuple[str, ...]
    sets: tuple[Devices, ...]
    layout: Layout
    weights: tuple[str | None, ...]
    kv_caches: tuple[str | None, ...]
    missing: Bytes
    usable: Bytes
    total: Bytes
    host: Bytes
    runs: NDArray[np.bool_]

    @property
    def size(self) -> int:
        """Candidates."""
        return int(self.missing.size)

    def request_of(self, question: Question, index: tuple[int, int, int]) -> Request:
        """Return the request of one candidate, by its place in the arrays."""
        devices, weights, kv = index
        return question.vary(
            self.request, devices=self.sets[devices], options=self.layout,
            weights=self.weights[weights] or self.request.weights,
            kv_cache=self.kv_caches[kv] or self.request.kv_cache,
        )  # fmt: skip


def blocks(
    question: Question,
    sets: Sequence[Devices],
    weights: Sequence[str | None],
    kv_caches: Sequence[str | None],
) -> Iterator[Block]:
    """Yield the blocks of every combination; what the engine refuses is left out."""
    for members in _classes(question, sets).values():
        for layout in layouts_of(question.profile, question.request.spec, len(members[0])):
            request = question.vary(question.request, devices=members[0], options=layout)
            made = _made(question, request, weights, kv_caches)
            if made is not None:
                yield _block(question, request, tuple(members), layout, made)


def _classes(question: Question, sets: Sequence[Devices]) -> dict[Hashable, list[Devices]]:
    """Sets that get the same answer: equal in number, and alike device by device."""
    found: dict[Hashable, list[Devices]] = {}
    for devices in sets:
        alike = all(device is devices[0] for device in devices)
        key = device_class(question.profile, devices[0]) if alike else devices
        found.setdefault((len(devices), key), []).append(devices)
    return found


@dataclass(frozen=True, slots=True)
class _Made:
    """Bytes of each place without contexts, shape (weights, kv_caches, places), and of the host."""

    weights: tuple[str | None, ...]
    kv_caches: tuple[str | None, ...]
    places: Bytes
    host: Bytes
    first: EngineMemory
    kv_types: tuple[str, ...]


def _made(
    question: Question, request: Request, weights: Sequence[str | None], kv_caches: Sequence[str | None]
) -> _Made | None:
    """Return the plans of every pair of types: weights and caches apart where the scratch allows it."""
    bare = replace(request, devices=tuple(replace(d, context_bytes=0) for d in request.devices))

    def plans(kind: str, names: Sequence[str | None], start: Request) -> dict[str | None, EngineMemory]:
        found = {}
        for name in names:
            with suppress(HwledgerError):  # the engine refuses the type
                found[name] = question.profile.memory(question.vary(start, **{kind: name}) if name else start)
        return found

    by_weights = plans("weights", weights, bare)
    if not by_weights:
        return None
    name, first = next(iter(by_weights.items()))
    start = question.vary(bare, weights=name) if name else bare
    by_cache = {None: first, **plans("kv_cache", [kv for kv in kv_caches if kv], start)}
    by_cache = {kv: by_cache[kv] for kv in kv_caches if kv in by_cache}
    kv_types = tuple(memory.kv_type for memory in by_cache.values())
    packed = np.stack([_placed(memory) for memory in by_weights.values()])
    cached = np.stack([_placed(memory) for memory in by_cache.values()])
    if len({_scratch(memory) for memory in by_weights.values()}) == 1:
        places = packed[:, None, :] + (cached - packed[0])[None]
    else:
        grid = [
            plans("kv_cache", list(by_cache), question.vary(bare, weights=w) if w else bare)
            for w in by_weights
        ]
        places = np.stack([np.stack([_placed(row[kv]) for kv in by_cache]) for row in grid])
    return _Made(tuple(by_weights), tuple(by_cache), places[..., 1:], places[..., 0], first, kv_types)


def _scratch(memory: EngineMemory) -> tuple[tuple[str, int, int], ...]:
    return tuple(
        (c.name, c.place, c.size_bytes) for c in memory.components if c.category is not Category.WEIGHTS
    )


def _placed(memory: EngineMemory) -> Bytes:
    """Bytes of the host and of each device, in this order."""
    places = max(component.place for component in memory.components) + 1
    totals = [0] * (1 + max(1, places))
    for component in memory.components:
        totals[component.place - HOST] += component.size_bytes
    return np.array(totals, dtype=np.int64)


def _block(
    question: Question, request: Request, sets: tuple[Devices, ...], layout: Layout, made: _Made
) -> Block:
    context, usable = _contexts(question, request, made.first, sets)
    places = made.places[None] + context[:, None, None, :]
    shape = (len(sets), *made.host.shape)
    lacking = places - usable[:, None, None, :]
    fullest = lacking.argmax(axis=-1)[..., None]
    spread = np.broadcast_to(usable[:, None, None, :], places.shape)
    host = np.broadcast_to(made.host, shape)
    return Block(
        request=request, memory=made.first, kv_types=made.kv_types, sets=sets, layout=layout, weights=made.weights, kv_caches=made.kv_caches,
        missing=np.take_along_axis(lacking, fullest, -1)[..., 0],
        usable=np.take_along_axis(spread, fullest, -1)[..., 0],
        total=places.sum(axis=-1) + host, host=host,
        runs=_able(question, WEIGHTS, sets, made.weights)[:, :, None]
        & _able(question, KV_CACHE, sets, made.kv_caches)[:, None, :],
    )  # fmt: skip


def _contexts(
    question: Question, request: Request, memory: EngineMemory, sets: tuple[Devices, ...]
) -> tuple[Bytes, Bytes]:
    """Context bytes that the engine adds, and usable bytes, of each place of each set."""
    probe = replace(request, devices=tuple(replace(d, context_bytes=MIB) for d in request.devices))
    added = (_placed(question.profile.memory(probe)) - _placed(memory))[1:]
    own = np.array([[d.context_bytes for d in devices[: len(added)]] for devices in sets], dtype=np.int64)
    free = np.array([[d.usable_bytes for d in devices[: len(added)]] for devices in sets], dtype=np.int64)
    free = np.maximum(0, free - question.limits.reserve_bytes)
    lets: Any = getattr(question.profile, "usable_bytes", None)
    usable = lets(request, free, own) if lets else np.rint(free * memory.usable_share).astype(np.int64)
    return own * (added // MIB), usable


def _able(
    question: Question, kind: str, sets: tuple[Devices, ...], names: tuple[str | None, ...]
) -> NDArray[np.bool_]:
    """Whether the devices of each set run each type, shape (sets, names)."""
    known = {choice.name: choice for choice in type_choices(question.profile.name, kind)}
    listed = [known.get(name or "") for name in names]
    rows = [
        [one is None or all(one.runs_on(d) for d in dict.fromkeys(devices)) for one in listed]
        for devices in sets
    ]
    return np.array(rows)
