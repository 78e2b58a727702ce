"""What the server does with what its agents report: heartbeats and events."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Row

from hwledger.errors import ConflictError, DeniedError, MalformedError
from hwledger.fleet.context import Fleet
from hwledger.fleet.differences import differences
from hwledger.fleet.hosts import row_of
from hwledger.fleet.live import Seen
from hwledger.fleet.liveness import next_in_seconds
from hwledger.fleet.reported import reported_id
from hwledger.fleet.wire.reports import Alarm, Hello, alarm_of
from hwledger.ledger.event import Event
from hwledger.ledger.projections import last_of_producer
from hwledger.ledger.store import Receipt
from hwledger.ledger.types import PREFIX, shipped_types, split_type
from hwledger.shipped import shipped_text

SKEW_MS: Final = 5000
"""A change of a clock's offset that is written down: more than any network delays a heartbeat by itself."""
_COMPONENT: Final = "reports"
_MICROSECONDS: Final = 1_000_000
_RENEW_SECONDS: Final = 6 * 3600
"""A certificate that holds for less should have been renewed long ago: agents renew at half of 24 hours."""


class Member(Protocol):
    """Who speaks, by the certificate (``fleet.identities.Member``)."""

    @property
    def host(self) -> str:
        """Return the id of the host."""

    @property
    def not_after(self) -> int:
        """Return until when the certificate holds, in microseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Greeted:
    """What a heartbeat is answered with, but for the checkpoint.

    Attributes:
        next_in_seconds: when to say the next one.
        time_microseconds: the server's clock.
        events_seq: the largest count of events of this boot that arrived; 0: none.
        want_inventory: the server has not the inventory of that hash.
        renew: the certificate should have been renewed.
    """

    next_in_seconds: int
    time_microseconds: int
    events_seq: int
    want_inventory: bool
    renew: bool


def source_of(fleet: Fleet, host: str) -> str:
    """Return the SPIFFE id of a host's agent."""
    return f"spiffe://{fleet.trust_domain}/agent/{host}"


def hello(fleet: Fleet, member: Member, message: Hello) -> Greeted:
    """Take in a heartbeat; what it changes is written down, the heartbeat itself is not.

    Raises:
        MissingError: there is no such host.
        FullError: it cannot be written down.
    """
    now = fleet.clock()
    before = fleet.live.seen(member.host)
    offset = (message.time_microseconds - now) // 1000
    alarm = alarm_of(message.state)
    if before is None or _is_news(before, message, offset, alarm):
        news = partial(_news, fleet, member.host, message, offset, alarm)
        row = fleet.store.query(lambda connection: row_of(connection, member.host))
        if news(row):  # a server that began anew is greeted by all, and most have no news
            fleet.store.decide(lambda connection: news(row_of(connection, member.host)))
            row = fleet.store.query(lambda connection: row_of(connection, member.host))
        noted = row.inventory_sha256, row.clock_offset_ms, row.alarm
    else:
        noted = before.inventory_sha256, before.noted_offset_ms, before.alarm
    due = next_in_seconds(len(fleet.live) or 1)
    kept = (message.boot, message.version, noted[0], offset, noted[1], noted[2], message.spool_bytes)
    fleet.live.keep(member.host, Seen(now, due, *kept))
    return Greeted(
        due,
        now,
        events_seq(fleet, member.host, message.boot),
        want_inventory=noted[0] != message.inventory_sha256,
        renew=member.not_after - now < _RENEW_SECONDS * _MICROSECONDS,
    )


def events_seq(fleet: Fleet, host: str, boot: str) -> int:
    """Return the largest count of events of a boot that arrived; 0: none."""
    source = source_of(fleet, host)
    return fleet.store.query(lambda connection: last_of_producer(connection, source, boot)) or 0


def _is_news(before: Seen, message: Hello, offset: int, alarm: Alarm | None) -> bool:
    return (
        before.boot != message.boot
        or (message.inventory is not None and before.inventory_sha256 != message.inventory_sha256)
        or abs(offset - before.noted_offset_ms) >= SKEW_MS
        or before.alarm != (alarm.reason if alarm else "")
    )


