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
_Pair = tuple[str | None, str | None]
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
        kv_types: the cache types as the engine names them, and what one more token adds to each in bytes.
    """

    request: Request
    memory: EngineMemory
    kv_types: tuple[tuple[str, int], ...]
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
    maker = _Maker(question, weights, kv_caches)
    for members in _classes(question, sets).values():
        alike = _Alike(question, tuple(members))
        for layout in layouts_of(question.profile, question.request.spec, len(members[0])):
            request = question.vary(question.request, devices=members[0], options=layout)
            made = maker.made(request, layout)
            if made is not None:
                yield _block(question, request, alike, layout, made, maker.contexts(request, made.first))


def _classes(question: Question, sets: Sequence[Devices]) -> dict[Hashable, list[Devices]]:
    """Sets that get the same answer: equal in number, and alike device by device."""
    found: dict[Hashable, list[Devices]] = {}
    firsts = {id(devices[0]): devices[0] for devices in sets}
    classes = {key: device_class(question.profile, one) for key, one in firsts.items()}
    for devices in sets:
        alike = all(device is devices[0] for device in devices)
        key = classes[id(devices[0])] if alike else devices
        found.setdefault((len(devices), key), []).append(devices)
    return found


class _Alike:
    """Sets of devices of one class: their bytes as arrays, and what they run, seen once for all layouts."""

    def __init__(self, question: Question, sets: tuple[Devices, ...]) -> None:
        self.sets, self.engine = sets, question.profile.name
        self.contexts = np.array([[d.context_bytes for d in devices] for devices in sets], dtype=np.int64)
        usable = np.array([[d.usable_bytes for d in devices] for devices in sets], dtype=np.int64)
        self.free = np.maximum(0, usable - question.limits.reserve_bytes)
        self._able: dict[tuple[str, tuple[str | None, ...]], NDArray[np.bool_]] = {}

    def able(self, kind: str, names: tuple[str | None, ...]) -> NDArray[np.bool_]:
        """Return whether the devices of each set run each type, shape (sets, names)."""
        if (kind, names) not in self._able:
            self._able[kind, names] = _able(self.engine, kind, self.sets, names)
        return self._able[kind, names]


@dataclass(frozen=True, slots=True)
class _Made:
    """Bytes of each place without contexts, shape (weights, kv_caches, places), and of the host."""

    weights: tuple[str | None, ...]
    kv_caches: tuple[str | None, ...]
    places: Bytes
    host: Bytes
    first: EngineMemory
    kv_types: tuple[tuple[str, int], ...]


class _Maker:
    """Makes the plans of blocks; what two classes of devices are seen to share is made once."""

    def __init__(
        self, question: Question, weights: Sequence[str | None], kv_caches: Sequence[str | None]
    ) -> None:
        self.question = question
        self.weights, self.kv_caches = tuple(weights), tuple(kv_caches)
        self._layouts: dict[tuple[object, ...], _Made] = {}
        self._alike: dict[tuple[Hashable, ...], bool] = {}
        self._contexts: dict[tuple[int, object], Bytes] = {}

    def made(self, request: Request, layout: Layout) -> _Made | None:
        """Return the plans of every pair of types, without contexts; ``None`` where the engine refuses."""
        bare = replace(request, devices=_with_context(request.devices, 0))
        key = (len(request.devices), *layout.items())
        known = self._layouts.get(key)
        if known is not None and (again := self._again(bare, known, request.devices)):
            return again
        made = self._all(bare)
        if made is not None:
            self._layouts[key] = made
        return made

    def _again(self, bare: Request, known: _Made, devices: Devices) -> _Made | None:
        """Return another class's plans where its first and its last pair differ by what all pairs do.

        Classes differ in their scratch (a larger batch); weights and caches are the layout's. The last
        pair is planned to see that this holds, once for a class and a number of devices.
        """
        first = self._plan(bare, known.weights[0], known.kv_caches[0])
        if first is None:
            return None
        more = _placed(first) - np.array([known.host[0, 0], *known.places[0, 0]])
        each = {id(device): device for device in devices}.values()
        kind = (len(bare.devices), *(device_class(self.question.profile, one) for one in each))
        if kind not in self._alike:
            last = self._plan(bare, known.weights[-1], known.kv_caches[-1])
            least = np.array([known.host[-1, -1], *known.places[-1, -1]])
            self._alike[kind] = last is not None and not (_placed(last) - least != more).any()
        if not self._alike[kind]:
            return None
        return replace(known, places=known.places + more[1:], host=known.host + more[0], first=first)

    def _all(self, bare: Request) -> _Made | None:
        by_weights = self._plans(bare, [(name, None) for name in self.weights])
        if not by_weights:
            return None
        (name, _), first = next(iter(by_weights.items()))
        by_cache = {(name, None): first, **self._plans(bare, [(name, kv) for kv in self.kv_caches if kv])}
        types = [kv for kv in self.kv_caches if (name, kv) in by_cache]
        packed = np.stack([_placed(memory) for memory in by_weights.values()])
        cached = np.stack([_placed(by_cache[name, kv]) for kv in types])
        if len({_scratch(memory) for memory in by_weights.values()}) == 1:
            places = packed[:, None, :] + (cached - cached[0])[None]
        else:
            pairs = [[(w, kv) for kv in types] for w, _ in by_weights]
            places = np.stack(
                [np.stack(list(map(_placed, self._plans(bare, row).values()))) for row in pairs]
            )
        return _Made(
            tuple(w for w, _ in by_weights), tuple(types), places[..., 1:], places[..., 0], first,
            tuple((m.kv_type, m.kv_cache_bytes_per_token) for m in (by_cache[name, kv] for kv in types)),
        )  # fmt: skip

    def _plans(self, bare: Request, pairs: Sequence[_Pair]) -> dict[_Pair, EngineMemory]:
        plans = ((pair, self._plan(bare, *pair)) for pair in pairs)
        return {pair: memory for pair, memory in plans if memory is not None}

    def _plan(self, bare: Request, weights: str | None, kv_cache: str | None) -> EngineMemory | None:
        changes = {k: v for k, v in (("weights", weights), ("kv_cache", kv_cache)) if v}
        request = self.question.vary(bare, **changes) if changes else bare
        with suppress(HwledgerError):  # the engine refuses the types
            return self.question.profile.memory(request)
        return None

    def contexts(self, request: Request, bare: EngineMemory) -> Bytes:
        """Return 1 for each place to which the engine adds a context, else 0; seen by adding one."""
        key = (len(request.devices), device_class(self.question.profile, request.devices[0]))
        places = len(_placed(bare))
        if key not in self._contexts or len(self._contexts[key]) != places - 1:
            probe = replace(request, devices=_with_context(request.devices, MIB))
            added = _placed(self.question.profile.memory(probe)) - _placed(bare)
            self._contexts[key] = added[1:] // MIB
        return self._contexts[key]


def _with_context(devices: Devices, size_bytes: int) -> Devices:
    """The devices with so large a context; one that is there several times stays one."""
    each = {id(one): one for one in devices}
    changed = {key: replace(one, context_bytes=size_bytes) for key, one in each.items()}
    return tuple(changed[id(one)] for one in devices)


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


def _block(  # noqa: PLR0913, PLR0917 - one place builds the block
    question: Question,
    request: Request,
    alike: _Alike,
    layout: Layout,
    made: _Made,
    contexts: Bytes,
) -> Block:
    context, usable = _room(question, request, made.first, alike)
    context = context * contexts
    places = made.places[None] + context[:, None, None, :]
    shape = (len(alike.sets), *made.host.shape)
    lacking = places - usable[:, None, None, :]
    fullest = lacking.argmax(axis=-1)[..., None]
    spread = np.broadcast_to(usable[:, None, None, :], places.shape)
    host = np.broadcast_to(made.host, shape)
    return Block(
        request=request, memory=made.first, kv_types=made.kv_types, sets=alike.sets, layout=layout,
        weights=made.weights, kv_caches=made.kv_caches,
        missing=np.take_along_axis(lacking, fullest, -1)[..., 0],
        usable=np.take_along_axis(spread, fullest, -1)[..., 0],
        total=places.sum(axis=-1) + host, host=host,
        runs=alike.able(WEIGHTS, made.weights)[:, :, None] & alike.able(KV_CACHE, made.kv_caches)[:, None, :],
    )  # fmt: skip


def _room(question: Question, request: Request, memory: EngineMemory, alike: _Alike) -> tuple[Bytes, Bytes]:
    """Bytes of a context, and bytes that the engine lets itself use, on each place of each set."""
    places = len(_placed(memory)) - 1
    own, free = alike.contexts[:, :places], alike.free[:, :places]
    lets: Any = getattr(question.profile, "usable_bytes", None)
    return own, lets(request, free, own) if lets else np.rint(free * memory.usable_share).astype(np.int64)


def _able(
    engine: str, kind: str, sets: tuple[Devices, ...], names: tuple[str | None, ...]
) -> NDArray[np.bool_]:
    """Whether the devices of each set run each type, shape (sets, names)."""
    known = {choice.name: choice for choice in type_choices(engine, kind)}
    listed = [known.get(name or "") for name in names]

    seen: dict[tuple[tuple[str, str], ...], list[bool]] = {}

    def row(devices: Devices) -> list[bool]:
        each = {(device.vendor, device.compute_capability): device for device in devices}
        kinds = tuple(each)  # what a type runs on is a matter of these two
        if kinds not in seen:
            seen[kinds] = [one is None or all(map(one.runs_on, each.values())) for one in listed]
        return seen[kinds]

    return np.array([row(devices) for devices in sets])
