"""Sizes as people write and read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.units import (
    GIB,
    cdiv,
    format_bytes,
    format_count,
    format_tokens,
    parse_size,
    round_up,
    whole_number,
)


@pytest.mark.requirement("FR-PLAN-CLI")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("131072", 131072),
        ("128k", 131072),
        ("128K", 131072),
        ("6.51GiB", round(6.51 * GIB)),
        ("24 GB", 24 * 10**9),
        ("1_000", 1000),
        ("2M", 2 << 20),
        ("0", 0),
    ],
)
def test_sizes_are_read_as_documented(text: str, value: int) -> None:
    """Plain numbers, binary suffixes and decimal units give the documented whole number."""
    assert parse_size(text) == value


@pytest.mark.requirement("NFR-BAD-INPUT")
@given(st.text(max_size=30) | st.sampled_from(["²", "٣", "9" * 5000, "1_0", " 1", "-1", "+1", "007"]))
def test_whole_numbers_are_plain_digits(text: str) -> None:
    """Everything else is no number, and nothing is raised."""
    plain = 0 < len(text) <= 18 and set(text) <= set("0123456789")
    assert whole_number(text) == (int(text) if plain else None)


@pytest.mark.requirement("NFR-BAD-INPUT")
@pytest.mark.parametrize("text", ["", "-5", "12q", "k", "nan", "inf", "1e999", "9" * 40, "1,2", "0x10"])
def test_what_is_no_size_is_refused(text: str) -> None:
    """Anything else raises ValueError with the text in the sentence."""
    with pytest.raises(ValueError, match=r"size|larger"):
        parse_size(text)


@pytest.mark.requirement("FR-PLAN-CLI")
@given(st.integers(0, 2**62))
def test_whole_numbers_survive(value: int) -> None:
    """A whole number is read without passing through a float."""
    assert parse_size(str(value)) == value


@pytest.mark.requirement("FR-PLAN-KV")
@given(st.integers(0, 10**12), st.integers(1, 10**6))
def test_rounding_up_is_the_smallest_multiple(value: int, step: int) -> None:
    """``round_up`` is a multiple, at least the value, and less than one step above it."""
    rounded = round_up(value, step)
    assert rounded % step == 0
    assert value <= rounded < value + step
    assert rounded == cdiv(value, step) * step


@pytest.mark.requirement("FR-PLAN-CLI")
def test_figures_are_printed_in_the_fields_units() -> None:
    """Bytes are binary units by name, tokens are k where exact, parameters are billions."""
    assert format_bytes(3 * GIB) == "3.00 GiB"
    assert format_bytes(10) == "10 B"
    assert format_tokens(131072) == "128k"
    assert format_tokens(1000) == "1,000"
    assert format_count(8_030_261_248) == "8.03 B"
