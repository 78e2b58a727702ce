"""The largest context and the most users: nothing larger holds, what is answered does."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwledger.planner.plan import plan_request
from hwledger.planner.solve.arrivals import Arrivals, parse_lengths
from hwledger.planner.solve.limits import Limits
from hwledger.planner.solve.numbers import resident_tokens, solve_context, solve_load, solve_users
from hwledger.planner.solve.question import Question, measure
from hwledger.units import GIB
from support import specs
from support.solving import PLENTY, device, question, shortened, slow_with_depth, steady, unknown_speed

SHORT = 600
ENGINES = ["vllm", "llama.cpp", "mlx", "transformers"]


def small(engine: str, tokens: int, users: int = 1, **more: object) -> Question:
    """A question about a device that just holds so many tokens and users."""
    spec = shortened(specs.llama_8b(), SHORT)
    wide = question(spec, engine, [device(PLENTY)], context=tokens, concurrency=users)
    made = plan_request(wide.request, wide.profile)
    share = made.memory.usable_share
    exact = device(int(made.devices[0].total_bytes / share) + 64)
    return question(spec, engine, [exact], context=SHORT, concurrency=users, **more)


@pytest.mark.requirement("FR-SOLVE-CONTEXT")
@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=6, deadline=None)
@given(tokens=st.integers(1, SHORT))
def test_the_largest_context_equals_that_of_brute_force(engine: str, tokens: int) -> None:
    """On every engine the answer holds when it is planned again, and no longer one does."""
    asked = small(engine, tokens)
    holding = [
        n for n in range(1, SHORT + 1)
        if measure(asked, asked.vary(asked.request, context=n), speed=False).holds
    ]  # fmt: skip
    answer = solve_context(asked)
    assert [one.number for one in answer.solutions] == ([max(holding)] if holding else [])
    if holding:
        assert answer.solutions[0].measured.holds
        assert answer.solutions[0].measured.request.workload.context_tokens == max(holding)


@pytest.mark.requirement("FR-SOLVE-CONTEXT")
def test_a_cache_that_is_quantised_from_a_length_on_is_searched_on_both_sides() -> None:
    """A cache of mlx is quantised from a length on: longer contexts can need less, and are found."""
    spec = shortened(specs.llama_8b(), 1200)
    options = {"kv_bits": 4, "quantized_kv_start": 500}
    wide = question(spec, "mlx", [device(PLENTY)], context=700, options=options)
    needed = plan_request(wide.request, wide.profile).total_bytes
    asked = question(spec, "mlx", [device(needed)], context=10, options=options)
    holding = [
        n for n in range(1, 1201) if measure(asked, asked.vary(asked.request, context=n), speed=False).holds
    ]
    assert holding != list(range(1, max(holding) + 1)), "the case is one that plain halving could miss"
    assert solve_context(asked).solutions[0].number == max(holding)


@pytest.mark.requirement("FR-SOLVE-USERS")
@pytest.mark.parametrize("engine", ENGINES)
def test_the_most_users_equal_those_of_brute_force(engine: str) -> None:
    """One user more than the answer does not hold, and each fewer does."""
    asked = small(engine, SHORT, users=7)
    holding = [
        n for n in range(1, 64)
        if measure(asked, asked.vary(asked.request, concurrency=n), speed=False).holds
    ]  # fmt: skip
    answer = solve_users(asked)
    assert answer.solutions[0].number == max(holding)
    assert answer.solutions[0].limited_by[0].startswith(f"{max(holding) + 1} users: memory")


@pytest.mark.requirement("FR-SOLVE-LIMITS", "FR-SOLVE-CONTEXT")
def test_a_limit_of_speed_stops_the_context_before_memory_does() -> None:
    """With a microsecond a token of depth, 1 ms between tokens is reached at a known depth."""
    spec = specs.llama_8b()
    asked = question(
        spec, "vllm", [device(PLENTY)], estimator=slow_with_depth, limits=Limits(tpot_seconds=1e-3)
    )
    answer = solve_context(asked)
    tokens = int(answer.solutions[0].number or 0)
    tpot = slow_with_depth(*_planned(asked, tokens)).tpot_seconds
    more = slow_with_depth(*_planned(asked, tokens + 1)).tpot_seconds
    assert tpot
    assert more
    assert tpot.value <= 1e-3 < more.value
    assert "TPOT" in answer.solutions[0].limited_by[0]


def _planned(asked: Question, tokens: int):  # noqa: ANN202 - plan and traffic
    made = plan_request(asked.vary(asked.request, context=tokens), asked.profile)
    return made, asked.traffic(made)


@pytest.mark.requirement("FR-SOLVE-LIMITS", "FR-SOLVE-WHY-NOT")
def test_what_is_not_known_holds_no_limit() -> None:
    """A limit on a figure that is not known is not said to hold; why it is not known is said."""
    asked = question(
        specs.llama_8b(), "vllm", [device(PLENTY)], estimator=unknown_speed, limits=Limits(ttft_seconds=1)
    )
    answer = solve_context(asked)
    assert not answer.solutions
    assert answer.nearest
    assert "nobody measured it" in answer.nearest.limited_by[0]


@pytest.mark.requirement("FR-SOLVE-WHY-NOT")
def test_where_not_even_one_token_fits_the_nearest_is_said_with_its_figures() -> None:
    """The answer is the smallest plan, and how much memory it lacks."""
    answer = solve_context(question(specs.llama_8b(), "vllm", [device(1 << 28)]))
    assert not answer.holds
    assert answer.nearest
    assert answer.nearest.measured.misses[0].limit == "memory"
    assert answer.nearest.measured.misses[0].excess > 0


@pytest.mark.requirement("FR-SOLVE-LIMITS")
def test_a_reserve_is_kept_free_on_each_device() -> None:
    """With a gibibyte kept free, the answer equals that of a device that is so much smaller."""
    spec = specs.llama_8b()
    large, small_one = device(8 * GIB), device(7 * GIB)
    kept = question(spec, "llama.cpp", [large], limits=Limits(reserve_bytes=GIB))
    less = question(spec, "llama.cpp", [small_one])
    assert solve_context(kept).solutions[0].number == solve_context(less).solutions[0].number


@pytest.mark.requirement("FR-SOLVE-USERS")
def test_realistic_lengths_hold_more_users_where_the_cache_is_taken_as_needed() -> None:
    """Blocks of vLLM are taken as answers grow; llama.cpp's slots hold a whole context from the start."""
    spec = specs.llama_8b()
    lengths = {"prompt": parse_lengths("500"), "output": parse_lengths("100-300")}
    served = {
        engine: {one.kind: one.number for one in solve_users(
            question(spec, engine, [device(24 * GIB)], context=8192, **lengths)).solutions}
        for engine in ("vllm", "llama.cpp")
    }  # fmt: skip
    assert served["vllm"]["concurrency-realistic"] > 4 * served["vllm"]["concurrency"]
    assert served["llama.cpp"]["concurrency-realistic"] == served["llama.cpp"]["concurrency"]


