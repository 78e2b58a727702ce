"""One estimator: from a plan and its traffic to figures of speed."""

from dataclasses import replace

from hwledger.device.node import Node, node_of
from hwledger.errors import UsageError
from hwledger.planner.plan import Plan
from hwledger.planner.throughput.calibration import Calibration
from hwledger.planner.throughput.figure import Throughput, Traffic, traffic_of
from hwledger.planner.throughput.serving import estimate_serving, serves
from hwledger.planner.throughput.single import estimate_single
from hwledger.planner.throughput.speculation import Speculation
from hwledger.planner.throughput.traps import traps

SINGLE = frozenset({"llama.cpp", "mlx"})
"""Engines whose speed is that of single requests."""


def estimate(  # noqa: PLR0913 - what speed depends on
    plan: Plan,
    traffic: Traffic | None = None,
    *,
    node: Node | None = None,
    calibration: Calibration | None = None,
    power_share: float = 1.0,
    speculation: Speculation | None = None,
) -> Throughput:
    """Return the speed of a plan; a figure that is not known is ``None`` and ``unknown`` says why.

    Args:
        plan: the memory plan; its devices, engine, options, weights and cache types are what is timed.
        traffic: who asks what; the plan's context, full when an answer ends, where ``None``.
        node: the host and the links; what is known of the devices alone where ``None``.
        calibration: measured runs of the user's own, which correct the figures; none where ``None``.
        power_share: power limit of the devices as a share of the board power that they ship with.
        speculation: drafting on an engine of single requests; none where ``None``. Serving engines say in
            their options how many tokens they draft, and ``traffic`` has the acceptance.

    Raises:
        UsageError: a power limit outside 20 to 150 %, or speculation for an engine with options for it.
    """
    if not 0.2 <= power_share <= 1.5:  # noqa: PLR2004 - drivers offer no more
        raise UsageError(
            f"a power limit of {power_share:.0%} cannot be timed; give 20 to 150 % of the board power"
        )
    wanted = traffic or traffic_of(plan.memory.context_tokens, plan.memory.concurrency)
    if not plan.request.devices:
        return Throughput(traffic=wanted, unknown=("No figure of speed: no device was given.",))
    host = node or node_of(plan.request.devices)
    answer = _estimated(plan, wanted, host, power_share, speculation)
    if calibration is not None:
        answer = calibration.corrected(answer, plan)
    return replace(answer, warnings=(*traps(plan, host), *answer.warnings))


def _estimated(
    plan: Plan, wanted: Traffic, node: Node, power_share: float, speculation: Speculation | None
) -> Throughput:
    if plan.engine in SINGLE:
        return estimate_single(plan, wanted, node, power_share, speculation)
    if serves(plan.engine):
        if speculation is not None:
            raise UsageError(
                f"{plan.engine} drafts by its own options; give those, and the acceptance with the traffic"
            )
        return estimate_serving(plan, wanted, node, power_share)
    return Throughput(traffic=wanted, unknown=(f"No figure of speed: {plan.engine} is not measured.",))
