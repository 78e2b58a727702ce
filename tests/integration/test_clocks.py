"""Clocks that are off by days, of the server or of an agent: what the failure table says, with real TLS."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.shifted import Shifted

pytestmark = [pytest.mark.requirement("FR-FLEET-CLOCK"), pytest.mark.enable_socket]


WHOLE = bool(os.environ.get("HWLEDGER_WHOLE"))
"""Whether a server that was ahead from its first start is tried, too."""


@contextmanager
def _both(tmp_path: Path, server: str = "+0", agent: str = "+0") -> Iterator[tuple[Shifted, Shifted]]:
    with (
        Shifted("server", tmp_path / "server", server) as serving,
        Shifted("agent", tmp_path / "agent", agent) as asking,
    ):
        yield serving, asking


def _kinds(ledger: list[Any]) -> list[str]:
    assert [row[0] for row in ledger] == list(range(1, len(ledger) + 1))
    return [row[2].rpartition(".v")[0] for row in ledger]


def test_an_agent_whose_clock_is_off(tmp_path: Path) -> None:
    """It joins and is served: what it is shown is back-dated by three days and good for weeks.

    Whether its certificate is good the server's clock says alone, also where its own jumps.
    """
    with _both(tmp_path) as (server, agent):
        for offset in ("+2d", "-2d", "+600", "-600"):
            agent.shift(offset)
            host = agent.ask("join", token=server.ask("token"))
            assert agent.ask("who") == [200, {"host": host}]
        for offset in ("+2d", "-2d", "+0"):
            agent.shift(offset)
            assert agent.ask("who") == [200, {"host": host}]
            assert agent.ask("come_back")["error"] == "ConflictError"
        token = server.ask("token")
        agent.shift("-2d")
        server.shift("+901")
        assert "ran out" in agent.ask("join", token=token)["detail"]


@pytest.mark.parametrize(("start", "later"), [("-2d", "+0"), ("+2d", "+4d")][: 1 + WHOLE])
def test_a_server_whose_clock_is_off_and_jumps(tmp_path: Path, start: str, later: str) -> None:
    """Agents with the right time join it; where it jumps by two days, and back, they come back with proof.

    First certificates ran out, then they are not valid yet. The ledger stays in order and whole.
    """
    with _both(tmp_path, start) as (server, agent):
        host = agent.ask("join", token=server.ask("token"))
        assert agent.ask("who") == [200, {"host": host}]
        for offset in (later, start):
            server.shift(offset)
            assert agent.ask("who")[0] == 0
            assert agent.ask("come_back") == host
            server.ask("tend")
            assert agent.ask("who") == [200, {"host": host}]
        ledger = server.ask("ledger")
    assert _kinds(ledger) == ["token.created", "token.used", "host.enrolled", *["host.cert_renewed"] * 2]
    times = [row[1] for row in ledger]
    assert times[3] > times[4] > times[2]


def test_new_authorities_take_over_without_a_gap(tmp_path: Path) -> None:
    """A host that renews as it should is served at every hour while one generation follows the other.

    Its certificates are of the new authority at once; the server's after two days, when the host has heard of
    that authority along with its own certificate.
    """
    with _both(tmp_path) as (server, agent):
        host, known = agent.ask("join", token=server.ask("token")), []
        server.ask("roll")
        for hours in range(0, 109, 12):
            for one in (server, agent):
                one.shift(f"+{hours * 3600}")
            server.ask("tend")
            assert agent.ask("who") == [200, {"host": host}]
            known.append(agent.ask("renew"))
            assert agent.ask("who") == [200, {"host": host}]
    assert known == [2] * 8 + [1] * 2
