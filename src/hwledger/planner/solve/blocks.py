"""Memory of very many candidates: devices x counts x layouts x weights x cache types, as arrays.

Two devices of one class differ in their context and their usable bytes only, so that a block of plans is
made once for a class (weights and caches apart, as ``planner/sweep.py`` does) and held against all of its
devices. Each entry equals the plan made alone; reported answers are planned again all the same.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwledger.device.spec import DeviceSpec
from hwledger.errors import HwledgerError
from hwledger.planner.memory import HOST, EngineMemory
from hwledger.planner.request import Request
from hwledger.planner.solve.choices import Layout, device_class, layouts_of, type_choices
from hwledger.planner.solve.quality import KV_CACHE, WEIGHTS
from hwledger.planner.solve.question import Question
from hwledger.planner.sweep import sweep
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
    """

    request: Request
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
        for layout in _layouts(question, len(members[0])):
            request = question.vary(question.request, devices=members[0], options=layout)
            for types in _accepted(question, request, weights, kv_caches):
                yield _block(question, request, tuple(members), layout, *types)


def _layouts(question: Question, count: int) -> tuple[Layout, ...]:
    return layouts_of(question.profile, question.request.spec, count)


def _classes(question: Question, sets: Sequence[Devices]) -> dict[Hashable, list[Devices]]:
    """Sets that get the same answer: equal in number, and alike device by device."""
    found: dict[Hashable, list[Devices]] = {}
    for devices in sets:
        alike = len(set(devices)) == 1
        key = device_class(question.profile, devices[0]) if alike else devices
        found.setdefault((len(devices), key), []).append(devices)
    return found


def _accepted(
    question: Question, request: Request, weights: Sequence[str | None], kv_caches: Sequence[str | None]
) -> Iterator[tuple[tuple[str | None, ...], tuple[str | None, ...]]]:
    """Yield the types that the engine takes; which caches it takes does not depend on the weights."""

    def taken(**changes: str | None) -> bool:
        try:
            question.profile.memory(question.vary(request, **changes))
        except HwledgerError:
            return False
        return True

    good_kv = tuple(kv for kv in kv_caches if kv is None or taken(kv_cache=kv))
    good_weights = tuple(name for name in weights if name is None or taken(weights=name))
    if (None in good_kv and None in good_weights) and not taken():
        return
    if good_kv and good_weights:
        yield good_weights, good_kv


def _block(  # noqa: PLR0913, PLR0917 - the axes
    question: Question, request: Request, sets: tuple[Devices, ...], layout: Layout,
    weights: tuple[str | None, ...], kv_caches: tuple[str | None, ...],
) -> Block:  # fmt: skip
    workload = request.workload
    bare = replace(request, devices=tuple(replace(d, context_bytes=0) for d in request.devices))
    swept = sweep(
        bare, question.profile, contexts=(workload.context_tokens,), concurrencies=(workload.concurrency,),
        kv_caches=kv_caches, weights=weights,
    )  # fmt: skip
    bytes_ = swept.device_bytes[:, :, 0, 0, :]
    shape = (len(sets), len(weights), len(kv_caches))
    first = question.profile.memory(bare)
    host = np.broadcast_to(_host(question, bare, weights, kv_caches), shape)
    context, usable = _contexts(question, request, first, sets)
    places = bytes_[None] + context[:, None, None, :]
    lacking = places - usable[:, None, None, :]
    fullest = lacking.argmax(axis=-1)[..., None]
    spread = np.broadcast_to(usable[:, None, None, :], places.shape)
    return Block(
        request=request, sets=sets, layout=layout, weights=weights, kv_caches=kv_caches,
        missing=np.take_along_axis(lacking, fullest, -1)[..., 0],
        usable=np.take_along_axis(spread, fullest, -1)[..., 0],
        total=places.sum(axis=-1) + host, host=host, runs=_runs(question, sets, weights, kv_caches),
    )  # fmt: skip


def _contexts(
    question: Question, request: Request, memory: EngineMemory, sets: tuple[Devices, ...]
) -> tuple[Bytes, Bytes]:
    """Context bytes that the engine adds, and usable bytes, of each place of each set."""
    probe = replace(request, devices=tuple(replace(d, context_bytes=MIB) for d in request.devices))
    places = len(request.devices)
    added = _placed(question.profile.memory(probe), places) - _placed(memory, places)
    own = np.array([[d.context_bytes for d in devices] for devices in sets], dtype=np.int64)
    free = np.array([[d.usable_bytes for d in devices] for devices in sets], dtype=np.int64)
    free = np.maximum(0, free - question.limits.reserve_bytes)
    lets: Any = getattr(question.profile, "usable_bytes", None)
    usable = lets(request, free, own) if lets else np.rint(free * memory.usable_share).astype(np.int64)
    return own * (added // MIB), usable


def _placed(memory: EngineMemory, places: int) -> Bytes:
    totals = [0] * places
    for component in memory.components:
        if component.place >= 0:
            totals[component.place] += component.size_bytes
    return np.array(totals, dtype=np.int64)


def _host(
    question: Question, request: Request, weights: tuple[str | None, ...], kv_caches: tuple[str | None, ...]
) -> Bytes:
    """Bytes in host memory, shape (weights, kv_caches): weights and caches apart."""

    def at(**changes: str | None) -> int:
        memory = question.profile.memory(question.vary(request, **{k: v for k, v in changes.items() if v}))
        return sum(c.size_bytes for c in memory.components if c.place == HOST)

    base = at()
    by_weights = np.array([at(weights=name) for name in weights], dtype=np.int64)
    by_cache = np.array([at(kv_cache=name) for name in kv_caches], dtype=np.int64)
    return by_weights[:, None] + by_cache[None, :] - base


def _runs(
    question: Question,
    sets: tuple[Devices, ...],
    weights: tuple[str | None, ...],
    kv_caches: tuple[str | None, ...],
) -> NDArray[np.bool_]:
    def able(kind: str, names: tuple[str | None, ...]) -> NDArray[np.bool_]:
        known = {c.name: c for c in type_choices(question.profile.name, kind)}
        return np.array([
            [name is None or name not in known or all(known[name].runs_on(d) for d in set(devices)) for name in names]
            for devices in sets
        ])  # fmt: skip

    return able(WEIGHTS, weights)[:, :, None] & able(KV_CACHE, kv_caches)[:, None, :]
