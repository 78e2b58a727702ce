"""Measure the ledger: durable appends beside the disk's own fsync rate, and a check of a large file.

    python benchmarks/measure_ledger.py [--events 1000000] [--producers 256] [--seconds 10] [--folder DIR]

Prints one JSON object. Rates are by the wall clock, and beside them the CPU time of the process; memory is
the most that the check needed more than the process had before.
"""

import argparse
import asyncio
import json
import os
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from hwledger.ledger.audit import audit
from hwledger.ledger.event import Event, new_id
from hwledger.ledger.merkle import includes, inclusion_proof, root_at
from hwledger.ledger.sqlite import SqliteReader, SqliteStore
from hwledger.ledger.writer import SqlStore
from support.events import event

BODY = "x" * 130
"""Makes a body of about 470 bytes, as the reference measured with."""


def fsync_rate(folder: Path, seconds: float = 3.0) -> float:
    """Return how often per second 4 KiB can be written and synced here."""
    path, count = folder / "fsync", 0
    handle = os.open(path, os.O_CREAT | os.O_WRONLY)
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        os.pwrite(handle, b"x" * 4096, 4096 * (count % 256))
        os.fsync(handle)
        count += 1
    os.close(handle)
    path.unlink()
    return count / (time.perf_counter() - start)


def now(number: int) -> Event:
    """Return an event as a producer makes it: ids begin with the time, and so come nearly in order."""
    moment = time.time_ns() // 1000
    data = {"host": "a", "n": number, "text": BODY}
    name = new_id(moment, os.urandom(10))
    return Event(name, "spiffe://test/agent/a", "fleet.host.online.v1", "host/a", moment, data)


def in_threads(store: SqlStore, producers: int, end: float) -> list[float]:
    """Return how long each durable append of one event took, of so many threads that wait for each."""
    waits: list[list[float]] = [[] for _ in range(producers)]

    def produce(number: int) -> None:
        while (before := time.perf_counter()) < end:
            store.append([now(number)])
            waits[number].append(time.perf_counter() - before)

    threads = [threading.Thread(target=produce, args=(number,)) for number in range(producers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [wait for own in waits for wait in own]


def in_a_loop(store: SqlStore, producers: int, end: float) -> list[float]:
    """Return the same of so many coroutines, as those of a server are."""
    waits: list[float] = []

    async def produce(number: int) -> None:
        while (before := time.perf_counter()) < end:
            await store.append_async([now(number)])
            waits.append(time.perf_counter() - before)

    async def all_of_them() -> None:
        await asyncio.gather(*(produce(number) for number in range(producers)))

    asyncio.run(all_of_them())
    return waits


def append_rates(folder: Path, producers: int, seconds: float) -> dict[str, Any]:
    """Return rates and latencies of single durable appends, and fsync rates from between them.

    A disk that others use is ten times faster in one second than in another: so each way has two of every
    five seconds, and the fsync rate one, again and again.
    """
    ways = {"threads": in_threads, "loop": in_a_loop}
    waits: dict[str, list[float]] = {way: [] for way in ways}
    spent = {way: [0.0, 0.0] for way in ways}
    syncs = []
    with SqliteStore(folder / "append.db") as store:
        for _ in range(max(1, round(seconds / 2))):
            syncs.append(fsync_rate(folder, 1))
            for way, produced in ways.items():
                start, cpu = time.perf_counter(), time.process_time()
                waits[way] += produced(store, producers, start + 2)
                spent[way][0] += time.perf_counter() - start
                spent[way][1] += time.process_time() - cpu
    rate = statistics.mean(syncs)
    found = {way: rates(waits[way], *spent[way], rate) for way in ways}
    return {"fsyncs_per_second": {"mean": rate, "least": min(syncs), "most": max(syncs)}, **found}


def rates(waits: list[float], wall: float, cpu: float, fsyncs: float) -> dict[str, float]:
    """Return what one way of appending did."""
    found = sorted(waits)
    return {
        "events_per_second": len(found) / wall,
        "times_fsync_rate": len(found) / wall / fsyncs,
        "cpu_us_per_event": cpu / len(found) * 1e6,
        "p50_ms": statistics.median(found) * 1e3,
        "p99_ms": found[int(len(found) * 0.99)] * 1e3,
    }


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Return what a call gives, and its wall time, CPU time and growth of memory."""
    memory, cpu, start = peak_mib(), time.process_time(), time.perf_counter()
    found = work()
    return found, {
        "wall_s": time.perf_counter() - start,
        "cpu_s": time.process_time() - cpu,
        "more_mib": peak_mib() - memory,
    }


def peak_mib() -> float:
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def check(folder: Path, size: int) -> dict[str, Any]:
    """Return how long a ledger of so many events takes to fill, to check, and to prove one event of."""
    path = folder / "large.db"
    with SqliteStore(path) as store:
        fill = timed(lambda: filled(store, size))[1]
    with SqliteReader(path) as reader:
        report, checked = timed(lambda: audit(reader))
        root = root_at(size, reader.node)
        seq = size // 3
        with reader.nodes() as nodes:
            timed_proofs = timed(lambda: [inclusion_proof(seq + n, size, nodes) for n in range(100)])
        proofs, proved = timed_proofs
        convinced = includes(reader.get(seq + 1).leaf, seq, size, proofs[0], root)
    assert convinced
    assert report.root == root
    return {
        "events": size, "bytes_per_event": path.stat().st_size / size, "fill": fill, "verify": checked,
        "hundred_proofs": proved,
    }  # fmt: skip


def filled(store: SqliteStore, size: int) -> None:
    """Append so many events, a thousand at a time."""
    for first in range(0, size, 1000):
        store.append(page(first, min(1000, size - first)))


def page(first: int, count: int) -> list[Any]:
    """Return events with bodies of the usual size."""
    return [event(first + number, f"host/{number % 50}", text=BODY) for number in range(count)]


def main() -> None:
    """Run as a script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--producers", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        append = append_rates(folder, arguments.producers, arguments.seconds)
        found = {"append": append, **check(folder, arguments.events)}
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
