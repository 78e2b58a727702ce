"""Raw telemetry: each batch once, sealed by the hour, its hash in the ledger, deleted when it is due."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.errors import ConflictError, FullError, NewerError
from hwledger.fleet.context import Fleet
from hwledger.fleet.hourly import merged, summed
from hwledger.fleet.segments import HOURLY_DAYS, RAW_DAYS, Segments
from support.reporting import BOOT, DAY, FIRST_MOMENT, HOUR, SECOND, A, B, Clock, batch, make_fleet, told

pytestmark = pytest.mark.requirement("FR-FLEET-TELEMETRY")


@pytest.fixture
def clock() -> Clock:
    """Return a clock that is turned by hand."""
    return Clock()


@pytest.fixture
def fleet(tmp_path: Path, clock: Clock) -> Fleet:
    """Return a fleet with the hosts A and B."""
    return make_fleet(tmp_path, clock)


@pytest.fixture
def segments(tmp_path: Path) -> Iterator[Segments]:
    """Return an empty file."""
    made = Segments(tmp_path)
    yield made
    made.close()


def test_each_batch_once(segments: Segments) -> None:
    """Repeated and reordered batches are there once; the same number with other content is refused."""
    for seq in (2, 1, 2, 3, 1):
        segments.accept(A, batch(seq), FIRST_MOMENT)
    assert not segments.accept(A, batch(3), FIRST_MOMENT)
    assert segments.accept(A, batch(1, boot="boot-0002"), FIRST_MOMENT)
    assert segments.accept(B, batch(1), FIRST_MOMENT)
    assert [one.seq for one in segments.batches(A, 0, 1 << 62)] == [1, 2, 3, 1]
    assert segments.batches(B, 0, 1 << 62)[0].columns == {"gpu/power": [101, 200, None]}
    assert (segments.last_seq(A, BOOT), segments.last_seq(A, "boot-0009")) == (3, 0)
    with pytest.raises(ConflictError):
        segments.accept(A, batch(3, other=[1]), FIRST_MOMENT)


def test_what_is_too_old_is_not_kept(segments: Segments) -> None:
    """It would be deleted at once, and a very late repetition of it would not be known."""
    assert not segments.accept(A, batch(1), FIRST_MOMENT + RAW_DAYS * DAY + SECOND)
    assert segments.batches(A, 0, 1 << 62) == []


def test_sealed_by_the_hour(segments: Segments, fleet: Fleet, clock: Clock) -> None:
    """When an hour is over its batches are one event with their hash; later ones are another."""
    for seq in (1, 2):
        segments.accept(A, batch(seq, clock()), clock())
    segments.accept(B, batch(7, clock()), clock())
    assert segments.seal(fleet) == 0
    clock.turn(3600 + 60)
    segments.accept(A, batch(3, FIRST_MOMENT), clock())
    assert (segments.seal(fleet), segments.seal(fleet)) == (2, 0)
    clock.turn(3600)
    assert segments.seal(fleet) == 1
    found = [(data["host"], data["rows"], data["from"]) for _, data in told(fleet)]
    assert found == [(A, 6, "2025-11-25T09:00:00.000000Z"), (B, 3, found[0][2]), (A, 3, found[0][2])]
    assert [one.whole for one in segments.check(A)] == [True, True]
    (hour,) = segments.hours(A, 0, 1 << 62).values()
    assert hour["gpu/power"] == {"count": 6, "least": 101, "most": 200, "sum": 906}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE batch SET content = x'00' WHERE seq = 1",
        "UPDATE batch SET seq = 9 WHERE seq = 1",
        "DELETE FROM batch WHERE seq = 1",
        "UPDATE batch SET sha256 = x'00' WHERE seq = 1",
    ],
)
def test_altered_raw_telemetry_is_found(segments: Segments, fleet: Fleet, clock: Clock, change: str) -> None:
    """Content, number, absence and hash of a batch: the hash in the ledger shows each."""
    for seq in (1, 2):
        segments.accept(A, batch(seq), clock())
    clock.turn(3700)
    segments.seal(fleet)
    with sqlite3.connect(segments.path) as connection:
        connection.execute(change)
    connection.close()
    assert [one.whole for one in segments.check(A)] == [False]


@pytest.mark.parametrize("times", [1, 2])
def test_interrupted_between_the_stores(segments: Segments, fleet: Fleet, clock: Clock, times: int) -> None:
    """The event is in the ledger and nobody wrote that down: the next time adds no second one."""
    segments.accept(A, batch(1), clock())
    clock.turn(3700)
    segments.seal(fleet)
    for _ in range(times):
        with sqlite3.connect(segments.path) as connection:
            connection.execute("UPDATE segment SET told = 0")
        connection.close()
        clock.turn(60)
        assert segments.seal(fleet) == 1
    assert len(told(fleet)) == 1


def test_kept_for_as_long_as_is_said(segments: Segments, fleet: Fleet, clock: Clock) -> None:
    """Raw for 30 days, hourly figures for 400; what is not sealed stays."""
    segments.accept(A, batch(1), clock())
    clock.turn(2 * 3600)
    segments.seal(fleet)
    clock.now = FIRST_MOMENT + RAW_DAYS * DAY - HOUR
    segments.accept(A, batch(2), FIRST_MOMENT)
    assert segments.retain(clock()) == 0
    clock.now = FIRST_MOMENT + RAW_DAYS * DAY + HOUR
    assert segments.retain(clock()) == 1
    assert [one.seq for one in segments.batches(A, 0, 1 << 62)] == [2]
    assert segments.check(A)[0].whole is None
    assert len(segments.hours(A, 0, 1 << 62)) == 1
    segments.retain(FIRST_MOMENT + HOURLY_DAYS * DAY + HOUR)
    assert segments.hours(A, 0, 1 << 62) == {}


def test_opened_again(segments: Segments, tmp_path: Path) -> None:
    """What was kept is there, for its owner alone; a file of a newer version is left alone."""
    segments.accept(A, batch(1), FIRST_MOMENT)
    assert segments.path.stat().st_mode & 0o077 == 0
    again = Segments(tmp_path)
    assert again.last_seq(A, BOOT) == 1
    again._connection.execute("PRAGMA user_version=99")
    again.close()
    with pytest.raises(NewerError):
        Segments(tmp_path)


def test_no_room(segments: Segments) -> None:
    """A full disk is one sentence, keeps nothing of the batch, and is over once there is room."""
    segments.accept(A, batch(1), FIRST_MOMENT)
    pages = segments._connection.execute("PRAGMA page_count").fetchone()[0]
    segments._connection.execute(f"PRAGMA max_page_count={pages}")
    large = batch(2, other=[f"{number:064x}" for number in range(3000)])
    with pytest.raises(FullError, match="free the disk"):
        segments.accept(A, large, FIRST_MOMENT)
    assert segments.last_seq(A, BOOT) == 1
    segments._connection.execute("PRAGMA max_page_count=1000000")
    assert segments.accept(A, large, FIRST_MOMENT)


NUMBERS = st.lists(st.integers(-1000, 1000) | st.none() | st.just("P0"), max_size=12)


@given(NUMBERS, NUMBERS)
def test_figures_add_up_however_they_are_split(left: list[object], right: list[object]) -> None:
    """The figures of two parts together are those of the whole."""
    assert merged(summed({"a": left}), summed({"a": right})) == summed({"a": [*left, *right]})
