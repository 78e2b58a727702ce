"""Agents and their certificates over real TLS: half life, lost answers, a host that slept past the end."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hwledger.errors import DeniedError, UnreachableError
from hwledger.fleet.agent.assembling import Surroundings, assembled
from hwledger.fleet.agent.client import Client
from hwledger.fleet.agent.entering import Joining, join
from hwledger.fleet.agent.loop import Agent
from hwledger.fleet.agent.renewal import Credentials, renew, term_of
from hwledger.fleet.agent.state import Home
from hwledger.fleet.hosts import host
from hwledger.fleet.members import ban
from hwledger.fleet.wire.tokens import JoinToken
from support.eight_gpus import EightGpus
from support.real_fleet import RealFleet

pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("FR-AGENT-RENEW")]
HOUR, SECOND = 3_600_000_000, 1_000_000


class Clock:
    """The real time, and so much more or less."""

    def __init__(self, hours: float = 0) -> None:
        self.hours = hours

    def __call__(self) -> int:
        """Return microseconds since 1970."""
        return time.time_ns() // 1000 + int(self.hours * HOUR)


@pytest.fixture
def clock() -> Clock:
    """Return the clock of the server."""
    return Clock()


@pytest.fixture
def fleet(tmp_path: Path, clock: Clock) -> Iterator[RealFleet]:
    """Return a server that runs."""
    with RealFleet(tmp_path / "server", clock) as running:
        yield running


def joined(fleet: RealFleet, folder: Path) -> Home:
    """Return the folder of a host that has joined."""
    home = Home(folder)
    wanted = Joining(JoinToken.read(fleet.token()), "box", {"gpus": 8}, "0.1.0")
    assert join(home, wanted, pause=lambda _: False) is not None
    return home


def agent_of(home: Home, clock: Clock) -> Agent:
    """Return the agent of a folder."""
    return assembled(home, Surroundings(EightGpus(), "0.1.0", clock=clock, chance=random.Random(1)))


def stepped(agent: Agent, times: int = 2) -> None:
    """Let an agent do what is due."""
    for _ in range(times):
        agent.step(poll_seconds=0)


def test_half_life(fleet: RealFleet, tmp_path: Path) -> None:
    """The time to renew is half the life, give or take a tenth of it, spread over hosts; then it is done."""
    home = joined(fleet, tmp_path / "agent")
    pem = home.certificate()
    shares = []
    for seed in range(200):
        term = term_of(pem, random.Random(seed))
        shares.append((term.renews - term.begins) / (term.ends - term.begins))
    assert 0.45 <= min(shares) < 0.46
    assert 0.54 < max(shares) <= 0.55
    credentials = Credentials(home, "127.0.0.1", random.Random(1))
    assert not credentials.is_due(credentials.term.renews - 1)
    assert credentials.is_due(credentials.term.renews)


def test_a_renewal(fleet: RealFleet, tmp_path: Path) -> None:
    """The next request is with the new certificate; who uses the one before gets the host banned."""
    home = joined(fleet, tmp_path / "agent")
    agent = agent_of(home, Clock())
    stepped(agent)
    old_context, before = home.context(), home.certificate()
    assert agent.credentials is not None
    agent.credentials.want()
    stepped(agent)
    assert home.certificate() != before
    assert agent.problem == ""
    (renewed,) = fleet.told("host.cert_renewed")
    assert host(fleet.fleet, agent.host).not_after == renewed["not_after"]
    agent.finish()
    stolen = Client(f"127.0.0.1:{fleet.ports[1]}", old_context)
    with pytest.raises(UnreachableError):
        stolen.get("/a/v1/commands?cursor=0")
    stolen.close()
    assert host(fleet.fleet, agent.host).state == "banned"


def test_a_lost_answer(fleet: RealFleet, tmp_path: Path) -> None:
    """The same key is sent again, and gets the same certificate; nothing but time was lost."""
    home = joined(fleet, tmp_path / "agent")
    client = Client(f"127.0.0.1:{fleet.ports[1]}", home.context())

    class Losing(Client):
        def post(self, path: str, message: object) -> dict[str, object]:
            """Send, and lose the answer."""
            client.post(path, message)  # type: ignore[arg-type]
            raise UnreachableError("the answer is lost")

    losing = Losing(f"127.0.0.1:{fleet.ports[1]}", None)
    for _ in range(2):
        with pytest.raises(UnreachableError, match="lost"):
            renew(home, losing, "127.0.0.1")
    renew(home, client, "127.0.0.1")
    client.close()
    assert len(fleet.told("host.cert_issued")) == 1
    assert home.current() == "000002"
    agent = agent_of(home, Clock())
    stepped(agent)
    assert agent.problem == ""
    agent.finish()


def test_a_host_that_slept_past_the_end(fleet: RealFleet, clock: Clock, tmp_path: Path) -> None:
    """Its certificate ran out by the server's clock alone; it comes back with proof, as the same host."""
    clock.hours = -30
    home = joined(fleet, tmp_path / "agent")
    clock.hours = 0
    slow = Clock(-30)  # its own clock stopped while it slept: only the server knows
    agent = agent_of(home, slow)
    stepped(agent, 5)
    assert agent.problem == ""
    (renewed,) = fleet.told("host.cert_renewed")
    assert (renewed["host"], renewed["joins_left"]) == (agent.host, 2)
    assert host(fleet.fleet, agent.host).online
    agent.finish()


def test_a_clock_that_runs_ahead_of_a_certificate(fleet: RealFleet, tmp_path: Path) -> None:
    """An agent that thinks its certificate ran out learns that it did not, and goes on with it."""
    home = joined(fleet, tmp_path / "agent")
    agent = agent_of(home, Clock(48))
    stepped(agent, 3)
    assert agent.problem == ""
    assert not fleet.told("host.cert_renewed")
    assert host(fleet.fleet, agent.host).online
    assert abs(host(fleet.fleet, agent.host).clock_offset_ms - 48 * 3_600_000) < 60_000
    agent.finish()


def test_a_banned_host_keeps_what_it_has(fleet: RealFleet, tmp_path: Path) -> None:
    """It waits about a minute between its tries, and lets go of nothing that it has to say."""
    home = joined(fleet, tmp_path / "agent")
    agent = agent_of(home, Clock())
    stepped(agent)
    ban(fleet.fleet, agent.host, reason="lost", actor="user:anna")
    agent.producer.add("job.started", "job/1", {"job": "1", "host": agent.host, "fence": 1})
    for _ in range(3):
        assert 30 <= agent.step(poll_seconds=0) <= 60
    assert "banned" in agent.problem
    assert agent.spool.waiting()["event"] == 1
    agent.finish()


@pytest.mark.requirement("FR-AGENT-JOIN")
def test_a_server_of_another_fleet_gets_nothing(fleet: RealFleet, tmp_path: Path) -> None:
    """Whoever stands where the token points and is not its server is refused before it is told anything."""
    token = JoinToken.read(fleet.token())
    with RealFleet(tmp_path / "other") as other:
        wrong = JoinToken(token.authority_sha256, token.secret, "127.0.0.1", other.ports[0])
        with pytest.raises(DeniedError, match="nothing was told to it"):
            join(Home(tmp_path / "agent"), Joining(wrong, "box", {}, "0.1.0"), pause=lambda _: False)
        assert not other.told("host.enrolled", "token.used", "token.reuse_refused")
    assert not Home(tmp_path / "agent").has_joined()
