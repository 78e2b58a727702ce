"""Quantisation together with host memory: the type that loses least of all that hold."""

import pytest

from hwledger.device.catalogue import parse_devices
from hwledger.library.sources.catalogue import shipped_model
from hwledger.planner.solve.document import measured_document
from hwledger.planner.solve.limits import Limits
from hwledger.planner.solve.offload import solve_layout
from hwledger.planner.solve.power import plan_power_share
from hwledger.planner.solve.question import Question
from hwledger.planner.solve.solve import solve
from hwledger.planner.throughput import estimate
from hwledger.planner.weights import weigh
from hwledger.units import GIB
from support.solving import question

LIMITS = Limits(min_tokens_per_second=20, ram_bytes=32 * GIB)


def asked(weights: str | None = None, limits: Limits = LIMITS) -> Question:
    """A mixture of experts that a small card does not hold as it is stored."""
    return question(
        shipped_model("Qwen/Qwen3-30B-A3B"), "llama.cpp", parse_devices("RTX 3060 12GB"), context=4096,
        weights=weights, limits=limits, given=frozenset({"context", "concurrency", "kv-cache"}),
        estimator=lambda made, traffic: estimate(made, traffic, power_share=plan_power_share(made)),
    )  # fmt: skip


@pytest.mark.requirement("FR-SOLVE-WEIGHTS", "FR-SOLVE-SPLIT")
@pytest.mark.parametrize("unknown", ["weights", "all"])
def test_no_type_is_missed_that_holds_with_host_memory(unknown: str) -> None:
    """Whatever ``--solve devices`` finds for one type by hand is not larger than the answer's type."""
    spec = asked().request.spec
    answer = solve(asked(), unknown)
    best = answer.solutions[0].measured
    assert best.holds
    assert best.plan
    assert best.plan.host_bytes <= 32 * GIB
    assert "host memory" in answer.solutions[0].value
    for name in ("Q4_K_M", "Q3_K_M", "Q6_K"):
        assert solve_layout(asked(name)).holds
        assert weigh(spec, name).total <= weigh(spec, best.request.weights).total


@pytest.mark.requirement("FR-SOLVE-WEIGHTS")
def test_without_a_limit_of_speed_or_ram_everything_stays_on_the_devices() -> None:
    """Else the type as it is stored would always be the answer, however slow."""
    best = solve(asked(limits=Limits()), "weights").solutions[0].measured
    assert not {"n_cpu_moe", "n_gpu_layers"} & best.request.options.keys()


@pytest.mark.requirement("FR-SOLVE-LIMITS", "FR-SOLVE-WHY-NOT")
def test_the_nearest_way_fits_where_any_way_does() -> None:
    """A way over the memory, whose speed nobody knows, is not nearer than one that fits and is too slow."""
    nearest = solve(
        asked("Q4_K_M", Limits(min_tokens_per_second=2000, ram_bytes=32 * GIB)), "devices"
    ).nearest
    assert nearest
    assert [one.limit for one in nearest.measured.misses] == ["min_tokens_per_second"]
    assert nearest.measured.users_per_second


@pytest.mark.requirement("FR-SOLVE-CLI")
def test_the_cache_type_in_json_can_be_given_back() -> None:
    """``kv_cache`` is what was asked for, ``kv_cache_type`` what it comes to."""
    best = solve(asked(), "weights").solutions[0].measured
    document = measured_document(best)
    assert document["kv_cache"] is None
    assert best.plan
    assert document["kv_cache_type"] == best.plan.memory.kv_type
