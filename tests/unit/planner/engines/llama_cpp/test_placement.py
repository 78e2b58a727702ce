"""Which device holds which layer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.planner.engines.llama_cpp import placement


@pytest.mark.requirement("FR-PLAN-LLAMACPP")
@given(st.lists(st.floats(1e-6, 1e15), min_size=2, max_size=16), st.integers(0, 200))
def test_shares_are_added_as_32_bit_floats(shares: list[float], count: int) -> None:
    """Plain Python places every layer where arithmetic in 32-bit floats does, ties included."""
    running = np.cumsum(np.array(shares, dtype=np.float32), dtype=np.float32)
    positions = np.arange(count, dtype=np.float32) / np.float32(max(1, count))
    found = np.searchsorted(running / running[-1], positions, side="right")
    assert placement._runs(shares, count) == [min(int(at), len(shares) - 1) for at in found]


@pytest.mark.requirement("FR-PLAN-LLAMACPP", "NFR-BAD-INPUT")
def test_shares_too_small_for_32_bits_are_none() -> None:
    """Nothing is divided by what rounds to zero."""
    assert placement._runs([1e-50, 1e-50], 3) == [0, 0, 0]
