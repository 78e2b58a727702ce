"""One plan under traffic and limits: the figures of the traffic that was asked, each limit met or missed."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.device.catalogue import parse_devices
from hwledger.library.sources.catalogue import shipped_model
from hwledger.planner.plan import Plan, plan
from hwledger.planner.solve.arrivals import Arrivals, parse_lengths
from hwledger.planner.solve.holding import held_to
from hwledger.planner.solve.limits import Limits
from hwledger.planner.solve.question import traffic_under
from hwledger.planner.throughput import estimate
from hwledger.screens.holding import limit_rows
from hwledger.units import GIB


def made(**more: Any) -> Plan:
    """A plan that fits."""
    spec, device = shipped_model("Qwen/Qwen3-8B"), parse_devices("L40S")
    return plan(spec, engine="vllm", devices=device, concurrency=8, **more)


@pytest.mark.requirement("FR-SOLVE-HOLD")
def test_traffic_is_of_the_mean_lengths_that_were_given() -> None:
    """Lengths and rate reach the estimate; what is not given is a part of the context."""
    one = made()
    prompt, output = parse_lengths("500-1500"), parse_lengths("100:0.5,300:0.5")
    both = traffic_under(one, None, prompt, output)
    assert (both.prompt_tokens, both.output_tokens, both.concurrency) == (1000, 200, 8)
    assert both.requests_per_second is None
    rate = traffic_under(one, Arrivals(requests_per_second=2.0, prompt=prompt, output=output))
    assert (rate.prompt_tokens, rate.output_tokens, rate.requests_per_second) == (1000, 200, 2.0)
    half = traffic_under(one, None, None, output)
    assert half.prompt_tokens == one.memory.context_tokens - 200
    assert traffic_under(one).prompt_tokens + traffic_under(one).output_tokens == 4096


@pytest.mark.requirement("FR-SOLVE-HOLD", "FR-SOLVE-LIMITS")
@given(st.floats(1e-3, 10), st.floats(1e-3, 1), st.floats(1, 1000), st.floats(0.01, 100))
def test_a_limit_is_met_exactly_where_the_figure_is_within_it(
    ttft: float, tpot: float, least: float, price: float
) -> None:
    """Met, missed and open follow from the figure, the limit and the interval alone."""
    one = made()
    fast = estimate(one, traffic_under(one))
    limits = Limits(
        ttft_seconds=ttft, tpot_seconds=tpot, min_tokens_per_second=least, max_price_per_hour=price
    )  # fmt: skip
    held = {row.limit: row for row in held_to(one, limits, fast)}
    assert fast.ttft_seconds
    assert fast.tpot_seconds
    assert (held["ttft_seconds"].miss is None) == (fast.ttft_seconds.value <= ttft)
    assert (held["tpot_seconds"].miss is None) == (fast.tpot_seconds.value <= tpot)
    assert (held["min_tokens_per_second"].miss is None) == (1 / fast.tpot_seconds.value >= least)
    assert held["ttft_seconds"].open == (fast.ttft_seconds.low < ttft < fast.ttft_seconds.high)
    assert held["max_price_per_hour"].interval is None
    assert len(held) == 4
    words = [row.answer for row in limit_rows(tuple(held.values()))]
    assert [word.startswith("met") for word in words] == [row.miss is None for row in held.values()]


@pytest.mark.requirement("FR-SOLVE-HOLD")
def test_what_is_not_known_is_not_met() -> None:
    """A limit of speed on a device whose speed nobody knows is missed, and says that it is not known."""
    one = plan(shipped_model("Qwen/Qwen3-8B"), engine="vllm", devices=parse_devices("48GiB"))
    held = held_to(one, Limits(ttft_seconds=1.0), estimate(one))
    assert held[0].got is None
    assert held[0].miss
    assert limit_rows(held)[0].answer == "not known"


@pytest.mark.requirement("FR-SOLVE-HOLD")
def test_the_reserve_is_what_stays_free_of_the_fullest_device() -> None:
    """A plan on devices with less memory has its headroom beside the reserve."""
    whole = made()
    smaller = replace(parse_devices("L40S")[0], usable_bytes=parse_devices("L40S")[0].usable_bytes - GIB)
    kept = plan(shipped_model("Qwen/Qwen3-8B"), engine="llama.cpp", devices=(smaller,))
    (row,) = held_to(kept, Limits(reserve_bytes=GIB), None)
    assert kept.fit
    assert row.got == kept.fit.headroom_bytes + GIB
    assert row.miss is None
    assert not held_to(whole, Limits(), None)


@pytest.mark.requirement("FR-SOLVE-HOLD")
@pytest.mark.parametrize(
    ("text", "longest"),
    [("2000", 2000), ("500-4000", 4000), ("200:0.7,4000:0.3", 4000), ("lognormal(1000,0.5)", 2824)],
)
def test_the_longest_of_lengths_is_what_the_context_has_to_hold(text: str, longest: int) -> None:
    """The end of a range, the largest of a mix, 99 % of a log-normal spread: exp(2.326 s - s²/2) means."""
    assert parse_lengths(text).longest == longest
