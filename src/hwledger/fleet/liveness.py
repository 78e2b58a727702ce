"""Who is late: when a host is told to speak again, and when it counts as offline."""

import math
from functools import partial
from typing import Final

from sqlalchemy import Connection, select

from hwledger.fleet.context import Fleet
from hwledger.fleet.hosts import HOST
from hwledger.ledger.event import Event, time_text

LEAST_SECONDS: Final = 30
"""Between two heartbeats of a host."""
MOST_A_SECOND: Final = 50
"""Heartbeats of all hosts, a core that serves them."""
MISSED: Final = 3
"""Heartbeats that may fail to come before a host is offline."""
_MICROSECONDS: Final = 1_000_000


def next_in_seconds(hosts: int, cores: int = 1) -> int:
    """Return after how many seconds a host is to speak again, so that all together stay within the limit.

    The server sets the pace, as Nomad does (``MaxHeartbeatsPerSecond``).
    """
    return max(LEAST_SECONDS, math.ceil(hosts / (MOST_A_SECOND * cores)))


class Watch:
    """Says of hosts that they are offline.

    Args:
        fleet: whose hosts.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._began = fleet.clock()

    def look(self) -> int:
        """Write down which hosts went offline since the last look; return how many.

        A host that was online when this server began is given as much time as if it had spoken then.
        """
        late = self._late()
        if late:
            self._fleet.store.decide(partial(self._offline, late))
            for host in late:
                self._fleet.live.forget(host)
        return len(late)

    def _late(self) -> dict[str, int]:
        """Return the hosts that should have spoken, with when they last did."""
        now, seen = self._fleet.clock(), self._fleet.live.all()
        late = {
            host: one.at
            for host, one in seen.items()
            if now - one.at > MISSED * one.due_seconds * _MICROSECONDS
        }
        expected = MISSED * next_in_seconds(len(seen) or 1) * _MICROSECONDS
        if now - self._began > expected:
            late |= {host: at for host, at in self._online().items() if host not in seen}
        return late

    def _online(self) -> dict[str, int]:
        wanted = select(HOST.c.id, HOST.c.edge_at).where(HOST.c.online.is_(True))
        rows = self._fleet.store.query(lambda connection: connection.execute(wanted).all())
        return {row.id: row.edge_at for row in rows}

    def _offline(self, late: dict[str, int], connection: Connection) -> list[Event]:
        online = {row.id for row in connection.execute(select(HOST.c.id).where(HOST.c.online.is_(True)))}
        return [
            self._fleet.event(
                "host.offline",
                f"host/{host}",
                {"host": host, "last_seen": time_text(at), "reason": f"{MISSED} heartbeats missed"},
                component="liveness",
            )
            for host, at in sorted(late.items())
            if host in online
        ]
