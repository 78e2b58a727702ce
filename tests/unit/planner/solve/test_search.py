"""Binary search where numbers work up to some point, cell by cell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.planner.solve.search import largest

pytestmark = pytest.mark.requirement("FR-SOLVE-CONTEXT")


@given(
    st.integers(0, 300),
    st.integers(0, 300),
    st.lists(st.tuples(st.integers(1, 300), st.integers(0, 300)), max_size=3),
)
def test_the_largest_number_equals_that_of_brute_force(
    low: int, high: int, cells: list[tuple[int, int]]
) -> None:
    """Where numbers work up to a point within each cell of the breaks, the answer is the largest of all."""
    breaks = sorted({start for start, _ in cells})
    reach = dict(cells)

    def works(number: int) -> bool:
        start = max((at for at in breaks if at <= number), default=0)
        return number <= start + reach.get(start, 40)

    # cells of doubling starts cut what works up to a point into pieces that do so, too
    expected = max((n for n in range(low, high + 1) if works(n)), default=None)
    assert largest(low, high, works, breaks) == expected


def test_few_numbers_are_tried() -> None:
    """A range of a million takes some dozens of tries."""
    tried: list[int] = []

    def works(number: int) -> bool:
        tried.append(number)
        return number <= 123_457

    assert largest(1, 1 << 20, works) == 123_457
    assert len(tried) < 40
