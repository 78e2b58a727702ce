"""Speeds of very many candidates as arrays, from the terms and loads of the one estimator.

Nothing is modelled here: sizes come from ``decode_terms``, ``prefill_terms`` and ``loads_of``, constants and
formulas from the same places as ``estimate`` takes them, asked once for a type of weights on a kind of device
and with arrays over the rest. A test holds each entry against ``estimate`` of the plan made alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hwledger.device.spec import DeviceSpec
from hwledger.planner.plan import Plan
from hwledger.planner.solve.blocks import Block
from hwledger.planner.solve.question import Question
from hwledger.planner.throughput import Traffic, cached_element_bytes, work_of
from hwledger.planner.throughput.constants import shipped_constants
from hwledger.planner.throughput.decode import decode_terms
from hwledger.planner.throughput.prefill import prefill_terms
from hwledger.planner.throughput.serving import serves
from hwledger.planner.throughput.serving_case import case_of_plan
from hwledger.planner.throughput.serving_constants import shipped_constants as serving_constants
from hwledger.planner.throughput.serving_constants import tags_of
from hwledger.planner.throughput.serving_loads import (
    KEPT_BACK_BYTES,
    MEMORY_SHARE,
    UNLIMITED,
    ServingCase,
    loads_of,
    rank_bytes,
    rate_of,
    wire_of,
)
from hwledger.planner.throughput.serving_model import Multipliers, serve
from hwledger.planner.throughput.setting import Setting, setting_of
from hwledger.planner.throughput.silicon import Silicon, silicon_of
from hwledger.planner.throughput.single import Time, _first, _per_token  # the estimator's own sums
from hwledger.planner.throughput.terms import MICROSECOND, Term
from hwledger.planner.throughput.work import Work

Array = NDArray[np.float64]
SINGLE: Final = frozenset({"llama.cpp", "mlx"})
UNIT: Final = 1e12
"""Bandwidth and rates of the device that loads are asked for; they are inversely proportional to them."""
BANDWIDTH_BOUND: Final = ("dense_seconds", "expert_seconds", "cache_seconds", "state_seconds")
CLASS_BOUND: Final = ("matrix_seconds", "prefill_matrix_seconds")
PLAIN_BOUND: Final = ("attention_seconds", "prefill_attention_seconds")


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of every candidate of a block, shape (sets, weights, kv_caches); not a number: not known."""

    ttft: Array
    tpot: Array


def pace_of(question: Question, block: Block) -> Pace:
    """Return the speeds of a block's candidates under the question's traffic."""
    made = np.full((2, *block.missing.shape), np.nan)
    alike = all(device is block.sets[0][0] for device in block.sets[0])
    find: Callable[[Question, Block, Array], None] | None = None
    if alike and question.profile.name in SINGLE:
        find = _single
    elif alike and serves(question.profile.name):
        find = _serving
    if find is None:
        _one_by_one(question, block, made)
    else:
        find(question, block, made)
    return Pace(ttft=made[0], tpot=made[1])


def _one_by_one(question: Question, block: Block, made: Array) -> None:
    """Mixed devices and engines without arrays: the estimator as it is."""
    if question.estimator is None:
        return
    for index in np.ndindex(*block.missing.shape):
        request = block.request_of(question, index)
        plan = Plan(request=request, engine=question.profile.name, memory=question.profile.memory(request))
        found = question.estimator(plan, question.traffic(plan))
        if found.ttft_seconds:
            made[0][index] = found.ttft_seconds.value
        if found.tpot_seconds:
            made[1][index] = found.tpot_seconds.value


def _plans(question: Question, block: Block) -> list[Plan]:
    """The plan of the first set for each cache type, weights as in the question."""
    plans = []
    for kv in range(len(block.kv_caches)):
        request = block.request_of(question, (0, 0, kv))
        memory = replace(block.memory, kv_type=block.kv_types[kv])
        plans.append(Plan(request=request, engine=question.profile.name, memory=memory))
    return plans


def _single(question: Question, block: Block, made: Array) -> None:
    """llama.cpp with all layers on alike devices, and mlx: sums of terms that are linear in the shares."""
    plans = _plans(question, block)
    elements = np.array([cached_element_bytes(plan) for plan in plans]).T
    traffic, count = question.traffic(plans[0]), len(block.sets[0])
    if count > 1 and question.profile.name == "mlx":
        return
    for w, name in enumerate(block.weights):
        request = replace(plans[0].request, weights=name or block.request.weights)
        plan, work = replace(plans[0], request=request), work_of(request.spec, request.weights)
        for s, devices in enumerate(block.sets):
            silicon, setting = silicon_of(devices[0], power_share(devices[0])), setting_of(plan, devices[0])
            if silicon is None or f"e.on:{silicon.vendor} {setting.backend}" not in shipped_constants().values:
                continue
            found = _single_times(work, silicon, setting, traffic, elements.tobytes(), count)
            made[0, s, w], made[1, s, w] = found


def _single_times(  # noqa: PLR0913, PLR0917 - what a step depends on
    work: Work, silicon: Silicon, setting: Setting, traffic: Traffic, elements: bytes, count: int
) -> tuple[Any, Any]:
    """TTFT and TPOT over the cache types."""
    step = _parts(work, silicon, setting, traffic, elements)
    hops = (Term("hops", (count - 1) * MICROSECOND, (("h", 1.0),)),) if count > 1 else ()
    seconds = step + sum(shipped_constants().parts(hops).values())
    if not traffic.prompt_tokens:
        return np.nan, seconds
    prompt = _prompt(work, silicon, setting, traffic, count)
    if prompt is None:
        return np.nan, seconds
    times = Time(seconds, seconds, seconds, {}, ""), Time(prompt, prompt, prompt, {}, "")
    return _first(*times, traffic).value, _per_token(*times, traffic).value


