"""Heartbeats and events of agents: what changes is written down once, and nobody speaks for another."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwledger.errors import ConflictError, DeniedError, MalformedError, MissingError
from hwledger.fleet.context import Fleet
from hwledger.fleet.differences import MOST, differences
from hwledger.fleet.hosts import host, hosts
from hwledger.fleet.liveness import MISSED, Watch, next_in_seconds
from hwledger.fleet.reports import SKEW_MS, agent_types, events, hello
from hwledger.fleet.wire.reports import inventory_hash
from hwledger.ledger.types import shipped_types
from support.reporting import (
    BOOT,
    DAY,
    INVENTORY,
    SECOND,
    A,
    B,
    Clock,
    Member,
    make_fleet,
    reported,
    told,
)
from support.reporting import hello as greeting

pytestmark = pytest.mark.requirement("FR-FLEET-REPORTS")


@pytest.fixture
def clock() -> Clock:
    """Return a clock that is turned by hand."""
    return Clock()


@pytest.fixture
def fleet(tmp_path: Path, clock: Clock) -> Fleet:
    """Return a fleet with the hosts A and B."""
    return make_fleet(tmp_path, clock)


def test_the_first_heartbeat_and_many_more(fleet: Fleet, clock: Clock) -> None:
    """The first writes down that the host is online and what it has; a hundred more write nothing."""
    answer = hello(fleet, Member(A), greeting(clock))
    assert (answer.want_inventory, answer.events_seq, answer.renew) == (False, 0, False)
    assert [name for name, _ in told(fleet)] == ["host.online", "host.inventory_changed"]
    for _ in range(100):
        clock.turn(30)
        hello(fleet, Member(A), greeting(clock, inventory=None))
    assert len(told(fleet)) == 2
    view = host(fleet, "alpha")
    assert view.online
    assert view.inventory == INVENTORY
    assert view.last_seen.startswith("2025-11-25T09:50:00")
    assert not host(fleet, B).online


def test_an_inventory_is_asked_for_where_its_hash_is_not_known(fleet: Fleet, clock: Clock) -> None:
    """An agent may leave it out; the server asks for it, and writes what changed, once."""
    assert hello(fleet, Member(A), greeting(clock, inventory=None)).want_inventory
    hello(fleet, Member(A), greeting(clock))
    more = {"devices": [*INVENTORY["devices"], {"key": "0000:02:00.0", "name": "A40", "memory_bytes": 1}]}
    for _ in range(3):
        hello(fleet, Member(A), greeting(clock, inventory=more, inventory_sha256=inventory_hash(more)))
    changes = [data["changes"] for _, data in told(fleet, "host.inventory_changed")]
    assert len(changes) == 2
    assert changes[1] == ["devices.0000:02:00.0: {key: 0000:02:00.0, name: A40, memory_bytes: 1} is new"]
    assert host(fleet, A).inventory == more


def test_a_clock_that_is_off_is_written_down_once(fleet: Fleet, clock: Clock) -> None:
    """Ten minutes ahead: one event; jitter below the limit: none; right again: one."""
    ahead = 600 * SECOND
    for jitter in (0, SECOND, -SECOND, 4 * SECOND):
        hello(fleet, Member(A), greeting(clock, time_microseconds=clock() + ahead + jitter))
    assert [data["offset_ms"] for _, data in told(fleet, "host.clock_skew")] == [600_000]
    for jitter in (0, SECOND):
        hello(fleet, Member(A), greeting(clock, time_microseconds=clock() + jitter))
    assert [data["offset_ms"] for _, data in told(fleet, "host.clock_skew")] == [600_000, 0]
    assert host(fleet, A).clock_offset_ms == 1000
    hello(fleet, Member(A), greeting(clock, time_microseconds=clock() - 2 * DAY))
    assert told(fleet, "host.clock_skew")[-1][1]["offset_ms"] == -2 * DAY // 1000


@settings(max_examples=15)
@given(st.lists(st.integers(-SKEW_MS * 3, SKEW_MS * 3), max_size=30))
def test_written_offsets_are_as_far_apart_as_the_limit(offsets: list[int]) -> None:
    """However a clock wanders, what is written down is never off by the limit, and steps are larger."""
    clock = Clock()
    fleet = make_fleet(Path(), clock)
    for offset in offsets:
        hello(fleet, Member(A), greeting(clock, time_microseconds=clock() + offset * 1000))
        written = [0, *(data["offset_ms"] for _, data in told(fleet, "host.clock_skew"))]
        assert abs(written[-1] - offset) < SKEW_MS
        assert all(abs(one - other) >= SKEW_MS for one, other in pairwise(written))


def test_a_new_boot_of_the_agent(fleet: Fleet, clock: Clock) -> None:
    """It is one event, with the version that now runs."""
    hello(fleet, Member(A), greeting(clock))
    for _ in range(2):
        hello(fleet, Member(A), greeting(clock, boot="boot-0002", version="0.2.0"))
    assert told(fleet, "host.restarted") == [
        ("host.restarted", {"host": A, "boot": "boot-0002", "previous": BOOT, "version": "0.2.0"})
    ]
    assert host(fleet, A).agent_version == "0.2.0"


def test_offline_after_three_missed_and_online_after_one(fleet: Fleet, clock: Clock) -> None:
    """Each edge is one event, with when the host was last seen; it is back with its first word."""
    watch = Watch(fleet)
    due = hello(fleet, Member(A), greeting(clock)).next_in_seconds
    clock.turn(MISSED * due)
    assert watch.look() == 0
    clock.turn(1)
    assert (watch.look(), watch.look()) == (1, 0)
    assert not host(fleet, A).online
    assert told(fleet, "host.offline")[0][1]["last_seen"] == "2025-11-25T09:00:00.000000Z"
    hello(fleet, Member(A), greeting(clock, inventory=None))
    assert host(fleet, A).online
    assert [name for name, _ in told(fleet, "host.online", "host.offline")] == [
        "host.online", "host.offline", "host.online",
    ]  # fmt: skip


def test_events_and_telemetry_count_as_words(fleet: Fleet, clock: Clock) -> None:
    """A host whose heartbeat is late but whose events come is not offline."""
    watch = Watch(fleet)
    hello(fleet, Member(A), greeting(clock))
    for number in range(1, 6):
        clock.turn(60)
        events(fleet, Member(A), [reported(number)])
        assert watch.look() == 0


def test_a_server_that_begins_anew_gives_hosts_their_time(fleet: Fleet, clock: Clock) -> None:
    """Online before the restart: offline only when nothing came for three heartbeats since."""
    hello(fleet, Member(A), greeting(clock))
    again = make_fleet(fleet.folder, clock, fleet.store)
    clock.turn(3600)
    watch = Watch(again)
    assert watch.look() == 0
    assert host(again, A).online
    clock.turn(MISSED * next_in_seconds(1) + 1)
    assert (watch.look(), watch.look()) == (1, 0)
    assert not host(again, A).online


@given(st.integers(1, 1_000_000), st.integers(1, 64))
def test_all_heartbeats_together_stay_within_the_limit(count: int, cores: int) -> None:
    """Never more than 50 a second and core, never more often than every 30 seconds."""
    seconds = next_in_seconds(count, cores)
    assert seconds >= 30
    assert count / seconds <= 50 * cores


def test_what_an_agent_found_wrong_with_the_ledger(fleet: Fleet, clock: Clock) -> None:
    """It is an event at once, one however often it is said; that it is whole again is one, too."""
    alarm = {"reason": "it has 3 events and had 5", "seen": "note of 5", "shown": "note of 3", "seq": 4}
    for _ in range(3):
        hello(fleet, Member(A), greeting(clock, state={"alarm": alarm}))
    (found,) = told(fleet, "ledger.verify_failed")
    assert found[1] == {"host": A, **alarm}
    assert host(fleet, A).alarm == alarm["reason"]
    hello(fleet, Member(A), greeting(clock, state={}))
    assert host(fleet, A).alarm
    whole = {"checkpoint": {"size": 6, "root": "0" * 64}}
    for _ in range(2):
        hello(fleet, Member(A), greeting(clock, state=whole))
    assert told(fleet, "ledger.verified") == [("ledger.verified", {"host": A, "size": 6, "root": "0" * 64})]
    assert not host(fleet, A).alarm


def test_a_certificate_that_is_nearly_over(fleet: Fleet, clock: Clock) -> None:
    """The agent is told to renew."""
    clock.turn(19 * 3600)
    assert hello(fleet, Member(A), greeting(clock)).renew


def test_events_are_added_once(fleet: Fleet) -> None:
    """Repeated, reordered and in overlapping batches: each is one event."""
    made = [reported(number) for number in range(1, 6)]
    events(fleet, Member(A), made[2:4])
    events(fleet, Member(A), made[:3])
    receipts = events(fleet, Member(A), [*made[::-1], *made])
    assert [one.repeated for one in receipts] == [False, *[True] * 9]
    assert sorted(data["fence"] for _, data in told(fleet, "job.started")) == [1, 2, 3, 4, 5]


def test_a_count_stands_for_one_event(fleet: Fleet) -> None:
    """Another event under the same boot and number is refused, and so is a changed one."""
    first = reported(1)
    other = replace(reported(2), boot_seq=1)
    events(fleet, Member(A), [first])
    for wrong in (
        [other],
        [reported(3), replace(reported(4), boot_seq=3)],
        [replace(first, subject="job/8")],
    ):
        with pytest.raises(ConflictError):
            events(fleet, Member(A), wrong)
    assert len(told(fleet)) == 1


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"source": f"spiffe://example.org/agent/{B}"}, DeniedError),
        ({"source": "spiffe://example.org/server/reports"}, DeniedError),
        ({"source": f"spiffe://other.org/agent/{A}"}, DeniedError),
        ({"subject": f"host/{B}"}, DeniedError),
        ({"data": {"job": "7", "host": B, "fence": 1}}, DeniedError),
        ({"type": "fleet.host.banned.v1", "data": {"host": A, "reason": "x"}}, DeniedError),
        ({"type": "fleet.host.nobody_knows.v1"}, DeniedError),
        ({"data": {"job": "7"}}, MalformedError),
        ({"boot_seq": None}, MalformedError),
        ({"boot_seq": 0}, MalformedError),
        ({"boot": None, "boot_seq": None}, MalformedError),
    ],
)
def test_an_agent_speaks_for_itself_alone(
    fleet: Fleet, change: dict[str, object], error: type[Exception]
) -> None:
    """Another source, another host, a type of the server, no count: refused with all that came along."""
    with pytest.raises(error):
        events(fleet, Member(A), [reported(1), replace(reported(2), **change)])  # type: ignore[arg-type]
    assert not told(fleet)


def test_types_of_others_pass(fleet: Fleet) -> None:
    """What is not of the fleet is stored as it came."""
    events(fleet, Member(A), [replace(reported(1), type="org.example.thing.v1", data={"x": 1})])
    assert len(told(fleet)) == 1
    known = {name for name, _ in shipped_types().known}
    assert agent_types() <= known


def test_only_the_server_says_what_a_host_is(fleet: Fleet) -> None:
    """Events of an agent's own source change no row of a host, even where they are in the ledger."""
    false = replace(
        reported(1), type="fleet.host.banned.v1", subject=f"host/{B}", data={"host": B, "reason": "x"}
    )
    fleet.store.append([false])
    assert host(fleet, B).state == "active"


def test_hosts_by_name_and_beginning(fleet: Fleet, clock: Clock) -> None:
    """They are found by name, id and the beginning of one; states follow from the events."""
    assert [one.name for one in hosts(fleet)] == ["alpha", "beta"]
    assert host(fleet, A).id == A
    with pytest.raises(MissingError):
        host(fleet, "gamma")
    with pytest.raises(Exception, match="could be any of"):
        host(fleet, A[:8])
    hello(fleet, Member(A), greeting(clock))
    fleet.store.append([fleet.event("host.banned", f"host/{A}", {"host": A, "reason": "stolen"})])
    view = host(fleet, A)
    assert (view.state, view.reason, view.online) == ("banned", "stolen", False)
    with pytest.raises(MissingError):
        hello(fleet, Member("nobody"), greeting(clock))


VALUES = st.recursive(
    st.integers() | st.text(max_size=5) | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
)


@given(VALUES, VALUES)
def test_differences_are_none_only_between_equals(before: object, after: object) -> None:
    """Equal inventories have none, others at least one, and never more than the limit."""
    found = differences({"x": before}, {"x": after})
    assert len(found) <= MOST
    if json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True):
        assert not found
    if found:
        assert before != after
