"""The smallest changes that make a plan fit: found by planning again, never by scaling figures."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from hwledger.device.spec import DeviceSpec
from hwledger.errors import HwledgerError
from hwledger.model.number_types import number_type
from hwledger.planner.engine import EngineProfile
from hwledger.planner.fit import Change, Verdict
from hwledger.planner.plan import Plan, plan_request
from hwledger.planner.request import OptionValue, Request, Workload
from hwledger.planner.weights import weigh
from hwledger.units import format_tokens

CONTEXT_STEP: Final = 256
MOST_DEVICES: Final = 16
SHOWN: Final = 3
# Engine options that fix what a change would alter; a change then has to go through them.
CONTEXT_OPTIONS: Final = ("n_ctx", "max_model_len", "max_cache_len", "max_kv_size")
CONCURRENCY_OPTIONS: Final = ("n_parallel", "max_num_seqs")


def find_changes(plan: Plan, profile: EngineProfile) -> tuple[Change, ...]:
    """Return up to three changes that make ``plan`` fit, the one that gives up least first."""
    attempt = _Attempt(plan, profile)
    found = [c for search in (_weights, _kv_cache, _context, _concurrency, _devices) for c in search(attempt)]
    return tuple(sorted(found, key=lambda change: change.loss)[:SHOWN])


class _Attempt:
    """Plans variations of one request and turns those that fit into changes."""

    def __init__(self, plan: Plan, profile: EngineProfile) -> None:
        self.plan = plan
        self.request = plan.request
        self.profile = profile

    def fitting(self, request: Request) -> Plan | None:
        try:
            plan = plan_request(request, self.profile)
        except HwledgerError:  # the engine refuses the variation
            return None
        return plan if plan.fit and plan.fit.verdict is not Verdict.DOES_NOT_FIT else None

    def change(self, kind: str, before: str, after: str, request: Request, loss: float) -> Iterator[Change]:
        plan = self.fitting(request)
        if plan and plan.fit:
            yield Change(
                kind=kind, before=before, after=after, total_bytes=plan.total_bytes,
                headroom_bytes=plan.fit.headroom_bytes, loss=loss,
            )  # fmt: skip

    def without(self, *names: str) -> dict[str, OptionValue]:
        return {key: value for key, value in self.request.options.items() if key not in names}


def _weights(attempt: _Attempt) -> Iterator[Change]:
    before = weigh(attempt.request.spec, attempt.request.weights).total
    for name in getattr(attempt.profile, "weight_types", ()):
        after = weigh(attempt.request.spec, name).total
        if after >= before:
            continue
        found = list(
            attempt.change("weights", attempt.request.weights or "as stored", name,
                           replace(attempt.request, weights=name), 0.5 * (1 - after / before))
        )  # fmt: skip
        if found:
            yield from found
            return


def _kv_cache(attempt: _Attempt) -> Iterator[Change]:
    before = attempt.plan.memory.kv_type
    for name in getattr(attempt.profile, "kv_types", ()):
        request = replace(
            attempt.request, kv_cache=name,
            options=attempt.without("cache_type_k", "cache_type_v", "kv_cache_dtype", "kv_bits"),
        )  # fmt: skip
        found = list(attempt.change("kv_cache", before, name, request, 0.4 * (1 - _bits(name) / 16)))
        if found and name != before:
            yield from found
            return


def _bits(name: str) -> float:
    try:
        return number_type(name).bits
    except HwledgerError:  # a packing that only the engine knows
        return 8.0


def _context(attempt: _Attempt) -> Iterator[Change]:
    tokens = attempt.plan.memory.context_tokens
    users = attempt.plan.memory.concurrency
    options = attempt.without(*CONTEXT_OPTIONS)

    def request(value: int) -> Request:
        workload = Workload(context_tokens=value, concurrency=users)
        return replace(attempt.request, workload=workload, options=options)

    best = _largest(tokens // CONTEXT_STEP, lambda n: attempt.fitting(request(n * CONTEXT_STEP)) is not None)
    if best:
        value = best * CONTEXT_STEP
        yield from attempt.change(
            "context", format_tokens(tokens), format_tokens(value), request(value), 1 - value / tokens
        )


def _concurrency(attempt: _Attempt) -> Iterator[Change]:
    users = attempt.plan.memory.concurrency
    options = attempt.without(*CONCURRENCY_OPTIONS, *CONTEXT_OPTIONS)
    tokens = attempt.plan.memory.context_tokens

    def request(value: int) -> Request:
        workload = Workload(context_tokens=tokens, concurrency=value)
        return replace(attempt.request, workload=workload, options=options)

    best = _largest(users - 1, lambda n: attempt.fitting(request(n)) is not None)
    if best:
        yield from attempt.change("concurrency", str(users), str(best), request(best), 1 - best / users)


def _devices(attempt: _Attempt) -> Iterator[Change]:
    devices = attempt.request.devices
    if any(device.unified and not device.vendor for device in devices):  # the host's memory: there is one
        return
    options = attempt.without("tensor_parallel_size", "tensor_split")
    for count in range(len(devices) + 1, MOST_DEVICES + 1):
        more = (*devices, *(devices[-1],) * (count - len(devices)))
        request = replace(attempt.request, devices=more, options=options)
        before, after = _counted(devices), _counted(more)
        found = list(attempt.change("devices", before, after, request, 0.3 * (count - len(devices))))
        if found:
            yield from found
            return


def _counted(devices: Sequence[DeviceSpec]) -> str:
    """Return devices as people write them: ``2 x H100 SXM 80GB``, ``RTX 3090, 2 x RTX 3080 10GB``."""
    counts = Counter(device.name for device in devices)
    alone = len(counts) == 1
    return ", ".join(f"{n} x {name}" if n > 1 or alone else name for name, n in counts.items())


def _largest(most: int, works: Callable[[int], bool]) -> int:
    """Return the largest ``n`` in 1..most that works, or 0; ``works`` holds up to some ``n`` only."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if works(middle):
            low = middle
        else:
            high = middle - 1
    return low