@pytest.mark.requirement("FR-SOLVE-USERS")
@given(st.integers(1, 4000), st.integers(1, 500))
def test_resident_tokens_lie_between_the_mean_and_the_longest(prompt: int, users: int) -> None:
    """The 99th percentile of the sum is above the mean and below a full request, and falls with users."""
    fixed, spread = parse_lengths(str(prompt)), parse_lengths("1-400")
    tokens = resident_tokens(fixed, spread, users, 0)
    assert prompt <= tokens <= prompt + 401
    assert resident_tokens(fixed, spread, users + 1, 0) <= tokens


@pytest.mark.requirement("FR-SOLVE-LOAD")
def test_the_load_solves_littles_law_and_is_the_same_for_the_same_seed() -> None:
    """Requests at once = rate x time in the system at that many; the simulation's mean lies near."""
    arrivals = Arrivals(requests_per_second=5, prompt=parse_lengths("1000"), output=parse_lengths("100-200"))
    asked = question(specs.llama_8b(), "vllm", [device(PLENTY)], context=2048, estimator=steady)
    closed = replace(asked, prompt=arrivals.prompt, output=arrivals.output)
    load, _ = solve_load(closed, arrivals)
    again, _ = solve_load(closed, arrivals)
    assert load == again
    assert load
    assert load.little == pytest.approx(5 * (0.1 + 149 * 0.01), rel=1e-6)
    assert load.mean == pytest.approx(load.little, rel=0.1)
    assert load.p99 > load.mean
    other, _ = solve_load(replace(closed, seed=1), arrivals)
    assert other != load


@pytest.mark.requirement("FR-SOLVE-LOAD")
def test_arrivals_that_cannot_be_served_are_said_to_pile_up() -> None:
    """No number of requests at once keeps up with a rate that is too high."""
    arrivals = Arrivals(requests_per_second=1e5, prompt=parse_lengths("1000"), output=parse_lengths("100"))
    asked = question(specs.llama_8b(), "vllm", [device(PLENTY)], context=2048, estimator=slow_with_depth)
    load, why = solve_load(replace(asked, prompt=arrivals.prompt, output=arrivals.output), arrivals)
    assert load is None
    assert "pile up" in why
