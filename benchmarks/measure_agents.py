"""Measure one server with many agents: memory for their connections, steady CPU, and a storm of all of them.

    python benchmarks/measure_agents.py [--hosts 3000] [--seconds 60] [--workers 2] [--folder DIR]

``hwledger up`` runs in a process of its own on a ledger in a file; light agents in a few processes speak
to it over real TLS with a certificate each: heartbeats as the server paces them, long polls of 30 s, a batch
of telemetry of eight GPUs a minute, the real back-off. Then the server is killed and started again at once.
Prints one JSON object. Everything shares this machine's cores, so the storm is of agents and server together.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import psutil

from hwledger.fleet.agent.client import ANSWER_SECONDS, BackOff
from hwledger.fleet.agent.sampling import columns_of, packed_batch, row_of
from hwledger.fleet.certificates import Authorities
from hwledger.fleet.context import Fleet
from hwledger.fleet.enrolment import create_token, enrol
from hwledger.fleet.joining import server_context
from hwledger.fleet.signing import key_pem, make_request, new_key
from hwledger.fleet.views import projections
from hwledger.fleet.wire.enrolment import EnrolRequest
from hwledger.fleet.wire.reports import inventory_hash
from hwledger.fleet.wire.tokens import JoinToken
from hwledger.ledger.event import time_text
from hwledger.ledger.sqlite import SqliteStore
from support.eight_gpus import EightGpus

POLL_SECONDS, BATCH_SECONDS, SETTLED_SECONDS, LIMIT_SECONDS = 30, 60, 15, 420
INVENTORY = {"devices": [{"key": f"gpu-{number}", "name": "H100"} for number in range(8)]}


def prepare(folder: Path, hosts: int) -> None:
    """Let so many hosts in, each with a key and a certificate in a file."""
    (folder / "agents").mkdir(parents=True)
    with SqliteStore(folder / "ledger.db", projections=projections()) as store:
        fleet = Fleet(store, folder)
        trust = Authorities.open(folder, fleet.trust_domain, fleet.clock)
        text = create_token(
            fleet, uses=hosts, ttl_seconds=3600, address="127.0.0.1:1", actor="user:anna"
        ).text
        secret = JoinToken.read(text).secret

        def let_in(number: int) -> None:
            key = new_key()
            asked = EnrolRequest(
                secret, make_request(key), f"box-{number}", f"{number:064x}", INVENTORY, "0.1.0"
            )
            found = enrol(fleet, trust, asked)
            (folder / "agents" / f"{number}.pem").write_bytes(key_pem(key) + found.certificate.encode())

        with ThreadPoolExecutor(64) as pool:
            list(pool.map(let_in, range(hosts)))
    (folder / "authorities.pem").write_text(trust.server_trust())


class Light:
    """An agent that only speaks."""

    answered = 0
    """Requests of all agents of this process that were answered."""

    def __init__(self, number: int, folder: Path, port: int, greeted: Any, columns: Any) -> None:
        self._number, self._port, self._greeted, self._columns = number, port, greeted, columns
        self._context = server_context((folder / "authorities.pem").read_text())
        self._context.load_cert_chain(folder / "agents" / f"{number}.pem")
        self._back_off = BackOff(random.Random(number))  # noqa: S311 - jitter
        self._seen, self._seq, self._has_inventory = 0, 0, False

    async def live(self, spread_seconds: float) -> None:
        """Speak for ever."""
        await asyncio.sleep(self._number % 101 / 101 * spread_seconds)
        while True:
            try:
                await self._session()
            except (OSError, EOFError, ValueError, TimeoutError):
                await asyncio.sleep(self._back_off.failed())

    async def _session(self) -> None:
        reader, writer = await asyncio.wait_for(
            asyncio.open_connection("127.0.0.1", self._port, ssl=self._context), ANSWER_SECONDS
        )
        try:
            due = batch_due = 0.0
            while True:
                if time.monotonic() >= due:
                    due = time.monotonic() + await self._greet(reader, writer)
                    batch_due = batch_due or time.monotonic() + BATCH_SECONDS * (self._number % 97) / 97
                if time.monotonic() >= batch_due:
                    batch_due += BATCH_SECONDS
                    await self._measure(reader, writer)
                wait = max(1, min(POLL_SECONDS, int(min(due, batch_due) - time.monotonic()) + 1))
                await _ask(reader, writer, "GET", f"/a/v1/commands?cursor=0&wait={wait}")
        finally:
            writer.close()

    async def _greet(self, reader: Any, writer: Any) -> float:
        told = {
            "protocol": 1, "boot": f"boot-{self._number:08}", "time": time_text(time.time_ns() // 1000),
            "version": "0.1.0", "seen": {"size": self._seen} if self._seen else None,
            "inventory_sha256": inventory_hash(INVENTORY), "spool_bytes": 0, "state": {},
        }  # fmt: skip
        if not self._has_inventory:
            told["inventory"] = INVENTORY
        found = await _ask(reader, writer, "POST", "/a/v1/hello", json.dumps(told).encode())
        self._has_inventory = True
        self._seen = int(found["checkpoint"].split("\n")[1])
        self._back_off.pace(found["next_in_seconds"])
        self._back_off.succeeded()
        self._greeted[self._number] = time.monotonic()
        return float(found["next_in_seconds"])

    async def _measure(self, reader: Any, writer: Any) -> None:
        self._seq += 1
        now = time.time_ns() // 1000
        body = packed_batch(f"boot-{self._number:08}", self._seq, now, 10, self._columns)
        await _ask(reader, writer, "POST", "/a/v1/telemetry", body, "Content-Encoding: gzip\r\n")


async def _ask(  # noqa: PLR0913, PLR0917 - one request
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    method: str,
    path: str,
    body: bytes = b"",
    more: str = "",
) -> Any:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    writer.write(head.encode() + body)
    raw = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), POLL_SECONDS + 30)
    headers = dict(line.lower().split(b": ", 1) for line in raw.split(b"\r\n")[1:] if b": " in line)
    found = await reader.readexactly(int(headers[b"content-length"]))
    if not raw.startswith(b"HTTP/1.1 20"):
        raise ValueError(f"{path}: {found[:200]!r}")
    Light.answered += 1
    return json.loads(found)


def work(  # noqa: PLR0913, PLR0917 - what a process is told
    numbers: range, folder: Path, port: int, greeted: Any, answered: Any, spread_seconds: float
) -> None:
    """Run some of the agents in this process."""
    import uvloop  # noqa: PLC0415 - in the process alone

    look = EightGpus()
    columns = columns_of([row_of(look()) for _ in range(6)])

    async def all_of_them() -> None:
        lights = [Light(number, folder, port, greeted, columns) for number in numbers]
        await asyncio.gather(count(), *(one.live(spread_seconds) for one in lights))

    async def count() -> None:
        while True:
            answered[numbers.start] = Light.answered
            await asyncio.sleep(0.2)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(all_of_them())


class Server:
    """``hwledger up`` in a process."""

    def __init__(self, folder: Path, port: int) -> None:
        words = ["up", "--ledger", str(folder / "ledger.db"), "--folder", str(folder), "--log", "error"]
        words += ["--port", "0", "--public-port", "0", "--agents-port", str(port)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hwledger", *words], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert "answers" in line, line
        self._seen = psutil.Process(self.process.pid)

    @property
    def rss(self) -> int:
        """Return the bytes of memory that it holds."""
        return int(self._seen.memory_info().rss)

    @property
    def cpu(self) -> float:
        """Return the seconds of CPU that it took."""
        times = self._seen.cpu_times()
        return float(times.user + times.system)


def _cpu(pid: int | None) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def wait_for_all(greeted: Any, since: float) -> dict[str, float]:
    """Return how many seconds after a moment half, 99 % and all agents had said hello; fewer: not in time."""
    first: dict[int, float] = {}
    while time.monotonic() - since < LIMIT_SECONDS and len(first) < len(greeted):
        for number, moment in enumerate(greeted):
            if moment > since:
                first.setdefault(number, moment - since)
        time.sleep(0.1)
    shares = {"half": 0.5, "most": 0.99, "all": 1.0}
    waits, needed = (
        sorted(first.values()),
        {name: round(share * len(greeted)) for name, share in shares.items()},
    )
    return {name: round(waits[count - 1], 2) for name, count in needed.items() if count <= len(waits)}


def measured(folder: Path, hosts: int, seconds: float, workers: int, port: int) -> dict[str, Any]:
    """Return what was measured."""
    if not (folder / "authorities.pem").exists():
        prepare(folder, hosts)
    server = Server(folder, port)
    time.sleep(2)
    empty, greeted = server.rss, multiprocessing.Array("d", hosts, lock=False)
    answered = multiprocessing.Array("q", hosts, lock=False)
    share = -(-hosts // workers)
    processes = [
        multiprocessing.Process(
            target=work,
            args=(range(first, min(first + share, hosts)), folder, port, greeted, answered, hosts / 50),
        )
        for first in range(0, hosts, share)
    ]
    begun = time.monotonic()
    for process in processes:
        process.start()
    try:
        found = {"hosts": hosts, "cores": os.cpu_count(), "came_in_seconds": wait_for_all(greeted, begun)}
        time.sleep(SETTLED_SECONDS)
        found |= {"rss_empty_bytes": empty, "rss_connected_bytes": server.rss}
        found["connections_bytes"] = found["rss_connected_bytes"] - empty
        before, start, asked = server.cpu, time.monotonic(), sum(answered)
        sys.stderr.write(json.dumps(found) + "\n")
        time.sleep(seconds)
        cpu, took, asked = server.cpu - before, time.monotonic() - start, sum(answered) - asked
        found |= {
            "steady_cpu_share_of_a_core": cpu / took,
            "requests_per_second": asked / took,
            "cpu_ms_per_request": 1000 * cpu / max(1, asked),
        }
        found["rss_after_bytes"] = server.rss
        killed = time.monotonic()
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        server = Server(folder, port)
        found["ready_again_seconds"] = time.monotonic() - killed
        others = sum(_cpu(process.pid) for process in processes)
        started = server.cpu
        found["storm_seconds"] = wait_for_all(greeted, killed)
        found["storm_server_cpu_seconds"] = server.cpu - started
        found["storm_agents_cpu_seconds"] = sum(_cpu(process.pid) for process in processes) - others
        found["load"] = os.getloadavg()[0]
        found["rss_after_storm_bytes"] = server.rss
    finally:
        for process in processes:
            process.kill()
        server.process.terminate()
        server.process.wait(30)
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in found.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--hosts", type=int, default=3000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--port", type=int, default=18472)
    parser.add_argument("--folder", type=Path, help="of a fleet that was made before, or is to be kept")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = told.folder or Path(place) / "fleet"
        found = measured(folder, told.hosts, told.seconds, told.workers, told.port)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
