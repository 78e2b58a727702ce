"""A fleet whose clock is turned by hand, hosts that were let in, and what their agents say."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hwledger.fleet.context import Fleet
from hwledger.fleet.views import projections
from hwledger.fleet.wire.reports import Hello, Telemetry, inventory_hash
from hwledger.ledger.event import Event, event_of, new_id, time_text
from hwledger.ledger.memory import MemoryStore
from hwledger.ledger.store import Store
from hwledger.ledger.types import split_type
from support.events import FIRST_MOMENT

A, B = "0192f0c0-0000-7000-8000-00000000000a", "0192f0c0-0000-7000-8000-00000000000b"
BOOT = "boot-0001"
INVENTORY = {"devices": [{"key": "0000:01:00.0", "name": "H100", "memory_bytes": 85_899_345_920}]}
SECOND, HOUR, DAY = 1_000_000, 3_600_000_000, 86_400_000_000


@dataclass
class Clock:
    """A clock that stands until it is turned."""

    now: int = FIRST_MOMENT

    def __call__(self) -> int:
        """Return microseconds since 1970."""
        return self.now

    def turn(self, seconds: float) -> None:
        """Turn it on."""
        self.now += int(seconds * SECOND)


@dataclass
class Chance:
    """Bytes that differ each time, the same in each test."""

    count: int = 0

    def __call__(self, size: int) -> bytes:
        """Return so many bytes."""
        self.count += 1
        return self.count.to_bytes(size, "big")


@dataclass(frozen=True)
class Member:
    """Who speaks, as the check of certificates says."""

    host: str
    serial: str = "1"
    not_after: int = FIRST_MOMENT + DAY


def make_fleet(folder: Path, clock: Callable[[], int] | None = None, store: Store | None = None) -> Fleet:
    """Return a fleet in memory with two hosts, A and B, that were let in."""
    kept = store or MemoryStore(projections=projections())
    fleet = Fleet(kept, folder, "example.org", clock or Clock(), Chance())
    if not kept.head().seq:
        kept.append([enrolled(fleet, A, "alpha"), enrolled(fleet, B, "beta")])
    return fleet


def enrolled(fleet: Fleet, host: str, name: str, **more: Any) -> Event:
    """Return that a host was let in."""
    told = {"host": host, "serial": "1", "not_after": time_text(FIRST_MOMENT + DAY), "name": name, **more}
    return fleet.event("host.enrolled", f"host/{host}", told)


def hello(clock: Callable[[], int], **other: Any) -> Hello:
    """Return a heartbeat of an agent whose clock is right, but for what is given."""
    made = Hello(BOOT, clock(), "0.1.0", None, inventory_hash(INVENTORY), INVENTORY, 0, {})
    return replace(made, **other)


def hello_body(clock: Callable[[], int], **other: Any) -> dict[str, Any]:
    """Return a heartbeat as it goes over the wire."""
    return {
        "protocol": 1, "boot": BOOT, "time": time_text(clock()), "version": "0.1.0", "seen": None,
        "inventory_sha256": inventory_hash(INVENTORY), "inventory": INVENTORY, "spool_bytes": 0,
        "state": {}, **other,
    }  # fmt: skip


def batch(seq: int = 1, at: int = FIRST_MOMENT, boot: str = BOOT, **columns: list[Any]) -> Telemetry:
    """Return a batch of telemetry of one column, or those that are given."""
    told = columns or {"gpu/power": [100 + seq, 200, None]}
    return Telemetry(boot, seq, at, 10, len(next(iter(told.values()))), told)


def reported(number: int, host: str = A, boot: str = BOOT, **other: Any) -> Event:
    """Return the event that an agent counts so."""
    moment = FIRST_MOMENT + number * 1000
    made = Event(
        new_id(moment, (boot + host[-1]).encode()[-6:] + number.to_bytes(4, "big")),
        f"spiffe://example.org/agent/{host}", "fleet.job.started.v1", "job/7", moment,
        {"job": "7", "host": host, "fence": number}, boot=boot, boot_seq=number,
    )  # fmt: skip
    return replace(made, **other)


def told(fleet: Fleet, *types: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Return short type and data of every event after the hosts were let in, or of some types."""
    found = []
    for entry in fleet.store.read(2):
        event = event_of(entry.body)
        name, _ = split_type(event.type)
        if not types or name in types:
            found.append((name, event.data))
    return found


@dataclass
class Notary:
    """Shows what it is told to show, as the real one would."""

    notes: str = ""
    hashes: list[bytes] = field(default_factory=list)

    def note(self) -> str:
        """Return the note."""
        return self.notes

    def proof(self, from_size: int) -> tuple[str, list[bytes]]:
        """Return the note and the hashes."""
        del from_size
        return self.notes, self.hashes


def as_json(value: Any) -> bytes:
    """Return a body."""
    return json.dumps(value).encode()
