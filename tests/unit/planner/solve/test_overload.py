"""Arrivals that are more than is served: a limit that is missed, and what comes nearest."""

from dataclasses import replace

import pytest

from hwledger.planner.solve.arrivals import Arrivals, parse_lengths
from hwledger.planner.solve.question import UNKNOWNS, Question, served_per_second
from hwledger.planner.solve.solve import solve
from hwledger.planner.solve.whatif import what_if
from hwledger.units import GIB
from support import specs
from support.solving import device, question, shortened, slow_with_depth, unknown_speed


def asked(rate: float, **more: object) -> Question:
    """A question about one device with arrivals of short prompts and answers."""
    arrivals = Arrivals(requests_per_second=rate, prompt=parse_lengths("500"), output=parse_lengths("100"))
    knobs: dict[str, object] = {"estimator": slow_with_depth, **more}
    return question(
        specs.llama_8b(), "vllm", [device(40 * GIB)], context=2048, arrivals=arrivals, **knobs
    )  # fmt: skip


@pytest.mark.requirement("FR-SOLVE-LOAD", "FR-SOLVE-WHY-NOT")
@pytest.mark.parametrize("unknown", UNKNOWNS)
def test_a_rate_that_nothing_serves_is_a_missed_limit(unknown: str) -> None:
    """Whatever is looked for, nothing holds; the nearest fits, and misses the rate by a figure."""
    answer = solve(asked(1e6), unknown)
    assert not answer.holds
    assert answer.nearest
    (missed,) = answer.nearest.measured.misses
    assert missed.limit == "min_requests_per_second"
    assert missed.wanted == 1e6
    assert missed.got == served_per_second(answer.nearest.measured.throughput)
    assert "requests answered per second" in answer.nearest.limited_by[0]


@pytest.mark.requirement("FR-SOLVE-LOAD")
@pytest.mark.parametrize("unknown", ["context", "weights", "devices", "all"])
def test_answers_to_arrivals_serve_the_rate(unknown: str) -> None:
    """Where the rate is served, every answer that is not about the users serves it when measured again."""
    answer = solve(asked(5.0), unknown)
    assert answer.holds
    assert answer.load
    for one in answer.solutions:
        served = served_per_second(one.measured.throughput)
        assert served is not None
        assert served >= 5.0 or one.kind.startswith("concurrency")


@pytest.mark.requirement("FR-SOLVE-LOAD")
def test_a_speed_that_is_not_known_does_not_hold_a_rate() -> None:
    """A rate that cannot be checked is not said to hold."""
    answer = solve(asked(1.0, estimator=unknown_speed), "weights")
    assert not answer.holds
    assert answer.nearest
    assert "is not known" in answer.nearest.measured.misses[0].why


@pytest.mark.requirement("FR-SOLVE-WHAT-IF", "FR-SOLVE-LOAD")
def test_what_if_says_that_the_rate_is_not_served() -> None:
    """Each effect without a figure under the arrivals misses the rate, with the estimate's own reason."""
    start = replace(asked(1e6), estimator=unknown_speed)
    for effect in what_if(start, ["fp8-kv"]):
        (missed,) = effect.measured.misses
        assert missed.limit == "min_requests_per_second"
        assert "nobody measured it" in missed.why


@pytest.mark.requirement("FR-SOLVE-CONTEXT", "FR-SOLVE-WHY-NOT")
def test_a_context_over_the_models_own_is_named() -> None:
    """The limit is the model's, and the answer says so; within it nothing is said."""
    long = question(shortened(specs.llama_8b(), 1024), "llama.cpp", [device(40 * GIB)], context=2048)
    notes = solve(long, "weights").notes
    assert "a context of 2k tokens is over the 1k that the model was made for" in notes
    within = replace(long, request=long.vary(long.request, context=1024))
    assert not any("made for" in note for note in solve(within, "weights").notes)
