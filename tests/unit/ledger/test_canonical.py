"""The canonical form: one value, one run of bytes."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.errors import MalformedError
from hwledger.ledger.canonical import canonical, parsed
from support.events import OBJECTS

pytestmark = pytest.mark.requirement("FR-LEDGER-EVENT")


@given(OBJECTS)
def test_what_is_written_reads_back_the_same_and_is_json_for_others(value: dict[str, Any]) -> None:
    """Round trip through our reader, and through the standard library's, which knows nothing of ours."""
    raw = canonical(value)
    assert parsed(raw) == value
    assert json.loads(raw) == value


@given(OBJECTS, st.randoms())
def test_order_of_keys_does_not_count(value: dict[str, Any], random: Any) -> None:
    """However an object was put together, its bytes are the same."""
    keys = list(value)
    random.shuffle(keys)
    assert canonical({key: value[key] for key in keys}) == canonical(value)


@given(OBJECTS, st.integers(0, 1 << 30))
def test_white_space_anywhere_is_refused_or_part_of_a_text(value: dict[str, Any], place: int) -> None:
    """A second spelling of the same value is not canonical: whatever reads back equal has the same bytes."""
    raw = canonical(value)
    place %= len(raw) + 1
    changed = raw[:place] + b" " + raw[place:]
    try:
        other = parsed(changed)
    except MalformedError:
        return
    assert other != value


@pytest.mark.parametrize(
    "raw",
    [
        b'{"b":1,"a":2}', b'{"a":1,"a":1}', b'{"a": 1}', b'{"a":1.0e2}', b'{"a":1e+22}', b'{"a":-0}',
        b'{"a":0.5}', b'{"a":[{"b":1.0}]}', b'{"a":1e22}',
        b'{"a":"\\u0041"}', b'{"a":"\\/"}', b'{"a":18446744073709551616}', b"\xef\xbb\xbf{}", b"{}\n",
        b"[]", b"1", b"", b"{", b'{"a":NaN}', b'{"a":"\\ud800"}', b'{"a":"\xff"}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_other_spellings_are_refused(raw: bytes) -> None:
    """Order, doubled keys, white space, other numbers, other escapes, no object, no JSON, no UTF-8."""
    with pytest.raises(MalformedError):
        parsed(raw)


@pytest.mark.parametrize(
    "value",
    [0.5, 1.0, [{"a": 2.0}], math.nan, math.inf, -math.inf, 1 << 64, -(1 << 63) - 1, (1, 2), {1: 2}, b"raw",
     "\ud800", datetime(2026, 1, 1, tzinfo=UTC), {1, 2}],
)  # fmt: skip
def test_what_json_cannot_say_is_refused_and_not_changed(value: Any) -> None:
    """Nothing becomes null, text or a list on its way."""
    with pytest.raises(MalformedError):
        canonical({"value": value})


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        ({"b": 1, "a": [True, None]}, b'{"a":[true,null],"b":1}'),
        ({"x": (1 << 64) - 1, "w": -(1 << 63)}, b'{"w":-9223372036854775808,"x":18446744073709551615}'),
        ({"é": "\u2028\x7f/", "z": '"\\\n\x01'}, '{"z":"\\"\\\\\\n\\u0001","é":"\u2028\x7f/"}'.encode()),
        ({"\U0001f600": 1, "\uffff": 2}, '{"\uffff":2,"\U0001f600":1}'.encode()),
    ],
)
def test_golden_bytes(value: dict[str, Any], raw: bytes) -> None:
    """Numbers, escapes and the order of keys (by UTF-8 bytes) are these with every orjson."""
    assert canonical(value) == raw
    assert parsed(raw) == value
