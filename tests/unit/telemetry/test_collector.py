"""The collector: never waits, marks what is stale, asks rarely."""

import pytest

from hwledger.telemetry.collector import PATIENCE_S, Collector
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Reason, Value, bytes_of
from hwledger.telemetry.sampler import Pace
from support.samplers import Clock, FakeSampler, system_at, until

pytestmark = pytest.mark.requirement("NFR-TEL-CALM")
INTERVAL = 0.01


def test_a_look_gives_what_every_source_says() -> None:
    """Each source is asked once, and processes are part of it."""
    sampler = FakeSampler()
    with Collector([sampler], system=system_at(Clock())) as collector:
        assert collector.wait()
        found = collector.snapshot()
    assert [device.name for device in found.devices] == ["Card fake"]
    assert bytes_of(found.devices[0]["memory_free"]) == 6 << 30
    assert [check.works for check in found.checks] == [True]
    assert sampler.looks == [True]
    assert sampler.closed.wait(10)


def test_a_source_that_hangs_holds_up_nobody() -> None:
    """A snapshot is given while a source has not answered; the other's values are there, and it is said."""
    clock = Clock()
    hung, fine = FakeSampler("hung", clock, keys=("0000:02:00.0",)), FakeSampler("fine", clock)
    hung.hang.clear()
    with Collector([hung, fine], system=system_at(clock)) as collector:
        assert not collector.wait(0.05) or not hung.looks
        assert [device.name for device in collector.snapshot().devices] == ["Card fine"]
        clock.now += PATIENCE_S + 1
        found = collector.snapshot()
        hung.hang.set()
    said = {check.source: check for check in found.checks}
    assert said["fine"].works
    assert not said["hung"].works
    assert said["hung"].reason is not None
    assert said["hung"].reason.reason is Reason.STALE


def test_a_source_that_has_not_answered_yet_is_not_said_to_work() -> None:
    """What a slow source would tell is missing: its check says so at once, and blames no driver yet."""
    clock = Clock()
    slow = FakeSampler("slow", clock)
    slow.hang.clear()
    with Collector([slow], system=system_at(clock)) as collector:
        clock.now += 1
        assert not collector.snapshot().devices
        (check,) = collector.snapshot().checks
        assert not check.works
        assert check.found == "no answer yet, after 1.0 s"
        assert "--wait" in check.remedy
        slow.hang.set()
        until(lambda: collector.snapshot().checks[0].works)


def test_values_are_stale_after_two_intervals_and_keep_the_last_one() -> None:
    """A source that stops answering turns its own values stale; they come back when it answers again."""
    clock = Clock()
    one, other = FakeSampler("one", clock, keys=("0000:02:00.0",)), FakeSampler("other", clock)
    with Collector([one, other], system=system_at(clock), interval_s=INTERVAL) as collector:
        assert collector.wait()
        one.hang.clear()
        looks = len(one.looks)
        clock.now += 3 * INTERVAL
        while (
            len(other.looks) < 3 + looks or bytes_of(collector.snapshot().devices[1]["memory_used"]) is None
        ):
            pass
        used = collector.snapshot().devices[0]["memory_used"]
        assert isinstance(used, Absent)
        assert used.reason is Reason.STALE
        assert isinstance(used.last, Value)
        assert used.last.value == 2 << 30
        one.hang.set()
        until(lambda: isinstance(collector.snapshot().devices[0]["memory_used"], Value))


def test_processes_are_looked_for_rarely_and_kept_between() -> None:
    """The list of processes is asked for by the sampler's pace, and shown all the time."""
    clock = Clock()
    sampler = FakeSampler(clock=clock, pace=Pace(processes_seconds=10))
    with Collector([sampler], system=system_at(clock), interval_s=INTERVAL) as collector:
        until(lambda: len(sampler.looks) >= 4)
        assert sampler.looks[:4] == [True, False, False, False]
        held = collector.snapshot().devices[0].processes
        assert not isinstance(held, Absent)
        assert [each.pid for each in held] == [41]
        clock.now += 11
        before = len(sampler.looks)
        until(lambda: any(sampler.looks[before:]))


def test_a_source_yields_to_a_better_one_that_works() -> None:
    """A tool is not spawned while the library answers, and is where the library does not."""
    better, worse = FakeSampler("library"), FakeSampler("tool", yields_to=frozenset({"library"}))
    with Collector([better, worse], system=system_at(Clock())) as collector:
        assert collector.wait()
        checks = collector.snapshot().checks
    assert worse.looks == []
    assert checks[1].found == "not asked: library tells the same"
    broken, needed = (
        FakeSampler("library", works=False),
        FakeSampler("tool", yields_to=frozenset({"library"})),
    )
    with Collector([broken, needed], system=system_at(Clock())) as collector:
        assert collector.wait()
        assert [device.name for device in collector.snapshot().devices] == ["Card tool"]
    assert needed.looks == [True]


def test_a_source_that_fails_is_a_sentence_and_the_others_go_on() -> None:
    """A defect in one source is said and ends nothing else."""
    bad, good = FakeSampler("bad", error=RuntimeError("boom")), FakeSampler("good")
    with Collector([bad, good], system=system_at(Clock())) as collector:
        assert collector.wait()
        found = collector.snapshot()
    assert [device.name for device in found.devices] == ["Card good"]
    assert found.troubles == ("bad failed: RuntimeError: boom",)


def test_two_sources_of_one_device_are_one_device() -> None:
    """Devices are merged by their PCI address, and the first source is believed."""
    first, second = FakeSampler("first"), FakeSampler("second")
    with Collector([first, second], system=system_at(Clock())) as collector:
        assert collector.wait()
        devices = collector.snapshot().devices
    assert [device.name for device in devices] == ["Card first"]
    used = devices[0][Quantity.MEMORY_USED]
    assert isinstance(used, Value)
    assert used.source == "first"
