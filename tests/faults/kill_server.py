"""Kill the server (SIGKILL) while users append, at a random moment, again and again; look at what it left.

    python tests/faults/kill_server.py [--times 1000] [--seed 1] [--postgresql]

The server is ``hwledger up`` itself, with all its listeners, in a process that is forked after its modules
were loaded; eight clients record events and make join tokens over HTTP. What was not answered is asked for
again from the next server, with the same key. Prints one JSON object: how often it was killed, how many
requests were acknowledged, how many of those were lost or are there with other hashes, how many were done
twice, how many chains were broken, and how long a server took to be ready (wall and its own CPU, median and
most). Leaves with 1 where anything was lost, done twice or broken.
"""

import argparse
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from hwledger.errors import HwledgerError
from hwledger.ledger.audit import audit
from hwledger.ledger.event import new_id, time_text
from hwledger.ledger.opening import open_reader
from hwledger.server.listening import Places
from hwledger.server.logs import set_up_logs
from hwledger.server.up import Settings, up
from support.postgres import free_port, programs, server

THREADS = 8
ROUNDS_PER_LEDGER = 25
READY_SECONDS = 180.0
MOMENT = 1_764_061_200_000_000
LOOK_SECONDS = 0.004


@dataclass
class Asked:
    """A request of a client; its key stays when it is asked again."""

    path: str
    key: str
    body: dict[str, Any]


@dataclass
class Totals:
    """What was counted."""

    kills: int = 0
    acknowledged: int = 0
    lost: int = 0
    twice: int = 0
    broken: int = 0
    refused: int = 0
    ready: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def document(self) -> dict[str, float]:
        """Return them, with the times in seconds."""
        told: dict[str, float] = {
            name: getattr(self, name)
            for name in ("kills", "acknowledged", "lost", "twice", "broken", "refused")
        }
        for name, values in (("ready_s", self.ready), ("ready_cpu_s", self.cpu)):
            told |= {f"{name}_median": statistics.median(values), f"{name}_most": max(values)}
        return told