def _parts(work: Work, silicon: Silicon, setting: Setting, traffic: Traffic, elements: bytes) -> Any:
    """Seconds of one step on one device over the cache types."""
    key, value = np.frombuffer(elements).reshape(2, -1)
    users = traffic.concurrency
    terms = list(decode_terms(work, silicon, setting, depth=traffic.mean_depth, cache_bytes=(key, value), batch=users))  # type: ignore[arg-type] # arithmetic takes arrays
    if users > 1:
        more = prefill_terms(work, silicon, setting, tokens=users - 1) or ()
        terms += [term for term in more if term.name in {"matrices", "expert matrices"}]
    return sum(shipped_constants().parts(terms).values())


def _prompt(work: Work, silicon: Silicon, setting: Setting, traffic: Traffic, stages: int) -> float | None:
    terms = prefill_terms(
        work, silicon, setting, tokens=traffic.prompt_tokens, depth=traffic.cached_tokens, stages=stages
    )
    return None if terms is None else sum(shipped_constants().parts(terms).values())


def power_share(device: DeviceSpec) -> float:
    """Return the limit that is set on a device as a share of its board power."""
    return device.power_watts / device.tdp_watts if device.power_watts and device.tdp_watts else 1.0


def _serving(question: Question, block: Block, made: Array) -> None:
    """vLLM: loads at unit rates, divided by each device's own; constants by architecture and packing."""
    plans = _plans(question, block)
    traffic = question.traffic(plans[0])
    if traffic.requests_per_second is not None:
        _one_by_one(question, block, made)
        return
    chips = _Chips(tuple(devices[0] for devices in block.sets))
    for w, name in enumerate(block.weights):
        for k, plan in enumerate(plans):
            request = replace(plan.request, weights=name or block.request.weights)
            case = case_of_plan(replace(plan, request=request))
            constants, known = chips.constants(case)
            loads = chips.loads(case, traffic)
            with np.errstate(all="ignore"):
                served = serve(loads, constants)
            made[0, :, w, k] = np.where(known, served.ttft, np.nan)
            made[1, :, w, k] = np.where(known, served.tpot, np.nan)


class _Chips:
    """Devices as arrays."""

    def __init__(self, devices: tuple[DeviceSpec, ...]) -> None:
        self.devices = devices
        self.slowed = np.array([min(1.0, power_share(d)) for d in devices])
        self.bandwidth = np.array([d.bandwidth_bytes_per_second or np.nan for d in devices], dtype=float)
        self.plain = np.array([rate_of(d, "plain")[0] or np.nan for d in devices]) * self.slowed
        self.wire = np.array([wire_of(d) or np.nan for d in devices], dtype=float)
        self.usable = np.array([d.usable_bytes for d in devices], dtype=float)

    def rate(self, weights: str) -> Array:
        """Dense rate for a class of weights."""
        return np.array([rate_of(d, weights)[0] or np.nan for d in self.devices]) * self.slowed

    def constants(self, case: ServingCase) -> tuple[Any, NDArray[np.bool_]]:
        """The constants of each device, and whether its speed is known."""
        found: dict[tuple[str, ...], Multipliers] = {}
        rows = []
        for device in self.devices:
            tags = tags_of(replace(case, device=device))
            if tags not in found:
                found[tags] = serving_constants().apply(tags)
            rows.append(found[tags])
        arrays = {f.name: np.array([getattr(row, f.name) for row in rows]) for f in fields(Multipliers)}
        known = np.isfinite(self.bandwidth) & np.isfinite(self.rate(case.weights))
        if case.parallel.tensor > 1:
            known &= np.isfinite(self.wire)
        return Multipliers(**arrays), known

    def loads(self, case: ServingCase, traffic: Traffic) -> Any:
        """The loads of each device."""
        unit = replace(
            case.device, bandwidth_bytes_per_second=int(UNIT), link_bytes_per_second=int(UNIT), usable_bytes=int(UNIT) ** 2,
            rates=dict.fromkeys(("bf16", "fp16", "fp32", "fp8", "fp4", "int8"), UNIT),
        )  # fmt: skip
        one = loads_of(replace(case, device=unit), traffic)
        scaled: dict[str, Any] = {name: getattr(one, name) * (UNIT / self.bandwidth) for name in BANDWIDTH_BOUND}
        scaled |= {name: getattr(one, name) * (UNIT / self.rate(case.weights)) for name in CLASS_BOUND}
        scaled |= {name: getattr(one, name) * (UNIT / self.plain) for name in PLAIN_BOUND}
        scaled["wire_seconds"] = one.wire_seconds * (UNIT / np.where(np.isfinite(self.wire), self.wire, np.inf))
        scaled["running"] = self._running(case, traffic)
        return replace(one, **scaled)

    def _running(self, case: ServingCase, traffic: Traffic) -> Array:
        """Requests that memory holds at once, of those that are asked for."""
        held, one = rank_bytes(case, traffic.mean_depth)
        room = self.usable * MEMORY_SHARE - KEPT_BACK_BYTES - held
        most = room / one * case.parallel.data if one else np.full_like(room, UNLIMITED)
        most = np.clip(most, 1.0, float((case.most_running or UNLIMITED) * case.parallel.data))
        return np.maximum(1.0, np.minimum(float(traffic.concurrency), most))