def _news(  # noqa: PLR0913, PLR0917 - what a heartbeat is held against
    fleet: Fleet, host: str, message: Hello, offset: int, alarm: Alarm | None, row: Row[Any]
) -> list[Event]:
    """Return what a heartbeat changes of what the projection has; nothing where it says so already."""
    made = partial(_event, fleet, host)
    found = [made("host.online", boot=message.boot, version=message.version)] if not row.online else []
    if row.online and row.boot != message.boot:
        told = {"boot": message.boot, "previous": row.boot, "version": message.version}
        found.append(made("host.restarted", **told))
    if message.inventory is not None and row.inventory_sha256 != message.inventory_sha256:
        changes = differences(json.loads(row.inventory), message.inventory)
        told = {"sha256": message.inventory_sha256, "changes": changes, "inventory": message.inventory}
        found.append(made("host.inventory_changed", **told))
    if abs(offset - row.clock_offset_ms) >= SKEW_MS:
        found.append(made("host.clock_skew", offset_ms=offset))
    return [*found, *_alarmed(made, row, alarm, message.state)]


def _alarmed(made: Any, row: Row[Any], alarm: Alarm | None, state: Mapping[str, Any]) -> list[Event]:
    if alarm is not None and alarm.reason != row.alarm:
        seq = {} if alarm.seq is None else {"seq": alarm.seq}
        return [made("ledger.verify_failed", reason=alarm.reason, seen=alarm.seen, shown=alarm.shown, **seq)]
    if alarm is None and row.alarm:
        seen = state.get("checkpoint")
        size, root = (seen.get("size"), seen.get("root")) if isinstance(seen, dict) else (None, None)
        try:
            return [made("ledger.verified", size=size, root=root)]
        except MalformedError:
            return []  # it does not say what it found whole: the alarm stays
    return []


def _event(fleet: Fleet, host: str, name: str, **data: Any) -> Event:
    return fleet.event(name, f"host/{host}", {"host": host, **data}, component=_COMPONENT)


@cache
def agent_types() -> frozenset[str]:
    """Return the names of the known types that an agent may report."""
    rows = csv.DictReader(shipped_text("hwledger.fleet", "data/agent_events.csv").splitlines())
    return frozenset(row["type"] for row in rows)


def events(fleet: Fleet, member: Member, reported: Sequence[Event]) -> tuple[Receipt, ...]:
    """Add the events that an agent reports, all or none; each once, by id and by its own count.

    Raises:
        DeniedError: one is of another source, about another host, or of a type that agents do not report.
        MalformedError: one lacks its count, or its data is not what its type demands.
        ConflictError: an id or a count is there with another event.
    """
    source = source_of(fleet, member.host)
    for event in reported:
        _check_own(event, source, member.host)
    receipts = fleet.store.decide(partial(_once, source, reported))
    fleet.live.touch(member.host, fleet.clock())
    return receipts


def _check_own(event: Event, source: str, host: str) -> None:
    if event.source != source:
        raise DeniedError(f"event {event.id} is of {event.source}, and {source} sent it; send your own alone")
    about = event.subject.removeprefix("host/") if event.subject.startswith("host/") else host
    if about != host or event.data.get("host", host) != host:
        raise DeniedError(f"event {event.id} is about another host than the one that sent it")
    name, _ = split_type(event.type)
    if event.type.startswith(PREFIX) and name not in agent_types():
        raise DeniedError(f"event {event.id}: agents do not report {event.type}")
    if event.boot is None or event.boot_seq is None or event.boot_seq < 1:
        raise MalformedError(f"event {event.id}: an agent counts its events (fleetboot and fleetseq, from 1)")
    shipped_types().check(event)


def _once(source: str, reported: Sequence[Event], connection: Connection) -> Sequence[Event]:
    own: dict[tuple[str, int], str] = {}
    for event in reported:
        count = (event.boot or "", event.boot_seq or 0)
        before = own.setdefault(count, event.id)
        before = reported_id(connection, source, *count) or before
        if before != event.id:
            raise ConflictError(
                f"event {event.id}: number {count[1]} of boot {count[0]} is {before}; count each event once"
            )
    return reported
