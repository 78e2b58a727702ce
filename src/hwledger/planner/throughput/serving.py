"""How fast vLLM, SGLang and TensorRT-LLM serve: TTFT, TPOT and tokens per second, from one user to many.

One code path whatever the number of users: a single stream is a batch of one. Figures are those of
``serving_model`` with the constants that ship, and their 80 % interval is what the same model missed by
on models, devices and engines that were left out of its fit.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from hwledger.device.node import Node
from hwledger.errors import UsageError
from hwledger.planner.memory import Basis
from hwledger.planner.plan import Plan
from hwledger.planner.throughput.figure import Figure, Throughput, Traffic
from hwledger.planner.throughput.measured import SERVED
from hwledger.planner.throughput.serving_case import case_of_plan, drafted_tokens
from hwledger.planner.throughput.serving_constants import (
    Spread,
    shipped_constants,
    shipped_spreads,
    tags_of,
)
from hwledger.planner.throughput.serving_loads import ServingCase, loads_of, rate_of, running_limit, wire_of
from hwledger.planner.throughput.serving_model import Multipliers, Served, Step, serve

SOURCE: Final = "serving model fitted to public closed-loop benchmarks (data/serving_constants.csv)"
NEW: Final = "new architecture"
MOST_MEASURED: Final = 512
"""Requests at once up to which there are measurements."""
WIDER_BEYOND: Final = 1.25
WIDER_CONSUMER: Final = 1.5
"""Widening of an interval's logarithm where nothing was measured: an assumption, said with the figure."""


@dataclass(frozen=True, slots=True)
class _Trust:
    """How much wider than measured the intervals are, and the sentences that say why."""

    factor: float
    new: bool
    reasons: tuple[str, ...]

    def spread(self, figure: str, engine: str) -> Spread:
        spreads = shipped_spreads()
        own = spreads[figure, engine]
        if self.new:
            far = spreads[figure, NEW]
            own = Spread(min(own.low, far.low), max(own.high, far.high), far.count)
        return own.widened(self.factor)


def estimate_serving(
    plan: Plan,
    traffic: Traffic,
    node: Node | None = None,
    power_share: float = 1.0,
    engine: str | None = None,
) -> Throughput:
    """Return the speed of a plan that is served on its devices; the plan must have some.

    Args:
        plan: the memory plan.
        traffic: who asks what.
        node: the links, where they are not the devices' own.
        power_share: power limit as a share of the board power.
        engine: another engine than the plan's on the same devices: ``sglang``, ``tensorrt-llm``.

    On devices whose bandwidth or rates are not known there are no figures, and ``unknown`` says so.

    Raises:
        UsageError: other tokens are stated to be drafted than the plan's options say.
    """
    drafts, stated = drafted_tokens(plan), traffic.speculation
    if stated is not None and stated.drafted != drafts:
        raise UsageError(
            f"{stated.drafted} drafted tokens are stated, and {plan.engine} drafts {drafts}; set "
            f"num_speculative_tokens={stated.drafted}"
        )
    case = case_of_plan(
        plan,
        engine=engine,
        node=node,
        power_share=power_share,
        acceptance=stated.acceptance if stated else None,
    )
    speed = estimate_case(case, traffic)
    lost = tuple(f"{each} is not in the speed" for each in case.untimed)
    speed = replace(speed, warnings=(*speed.warnings, *lost))
    if drafts and stated is None:
        drafted = f"{drafts} tokens are drafted per step"
        note = f"{drafted}, but no acceptance is stated: the speed is that without speculation"
        return replace(speed, warnings=(*speed.warnings, note))
    return speed


def estimate_case(case: ServingCase, traffic: Traffic) -> Throughput:
    """Return the speed of a case under some traffic; figures that are not known are said to be so."""
    missing = _missing(case)
    if missing:
        return Throughput(traffic=traffic, unknown=(f"No figure of speed: {missing}.",))
    constants = shipped_constants().apply(tags_of(case))
    if traffic.requests_per_second is None:
        loads = loads_of(case, traffic)
        return _answer(case, traffic, serve(loads, constants), loads.requests, ())
    return _at_rate(case, traffic, constants, traffic.requests_per_second)


def _missing(case: ServingCase) -> str:
    device = case.device
    if case.engine not in SERVED:
        return f"serving on {case.engine} was never measured"
    if not device.bandwidth_bytes_per_second:
        return f"the memory bandwidth of {device.name} is not known"
    if not rate_of(device, case.weights)[0]:
        return f"the compute rates of {device.name} are not known"
    if case.parallel.tensor > 1 and not wire_of(device):
        return f"how {device.name} is connected to its peers is not known"
    if case.offloaded_bytes and not device.pcie_bytes_per_second:
        return f"weights are read from host memory, and the slot of {device.name} is not known"
    return ""


def serve_at(case: ServingCase, traffic: Traffic, constants: Multipliers) -> Callable[[float], Served]:
    """Return the function from requests at once to what each of them sees."""
    base, most = loads_of(case, traffic), running_limit(case, traffic.mean_depth)

    def at(requests: float) -> Served:
        here = max(1.0, requests)
        return serve(replace(base, requests=here, running=min(here, most)), constants)

    return at


