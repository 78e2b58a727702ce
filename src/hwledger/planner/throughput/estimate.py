"""One estimator: from a plan and its traffic to figures of speed."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hwledger.device.node import Node, node_for
from hwledger.errors import UsageError
from hwledger.planner.fit import Verdict
from hwledger.planner.memory import Basis
from hwledger.planner.plan import Plan
from hwledger.planner.throughput.assumptions import assumed
from hwledger.planner.throughput.figure import FIGURES, Throughput, Traffic, traffic_of
from hwledger.planner.throughput.measured import SINGLE, serves
from hwledger.planner.throughput.traps import traps
from hwledger.planner.throughput.unsupported import unsupported

if TYPE_CHECKING:
    from hwledger.planner.throughput.calibration import Calibration

LEAST_MEASURED = 0.5
"""Share of the board power below which a power limit was never measured."""


def estimate(
    plan: Plan,
    traffic: Traffic | None = None,
    *,
    node: Node | None = None,
    calibration: "Calibration | None" = None,
    power_share: float = 1.0,
) -> Throughput:
    """Return the speed of a plan; a figure that is not known is ``None`` and ``unknown`` says why.

    Args:
        plan: the memory plan; its devices, engine, options, weights and cache types are what is timed.
        traffic: who asks what; the plan's context, full when an answer ends, where ``None``.
        node: the host and the links; those of the plan's request where ``None``.
        calibration: measured runs of the user's own, which correct the figures; none where ``None``.
        power_share: power limit of the devices as a share of the board power that they ship with.

    Raises:
        UsageError: a power limit outside 20 to 150 %, or speculation that is not what the engine drafts.
    """
    if not 0.2 <= power_share <= 1.5:  # noqa: PLR2004 - drivers offer no more
        raise UsageError(
            f"a power limit of {power_share:.0%} cannot be timed; give 20 to 150 % of the board power"
        )
    wanted = traffic or traffic_of(plan.memory.context_tokens, plan.memory.concurrency)
    if not plan.request.devices:
        return Throughput(traffic=wanted, unknown=("No figure of speed: no device was given.",))
    if refused := unsupported(plan):
        return Throughput(traffic=wanted, unknown=refused)
    host = node_for(node or plan.request.node, plan.request.devices)
    alone = replace(wanted, requests_per_second=None) if plan.engine in SINGLE else wanted
    answer = _estimated(plan, alone, host, power_share)
    if calibration is not None:
        answer = calibration.corrected(answer, plan)
    told = any(getattr(answer, name) is not None for name in FIGURES)
    doubts = tuple(_doubts(plan, wanted)) if told else ()
    if throttled := _throttled(plan, power_share):
        answer, doubts = widened(answer, assumed("power_interval").value), (*doubts, throttled)
    if doubts:
        answer = weakened(answer, doubts)
    return replace(answer, traffic=wanted, warnings=(*doubts, *traps(plan, host), *answer.warnings))


def _doubts(plan: Plan, traffic: Traffic) -> Iterator[str]:
    """Yield why the figures are of something else than the plan under its traffic, whatever the engine."""
    if plan.fit is not None and plan.fit.verdict is Verdict.DOES_NOT_FIT:
        yield f"it does not fit: {plan.fit.missing} are missing; the speed is as if it did"
    elif plan.memory.capacity is not None and plan.memory.capacity.max_concurrency < 1:
        yield "the KV pool does not hold one request of full length; the speed is as if it did"
    if plan.engine in SINGLE and traffic.requests_per_second is not None:
        yield (
            f"arrivals at a rate are not modelled on {plan.engine}: the speed is that of "
            f"{traffic.concurrency} at once who ask again when they are answered"
        )


def _throttled(plan: Plan, power_share: float) -> str:
    """Return the sentence on a power limit that is tighter than any that was measured; empty for none."""
    if plan.engine not in SINGLE:
        return ""  # serving widens under any limit
    for device in plan.request.devices:
        limit, board = device.power_watts, device.tdp_watts
        share = power_share * (limit / board if limit and board else 1.0)
        if share < LEAST_MEASURED:
            return f"{device.name} at {share:.0%} of its board power was never measured: wider interval"
    return ""


def widened(answer: Throughput, factor: float) -> Throughput:
    """Return an answer whose intervals reach further by a factor to either side."""
    changed: dict[str, Any] = {}
    for name in FIGURES:
        figure = getattr(answer, name)
        if figure is not None:
            changed[name] = replace(figure, low=figure.low / factor, high=figure.high * factor)
    return replace(answer, **changed)


def weakened(answer: Throughput, doubts: tuple[str, ...]) -> Throughput:
    """Return an answer whose figures are assumed, with the reasons in their source."""
    changed: dict[str, Any] = {}
    for name in FIGURES:
        figure = getattr(answer, name)
        if figure is not None:
            source = "; ".join((figure.source, *doubts))
            changed[name] = replace(figure, basis=Basis.ASSUMED, source=source)
    return replace(answer, **changed)


def _estimated(plan: Plan, wanted: Traffic, node: Node, power_share: float) -> Throughput:
    if plan.engine in SINGLE and plan.request.devices[0].category == "processor":
        from hwledger.planner.throughput.processor import estimate_processor  # noqa: PLC0415 - start-up time

        return estimate_processor(plan, wanted)
    if plan.engine in SINGLE:
        from hwledger.planner.throughput.single import estimate_single  # noqa: PLC0415 - start-up time

        return estimate_single(plan, wanted, node, power_share, wanted.speculation)
    if serves(plan.engine):
        from hwledger.planner.throughput.serving import estimate_serving  # noqa: PLC0415 - start-up time

        return estimate_serving(plan, wanted, node, power_share)
    return Throughput(traffic=wanted, unknown=(f"No figure of speed: {plan.engine} is not measured.",))
