"""Agents and a network that fails: nothing is lost, nothing is there twice, and the spool stays small."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from hwledger.fleet.agent.loop import Agent
from hwledger.fleet.agent.spool import LARGEST_BYTES
from hwledger.fleet.context import Fleet
from hwledger.fleet.hosts import host
from hwledger.fleet.liveness import Watch
from hwledger.fleet.notary import Notary
from hwledger.fleet.segments import Segments
from hwledger.ledger.event import event_of
from support.agent_server import AgentServer
from support.agents import make_agent
from support.faulty import FaultyProxy
from support.reporting import A, Clock, make_fleet, told

pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("NFR-AGENT-PARTITION")]
STEP, HOUR = 10, 3600


@pytest.fixture
def clock() -> Clock:
    """Return a clock that is turned by hand."""
    return Clock()


@pytest.fixture
def fleet(tmp_path: Path, clock: Clock) -> Fleet:
    """Return a fleet with the hosts A and B."""
    return make_fleet(tmp_path / "server", clock)


@pytest.fixture
def segments(tmp_path: Path) -> Iterator[Segments]:
    """Return the telemetry of the fleet."""
    made = Segments(tmp_path)
    yield made
    made.close()


@pytest.fixture
def proxy(fleet: Fleet, segments: Segments, tmp_path: Path) -> Iterator[FaultyProxy]:
    """Return what stands before a server that runs."""
    with (
        AgentServer(fleet, segments, Notary(fleet, tmp_path / "server")) as server,
        FaultyProxy(server.port) as made,
    ):
        yield made


@pytest.fixture
def agent(proxy: FaultyProxy, fleet: Fleet, clock: Clock, tmp_path: Path) -> Iterator[Agent]:
    """Return the agent of host A."""
    key = Notary(fleet, tmp_path / "server").key
    made = make_agent(tmp_path / "agent", proxy.address, key, clock)
    yield made
    made.finish()


class Hour:
    """Lets time pass for an agent: rows each step, an event in most, and a word to its server when due."""

    def __init__(self, agent: Agent, clock: Clock) -> None:
        self.agent, self.clock = agent, clock
        self.made: list[str] = []
        self.batches = 0
        self.largest = 0
        self._chance = random.Random(1)
        self._next = clock()

    def passes(self, seconds: int) -> None:
        """Let so many seconds pass."""
        for _ in range(seconds // STEP):
            self.clock.turn(STEP)
            self.agent.measure_once()
            for _ in range(self._chance.choice((0, 1, 1, 2))):
                number = len(self.made)
                data = {"job": str(number), "host": A, "fence": number}
                self.made.append(self.agent.producer.add("job.started", f"job/{number}", data).id)
            if self.clock() >= self._next:
                self._next = self.clock() + int(self.agent.step(poll_seconds=0) * 1_000_000)
            self.largest = max(self.largest, _on_disk(self.agent.spool.path))

    def settles(self) -> None:
        """Let time pass until nothing waits."""
        for _ in range(200):
            self.passes(STEP)
            if not any(self.agent.spool.waiting().values()) and not self.agent.problem:
                return
        raise AssertionError(f"{self.agent.spool.waiting()} wait still: {self.agent.problem}")


def _on_disk(path: Path) -> int:
    return sum(one.stat().st_size for one in path.parent.glob(f"{path.name}*"))


def arrived(fleet: Fleet) -> list[str]:
    """Return the ids of the events of A in the ledger, in order."""
    found = [event_of(entry.body) for entry in fleet.store.read(2, limit=100_000)]
    return [event.id for event in found if event.source == f"spiffe://example.org/agent/{A}"]


def test_an_hour_cut_off(
    agent: Agent, proxy: FaultyProxy, fleet: Fleet, segments: Segments, clock: Clock
) -> None:
    """After an hour without its server: all events once and in order, all telemetry, offline then online."""
    hour, watch = Hour(agent, clock), Watch(fleet)
    hour.passes(60)
    assert host(fleet, A).online
    proxy.cut = True
    hour.passes(HOUR)
    watch.look()
    assert not host(fleet, A).online
    assert "does not answer" in agent.problem
    assert agent.spool.waiting()["telemetry"] >= 59
    proxy.cut = False
    hour.settles()
    assert arrived(fleet) == hour.made
    assert hour.largest <= LARGEST_BYTES
    assert [name for name, _ in told(fleet, "host.online", "host.offline")] == [
        "host.online", "host.offline", "host.online",
    ]  # fmt: skip
    batches = segments.batches(A, 0, 1 << 62)
    assert sorted(one.seq for one in batches) == list(range(1, agent.sampling.seq + 1))
    assert not told(fleet, "agent.dropped")


def test_requests_that_are_lost_repeated_and_reordered(
    agent: Agent, proxy: FaultyProxy, fleet: Fleet, segments: Segments, clock: Clock
) -> None:
    """With a third of all requests going wrong for a while, every event is there once and in order."""
    hour = Hour(agent, clock)
    proxy.faults = 0.33
    hour.passes(HOUR // 3)
    assert set(proxy.happened) == {"lost request", "lost answer", "late", "repeated"}
    proxy.faults = 0.0
    hour.settles()
    assert arrived(fleet) == hour.made
    assert sorted(one.seq for one in segments.batches(A, 0, 1 << 62)) == list(
        range(1, agent.sampling.seq + 1)
    )
    assert host(fleet, A).alarm == ""
