"""What an agent and its server do about a ledger that is not the one that was seen."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from hwledger.errors import AlteredError
from hwledger.fleet.agent.loop import Agent
from hwledger.fleet.context import Fleet
from hwledger.fleet.hosts import host
from hwledger.fleet.notary import Notary
from hwledger.fleet.segments import Segments
from support.agent_server import AgentServer
from support.agents import make_agent
from support.reporting import A, Clock, make_fleet, told

pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("FR-AGENT-WITNESS")]


class Switched:
    """The notary, or an older note of it, or one that signs nothing."""

    def __init__(self, notary: Notary) -> None:
        self._notary, self.shows = notary, ""
        self.older = notary.note()

    def note(self) -> str:
        """Return the note."""
        if self.shows == "nothing":
            raise AlteredError("the ledger does not continue what was signed last", None)
        return self.older if self.shows == "older" else self._notary.note()

    def proof(self, from_size: int) -> tuple[str, Sequence[bytes]]:
        """Return the note with its proof."""
        if self.shows:
            raise AlteredError("somebody has seen more events than there are", None)
        return self._notary.proof(from_size)


@pytest.fixture
def clock() -> Clock:
    """Return a clock that is turned by hand."""
    return Clock()


@pytest.fixture
def fleet(tmp_path: Path, clock: Clock) -> Fleet:
    """Return a fleet with the hosts A and B."""
    return make_fleet(tmp_path / "server", clock)


@pytest.fixture
def notary(fleet: Fleet, tmp_path: Path) -> Switched:
    """Return who signs."""
    return Switched(Notary(fleet, tmp_path / "server"))


@pytest.fixture
def agent(fleet: Fleet, notary: Switched, clock: Clock, tmp_path: Path) -> Iterator[Agent]:
    """Return the agent of host A, before a server that runs."""
    segments = Segments(tmp_path)
    with AgentServer(fleet, segments, notary) as server:
        made = make_agent(tmp_path / "agent", server.address, notary._notary.key, clock)
        yield made
        made.finish()
    segments.close()


def lived(agent: Agent, clock: Clock, heartbeats: int) -> None:
    """Let an agent live for so many heartbeats."""
    for _ in range(heartbeats):
        clock.turn(30)
        for _ in range(2):
            agent.step(poll_seconds=0)


@pytest.mark.parametrize("shows", ["older", "nothing"])
def test_an_alarm_from_its_beginning_to_its_end(
    agent: Agent, fleet: Fleet, notary: Switched, clock: Clock, shows: str
) -> None:
    """Within one heartbeat it is on record, once; meanwhile nothing is told; then all is, and the end."""
    lived(agent, clock, 3)
    assert host(fleet, A).alarm == ""
    notary.shows = shows
    agent.producer.add("job.started", "job/1", {"job": "1", "host": A, "fence": 1})
    clock.turn(30)
    assert agent.step(poll_seconds=0) == 0, "the alarm is told at once"
    agent.step(poll_seconds=0)
    (alarm,) = told(fleet, "ledger.verify_failed")
    assert host(fleet, A).alarm == alarm[1]["reason"]
    assert alarm[1]["seen"]
    lived(agent, clock, 5)
    assert len(told(fleet, "ledger.verify_failed")) == 1
    assert not told(fleet, "job.started")
    assert agent.problem.startswith("refuses the server")
    notary.shows = ""
    lived(agent, clock, 2)
    assert [data["job"] for _, data in told(fleet, "job.started")] == ["1"]
    assert len(told(fleet, "ledger.verified")) == 1
    assert (host(fleet, A).alarm, agent.problem) == ("", "")


def test_pace_and_inventory(agent: Agent, fleet: Fleet, clock: Clock) -> None:
    """The inventory is sent when the server lacks it, at once, and no more until it is another."""
    lived(agent, clock, 4)
    assert agent.interval == 30
    assert len(told(fleet, "host.inventory_changed")) == 1
    assert "inventory" not in agent.hello(agent.inventory())
    found = host(fleet, A).inventory
    assert (found["name"], len(found["devices"]), found["memory_bytes"]) == ("box", 8, 1 << 40)
    assert found["devices"][0]["driver"] == "570.86.15"
