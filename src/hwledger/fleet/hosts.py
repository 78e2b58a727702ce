"""The hosts of a fleet: what the events say of each, and what they said since the server began."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Connection, Row, Table, Text, insert, or_, select, update

from hwledger.errors import AmbiguousError, MissingError
from hwledger.fleet.context import Fleet
from hwledger.ledger.event import Event, time_text
from hwledger.ledger.schema import METADATA
from hwledger.ledger.types import split_type

HOST: Final = Table(
    "host",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Column("not_after", Text, nullable=False),
    Column("online", Boolean, nullable=False),
    Column("edge_at", BigInteger, nullable=False),
    Column("boot", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("clock_offset_ms", BigInteger, nullable=False),
    Column("inventory_sha256", Text, nullable=False),
    Column("inventory", Text, nullable=False),
    Column("alarm", Text, nullable=False),
)
_NEW: Final[Mapping[str, Any]] = {
    "name": "", "state": "waiting", "reason": "", "labels": "{}", "not_after": "", "online": False,
    "edge_at": 0, "boot": "", "version": "", "clock_offset_ms": 0, "inventory_sha256": "",
    "inventory": "{}", "alarm": "",
}  # fmt: skip
SHORTEST_PREFIX: Final = 4


@dataclass(frozen=True, slots=True)
class HostView:
    """One host.

    Attributes:
        id: a UUID.
        name: what it calls itself, or its operator calls it; empty where neither did.
        state: ``waiting``, ``active``, ``retired`` or ``banned``.
        online: it answers.
        last_seen: when it last spoke, RFC 3339; empty: never.
        labels: what its join token and its operator gave it.
        inventory: its devices and programs, as it last told them; empty where it did not.
        inventory_sha256: of the inventory; empty where there is none.
        agent_version: of its agent; empty where it is not known.
        clock_offset_ms: by how much its clock is ahead of the server's.
        not_after: until when its certificate holds, RFC 3339; empty where it has none.
        reason: why it is retired or banned.
        alarm: what it found wrong with the ledger; empty: nothing.
        spool_bytes: what waits on it to be sent; ``None`` where it has not said so since the server began.
    """

    id: str
    name: str
    state: str
    online: bool
    last_seen: str
    labels: Mapping[str, str]
    inventory: Mapping[str, Any]
    inventory_sha256: str
    agent_version: str
    clock_offset_ms: int
    not_after: str
    reason: str
    alarm: str
    spool_bytes: int | None


class Hosts:
    """What the events say of each host; only what the server says counts, whatever an agent reports."""

    name = "hosts"
    version = 1
    tables: Sequence[Table] = (HOST,)

    def apply(self, connection: Connection, seq: int, event: Event) -> None:
        """Take in one event."""
        del seq
        host = event.data.get("host")
        if not isinstance(host, str) or event.source.split("/")[3:4] != ["server"]:
            return
        name, _ = split_type(event.type)
        changed = _changes(name, event)
        if changed is None:
            return
        if name in _OPENING:
            known = connection.execute(select(HOST.c.id).where(HOST.c.id == host)).first()
            if known is None:
                connection.execute(insert(HOST).values(id=host, **_NEW))
        if changed:
            connection.execute(update(HOST).where(HOST.c.id == host).values(**changed))


_OPENING: Final = frozenset({"host.enrol_requested", "host.enrolled"})


def _changes(name: str, event: Event) -> dict[str, Any] | None:
    """Return the columns that an event changes; ``None``: it is not about a host's row."""
    change = _CHANGES.get(name)
    return None if change is None else change(event.data, event.time_microseconds)


def _named(data: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: data[name] for name in ("name", "not_after") if isinstance(data.get(name), str)}
    return {**told, "labels": json.dumps(data["labels"])} if "labels" in data else told


def _agent(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: data[name] for name in ("boot", "version") if name in data}


_Change = Callable[[Mapping[str, Any], int], dict[str, Any]]
_CHANGES: Final[Mapping[str, _Change]] = {
    "host.enrol_requested": lambda data, _: {"state": "waiting", "reason": "", **_named(data)},
    "host.enrolled": lambda data, _: {"state": "active", "reason": "", **_named(data)},
    "host.cert_renewed": lambda data, _: {"not_after": data["not_after"]},
    "host.banned": lambda data, _: {"state": "banned", "reason": data["reason"], "online": False},
    "host.retired": lambda data, _: {"state": "retired", "reason": data.get("reason", ""), "online": False},
    "host.online": lambda data, at: {"online": True, "edge_at": at, **_agent(data)},
    "host.restarted": lambda data, at: {"online": True, "edge_at": at, **_agent(data)},
    "host.offline": lambda _, at: {"online": False, "edge_at": at},
    "host.clock_skew": lambda data, _: {"clock_offset_ms": data["offset_ms"]},
    "host.inventory_changed": lambda data, _: {
        "inventory_sha256": data["sha256"],
        "inventory": json.dumps(data.get("inventory", {})),
    },
    "ledger.verify_failed": lambda data, _: {"alarm": data["reason"]},
    "ledger.verified": lambda _, __: {"alarm": ""},
}


def row_of(connection: Connection, host: str) -> Row[Any]:
    """Return what the events say of a host.

    Raises:
        MissingError: there is no such host.
    """
    found = connection.execute(select(HOST).where(HOST.c.id == host)).first()
    if found is None:
        raise MissingError(f"there is no host {host!r}; hwledger hosts lists them")
    return found


def hosts(fleet: Fleet) -> list[HostView]:
    """Return every host that was ever let in or waits for it, by name."""
    rows = fleet.store.query(lambda connection: connection.execute(select(HOST)).all())
    return sorted((_view(fleet, row) for row in rows), key=lambda one: (one.name, one.id))


def host(fleet: Fleet, id_or_name: str) -> HostView:
    """Return the host that an id, the beginning of one, or a name means.

    Raises:
        MissingError: there is none.
        AmbiguousError: there are several.
    """
    named = or_(HOST.c.id == id_or_name, HOST.c.name == id_or_name)
    if len(id_or_name) >= SHORTEST_PREFIX:
        named = or_(named, HOST.c.id.startswith(id_or_name, autoescape=True))
    rows = fleet.store.query(lambda connection: connection.execute(select(HOST).where(named)).all())
    exact = [row for row in rows if row.id == id_or_name] or [row for row in rows if row.name == id_or_name]
    found = exact or list(rows)
    if not found:
        raise MissingError(f"there is no host {id_or_name!r}; hwledger hosts lists them")
    if len(found) > 1:
        raise AmbiguousError(id_or_name, sorted(row.id for row in found))
    return _view(fleet, found[0])


def _view(fleet: Fleet, row: Row[Any]) -> HostView:
    seen = fleet.live.seen(row.id)
    at = max(seen.at if seen else 0, row.edge_at)
    return HostView(
        id=row.id,
        name=row.name,
        state=row.state,
        online=bool(row.online) and row.state == "active",
        last_seen=time_text(at) if at else "",
        labels=json.loads(row.labels),
        inventory=json.loads(row.inventory),
        inventory_sha256=row.inventory_sha256,
        agent_version=row.version,
        clock_offset_ms=seen.offset_ms if seen else row.clock_offset_ms,
        not_after=row.not_after,
        reason=row.reason,
        alarm=row.alarm,
        spool_bytes=seen.spool_bytes if seen else None,
    )
