"""Kill a process that appends to a ledger, at a random moment, again and again; look at what it left.

    python tests/faults/kill_writer.py [--times 1000] [--seed 1] [--postgresql]

With ``--postgresql`` the ledger is on a server that the script starts, and every fiftieth time all processes
of the server are killed and the writer is not. Prints one JSON object: how often it was killed, how many
events were acknowledged, how many of those were lost, how many chains were broken, how many events were
committed and not acknowledged (at most, in one ledger), and how long the next writer took to be ready at
most; on a server also how often that was killed, and how long it took at most to answer again. Leaves with 1
where anything was lost or broken, with 2 where there is no PostgreSQL.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from hwledger.errors import HwledgerError
from hwledger.ledger.audit import audit
from hwledger.ledger.opening import open_reader, open_store
from support.events import event
from support.postgres import Server, programs, server

THREADS = 8
ROUNDS_PER_FILE = 25
ROUNDS_PER_SERVER = 50
EVENTS_PER_ROUND = 1_000_000
PATIENCE_SECONDS = 30
LINES = 100
"""Events that are acknowledged before a kill, at most: a busy machine is killed at the same moments."""
OWN_EVENTS = 1_000_000_000_000
"""Numbers from here on are those of the process that looks; no round gets there."""


@dataclass
class Run:
    """What is counted, and where ledgers are made: files in a folder, or databases on a server."""

    folder: Path
    server: Server | None
    totals: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(
            ("kills", "acknowledged", "lost", "broken", "unacknowledged", "ready_s"), 0
        )
    )

    def new(self, number: int) -> str:
        """Return where a ledger can be made."""
        return self.server.new_database() if self.server else str(self.folder / f"{number}.db")

    def most(self, name: str, value: float) -> None:
        """Keep the larger one."""
        self.totals[name] = max(self.totals.get(name, 0), value)


def write_until_killed(address: str, first: int, said: int) -> None:
    """Append from several threads for ever; say what was acknowledged, a line an event."""
    store = open_store(address, patience_seconds=PATIENCE_SECONDS)
    os.write(said, b"ready\n")

    def produce(thread: int) -> None:
        chance = random.Random(first + thread)
        number = first + thread * (EVENTS_PER_ROUND // THREADS)
        while True:
            size = chance.choice((1, 1, 4, 40))
            batch = [event(number + step, text="x" * chance.randrange(600)) for step in range(size)]
            number += size
            try:
                receipts = store.append(batch)
            except HwledgerError:  # its server was killed
                return
            for receipt in receipts:
                os.write(said, f"{receipt.seq} {receipt.id} {receipt.chain.hex()}\n".encode())

    threads = [threading.Thread(target=produce, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def killed(run: Run, address: str, number: int, chance: random.Random) -> list[tuple[int, str, str]]:
    """Return what a process acknowledged before it, or its server, was killed; one in ten still opens."""
    heard, said = os.pipe()
    child = os.fork()
    if not child:
        os.close(heard)
        try:
            write_until_killed(address, number * EVENTS_PER_ROUND, said)
        finally:
            os._exit(1)
    os.close(said)
    with os.fdopen(heard, "rb") as lines:
        first = b""
        if number % 10 == 9 and not _kills_server(run, number):
            time.sleep(chance.uniform(0, 0.04))
        else:
            lines.readline()
            first = b"".join(lines.readline() for _ in range(chance.randrange(LINES)))
            time.sleep(chance.uniform(0, 0.02))
        if not kill_server(run, number):
            os.kill(child, signal.SIGKILL)
        said_so_far = (first + lines.read()).decode()
        whole = [line.split() for line in said_so_far.splitlines(keepends=True) if line.endswith("\n")]
        os.waitpid(child, 0)
    return [(int(line[0]), line[1], line[2]) for line in whole if len(line) == 3]


def _kills_server(run: Run, number: int) -> bool:
    return run.server is not None and number % ROUNDS_PER_SERVER == ROUNDS_PER_SERVER - 1


def kill_server(run: Run, number: int) -> bool:
    """Kill every process of the server, where it is its turn, and start it again."""
    if run.server is None or not _kills_server(run, number):
        return False
    run.server.kill()
    start = time.perf_counter()
    run.server.start()
    run.most("server_answers_s", time.perf_counter() - start)
    run.totals["server_kills"] = run.totals.get("server_kills", 0) + 1
    return True


def looked_at(run: Run, address: str, acknowledged: dict[int, tuple[str, str]]) -> None:
    """Open the ledger as the next writer does, and hold it against what was acknowledged so far."""
    start = time.perf_counter()
    store = open_store(address, patience_seconds=PATIENCE_SECONDS)
    (own,) = store.append([event(OWN_EVENTS + int(run.totals["kills"]), "host/next")])
    acknowledged[own.seq] = own.id, own.chain.hex()
    run.most("ready_s", time.perf_counter() - start)
    store.close()
    with open_reader(address) as reader:
        try:
            audit(reader)
        except HwledgerError as error:
            run.totals["broken"] += 1
            sys.stderr.write(f"{error}\n")
        with reader.connected() as connection:
            rows = connection.exec_driver_sql("SELECT seq, id, chain FROM event")
            found = {row[0]: (row[1], bytes(row[2]).hex()) for row in rows}
    run.totals["lost"] += sum(found.get(seq) != one for seq, one in acknowledged.items())
    run.most("unacknowledged", len(found) - len(acknowledged))


def kill_often(run: Run, times: int, seed: int) -> None:
    """Kill so many times."""
    chance = random.Random(seed)
    acknowledged: dict[int, tuple[str, str]] = {}
    address = ""
    for number in range(times):
        if number % ROUNDS_PER_FILE == 0 or number % 10 == 9:
            address, acknowledged = run.new(number), {}
        new = killed(run, address, number, chance)
        acknowledged |= {seq: (identity, chain) for seq, identity, chain in new}
        run.totals["kills"] += 1
        run.totals["acknowledged"] += len(new)
        looked_at(run, address, acknowledged)


def main() -> int:
    """Run as a script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--postgresql", action="store_true")
    arguments = parser.parse_args()
    found = programs()
    if arguments.postgresql and found is None:
        sys.stderr.write("no PostgreSQL server is installed here (Debian: postgresql)\n")
        return 2
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        on = stack.enter_context(server(found)) if arguments.postgresql and found else None
        run = Run(Path(folder), on)
        kill_often(run, arguments.times, arguments.seed)
    sys.stdout.write(json.dumps({name: round(value, 3) for name, value in run.totals.items()}) + "\n")
    return 1 if run.totals["lost"] or run.totals["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