def _at_rate(case: ServingCase, traffic: Traffic, constants: Multipliers, rate: float) -> Throughput:
    """Arrivals at a rate: Little's law for the requests at once, M/D/1 for the wait of the prompts."""
    at = serve_at(case, traffic, constants)
    from hwledger.planner.throughput.queueing import queue_seconds, steady_requests  # noqa: PLC0415

    most = running_limit(case, traffic.mean_depth)

    def life(requests: float) -> float:
        seen = at(requests)
        return seen.ttft + (traffic.output_tokens - 1) * seen.tpot

    found = steady_requests(rate, life, most)
    served = at(found if found is not None else most)
    service = served.prompt.marginal / case.parallel.data
    if found is None or rate * service >= 1.0:
        fastest = min(most / (served.ttft + traffic.output_tokens * served.tpot), 1.0 / service)
        more = f"{rate:g} requests per second are more than this serves (about {fastest:.3g})"
        return Throughput(traffic=traffic, unknown=(f"No figure of speed: {more}, so the queue grows.",))
    wait = queue_seconds(rate, service)
    alone = at(1.0)
    ttft = alone.ttft + constants.answer_steps * (served.step.seconds - alone.step.seconds) + wait
    note = f"{found:.3g} requests at once (Little's law)"
    answer = _answer(case, traffic, replace(served, ttft=ttft), found, (note,))
    spread = _trust(case, traffic, found).spread("tpot", case.engine)
    rate_figure = Figure(
        rate * traffic.output_tokens, rate * traffic.output_tokens * min(1.0, spread.low),
        rate * traffic.output_tokens, Basis.CALIBRATED, f"{SOURCE}; what arrives is served",
    )  # fmt: skip
    return replace(answer, aggregate_tokens_per_second=rate_figure)


def _answer(
    case: ServingCase, traffic: Traffic, served: Served, requests: float, notes: tuple[str, ...]
) -> Throughput:
    trust = _trust(case, traffic, requests)
    basis = Basis.ASSUMED if trust.reasons else Basis.CALIBRATED
    source = "; ".join((SOURCE, *notes, *trust.reasons))

    def figure(value: float, spread: Spread) -> Figure:
        return Figure(value, value * min(spread.low, 1.0), value * max(spread.high, 1.0), basis, source)

    tpot_spread, ttft_spread = (trust.spread(name, case.engine) for name in ("tpot", "ttft"))
    tpot, ttft = figure(served.tpot, tpot_spread), figure(served.ttft, ttft_spread)
    first = figure(served.prompt.seconds, ttft_spread)
    answers, more, prompt = traffic.output_tokens, traffic.output_tokens - 1, traffic.prompt_tokens
    cycle = figure(1.0, tpot_spread)
    total = requests * answers / (served.ttft + more * served.tpot)
    return Throughput(
        traffic=traffic,
        prefill_tokens_per_second=first.inverse().scaled(prompt) if prompt else None,
        decode_tokens_per_second=tpot.inverse(),
        aggregate_tokens_per_second=cycle.inverse().scaled(total),
        ttft_seconds=ttft,
        tpot_seconds=tpot,
        limits=_limits(served, traffic),
        warnings=_warnings(served),
        unknown=() if traffic.prompt_tokens else ("No figure of prefill: there is no prompt.",),
    )


def _limits(served: Served, traffic: Traffic) -> tuple[tuple[str, str], ...]:
    step = served.step
    if served.waiting > served.prompt.seconds:
        first = "memory for more requests at once"
    else:
        first = "prefill" if 2 * served.prompt.seconds > served.ttft else "queueing"
    mixed = served.tpot > 2 * step.seconds
    decode = "other requests' prompts" if mixed else _bound(step)
    found = (("tpot_seconds", decode), ("decode_tokens_per_second", decode), ("ttft_seconds", first))
    return found if traffic.prompt_tokens else found[:2]


def _bound(step: Step) -> str:
    names = (
        (step.memory, "memory bandwidth"),
        (step.compute, "compute"),
        (step.links, "links"),
        (step.launches, "launches"),
        (step.copies, "PCIe"),
    )
    return max(names)[1]


def _warnings(served: Served) -> tuple[str, ...]:
    if served.waiting > 0:
        return ("memory does not hold all requests at once: the others wait for their turn",)
    return ()


def _trust(case: ServingCase, traffic: Traffic, requests: float) -> _Trust:
    device = case.device
    family = device.architecture or device.vendor
    server = device.category == "datacentre"
    new = family not in shipped_constants().architectures or not server
    factor, reasons = 1.0, []
    if new:
        reasons.append(
            f"serving on {family} {device.category or 'devices'} was never measured: wider interval"
        )
        factor *= 1.0 if server else WIDER_CONSUMER
    for known, reason in _beyond(case, traffic, requests):
        if known:
            reasons.append(f"{reason}: wider interval")
            factor *= WIDER_BEYOND
    return _Trust(factor, new, tuple(reasons))


def _beyond(case: ServingCase, traffic: Traffic, requests: float) -> tuple[tuple[bool, str], ...]:
    """Return what no measurement has: whether the case does, and what it is."""
    ranks, kept = case.parallel, f"{case.tokens_per_step:.3g} tokens per step"
    slot = ranks.tensor > 1 and not case.device.link_bytes_per_second
    return (
        (ranks.pipeline > 1, "pipeline parallelism was never measured"),
        (slot, "collectives over PCIe were never measured"),
        (requests > MOST_MEASURED, f"more than {MOST_MEASURED} requests at once were never measured"),
        (bool(traffic.cached_tokens), "serving with cached prefixes was never measured"),
        (case.drafted > 0, f"speculation with the stated acceptance ({kept}) was never measured"),
        (case.offloaded_bytes > 0, "serving with weights in host memory was never measured"),
        (case.eager, "serving without CUDA graphs was never measured"),
        (bool(case.untimed), f"{' and '.join(case.untimed)} is not modelled"),
        (case.power_share < 1.0, "serving under a power limit was never measured"),
    )
