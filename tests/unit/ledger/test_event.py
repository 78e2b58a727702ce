"""The envelope and its bytes."""

import json
from dataclasses import replace
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.errors import MalformedError
from hwledger.ledger.event import (
    LARGEST_BODY,
    Event,
    body_of,
    event_of,
    leaf_of,
    microseconds_of,
    new_id,
    time_text,
)
from support.events import TIMES, any_event, event

pytestmark = pytest.mark.requirement("FR-LEDGER-EVENT")
GOLDEN = (
    b'{"data":{"host":"h1","not_after":"2026-11-23T09:00:00Z","serial":"0a"},'
    b'"datacontenttype":"application/json","fleetactor":"user:anna","fleetboot":"b1",'
    b'"fleetclockoffsetms":-12,"fleetseq":417,"id":"0192f0c1-2b3c-7000-8000-000000000001",'
    b'"source":"spiffe://example.org/agent/h1","specversion":"1.0","subject":"host/h1",'
    b'"time":"2026-11-22T09:00:00.000000Z","type":"fleet.host.enrolled.v1"}'
)
GOLDEN_EVENT = Event(
    id="0192f0c1-2b3c-7000-8000-000000000001",
    source="spiffe://example.org/agent/h1",
    type="fleet.host.enrolled.v1",
    subject="host/h1",
    time_microseconds=1_795_338_000_000_000,
    data={"host": "h1", "serial": "0a", "not_after": "2026-11-23T09:00:00Z"},
    actor="user:anna",
    boot="b1",
    boot_seq=417,
    clock_offset_ms=-12,
)


def test_golden_body_and_leaf() -> None:
    """An event has these bytes and this hash in every version of hwledger."""
    assert body_of(GOLDEN_EVENT) == GOLDEN
    assert event_of(GOLDEN) == GOLDEN_EVENT
    assert leaf_of(GOLDEN) == sha256(b"\0" + GOLDEN).digest()
    assert leaf_of(GOLDEN).hex() == "0503595bfadb49c99c86c1c24a6d45dc6799905b255b0961b78286e39182f657"


@given(any_event())
def test_round_trip(made: Event) -> None:
    """Every event reads back as it was, and its body is written again byte for byte."""
    body = body_of(made)
    assert event_of(body) == made
    assert body_of(event_of(body)) == body


@given(any_event(), st.integers(0, 1 << 40))
def test_any_changed_bit_changes_the_hash_and_never_passes_as_the_same(made: Event, place: int) -> None:
    """A flipped bit gives another leaf, and what still reads as an event is another event."""
    body = body_of(made)
    bit = place % (8 * len(body))
    changed = bytearray(body)
    changed[bit // 8] ^= 1 << bit % 8
    assert leaf_of(bytes(changed)) != leaf_of(body)
    try:
        other = event_of(bytes(changed))
    except MalformedError:
        return
    assert other != made


@given(TIMES)
def test_moments_round_trip_and_sort_as_text(moment: int) -> None:
    """A moment is 27 characters that read back to the microsecond, in the years 1 to 9999."""
    text = time_text(moment)
    assert len(text) == 27
    assert microseconds_of(text) == moment
    assert moment == -62_135_596_800_000_000 or time_text(moment - 1) < text


@pytest.mark.parametrize("moment", [-62_135_596_800_000_001, 253_402_300_800_000_000, 1 << 70])
def test_moments_that_are_no_dates_are_refused(moment: int) -> None:
    """Before year 1 and after year 9999 there is no such text."""
    with pytest.raises(MalformedError):
        time_text(moment)


@given(st.integers(0, (1 << 58) - 1), st.binary(min_size=10, max_size=10))
def test_ids_are_uuids_of_version_seven_that_sort_by_time(moment: int, random: bytes) -> None:
    """The standard library reads version, variant and the milliseconds out of them."""
    made = UUID(new_id(moment, random))
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == moment // 1000 & (1 << 48) - 1
    assert str(made) == new_id(moment, random)


CHANGES: dict[str, Any] = {
    "id": "0192f0c1-2b3c-4000-8000-000000000001", "source": "", "type": "host.enrolled", "subject": "a\nb",
    "time": "2026-02-30T00:00:00.000000Z", "specversion": "0.3", "datacontenttype": "text/plain", "data": [1],
    "fleetseq": "1", "fleetactor": 1, "fleetclockoffsetms": True, "not-a-name": 1,
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_an_envelope_that_is_wrong_is_refused_in_a_sentence_that_names_it(name: str) -> None:
    """Each attribute is checked; nothing wrong becomes an event."""
    wrong = {**json.loads(GOLDEN), name: CHANGES[name]}
    with pytest.raises(MalformedError) as caught:
        event_of(json.dumps(wrong, sort_keys=True, separators=(",", ":")).encode())
    assert any(word in str(caught.value) for word in (name, str(CHANGES[name]), repr(CHANGES[name])))


@pytest.mark.parametrize("name", ["id", "source", "type", "subject", "time", "data", "specversion"])
def test_an_envelope_without_a_required_attribute_is_refused(name: str) -> None:
    """What is absent is named."""
    found = {key: value for key, value in json.loads(GOLDEN).items() if key != name}
    with pytest.raises(MalformedError, match=f"lacks {name}"):
        event_of(json.dumps(found, sort_keys=True, separators=(",", ":")).encode())


def test_extensions_cannot_take_the_place_of_attributes() -> None:
    """An extension called like an attribute is refused where the event is made."""
    for name in ("id", "data", "fleetseq", "Upper", "a-b", ""):
        with pytest.raises(MalformedError):
            replace(GOLDEN_EVENT, extensions={name: "x"})


def test_a_count_without_its_boot_is_refused() -> None:
    """A number that counts in no boot says nothing."""
    with pytest.raises(MalformedError, match="fleetboot"):
        replace(GOLDEN_EVENT, boot=None)


def test_bodies_are_bounded() -> None:
    """An event of more than 1 MiB is refused when written and when read."""
    with pytest.raises(MalformedError, match="at most"):
        body_of(event(1, text="x" * LARGEST_BODY))
    with pytest.raises(MalformedError, match="may take"):
        event_of(b" " * (LARGEST_BODY + 1))
