"""Figures of speed and the traffic that they are for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.errors import UsageError
from hwledger.planner.memory import Basis
from hwledger.planner.throughput import Figure, Traffic, traffic_of

FIGURE = Figure(100.0, 80.0, 125.0, Basis.CALIBRATED, "a test")


@pytest.mark.requirement("FR-SPEED-FIGURES")
def test_seconds_and_rates_turn_into_each_other() -> None:
    """The slow end of a rate is the long end of a time."""
    assert FIGURE.inverse() == Figure(0.01, 0.008, 0.0125, Basis.CALIBRATED, "a test")
    assert FIGURE.scaled(2).high == 250.0


@pytest.mark.requirement("FR-SPEED-FIGURES")
@pytest.mark.parametrize("ends", [(0.0, 200.0), (110.0, 200.0), (80.0, 90.0)])
def test_a_figure_lies_in_its_interval(ends: tuple[float, float]) -> None:
    """An interval without its figure is a mistake, and so is one that reaches 0."""
    with pytest.raises(ValueError, match="cannot lie"):
        Figure(100.0, *ends, Basis.ASSUMED, "")


@pytest.mark.requirement("FR-SPEED-FIGURES")
@given(context=st.integers(1, 1 << 40), users=st.integers(1, 4096))
def test_a_bare_context_is_full_when_the_answer_ends(context: int, users: int) -> None:
    """Prompt and answer make up the context, and the answer is at most 512 tokens."""
    traffic = traffic_of(context, users)
    assert traffic.prompt_tokens + traffic.output_tokens == context
    assert 1 <= traffic.output_tokens <= 512
    assert traffic.mean_depth <= context


@pytest.mark.requirement("FR-SPEED-FIGURES", "NFR-BAD-INPUT")
@pytest.mark.parametrize(
    "wrong",
    [{"prompt_tokens": -1}, {"output_tokens": 0}, {"cached_tokens": 1 << 41}, {"concurrency": 0},
     {"concurrency": 1 << 21}, {"requests_per_second": 0.0}, {"requests_per_second": float("nan")}],
)  # fmt: skip
def test_impossible_traffic_is_refused(wrong: dict[str, float]) -> None:
    """One sentence, not a figure of nonsense."""
    with pytest.raises(UsageError):
        Traffic(**{"prompt_tokens": 512, **wrong})  # type: ignore[arg-type]