@dataclass
class Ledger:
    """One ledger with its server's folder, and what clients know of it."""

    address: str | Path
    folder: Path
    places: Places
    receipts: dict[int, tuple[str, str]] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    unanswered: list[Asked] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> int:
        """Return the process of a new server."""
        child = os.fork()
        if child:
            return child
        try:
            log = os.open(self.folder / "server.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
            os.dup2(log, 2)
            set_up_logs("warning")
            up(Settings(self.address, self.folder, self.places))
        except BaseException as error:  # noqa: BLE001 - said in the log, and the process ends
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(1)

    def token(self) -> str:
        """Return the admin's token."""
        return (self.folder / "admin.token").read_text().strip()


def cpu_seconds(process: int) -> float:
    """Return what a process took of the processor."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until_ready(port: int, process: int) -> None:
    """Wait until a server says that it takes events."""
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        connection = HTTPConnection("127.0.0.1", port, timeout=READY_SECONDS)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except (OSError, HTTPException):
            if os.waitpid(process, os.WNOHANG)[0]:
                raise RuntimeError("the server ended by itself; see its log") from None
        finally:
            connection.close()
        time.sleep(LOOK_SECONDS)
    os.kill(process, signal.SIGKILL)
    raise RuntimeError("the server is not ready")


def new_request(chance: random.Random) -> Asked:
    """Return what a client asks for: three events to a join token."""
    key = chance.randbytes(16).hex()
    if chance.random() < 0.25:
        return Asked("/v1/tokens", key, {"labels": {"key": key}})
    data = {"model": "m", "engine": "vllm", "total_bytes": chance.randrange(1 << 40), "sha256": key * 2}
    said = {"type": "fleet.plan.created.v1", "subject": "model/m", "time": time_text(MOMENT)}
    return Asked("/v1/events", key, {"id": new_id(MOMENT, chance.randbytes(10)), "data": data, **said})


def produce(ledger: Ledger, seed: int, totals: Totals) -> None:
    """Ask for one thing after the other until the server is gone; first for what was not answered."""
    chance = random.Random(seed)
    connection = HTTPConnection("127.0.0.1", ledger.places.local_port, timeout=60)
    headers = {"Authorization": f"Bearer {ledger.token()}", "Content-Type": "application/json"}
    while True:
        with ledger.lock:
            asked = ledger.unanswered.pop() if ledger.unanswered else new_request(chance)
            ledger.keys.add(asked.key)
        try:
            more = headers | {"Idempotency-Key": asked.key}
            connection.request("POST", asked.path, json.dumps(asked.body), more)
            reply = connection.getresponse()
            document = json.loads(reply.read())
        except (OSError, HTTPException, ValueError):
            connection.close()
            with ledger.lock:
                ledger.unanswered.append(asked)
            return
        with ledger.lock:
            if reply.status != 201:
                totals.refused += 1
                sys.stderr.write(f"{reply.status}: {document}\n")
                continue
            totals.acknowledged += 1
            for one in document["events"]:
                ledger.receipts[one["seq"]] = one["id"], one["chain"]


def killed(ledger: Ledger, number: int, chance: random.Random, totals: Totals) -> None:
    """Start a server, let clients at it, kill it; one in ten while it starts."""
    began = time.perf_counter()
    process = ledger.start()
    if number % 10 == 9:
        time.sleep(chance.uniform(0, 0.3))
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        return
    wait_until_ready(ledger.places.local_port, process)
    totals.ready.append(time.perf_counter() - began)
    totals.cpu.append(cpu_seconds(process))
    seeds = [chance.randrange(1 << 60) for _ in range(THREADS)]
    threads = [threading.Thread(target=produce, args=(ledger, seed, totals)) for seed in seeds]
    for thread in threads:
        thread.start()
    before = totals.acknowledged
    while number % 5 and totals.acknowledged == before:  # one in five without waiting for the first answer
        time.sleep(LOOK_SECONDS)
    time.sleep(chance.uniform(0, 0.3))
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    for thread in threads:
        thread.join()


def drained(ledger: Ledger, totals: Totals) -> None:
    """Ask a last server for what was never answered, and end it."""
    process = ledger.start()
    wait_until_ready(ledger.places.local_port, process)
    connection = HTTPConnection("127.0.0.1", ledger.places.local_port, timeout=60)
    headers = {"Authorization": f"Bearer {ledger.token()}", "Content-Type": "application/json"}
    for asked in ledger.unanswered:
        connection.request(
            "POST", asked.path, json.dumps(asked.body), headers | {"Idempotency-Key": asked.key}
        )
        reply = connection.getresponse()
        document = json.loads(reply.read())
        totals.refused += reply.status != 201
        for one in document.get("events", ()):
            ledger.receipts[one["seq"]] = one["id"], one["chain"]
    ledger.unanswered.clear()
    os.kill(process, signal.SIGTERM)
    os.waitpid(process, 0)


def looked_at(ledger: Ledger, totals: Totals) -> None:
    """Hold a ledger against what its clients were told."""
    with open_reader(ledger.address) as reader:
        try:
            audit(reader)
        except HwledgerError as error:
            totals.broken += 1
            sys.stderr.write(f"{error}\n")
        with reader.connected() as connection:
            rows = connection.exec_driver_sql("SELECT seq, id, chain, type FROM event").all()
    found = {row[0]: (row[1], bytes(row[2]).hex()) for row in rows}
    kinds = [row[3] for row in rows]
    totals.lost += sum(found.get(seq) != one for seq, one in ledger.receipts.items())
    done = kinds.count("fleet.plan.created.v1") + kinds.count("fleet.token.created.v1")
    totals.twice += done - len(ledger.keys)


def run(times: int, seed: int, ledgers: Iterator[Ledger]) -> Totals:
    """Return the counts of so many kills."""
    chance, totals = random.Random(seed), Totals()
    ledger = next(ledgers)
    for number in range(times):
        if number and number % ROUNDS_PER_LEDGER == 0:
            drained(ledger, totals)
            looked_at(ledger, totals)
            ledger = next(ledgers)
        killed(ledger, number, chance, totals)
        totals.kills += 1
    drained(ledger, totals)
    looked_at(ledger, totals)
    return totals


def new_ledgers(folder: Path, database: Any = None) -> Iterator[Ledger]:
    """Yield new ledgers: files, or databases of a server of PostgreSQL."""
    ports = [free_port() for _ in range(3)]
    places = Places(local_port=ports[0], public_port=ports[1], agents_port=ports[2])
    number = 0
    while True:
        number += 1
        place = folder / str(number)
        place.mkdir()
        yield Ledger(database.new_database() if database else place / "ledger.db", place, places)


@contextmanager
def made_ledgers(folder: Path, *, postgresql: bool) -> Iterator[Iterator[Ledger]]:
    """Give ledgers of one kind."""
    if not postgresql:
        yield new_ledgers(folder)
        return
    found = programs()
    if found is None:
        sys.exit("no PostgreSQL server is installed here")
    with server(found) as database:
        yield new_ledgers(folder, database)


def main() -> int:
    """Run as a script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--postgresql", action="store_true")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        made_ledgers(Path(folder), postgresql=arguments.postgresql) as ledgers,
    ):
        totals = run(arguments.times, arguments.seed, ledgers)
    found = {name: round(value, 3) for name, value in totals.document().items()}
    sys.stdout.write(json.dumps(found) + "\n")
    return 1 if totals.lost or totals.twice or totals.broken or totals.refused else 0


if __name__ == "__main__":
    sys.exit(main())
