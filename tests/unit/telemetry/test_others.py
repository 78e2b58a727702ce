"""What others take of the processor while one process works."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.telemetry.others import Moment, moment, others_share

pytestmark = pytest.mark.requirement("FR-CAL-BUSY")
SECONDS = st.floats(0, 1e4)


def test_others_are_all_but_one_s_own() -> None:
    """Half of two cores by others is a quarter where one's own take the other half."""
    first, last = Moment(10.0, 100.0, 50.0), Moment(20.0, 115.0, 60.0)
    assert others_share(first, last, 2) == 0.25
    assert others_share(first, last, 1) == 0.5


@given(SECONDS, SECONDS, st.floats(0.01, 1e4), st.integers(1, 256))
def test_it_is_a_share(every: float, own: float, lasted: float, cores: int) -> None:
    """Whatever is told, it lies from 0 to 1."""
    found = others_share(Moment(0.0, 0.0, 0.0), Moment(lasted, every, own), cores)
    assert found is not None
    assert 0 <= found <= 1


def test_what_is_not_known_stays_so() -> None:
    """No moment, or no time between two, is no share."""
    now = moment(os.getpid())
    assert now is not None
    assert others_share(None, now, 2) is None
    assert others_share(now, now, 2) is None
