"""The speed of a plan that runs on the host's processor alone: bytes and operations over what its cores do.

Processors differ more than their memory tells, and nobody measured this one: both rates are assumptions with
wide intervals, which one measured run of the user's own narrows (``calibration.py``).
"""

from dataclasses import dataclass, replace
from typing import Final

from hwledger.device.spec import DeviceSpec
from hwledger.planner.memory import Basis
from hwledger.planner.plan import Plan
from hwledger.planner.throughput.assumptions import Assumed, assumed
from hwledger.planner.throughput.figure import Figure, Throughput, Traffic
from hwledger.planner.throughput.single import Time, between_tokens, first_token
from hwledger.planner.throughput.terms import MICROSECOND
from hwledger.planner.throughput.work import Work, cached_element_bytes, plan_work

PROCESSOR: Final = "processor"
"""The ``category`` of a host's processor with its memory, where it stands for a device."""


def is_processor(device: DeviceSpec) -> bool:
    """Whether a device is the host's processor."""
    return device.category == PROCESSOR


def on_processor(plan: Plan, processor: DeviceSpec) -> Plan:
    """Return a plan of the host's memory as one on its processor; what it holds stays as it is."""
    return replace(plan, request=replace(plan.request, devices=(processor,)))


def processor_name(device: DeviceSpec) -> str:
    """Return what a processor is called where measured runs of it are kept: its model and its cores."""
    return f"{device.architecture or 'processor'} ({device.units or 1} cores)"


def estimate_processor(plan: Plan, traffic: Traffic) -> Throughput:
    """Return the speed of a plan on the processor of its first device; a rate of arrivals is not modelled.

    A token reads the weights once, at the rate of all cores or that of the memory, whichever is less, and
    its cache at a share of it; further requests of a step and prompts cost operations.
    """
    if not (plan.spec.tensors or plan.spec.stored_tensors):
        why = "No figure of speed: the weights are unknown: only metadata was read."
        return Throughput(traffic=traffic, unknown=(why,))
    timed = _Processor(plan, plan_work(plan), plan.request.devices[0].units or 1, traffic)
    step, users = timed.step(), traffic.concurrency
    prompt = timed.prompt() if traffic.prompt_tokens else step
    each = _figure(between_tokens(step, prompt, traffic))
    answer = Throughput(
        traffic=traffic, decode_tokens_per_second=each.inverse(), tpot_seconds=each,
        aggregate_tokens_per_second=each.inverse().scaled(users),
    )  # fmt: skip
    if not traffic.prompt_tokens:
        return replace(answer, unknown=("No figure of prefill: there is no prompt.",))
    return replace(
        answer, prefill_tokens_per_second=_figure(prompt).inverse().scaled(traffic.prompt_tokens),
        ttft_seconds=_figure(first_token(step, prompt, traffic)),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Processor:
    """One plan on ``cores`` cores."""

    plan: Plan
    work: Work
    cores: int
    traffic: Traffic

    def step(self) -> Time:
        """Return the time of one token of each request."""
        work, users = self.work, self.traffic.concurrency
        cache = work.cache_bytes(self.traffic.mean_depth, *cached_element_bytes(self.plan))
        share, own = assumed("processor_cache_share"), users * (cache + work.state_traffic_bytes())
        ends = (share.value, share.high, share.low)
        sizes = [work.weight_bytes(users) + own / end for end in ends]
        rate = self._reading()
        read = [size / per for size, per in zip(sizes, (rate.value, rate.high, rate.low), strict=True)]
        more = _over((users - 1) * 2.0 * work.active_parameters, self._computing())
        each = assumed("host_layer_microseconds")
        layers = [work.layers * end * MICROSECOND for end in (each.value, each.low, each.high)]
        return _time([a + b + c for a, b, c in zip(read, more, layers, strict=True)])

    def prompt(self) -> Time:
        """Return the time of one prompt: its operations, or reading the weights once where it is short."""
        tokens, depth = self.traffic.prompt_tokens, self.traffic.cached_tokens
        computed = _over(self.work.prefill_flops(tokens, depth), self._computing())
        read = _over(self.work.weight_bytes(tokens), self._reading())
        return _time([max(pair) for pair in zip(computed, read, strict=True)])

    def _reading(self) -> Assumed:
        """Return the bytes per second that all cores take in: theirs or the memory's, whichever is less."""
        core, memory = assumed("processor_core_bytes_per_second"), assumed("host_bandwidth_bytes_per_second")
        share = assumed("host_bandwidth_share")
        return Assumed(
            min(self.cores * core.value, memory.value * share.value),
            min(self.cores * core.low, memory.low * share.low),
            min(self.cores * core.high, memory.high * share.high), core.source,
        )  # fmt: skip

    def _computing(self) -> Assumed:
        core = assumed("processor_core_flops_per_second")
        return Assumed(self.cores * core.value, self.cores * core.low, self.cores * core.high, core.source)


def _over(amount: float, rate: Assumed) -> tuple[float, float, float]:
    """Return best, least and most seconds."""
    return amount / rate.value, amount / rate.high, amount / rate.low


def _time(ends: "list[float] | tuple[float, float, float]") -> Time:
    value, low, high = ends
    return Time(value, low, high, {"processor": value}, "no measurement of this processor ships")


def _figure(time: Time) -> Figure:
    source = (
        "bytes and operations over assumed rates of a processor's core (planner/throughput/data/assumed.csv);"
        f" {time.source}"
    )
    return Figure(time.value, time.low, time.high, Basis.ASSUMED, source)
