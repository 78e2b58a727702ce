"""The spool of an agent: what is on its disk, what goes when there is no room, and what outlives a kill."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hwledger.fleet.agent.producing import Producer
from hwledger.fleet.agent.spool import EVENT, LARGEST_BYTES, TELEMETRY, Spool, waiting_in
from support.reporting import A, Chance, Clock

pytestmark = pytest.mark.requirement("FR-AGENT-SPOOL")
BOOT = "boot-0001"
KILOBYTE = b"x" * 1000


def bodies(spool: Spool, kind: str = EVENT) -> list[int]:
    """Return the numbers of what waits, in order."""
    return [one.seq for one in spool.oldest(kind, 1_000_000, 1 << 40)]


def size_of(folder: Path) -> int:
    """Return the bytes of all files of a spool."""
    return sum(path.stat().st_size for path in folder.glob("spool.db*"))


def test_what_is_kept_is_given_in_order_and_outlives_closing(tmp_path: Path) -> None:
    """Each kind comes oldest first, within the limits asked for; what was sent is gone."""
    spool = Spool(tmp_path)
    for number in range(1, 6):
        spool.add_event(BOOT, number, KILOBYTE)
        assert spool.add_telemetry(BOOT, number, KILOBYTE)
    spool.close()
    spool = Spool(tmp_path)
    assert bodies(spool) == bodies(spool, TELEMETRY) == [1, 2, 3, 4, 5]
    assert [one.seq for one in spool.oldest(EVENT, 10, 2500)] == [1, 2]
    assert [one.seq for one in spool.oldest(EVENT, 10, 1)] == [1], "one at least"
    spool.remove(spool.oldest(EVENT, 2, 1 << 20))
    spool.remove_up_to(EVENT, "another-boot", 5)
    spool.remove_up_to(TELEMETRY, BOOT, 4)
    assert (bodies(spool), bodies(spool, TELEMETRY)) == ([3, 4, 5], [5])
    assert spool.waiting() == waiting_in(tmp_path) == {EVENT: 3, TELEMETRY: 1}
    assert (tmp_path / "spool.db").stat().st_mode & 0o077 == 0
    spool.close()


def test_the_ring(tmp_path: Path) -> None:
    """Where there is no room the oldest telemetry goes, then the oldest events; no event for telemetry."""
    limit = 6_000_000
    spool = Spool(tmp_path, limit)
    for number in range(1, 1001):
        spool.add_telemetry(BOOT, number, KILOBYTE)
    for number in range(1, 601):
        spool.add_event(BOOT, number, 5 * KILOBYTE)
        assert number % 20 or size_of(tmp_path) <= limit
    assert not bodies(spool, TELEMETRY)
    assert not spool.add_telemetry(BOOT, 1001, KILOBYTE)
    kept = bodies(spool)
    assert kept == list(range(601 - len(kept), 601))
    assert spool.dropped() == {TELEMETRY: 1001, EVENT: 600 - len(kept)}
    assert spool.used_bytes() <= limit <= LARGEST_BYTES
    spool.tell_dropped(TELEMETRY, 1001, BOOT, 601, KILOBYTE)
    assert (bodies(spool)[-1], spool.dropped().get(TELEMETRY)) == (601, None)
    spool.close()


def test_a_damaged_file_is_put_aside(tmp_path: Path) -> None:
    """An agent whose spool is garbage goes on with a new one, and the old one can be looked at."""
    (tmp_path / "spool.db").write_bytes(b"garbage" * 1000)
    spool = Spool(tmp_path)
    spool.add_event(BOOT, 1, KILOBYTE)
    assert bodies(spool) == [1]
    assert (tmp_path / "spool.damaged").read_bytes().startswith(b"garbage")
    spool.close()


WRITER = """
import sys
from pathlib import Path
from hwledger.fleet.agent.spool import Spool
spool = Spool(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), 1 << 40):
    spool.add_event("boot-0001", number, b"x" * 700)
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


def test_what_was_kept_outlives_kills(tmp_path: Path) -> None:
    """Killed again and again while it writes, the spool holds every event that it said to have kept."""
    said = 0
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(said + 1)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for _ in range(25):
            said = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        said = max([said, *(int(line) for line in writer.communicate()[0].splitlines())])
        spool = Spool(tmp_path)
        kept = bodies(spool)
        spool.close()
        assert kept[:said] == list(range(1, said + 1))
        assert len(kept) - said in {0, 1}, "one may be kept that was not said"
        said = len(kept)


FULL_DISK = """
import resource, sys, json
from pathlib import Path
from hwledger.fleet.agent.producing import Producer
from hwledger.fleet.agent.spool import Spool
from hwledger.errors import FullError
spool = Spool(Path(sys.argv[1]))
clock = iter(range(10**15, 10**16))
chance = lambda size: next(clock).to_bytes(size, "big")
producer = Producer(spool, "spiffe://example.org/agent/a", "boot-0001", lambda: next(clock), chance)
def add(): return producer.add("job.started", "job/7", {"job": "7", "host": "a", "fence": 1}).id
made = [add() for _ in range(20)]
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # every write fails, as on a full disk
made += [add() for _ in range(1500)]
try:
    spool.add_telemetry("boot-0001", 1, b"x")
except FullError as error:
    said = str(error)
readable = len(spool.oldest("event", 100, 1 << 30))
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
made.append(add())
kept = [json.loads(one.body)["id"] for one in spool.oldest("event", 10000, 1 << 40)]
rest = kept == made[:20] + made[20 + producer.lost:]
print(json.dumps({"readable": readable, "said": said, "lost": producer.lost, "rest": rest}))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no limits of files")
def test_a_full_disk(tmp_path: Path) -> None:
    """What is there stays readable; a thousand events are held in memory, and written when there is room."""
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True
    )
    found = json.loads(ran.stdout)
    assert (found["readable"], found["lost"], found["rest"]) == (20, 500, True)
    assert "free the disk" in found["said"]


def test_what_was_let_go_is_told_after_what_is_held(tmp_path: Path) -> None:
    """An event that tells of dropped ones never overtakes events that wait for the disk."""
    spool = Spool(tmp_path)
    producer = Producer(spool, f"spiffe://example.org/agent/{A}", BOOT, Clock(), Chance())
    spool.drop(spool_item(spool), TELEMETRY)
    producer._held.append((1, b"{}"))
    producer.tell_dropped(A)
    assert not bodies(spool)
    producer._held.clear()
    producer.tell_dropped(A)
    (told,) = spool.oldest(EVENT, 1, 1)
    assert json.loads(told.body)["data"] == {"host": A, "kind": TELEMETRY, "count": 1}
    assert not spool.dropped()
    spool.close()


def spool_item(spool: Spool) -> "object":
    """Return a batch that waits."""
    spool.add_telemetry(BOOT, 1, KILOBYTE)
    return spool.oldest(TELEMETRY, 1, 1)[0]
