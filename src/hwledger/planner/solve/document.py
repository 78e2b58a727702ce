"""The keys ``solutions``, ``search`` and ``cost`` of ``hwledger.plan/1``."""

from typing import Any

from hwledger.planner.plan import Plan
from hwledger.planner.solve.answer import Answer, Refused, Solution
from hwledger.planner.solve.cost import RENT, Cost, cost_of
from hwledger.planner.solve.holding import Held
from hwledger.planner.solve.limits import Miss
from hwledger.planner.solve.question import Measured
from hwledger.planner.throughput import Throughput
from hwledger.planner.throughput.document import throughput_document


def answer_document(answer: Answer) -> dict[str, Any]:
    """Return what was found: ``solutions`` (answers, front, nearest, refused) and ``search``."""
    nearest = [answer.nearest] if answer.nearest else []
    return {
        "solutions": [
            *(solution_document("answer", one) for one in answer.solutions),
            *(solution_document("front", one) for one in answer.front),
            *(solution_document("nearest", one) for one in nearest),
            *(_refused(one) for one in answer.refused),
        ],
        "search": {
            "unknown": list(answer.unknowns),
            "candidates": answer.searched,
            "missed": dict(answer.refusals),
            "load": None if answer.load is None else {
                "little": answer.load.little, "mean": answer.load.mean, "p99": answer.load.p99,
                "tokens_p99": answer.load.tokens_p99, "requests": answer.load.requests,
                "seed": answer.load.seed,
            },
            "notes": list(answer.notes),
        },
    }  # fmt: skip


def solution_document(role: str, solution: Solution) -> dict[str, Any]:
    """Return one solution; ``role`` is ``answer``, ``front`` or ``nearest``."""
    return {
        "role": role, "kind": solution.kind, "value": solution.value, "number": solution.number,
        "holds": solution.measured.holds, **measured_document(solution.measured),
        "limited_by": list(solution.limited_by), "notes": list(solution.notes),
    }  # fmt: skip


def measured_document(measured: Measured) -> dict[str, Any]:
    """Return one way as planned: its setting, memory, speed, cost, and the limits that it misses."""
    plan, request = measured.plan, measured.request
    return {
        "devices": [device.name for device in request.devices],
        "options": dict(request.options),
        "weights": request.weights,
        "kv_cache": request.kv_cache,
        "kv_cache_type": plan.memory.kv_type if plan else None,
        "context_tokens": request.workload.context_tokens,
        "concurrency": request.workload.concurrency,
        "memory": _memory(plan) if plan else None,
        "throughput": throughput_document(measured.throughput) if measured.throughput else None,
        "cost": cost_document(measured.cost, measured.throughput),
        "misses": [miss_document(one) for one in measured.misses],
    }


def _memory(plan: Plan) -> dict[str, Any]:
    fit = plan.fit
    return {
        "total_bytes": plan.total_bytes,
        "host_bytes": plan.host_bytes,
        "headroom_bytes": fit.headroom_bytes if fit else None,
        "verdict": fit.verdict.value if fit else None,
    }


def miss_document(miss: Miss) -> dict[str, Any]:
    """Return one limit that is missed."""
    return {"limit": miss.limit, "wanted": miss.wanted, "got": miss.got, "why": miss.why}


def held_document(held: Held) -> dict[str, Any]:
    """Return one limit of a plan and what the plan has of it."""
    return {
        "limit": held.limit, "wanted": held.wanted, "got": held.got, "met": held.miss is None,
        "interval": list(held.interval) if held.interval else None,
        "why": held.miss.why if held.miss else None,
    }  # fmt: skip


def _refused(refused: Refused) -> dict[str, Any]:
    return {
        "role": "refused", "kind": "refused", "value": refused.what, "number": None, "holds": False,
        "misses": [miss_document(one) for one in refused.misses], "limited_by": [refused.why], "notes": [],
    }  # fmt: skip


def cost_document(cost: Cost, throughput: Throughput | None = None) -> dict[str, Any]:
    """Return the cost of devices; with a speed also what a million answer tokens cost."""
    return {
        "currency": "USD",
        "price_per_hour": cost.price_per_hour,
        "price_kind": cost.kind if cost.price_per_hour is not None else None,
        "rent_per_hour": cost.rent_per_hour,
        "owned_per_hour": cost.owned_per_hour,
        "purchase": cost.purchase,
        "watts": cost.watts,
        "price_per_million_tokens": per_million(cost, throughput),
        "basis": cost.basis.value if cost.price_per_hour is not None else None,
        "sources": list(cost.sources),
        "unknown": list(cost.unknown),
    }


def plan_cost_document(
    plan: Plan, throughput: Throughput | None = None, kind: str = RENT
) -> dict[str, Any] | None:
    """Return the cost of a plan's devices, rented or owned; ``None`` where it has none."""
    return cost_document(cost_of(plan.request.devices, kind), throughput) if plan.request.devices else None


def per_million(cost: Cost, throughput: Throughput | None) -> float | None:
    """Return US dollars for a million answer tokens of all users together; ``None`` where not known."""
    figure = throughput.aggregate_tokens_per_second if throughput else None
    if figure is None or cost.price_per_hour is None:
        return None
    return cost.price_per_hour / 3600 / figure.value * 1e6
