"""Why does it take that much: parts, the largest first, and what none explains."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.app import devices_of, plan
from hwledger.planner.memory import Basis
from hwledger.planner.plan import Plan
from hwledger.planner.process import Learned
from hwledger.reconcile.explain import POOL, explain, explanation_document
from hwledger.reconcile.memory import BASELINE
from hwledger.reconcile.term import Quality, Reconciliation, Seen, Term, Unknown
from hwledger.screens.explain import explanation_rows, explanation_title
from hwledger.telemetry.quantity import Unit
from hwledger.units import GIB, MIB
from support.plans import small_plan

pytestmark = pytest.mark.requirement("FR-REC-EXPLAIN")
REST = Learned(60.0 * MIB, 50.0 * MIB, 70.0 * MIB, Basis.CALIBRATED, "1 run of your own", 1)


def on_card() -> Plan:
    """Return a plan on a card."""
    return small_plan(options=[], devices=devices_of("RTX 4090"))


def seen(plan: Plan, **sizes: float) -> Reconciliation:
    """Return what was seen of terms."""
    terms = tuple(
        Term(name, Unit.BYTES, Unknown("no matter"), Seen(size, Quality.LOGGED, "a log"))
        for name, size in sizes.items()
    )
    return Reconciliation(model="m", engine=plan.engine, planned_as=plan.engine, planned_version="",
                          seen_version="", terms=terms)  # fmt: skip


@given(st.floats(0, 1e13))
def test_parts_and_the_rest_are_the_whole(whole: float) -> None:
    """Whatever the figure is, nothing is lost, and the largest part comes first."""
    found = explain(whole, PLAN, REST)
    assert sum(line.value for line in found.lines) + found.unexplained == pytest.approx(whole, abs=1)
    sizes = [line.value for line in found.lines]
    assert sizes == sorted(sizes, reverse=True)
    assert explanation_document(found)["unexplained"] == found.unexplained
    assert len(explanation_rows(found)) == len(found.lines) + 1


PLAN = small_plan()


def test_what_was_seen_wins() -> None:
    """A figure of the engine's own stands in for the planned one, with its source."""
    found = explain(GIB, PLAN, REST, seen(PLAN, weights=3.0 * GIB))
    (weights,) = [line for line in found.lines if line.name == "weights"]
    assert (weights.value, weights.trust, weights.source) == (3.0 * GIB, "logged", "a log")


def test_the_host_has_a_baseline_and_devices_have_none() -> None:
    """A plan on the processor explains the host's memory, one on a card what is on the card."""
    assert {line.name for line in explain(GIB, PLAN, REST).lines} >= {"weights", "kv_cache", BASELINE}
    found = explain(GIB, on_card(), REST)
    assert found.where == "the devices"
    assert BASELINE not in {line.name for line in found.lines}
    assert "runtime" in {line.name for line in found.lines}


def test_the_verdict_says_what_follows() -> None:
    """More than the plan's highest is something else, less than its lowest is not all there."""
    total = PLAN.total_bytes + REST.value
    for whole, words in (
        (total, "it is as much as is to be expected"),
        (2 * total, "are something else"),
        (total / 2, "more than was seen"),
    ):
        assert words in explain(whole, PLAN, REST).verdict


def test_a_pool_is_filled_whatever_is_asked() -> None:
    """A pool takes what is left of the device's share: that is the reason, not the context."""
    made = plan("Qwen/Qwen3-8B", engine="vllm", device="RTX 4090", context=4096)
    found = explain(21 * GIB, made, REST)
    (pool,) = [line for line in found.lines if line.name == POOL]
    assert made.memory.capacity
    assert pool.value == made.memory.capacity.kv_pool_bytes
    assert "fills what is left" in pool.why
    assert "RTX" not in pool.why
    assert "21.00 GiB of the devices" in explanation_title(found, made)
