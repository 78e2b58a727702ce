"""Bodies of agents' requests: anything that is sent is read, or refused in one sentence; nothing else."""

import gzip
import json
import zlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hwledger.errors import MalformedError, NewerError, TooLargeError
from hwledger.fleet.wire.reading import LARGEST_INFLATED, LARGEST_RATIO, LARGEST_SENT, unpacked
from hwledger.fleet.wire.reports import (
    LARGEST_INVENTORY,
    MOST_COLUMNS,
    MOST_EVENTS,
    MOST_ROWS,
    ack_of,
    events_of,
    hello_of,
    inventory_hash,
    telemetry_of,
)
from hwledger.ledger.event import body_of
from support.reporting import BOOT, INVENTORY, Clock, as_json, hello_body, reported

pytestmark = pytest.mark.requirement("FR-FLEET-WIRE")
CLOCK = Clock()
READERS = (hello_of, events_of, telemetry_of, ack_of)
BATCH = {
    "boot": BOOT, "seq": 1, "from": "2025-11-25T09:00:00Z", "step_seconds": 10,
    "columns": {"a": [1, 2.5, None], "b": ["P0", "P8", None]},
}  # fmt: skip
ACK = {"fence": 3, "result": "done", "detail": "8 devices"}


def test_whole_messages() -> None:
    """What an agent sends is read as it was meant."""
    hello = hello_of(as_json(hello_body(CLOCK, seen={"size": 7}, state={"dropped": 2})))
    assert (hello.boot, hello.time_microseconds, hello.seen_size) == (BOOT, CLOCK(), 7)
    assert (hello.inventory, hello.state) == (INVENTORY, {"dropped": 2})
    assert hello_of(as_json(hello_body(CLOCK, inventory=None))).inventory is None
    batch = telemetry_of(as_json(BATCH))
    assert (batch.rows, batch.seq, batch.from_microseconds) == (3, 1, CLOCK())
    assert ack_of(as_json(ACK)).result == "done"
    event = reported(1)
    assert events_of(as_json({"events": [json.loads(body_of(event))]})) == (event,)


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ("hello", {"protocol": 0}), ("hello", {"protocol": True}), ("hello", {"boot": "x"}),
        ("hello", {"boot": "../../../etc"}), ("hello", {"time": "yesterday"}),
        ("hello", {"time": "2025-11-25T09:00:00"}), ("hello", {"version": "a\nb"}),
        ("hello", {"seen": {}}), ("hello", {"seen": 7}), ("hello", {"seen": {"size": -1}}),
        ("hello", {"inventory_sha256": "A" * 64}), ("hello", {"inventory": {"x": 1}}),
        ("hello", {"inventory": {"x": 0.5}}), ("hello", {"spool_bytes": -1}), ("hello", {"spool_bytes": 1.0}),
        ("hello", {"more": 1}), ("hello", {"state": []}), ("hello", {"state": {"alarm": "x"}}),
        ("hello", {"state": {"alarm": {"reason": "x", "seen": 1, "shown": ""}}}),
        ("batch", {"seq": 0}), ("batch", {"step_seconds": 0}), ("batch", {"columns": {}}),
        ("batch", {"columns": {"a": [1], "b": [1, 2]}}), ("batch", {"columns": {"a": []}}),
        ("batch", {"columns": {"a": 1}}), ("batch", {"columns": {"a": [[1]]}}),
        ("batch", {"columns": {"a": ["x" * 65]}}), ("batch", {"columns": {"a\n": [1]}}),
        ("batch", {"columns": {"": [1]}}), ("batch", {"columns": {"x" * 129: [1]}}),
        ("batch", {"columns": {"a": [True]}}), ("batch", {"columns": [1]}),
        ("batch", {"columns": {str(number): [1] for number in range(MOST_COLUMNS + 1)}}),
        ("batch", {"columns": {"a": [1] * (MOST_ROWS + 1)}}), ("batch", {"more": 1}),
        ("ack", {"result": "maybe"}), ("ack", {"fence": 0}), ("ack", {"detail": None}),
        ("ack", {"detail": "x" * 3000}), ("ack", {"more": 1}),
    ],
)  # fmt: skip
def test_what_is_not_as_it_has_to_be(base: str, change: dict[str, Any]) -> None:
    """Each field that is wrong is refused, whatever the others are."""
    whole, reader = {
        "hello": (hello_body(CLOCK), hello_of), "batch": (BATCH, telemetry_of), "ack": (ACK, ack_of),
    }[base]  # fmt: skip
    reader(as_json(whole))
    with pytest.raises(MalformedError):
        reader(as_json({**whole, **change}))


