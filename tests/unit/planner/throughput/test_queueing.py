"""Arrivals at a rate: Little's law, the wait of prompts, and a simulation of the same."""

from itertools import pairwise

import pytest

from hwledger.device.catalogue import parse_devices
from hwledger.library.sources.catalogue import shipped_model
from hwledger.planner.plan import Plan, plan
from hwledger.planner.throughput import Figure, Traffic, estimate
from hwledger.planner.throughput.queueing import Arrivals, queue_seconds, simulate, steady_requests


def step(running: float) -> float:
    """A step of 20 ms, and 0.1 ms more per request."""
    return 0.02 + 1e-4 * running


def prompt(tokens: int) -> float:
    """20,000 tokens per second."""
    return tokens / 20_000


@pytest.mark.requirement("FR-SPEED-SERVING-QUEUE")
def test_the_wait_is_that_of_a_queue_with_fixed_service() -> None:
    """M/D/1: at half load a wait of half a service, at nine tenths 4.5 of them."""
    assert queue_seconds(5.0, 0.1) == pytest.approx(0.05)
    assert queue_seconds(9.0, 0.1) == pytest.approx(0.45)


@pytest.mark.requirement("FR-SPEED-SERVING-QUEUE")
def test_as_many_leave_as_arrive() -> None:
    """The requests at once are those of Little's law; none where more arrive than ever leave."""
    found = steady_requests(10.0, lambda n: 2.0 + 0.01 * n, most=1000.0)
    assert found is not None
    assert found == pytest.approx(10.0 * (2.0 + 0.01 * found), rel=1e-6)
    assert steady_requests(200.0, lambda n: 2.0 + 0.01 * n, most=1000.0) is None


@pytest.mark.requirement("FR-SPEED-SERVING-QUEUE")
def test_a_seed_gives_one_answer() -> None:
    """The same seed gives the same quantiles, another one others; all arrivals are served."""
    arrivals = Arrivals(per_second=4.0, prompt_tokens=1000, output_tokens=100, length_spread=0.5)
    one, same, other = (simulate(arrivals, step, prompt, slots=64, seed=seed) for seed in (7, 7, 8))
    assert one == same
    assert one != other
    assert one.served == 400
    assert one.ttft_high >= one.ttft > prompt(500)
    assert not one.saturated


@pytest.mark.requirement("FR-SPEED-SERVING-QUEUE")
def test_the_simulation_agrees_with_littles_law() -> None:
    """Requests in a step lie within a fifth of rate x time, where neither prompts nor slots are scarce."""
    arrivals = Arrivals(per_second=3.0, prompt_tokens=400, output_tokens=200)
    seen = simulate(arrivals, step, prompt, slots=1000, seed=1, requests=1500)
    assert seen.running == pytest.approx(3.0 * (seen.ttft + 199 * seen.tpot), rel=0.2)


@pytest.mark.requirement("FR-SPEED-SERVING-QUEUE")
def test_more_than_can_be_served_is_called_so() -> None:
    """At five times the rate that slots allow the queue grows to the end, and the outcome says so."""
    arrivals = Arrivals(per_second=20.0, prompt_tokens=1000, output_tokens=400)
    assert simulate(arrivals, step, prompt, slots=4, seed=3).saturated


@pytest.fixture(scope="module")
def made() -> Plan:
    """A 70B model on eight H100."""
    spec = shipped_model("meta-llama/Llama-3.3-70B-Instruct")
    return plan(spec, engine="vllm", context=4096, devices=parse_devices("8x H100 SXM"))


def value_of(figure: Figure | None) -> float:
    """Return the value of a figure that must be there."""
    assert figure is not None
    return figure.value


@pytest.mark.requirement("FR-SPEED-SERVING-QUEUE")
def test_arrivals_are_answered_or_refused_with_the_rate_that_is_served(made: Plan) -> None:
    """TTFT and TPOT rise with the rate, what arrives is served; too much is answered with what would be."""
    speeds = [
        estimate(made, Traffic(prompt_tokens=1000, output_tokens=200, requests_per_second=rate))
        for rate in (0.1, 1.0, 4.0)
    ]
    for slow, fast in pairwise(speeds):
        assert value_of(slow.tpot_seconds) < value_of(fast.tpot_seconds)
        assert value_of(slow.ttft_seconds) < value_of(fast.ttft_seconds)
    assert value_of(speeds[1].aggregate_tokens_per_second) == pytest.approx(200.0)
    over = estimate(made, Traffic(prompt_tokens=1000, output_tokens=200, requests_per_second=1e4))
    assert over.ttft_seconds is None
    assert "requests per second are more than this serves" in over.unknown[0]
