"""The best quantisation, and the evidence that it is chosen by."""

import pytest

from hwledger.device.catalogue import find_device
from hwledger.library.sources.catalogue import shipped_model
from hwledger.planner.plan import plan_request
from hwledger.planner.solve.choices import type_choices
from hwledger.planner.solve.limits import Limits
from hwledger.planner.solve.quality import (
    KV_CACHE,
    WEIGHTS,
    evidence,
    evidence_of,
    not_worse,
    quality_words,
)
from hwledger.planner.solve.question import measure, with_reserve
from hwledger.planner.solve.types import solve_kv_cache, solve_weights
from hwledger.planner.weights import weigh
from hwledger.units import GIB
from support.solving import question

QWEN = "Qwen/Qwen3-8B"


@pytest.mark.requirement("FR-SOLVE-WEIGHTS")
@pytest.mark.parametrize("reserve", [0, 6 * GIB, 11 * GIB])
def test_the_best_quantisation_loses_least_of_all_that_hold(reserve: int) -> None:
    """No type that holds is known to lose less, and the answer holds when it is planned again."""
    asked = question(
        shipped_model(QWEN), "llama.cpp", [find_device("RTX 4090")], context=8192,
        limits=Limits(reserve_bytes=reserve),
    )  # fmt: skip
    answer = solve_weights(asked)
    best = answer.solutions[0]
    again = plan_request(with_reserve(best.measured.request, reserve), asked.profile)
    assert again.fit
    assert again.fit.headroom_bytes >= 0
    holding = [
        choice.name for choice in type_choices("llama.cpp", WEIGHTS)
        if measure(asked, asked.vary(asked.request, weights=choice.name), speed=False).holds
    ]  # fmt: skip
    chosen = best.measured.request.weights
    assert chosen is None or chosen in holding
    assert all(not_worse(WEIGHTS, chosen, name) is not False for name in holding)


@pytest.mark.requirement("FR-SOLVE-WEIGHTS", "FR-SOLVE-WHY-NOT")
def test_why_better_ones_are_refused_is_said_with_figures() -> None:
    """The next better types are named with what they lack."""
    asked = question(
        shipped_model(QWEN), "llama.cpp", [find_device("RTX 4090")], context=8192,
        limits=Limits(reserve_bytes=14 * GIB),
    )  # fmt: skip
    solution = solve_weights(asked).solutions[0]
    assert solution.limited_by[0].startswith("as stored: memory of a device")
    assert "GiB over" in solution.limited_by[0]


@pytest.mark.requirement("FR-SOLVE-WEIGHTS", "FR-SOLVE-WHY-NOT")
def test_where_no_type_holds_the_nearest_is_answered() -> None:
    """The smallest type comes nearest to a device that is far too small."""
    asked = question(
        shipped_model("Qwen/Qwen3-32B"), "llama.cpp", [find_device("RTX 4090")],
        limits=Limits(reserve_bytes=20 * GIB),
    )  # fmt: skip
    answer = solve_weights(asked)
    assert not answer.holds
    assert answer.nearest
    smallest = min(type_choices("llama.cpp", WEIGHTS), key=lambda c: weigh(asked.request.spec, c.name).total)
    assert answer.nearest.measured.request.weights == smallest.name


@pytest.mark.requirement("FR-SOLVE-WEIGHTS")
def test_the_cache_stays_as_it_is_where_it_holds() -> None:
    """A cache in 16 bits that fits is not packed."""
    asked = question(shipped_model(QWEN), "llama.cpp", [find_device("RTX 4090")], context=4096)
    assert solve_kv_cache(asked).solutions[0].value == "f16"


@pytest.mark.requirement("FR-SOLVE-QUALITY")
def test_every_figure_of_quality_has_a_source_and_lies_in_its_interval() -> None:
    """Figures without a source, or outside of what was published with them, do not ship."""
    assert len(evidence()) > 30
    for one in evidence():
        assert one.source
        assert one.model
        assert one.low <= one.value <= one.high


@pytest.mark.requirement("FR-SOLVE-QUALITY")
def test_only_figures_of_one_test_compare() -> None:
    """Mixes compare by one scoreboard; a KL divergence and a share of scores do not."""
    assert not_worse(WEIGHTS, "Q6_K", "Q4_K_M") is True
    assert not_worse(WEIGHTS, "Q4_K_M", "Q6_K") is False
    assert not_worse(WEIGHTS, "Q4_K_M", "nvfp4") is None
    assert not_worse(WEIGHTS, None, "Q8_0") is True
    assert not_worse(WEIGHTS, "gptq", "awq") is True, "two names of one packing"


@pytest.mark.requirement("FR-SOLVE-QUALITY")
def test_a_type_without_a_figure_is_said_to_be_unknown() -> None:
    """Nothing is made up for a type that nobody published a figure of."""
    assert not evidence_of(KV_CACHE, "q4_0")
    assert "unknown" in quality_words(KV_CACHE, "q4_0")
