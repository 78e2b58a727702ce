"""Questions to the solver, and a speed estimate whose every figure can be said by hand."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hwledger.device.spec import DeviceSpec
from hwledger.model.spec import ModelSpec
from hwledger.planner.engine import engine_profile
from hwledger.planner.memory import Basis
from hwledger.planner.plan import Plan, make_request
from hwledger.planner.solve.question import Question
from hwledger.planner.throughput import Figure, Throughput, Traffic
from hwledger.units import GIB


def question(
    spec: ModelSpec, engine: str = "vllm", devices: Sequence[DeviceSpec] = (), **more: Any
) -> Question:
    """Return a question; what the request knows goes there, the rest to the question."""
    profile = engine_profile(engine)
    knobs = {
        key: more.pop(key)
        for key in ("context", "concurrency", "weights", "kv_cache", "options")
        if key in more
    }
    return Question(request=make_request(spec, profile, devices=devices, **knobs), profile=profile, **more)


def device(usable_bytes: int, name: str = "made", **more: Any) -> DeviceSpec:
    """Return a device of so many usable bytes, without a context."""
    return DeviceSpec(name=name, vendor="any", memory_bytes=usable_bytes, usable_bytes=usable_bytes, **more)


def slow_with_depth(plan: Plan, traffic: Traffic) -> Throughput:
    """A microsecond a token of depth and user, and ten a token of the prompt, over the devices."""
    count = len(plan.request.devices) or 1
    tpot = 1e-6 * (1 + traffic.mean_depth) * traffic.concurrency / count
    ttft = 1e-5 * (1 + traffic.prompt_tokens) * traffic.concurrency / count
    return Throughput(
        traffic=traffic, ttft_seconds=_figure(ttft), tpot_seconds=_figure(tpot),
        decode_tokens_per_second=_figure(1 / tpot),
        aggregate_tokens_per_second=_figure(traffic.concurrency / tpot),
    )  # fmt: skip


def steady(plan: Plan, traffic: Traffic) -> Throughput:
    """A tenth of a second to the first token and 10 ms a token, however many there are."""
    del plan
    return Throughput(
        traffic=traffic, ttft_seconds=_figure(0.1), tpot_seconds=_figure(0.01),
        decode_tokens_per_second=_figure(100), aggregate_tokens_per_second=_figure(100 * traffic.concurrency),
    )  # fmt: skip


def unknown_speed(plan: Plan, traffic: Traffic) -> Throughput:
    """An estimate that knows nothing, and says so."""
    del plan
    return Throughput(traffic=traffic, unknown=("No figure of speed: nobody measured it.",))


def _figure(value: float) -> Figure:
    return Figure(value, value, value, Basis.ASSUMED, "test")


def shortened(spec: ModelSpec, context_length: int) -> ModelSpec:
    """Return a model that was made for fewer tokens."""
    return replace(spec, context_length=context_length)


PLENTY = 512 * GIB
