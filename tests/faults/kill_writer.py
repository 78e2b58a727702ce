"""Kill a process that appends to a ledger, at a random moment, again and again; look at what it left.

    python tests/faults/kill_writer.py [--times 1000] [--seed 1]

Prints one JSON object: how often it was killed, how many events were acknowledged, how many of those were
lost, how many chains were broken, how many events were committed and not acknowledged (at most, in one file),
and how long the next writer took to be ready at most. Leaves with 1 where anything was lost or broken.
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
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from hwledger.errors import HwledgerError
from hwledger.ledger.audit import audit
from hwledger.ledger.sqlite import SqliteReader, SqliteStore
from support.events import event

THREADS = 8
ROUNDS_PER_FILE = 25
EVENTS_PER_ROUND = 1_000_000
OWN_EVENTS = 1_000_000_000_000
"""Numbers from here on are those of the process that looks; no round gets there."""


def write_until_killed(path: Path, first: int, said: int) -> None:
    """Append from several threads for ever; say what was acknowledged, a line an event."""
    store = SqliteStore(path)
    os.write(said, b"ready\n")

    def produce(thread: int) -> None:
        chance = random.Random(first + thread)
        number = first + thread * (EVENTS_PER_ROUND // THREADS)
        while True:
            size = chance.choice((1, 1, 4, 40))
            batch = [event(number + step, text="x" * chance.randrange(600)) for step in range(size)]
            number += size
            for receipt in store.append(batch):
                os.write(said, f"{receipt.seq} {receipt.id} {receipt.chain.hex()}\n".encode())

    threads = [threading.Thread(target=produce, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def killed(path: Path, number: int, chance: random.Random) -> list[tuple[int, str, str]]:
    """Return what a process acknowledged before it was killed; one in ten still opens the file."""
    heard, said = os.pipe()
    child = os.fork()
    if not child:
        os.close(heard)
        try:
            write_until_killed(path, number * EVENTS_PER_ROUND, said)
        finally:
            os._exit(1)
    os.close(said)
    with os.fdopen(heard, "rb") as lines:
        if number % 10 == 9:
            time.sleep(chance.uniform(0, 0.04))
        else:
            lines.readline()
            time.sleep(chance.uniform(0, 0.15))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        whole = [
            line.split() for line in lines.read().decode().splitlines(keepends=True) if line.endswith("\n")
        ]
    return [(int(line[0]), line[1], line[2]) for line in whole if len(line) == 3]


def looked_at(path: Path, acknowledged: dict[int, tuple[str, str]], totals: dict[str, float]) -> None:
    """Open the ledger as the next writer does, and hold it against what was acknowledged so far."""
    start = time.perf_counter()
    store = SqliteStore(path)
    (own,) = store.append([event(OWN_EVENTS + int(totals["kills"]), "host/next")])
    acknowledged[own.seq] = own.id, own.chain.hex()
    totals["ready_s"] = max(totals["ready_s"], time.perf_counter() - start)
    store.close()
    with SqliteReader(path) as reader:
        try:
            audit(reader)
        except HwledgerError as error:
            totals["broken"] += 1
            sys.stderr.write(f"{error}\n")
        with reader.connected() as connection:
            rows = connection.exec_driver_sql("SELECT seq, id, chain FROM event")
            found = {row[0]: (row[1], row[2].hex()) for row in rows}
    totals["lost"] += sum(found.get(seq) != one for seq, one in acknowledged.items())
    totals["unacknowledged"] = max(totals["unacknowledged"], len(found) - len(acknowledged))


def run(times: int, seed: int, folder: Path) -> dict[str, float]:
    """Return the counts of so many kills."""
    chance = random.Random(seed)
    totals = {"kills": 0, "acknowledged": 0, "lost": 0, "broken": 0, "unacknowledged": 0, "ready_s": 0.0}
    acknowledged: dict[int, tuple[str, str]] = {}
    path = folder / "none"
    for number in range(times):
        if number % ROUNDS_PER_FILE == 0 or number % 10 == 9:
            path, acknowledged = folder / f"{number}.db", {}
        new = killed(path, number, chance)
        acknowledged |= {seq: (identity, chain) for seq, identity, chain in new}
        totals["kills"] += 1
        totals["acknowledged"] += len(new)
        looked_at(path, acknowledged, totals)
    return totals


def main() -> int:
    """Run as a script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        totals = run(arguments.times, arguments.seed, Path(folder))
    sys.stdout.write(json.dumps({name: round(value, 3) for name, value in totals.items()}) + "\n")
    return 1 if totals["lost"] or totals["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
