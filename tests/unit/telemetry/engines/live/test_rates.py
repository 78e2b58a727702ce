"""Tokens per second out of counters."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwledger.telemetry.engines.live.rates import AT_END_S, Rates
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Basis, Gauge, Reading, Value

pytestmark = pytest.mark.requirement("FR-TEL-ENGINES")
COUNTER, SPEED = Quantity.GENERATED_TOKENS, Quantity.DECODE_SPEED


def speed(rates: Rates, at: float, count: float, running: float = 1, own: float | None = None) -> Reading:
    """Return the speed of one look."""
    gauge = Gauge("test", at)
    told: dict[Quantity, Reading] = {COUNTER: gauge(COUNTER, count)}
    if own is not None:
        told[SPEED] = gauge(SPEED, own)
    return rates.speeds(told, gauge, running)[SPEED]


def test_two_looks_make_a_rate() -> None:
    """The first says why it has none; the second has what was counted between them, as derived."""
    rates = Rates()
    first, second = speed(rates, 10.0, 100), speed(rates, 12.0, 150)
    assert isinstance(first, Absent)
    assert "first" in first.detail
    assert isinstance(second, Value)
    assert (second.value, second.basis) == (25.0, Basis.DERIVED)
    idle = speed(rates, 14.0, 150, running=0)
    assert isinstance(idle, Value)
    assert idle.value == 0


def test_the_engines_own_figure_stands_until_there_is_a_rate() -> None:
    """Its gauge is better than nothing, and a rate is better than its gauge."""
    rates = Rates()
    first, second = speed(rates, 10.0, 100, own=7.0), speed(rates, 12.0, 150, own=7.0)
    assert isinstance(first, Value)
    assert isinstance(second, Value)
    assert (first.value, second.value) == (7.0, 25.0)


def test_a_counter_that_began_anew_makes_no_rate() -> None:
    """An engine that was restarted counts from nothing: one look without a rate, then one with."""
    rates = Rates()
    speed(rates, 10.0, 1000)
    after = speed(rates, 12.0, 5)
    assert isinstance(after, Absent)
    assert "anew" in after.detail
    following = speed(rates, 14.0, 25)
    assert isinstance(following, Value)
    assert following.value == 10.0


def test_looks_that_follow_at_once_reach_further_back() -> None:
    """Two looks within half a second make no rate; one before them does."""
    rates = Rates()
    speed(rates, 10.0, 100)
    speed(rates, 11.9, 140)
    third = speed(rates, 12.0, 150)
    assert isinstance(third, Value)
    assert third.value == 25.0


def test_counters_that_move_when_requests_end() -> None:
    """They need a longer span, and an unmoved one beside running requests is no zero."""
    rates = Rates(at_end=True)
    assert isinstance(speed(rates, 0.0, 100), Absent)
    assert isinstance(speed(rates, 2.0, 100), Absent)
    stuck = speed(rates, AT_END_S + 1, 100)
    assert isinstance(stuck, Absent)
    idle = speed(rates, AT_END_S + 2, 100, running=0)
    assert isinstance(idle, Value)
    assert idle.value == 0
    moved = speed(rates, AT_END_S + 5, 200)
    assert isinstance(moved, Value)
    assert moved.value == pytest.approx(100 / (AT_END_S + 3))


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 10**9)), max_size=30))
def test_no_rate_is_less_than_nothing(looks: list[tuple[float, int]]) -> None:
    """Whatever a counter does, a rate is a number that can be, or a reason."""
    rates, at = Rates(slack=16), 0.0
    for pause, count in looks:
        at += pause
        reading = speed(rates, at, count)
        if isinstance(reading, Value):
            assert isinstance(reading.value, float)
            assert reading.value >= 0
