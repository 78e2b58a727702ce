"""``hwledger agent`` against a real server: real processes, real TLS, a ledger in a file."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hwledger.fleet import commands
from hwledger.fleet.agent.state import Home
from hwledger.fleet.agent.status import status_of
from hwledger.fleet.hosts import host
from support.real_fleet import RealFleet, wait_until
from support.shifted import library

pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("FR-AGENT-CLI")]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[RealFleet]:
    """Return a server that runs."""
    with RealFleet(tmp_path / "server") as running:
        yield running


def agent(folder: Path, *words: str, code: int = 0, env: dict[str, str] | None = None) -> str:
    """Call the command; return what it printed."""
    found = subprocess.run(
        _words(folder, *words), capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | (env or {}),
    )  # fmt: skip
    assert found.returncode == code, found.stderr
    return found.stdout + found.stderr


def _words(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "hwledger", "agent", words[0], "--folder", str(folder), *words[1:]]


@contextmanager
def running(folder: Path, env: dict[str, str] | None = None) -> Iterator["subprocess.Popen[str]"]:
    """Run the agent of a folder."""
    made = subprocess.Popen(
        _words(folder, "run"), stderr=subprocess.PIPE, text=True, env=os.environ | (env or {})
    )
    try:
        yield made
    finally:
        made.kill()
        made.communicate()


def status(folder: Path) -> dict[str, Any]:
    """Return the status of the agent of a folder."""
    return status_of(Home(folder))


def order(fleet: RealFleet, name: str, verb: str, **arguments: Any) -> str:
    """Tell the one host to do something; return what it answered."""
    told = commands.issue(fleet.fleet, name, verb, arguments, ttl_seconds=60, actor="user:anna")

    def answered() -> Any:
        found = next(one for one in commands.commands(fleet.fleet, name) if one.id == told)
        return f"{found.result}: {found.detail}" if found.state == "acked" else None

    return str(wait_until(answered))


@pytest.mark.requirement("FR-AGENT-JOIN", "FR-AGENT-RUN", "FR-AGENT-WITNESS", "FR-AGENT-RENEW")
def test_the_life_of_an_agent(fleet: RealFleet, tmp_path: Path) -> None:
    """A host joins, shows up, measures, obeys, renews, outlives kills, refuses what was put back."""
    folder = tmp_path / "agent"
    assert "joined as host" in agent(folder, "join", fleet.token(labels={"rack": "a"}), "--name", "box")
    assert not [path for path in [folder, *folder.rglob("*")] if path.stat().st_mode & 0o077]
    assert "already" in agent(folder, "join", fleet.token(), code=4)
    me = host(fleet.fleet, "box").id
    with running(folder) as first:
        wait_until(lambda: host(fleet.fleet, me).online and host(fleet.fleet, me).inventory)
        found = host(fleet.fleet, me)
        assert (found.labels, found.inventory["name"], found.alarm) == ({"rack": "a"}, "box", "")
        assert abs(found.clock_offset_ms) < 5000
        assert order(fleet, me, "probe").startswith("done: ")
        assert wait_until(lambda: fleet.segments.batches(me, 0, 1 << 62))
        assert order(fleet, me, "plan-fit", model="../../etc").startswith("failed: ")
        assert order(fleet, me, "set-sampling", step_seconds=60) == "done: telemetry is taken every 60 s"
        assert order(fleet, me, "renew").startswith("done: ")
        wait_until(lambda: fleet.told("host.cert_renewed"))
        assert status(folder)["running"]
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert not status(folder)["running"]
    with running(folder) as second:
        wait_until(lambda: fleet.told("host.restarted"))
        assert order(fleet, me, "stop") == "done: the agent ends"
        assert second.wait(20) == 75
    assert [one["host"] for one in wait_until(lambda: fleet.told("agent.started"))] == [me, me]
    refuses_what_was_put_back(fleet, folder, me, tmp_path / "copy")


def refuses_what_was_put_back(fleet: RealFleet, folder: Path, me: str, copy: Path) -> None:
    """The server goes back to an older copy of all it has: ledger, keys and notes."""
    fleet.__exit__()
    fleet.copied_to(copy)
    fleet.__enter__()
    with running(folder):
        wait_until(lambda: fleet.told("host.restarted")[1:])
        seen = status(folder)["seen_events"]
        order(fleet, me, "send-inventory")
        wait_until(lambda: status(folder)["seen_events"] > seen)
        fleet.__exit__()
        fleet.put_back(copy)
        fleet.__enter__()
        (alarm,) = wait_until(lambda: fleet.told("ledger.verify_failed"))
        assert "an old copy was put back" in alarm["reason"] or "does not continue" in alarm["reason"]
    before = len(fleet.told("agent.started"))
    Home(folder).keep_trouble("")
    with running(folder) as again:
        wait_until(lambda: "refuses the server" in status(folder)["trouble"])
        again.send_signal(signal.SIGTERM)
        assert again.wait(20) == 0
    assert json.loads(agent(folder, "status", "--json"))["alarm"] == alarm["reason"]
    assert alarm["reason"] in agent(folder, "status")
    agent(folder, "forget", "--yes")
    assert (status(folder)["alarm"], status(folder)["seen_events"]) == ("", None)
    assert status(folder)["waiting"]["event"] == 1
    assert len(fleet.told("agent.started")) == before, "nothing but heartbeats is said to it"


@pytest.mark.requirement("FR-AGENT-JOIN")
def test_a_host_that_waits_for_approval(fleet: RealFleet, tmp_path: Path) -> None:
    """The same command asks again with the same key; one use of the token is spent."""
    from hwledger.fleet.enrolment import approve  # noqa: PLC0415 - beside its use

    token, folder = fleet.token(approve=True), tmp_path / "agent"
    assert "waits to be approved" in agent(folder, "join", token, "--wait", "0")
    assert "run hwledger agent join" in agent(folder, "run", code=4)
    (asked,) = fleet.told("host.enrol_requested")
    approve(fleet.fleet, asked["host"], actor="user:anna")
    assert asked["host"] in agent(folder, "join", token)
    assert status(folder)["host"] == asked["host"]
    agent(folder, "leave", "--yes")
    assert {path.name for path in folder.iterdir()} <= {"agent.lock", "machine"}


@pytest.mark.requirement("FR-AGENT-CLOCK")
@pytest.mark.parametrize("days", [-2, 2])
def test_a_clock_that_is_off_by_days(fleet: RealFleet, tmp_path: Path, days: int) -> None:
    """The host joins, reports and obeys; how far its clock is off is on record, once, and order is kept."""
    folder, shift = tmp_path / "agent", {"LD_PRELOAD": str(library()), "FAKETIME": f"{days:+d}d"}
    shift |= {"DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    agent(folder, "join", fleet.token(), "--name", "box", env=shift)
    me = host(fleet.fleet, "box").id
    with running(folder, shift):
        assert order(fleet, me, "probe").startswith("done: ")
        (started,) = wait_until(lambda: fleet.events("agent.started"))
        (skew,) = fleet.told("host.clock_skew")
    for offset in (skew["offset_ms"], started.clock_offset_ms or 0, host(fleet.fleet, me).clock_offset_ms):
        assert offset == 0 or abs(offset - days * 86_400_000) < 60_000
    assert skew["offset_ms"]
    assert not fleet.told("host.cert_renewed", "host.banned")
    times = [event.time_microseconds for event in fleet.events() if "/server/" in event.source]
    assert times == sorted(times)


@pytest.mark.requirement("FR-AGENT-SERVICE")
def test_the_unit_of_the_service(tmp_path: Path) -> None:
    """The unit runs the agent of the folder, whatever its name, and may write to nothing else."""
    folder = tmp_path / 'a "b" %n $HOME'
    unit = agent(folder, "install-service", "--print")
    shown = str(folder).replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    assert f'agent run --folder "{shown}"' in unit
    assert f'ReadWritePaths="{shown}"' in unit
    assert "NoNewPrivileges=yes" in unit
    assert ("default.target" in unit) == (os.geteuid() != 0)
    assert not folder.exists()
