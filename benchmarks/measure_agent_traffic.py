"""Count the bytes that one agent with eight GPUs and its server exchange in an hour, at the socket.

    python benchmarks/measure_agent_traffic.py [--minutes 60] [--gpus 8]

A real agent and real listeners over TLS on loopback, with a counting relay between; the clocks of both are
turned by hand, so an hour takes seconds. Prints one JSON object: bytes of TCP's payload, both ways, TLS and
handshake included; those of telemetry alone are what goes over the socket while a batch is sent and answered.
"""

import argparse
import json
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from hwledger.fleet.agent.assembling import Surroundings, assembled
from hwledger.fleet.agent.client import Client
from hwledger.fleet.agent.entering import Joining, join
from hwledger.fleet.agent.loop import Agent
from hwledger.fleet.agent.sampling import STEP_SECONDS
from hwledger.fleet.agent.state import Home
from hwledger.fleet.wire.tokens import JoinToken
from support.eight_gpus import EightGpus
from support.real_fleet import RealFleet

POLLED_EVERY = 30
SECOND = 1_000_000


class Clock:
    """From the real time on, turned by hand."""

    def __init__(self) -> None:
        self.now = time.time_ns() // 1000

    def __call__(self) -> int:
        """Return microseconds since 1970."""
        return self.now


class Relay:
    """Hands on bytes between an agent and its server, and counts them."""

    def __init__(self, port: int) -> None:
        self.sent = self.received = self.connections = 0
        self._port = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        """Return where it listens."""
        return f"127.0.0.1:{self._listening.getsockname()[1]}"

    @property
    def total(self) -> int:
        """Return the bytes of both directions."""
        return self.sent + self.received

    def _accept(self) -> None:
        while True:
            near, _ = self._listening.accept()
            self.connections += 1
            far = socket.create_connection(("127.0.0.1", self._port))
            for one, other, name in ((near, far, "sent"), (far, near, "received")):
                threading.Thread(target=self._pump, args=(one, other, name), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket, name: str) -> None:
        try:
            while found := one.recv(1 << 16):
                setattr(self, name, getattr(self, name) + len(found))  # a name has one thread at a time
                other.sendall(found)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            return


class Counting(Client):
    """Counts what goes over the relay while each kind of request is answered."""

    relay: Relay
    by_path: dict[str, list[int]]

    def _ask(self, method: str, path: str, *rest: Any, **more: Any) -> dict[str, Any]:
        self._open(20)
        before, open_before = self.relay.total, self.relay.connections
        try:
            return super()._ask(method, path, *rest, **more)
        finally:
            time.sleep(0.001)  # the relay counts before it hands on; its other thread may be late
            assert open_before == self.relay.connections
            found = self.by_path.setdefault(path.partition("?")[0], [0, 0])
            found[0], found[1] = found[0] + 1, found[1] + self.relay.total - before


def live(agent: Agent, clock: Clock, seconds: int) -> None:
    """Let an agent live: a row each step, and what is due as often as the long poll of 30 s ends."""
    for step in range(seconds // STEP_SECONDS):
        clock.now += STEP_SECONDS * SECOND
        agent.measure_once()
        if (step + 1) * STEP_SECONDS % POLLED_EVERY == 0:
            wait = agent.step(poll_seconds=0)
            assert not wait, agent.problem


def measured(folder: Path, minutes: int, gpus: int) -> dict[str, Any]:
    """Return what was counted."""
    clock, look = Clock(), EightGpus(gpus=gpus)
    with RealFleet(folder / "server", clock) as fleet:
        home = Home(folder / "agent")
        token = JoinToken.read(fleet.token())
        assert join(home, Joining(token, "box", {}, "0.1.0"), pause=lambda _: False)
        around = Surroundings(look, "0.1.0", clock=clock, now=lambda: clock() / SECOND)
        agent = assembled(home, around)
        Counting.relay, Counting.by_path = Relay(fleet.ports[1]), {}
        agent.connect = lambda: Counting(Counting.relay.address, home.context())
        agent.begin()
        live(agent, clock, 60 * minutes)
        batches = fleet.segments.batches(agent.host, 0, 1 << 62)
        agent.finish()
    relay, hour = Counting.relay, 60 / minutes
    rows = sum(len(next(iter(batch.columns.values()))) for batch in batches)
    assert rows == minutes * 60 // STEP_SECONDS, "every row arrived"
    return {
        "gpus": gpus, "minutes": minutes, "step_seconds": STEP_SECONDS, "rows": rows,
        "columns": len(batches[0].columns), "connections": relay.connections,
        "telemetry_bytes_per_hour": round(Counting.by_path["/a/v1/telemetry"][1] * hour),
        "all_bytes_per_hour": round(relay.total * hour), "sent": relay.sent, "received": relay.received,
        "requests": {name: {"count": one, "bytes_each": round(two / one)}
                     for name, (one, two) in Counting.by_path.items()},
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--gpus", type=int, default=8)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), told.minutes, told.gpus)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