@pytest.mark.parametrize("name", ["boot", "time", "version", "inventory_sha256", "spool_bytes", "protocol"])
def test_what_is_absent(name: str) -> None:
    """No field that is needed is made up."""
    whole = hello_body(CLOCK)
    del whole[name]
    with pytest.raises(MalformedError, match=name):
        hello_of(as_json(whole))


def test_a_newer_protocol() -> None:
    """It is said to be newer, not to be wrong."""
    with pytest.raises(NewerError, match="protocol 2"):
        hello_of(as_json(hello_body(CLOCK, protocol=2)))


def test_large_inventories_and_states() -> None:
    """They are held to limits of their own."""
    large = {"x": "y" * LARGEST_INVENTORY}
    for change in ({"inventory": large, "inventory_sha256": inventory_hash(large)}, {"state": large}):
        with pytest.raises(TooLargeError):
            hello_of(as_json(hello_body(CLOCK, **change)))


def test_how_many_events() -> None:
    """None, and more than the limit, are refused; so is anything but envelopes."""
    one = json.loads(body_of(reported(1)))
    for wrong in ([], [one] * (MOST_EVENTS + 1), [1], [{}], one, None, [{**one, "data": {"x": 0.5}}]):
        with pytest.raises(MalformedError):
            events_of(as_json({"events": wrong}))


def test_bodies_that_unpack_to_too_much() -> None:
    """A bomb of any size is refused, and no more than the limit is unpacked of it."""
    for size in (LARGEST_INFLATED + 1, 100_000_000):
        with pytest.raises(TooLargeError):
            unpacked(gzip.compress(b"0" * size), "gzip")
    small = gzip.compress(b"0" * 500_000)
    assert len(small) * LARGEST_RATIO < 500_000
    with pytest.raises(TooLargeError):
        unpacked(small, "gzip")
    with pytest.raises(TooLargeError):
        unpacked(b"0" * (LARGEST_SENT + 1), "")


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"{}", "gzip"), (gzip.compress(b"{}")[:-3], "gzip"), (gzip.compress(b"{}") * 2, "gzip"),
        (gzip.compress(b"{}") + b"x", "gzip"), (zlib.compress(b"{}"), "gzip"), (b"", "gzip"),
        (b"{}", "br"), (gzip.compress(b"{}"), "gzip, gzip"),
    ],
)  # fmt: skip
def test_what_is_not_packed_as_it_says(body: bytes, encoding: str) -> None:
    """Cut off, doubled, followed by more, or in another way: refused."""
    with pytest.raises(MalformedError):
        unpacked(body, encoding)


@given(st.binary(max_size=5000), st.booleans())
def test_packed_and_unpacked(body: bytes, packed: bool) -> None:  # noqa: FBT001 - drawn
    """What is within the limits comes back as it was."""
    sent = gzip.compress(body) if packed else body
    if len(body) <= LARGEST_RATIO * len(sent):
        assert unpacked(sent, "gzip" if packed else "") == body


@given(st.binary(max_size=300), st.sampled_from(["", "gzip", "br", "identity"]))
@example(b"[" * 100_000, "")
@example(b'{"events":' + b"[" * 50_000, "")
@example(b'{"a":NaN}', "")
@example(b'\xff{"a":1}', "")
def test_any_bytes_are_read_or_refused(body: bytes, encoding: str) -> None:
    """Whatever comes, the only error is that it is malformed."""
    for reader in READERS:
        try:
            reader(unpacked(body, encoding))
        except MalformedError:
            continue


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["2025-11-25T09:00:00Z", BOOT, "0" * 64, "done"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
MESSAGES = {
    "hello": (hello_body(CLOCK, state={"alarm": {"reason": "r", "seen": "", "shown": ""}}), hello_of),
    "batch": (BATCH, telemetry_of),
    "ack": (ACK, ack_of),
    "events": ({"events": [json.loads(body_of(reported(1)))]}, events_of),
}


@given(st.sampled_from(sorted(MESSAGES)), st.data())
def test_any_field_may_be_anything(name: str, data: st.DataObject) -> None:
    """A message whose field holds any JSON at all is read or refused."""
    whole, reader = MESSAGES[name]
    place = json.loads(json.dumps(whole))
    inner = place["events"][0] if name == "events" and data.draw(st.booleans()) else place
    field = data.draw(st.sampled_from(sorted(inner)))
    inner[field] = data.draw(JSON)
    try:
        reader(json.dumps(place).encode())
    except (MalformedError, NewerError):
        return


@given(st.sampled_from(sorted(MESSAGES)), st.data())
def test_damaged_bytes(name: str, data: st.DataObject) -> None:
    """A whole message with any byte changed, cut or doubled is read or refused."""
    whole, reader = MESSAGES[name]
    raw = bytearray(as_json(whole))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        reader(bytes(raw))
    except (MalformedError, NewerError):
        return
