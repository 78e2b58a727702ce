"""Lengths and times as people write them."""

from contextlib import suppress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.errors import UsageError
from hwledger.planner.solve.arrivals import Arrivals, parse_lengths
from hwledger.units import parse_money, parse_seconds


@pytest.mark.requirement("FR-SOLVE-LOAD")
@pytest.mark.parametrize(
    ("text", "mean"),
    [
        ("2000", 2000),
        ("2k", 2048),
        ("500-1500", 1000),
        ("200:0.75,1000:0.25", 400),
        ("lognormal(2000,0.8)", 2000),
    ],
)
def test_lengths_have_the_mean_that_is_written(text: str, mean: float) -> None:
    """The mean is that of the text, and that of many draws."""
    lengths, random = parse_lengths(text), Random(0)
    assert lengths.mean == mean
    draws = [lengths.draw(random) for _ in range(20_000)]
    assert min(draws) >= 1
    assert sum(draws) / len(draws) == pytest.approx(mean, rel=0.05)


@pytest.mark.requirement("FR-SOLVE-LOAD", "NFR-BAD-INPUT")
@given(st.text(max_size=20))
def test_any_text_is_lengths_or_a_usage_error(text: str) -> None:
    """Nothing else is raised, whatever is typed."""
    with suppress(UsageError):
        assert parse_lengths(text).mean > 0


@pytest.mark.requirement("FR-SOLVE-LOAD", "NFR-BAD-INPUT")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-5",
        "5-2",
        "4:x",
        "4:0",
        "1:-1,2:3",
        "lognormal(0,1)",
        "lognormal(5,9)",
        "1e99",
        "200:0.7,4000:0.9",
        "200:0.3",
    ],
)
def test_lengths_that_mean_nothing_are_refused(text: str) -> None:
    """Nothing, nobody and backwards are no lengths."""
    with pytest.raises(UsageError):
        parse_lengths(text)


@pytest.mark.requirement("FR-SOLVE-LOAD", "NFR-BAD-INPUT")
def test_a_rate_is_positive() -> None:
    """No arrivals are no rate."""
    with pytest.raises(UsageError):
        Arrivals(requests_per_second=0, prompt=parse_lengths("1"), output=parse_lengths("1"))


@pytest.mark.requirement("FR-SOLVE-CLI")
@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2s", 2), ("50ms", 0.05), ("1.5", 1.5), ("2 min", 120), ("300us", 3e-4), ("1h", 3600)],
)
def test_times_are_read_with_their_unit(text: str, seconds: float) -> None:
    """Seconds where nothing is said."""
    assert parse_seconds(text) == pytest.approx(seconds)


@pytest.mark.requirement("FR-SOLVE-CLI")
@pytest.mark.parametrize(
    ("text", "dollars"), [("2.50/h", 2.5), ("$2.50", 2.5), ("48/day", 2), ("1460 USD/month", 2)]
)
def test_prices_are_read_by_the_hour(text: str, dollars: float) -> None:
    """By the hour where nothing is said."""
    assert parse_money(text) == pytest.approx(dollars)


@pytest.mark.requirement("FR-SOLVE-CLI", "NFR-BAD-INPUT")
@given(st.text(max_size=12))
def test_any_text_is_a_time_or_a_value_error(text: str) -> None:
    """Nothing else is raised, and what is read is positive."""
    for read in (parse_seconds, parse_money):
        with suppress(ValueError):
            assert read(text) > 0
