"""What hosts are told to do: each command at least once, under a number that only grows, until it expires."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Connection, Index, Row, Table, Text, func, insert, select, update

from hwledger.errors import ConflictError, MissingError, UsageError
from hwledger.fleet.context import Fleet
from hwledger.fleet.hosts import row_of
from hwledger.fleet.verbs import check_order
from hwledger.fleet.wire.reports import Ack
from hwledger.ledger.event import Event, microseconds_of, new_id, time_text
from hwledger.ledger.schema import METADATA
from hwledger.ledger.types import split_type

LONGEST_TTL_SECONDS: Final = 7 * 86_400
MOST_AT_ONCE: Final = 64
ANSWER_SECONDS: Final = 600
"""How long after its end an answer to a command that was fetched is waited for."""
_MICROSECONDS: Final = 1_000_000
_COMPONENT: Final = "commands"
_OPEN: Final = ("issued", "delivered")

COMMAND: Final = Table(
    "command",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("verb", Text, nullable=False),
    Column("arguments", Text, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Index("command_by_host", "host", "fence", unique=True),
    Index("command_by_state", "state", "expires"),
)


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        id: its UUID; the same id is the same command, however often it is delivered.
        host: who is told.
        verb: what to do.
        arguments: with what.
        fence: larger than that of every command that the host was given before.
        expires: until when it may be begun, microseconds since 1970.
        state: ``issued``, ``delivered``, ``acked`` or ``expired``.
        result: ``done``, ``failed`` or ``refused`` once it is acked; else empty.
        detail: what the host said of it.
        actor: who asked for it.
    """

    id: str
    host: str
    verb: str
    arguments: Mapping[str, Any]
    fence: int
    expires: int
    state: str
    result: str
    detail: str
    actor: str


class Commands:
    """The commands of every host, as the events say; only what the server says counts."""

    name = "commands"
    version = 1
    tables: Sequence[Table] = (COMMAND,)

    def apply(self, connection: Connection, seq: int, event: Event) -> None:
        """Take in one event."""
        del seq
        name, _ = split_type(event.type)
        if not name.startswith("command.") or event.source.split("/")[3:4] != ["server"]:
            return
        data = event.data
        if name == "command.issued":
            connection.execute(insert(COMMAND).values(_issued_row(event)))
            return
        here = (COMMAND.c.id == data["command"]) & (COMMAND.c.host == data["host"])
        changed = {"state": name.removeprefix("command.")}
        if name == "command.acked":
            changed |= {"result": data["result"], "detail": data.get("detail", "")}
        connection.execute(update(COMMAND).where(here).values(**changed))


def _issued_row(event: Event) -> dict[str, Any]:
    data = event.data
    return {
        "id": data["command"], "host": data["host"], "fence": data["fence"], "verb": data["verb"],
        "arguments": json.dumps(data.get("arguments", {})), "issued_at": event.time_microseconds,
        "expires": microseconds_of(data["expires"]), "state": "issued", "result": "", "detail": "",
        "actor": event.actor or "",
    }  # fmt: skip


def issue(  # noqa: PLR0913 - what an order holds
    fleet: Fleet, host: str, verb: str, arguments: Mapping[str, Any], *, ttl_seconds: int, actor: str
) -> str:
    """Tell a host to do something; return the id of the command.

    Args:
        fleet: the fleet.
        host: the id of the host.
        verb: one of ``fleet.verbs``.
        arguments: as the schema of the verb says.
        ttl_seconds: within how many seconds it has to be begun.
        actor: on whose behalf: ``user:anna``.

    Raises:
        UsageError: the verb is not known, the time is out of bounds, or the host is not active.
        MalformedError: the arguments are not what the schema says.
        MissingError: there is no such host.
    """
    check_order(verb, arguments)
    if not 1 <= ttl_seconds <= LONGEST_TTL_SECONDS:
        raise UsageError(f"a command holds for 1 to {LONGEST_TTL_SECONDS} seconds, not {ttl_seconds}")
    now = fleet.clock()
    command = new_id(now, fleet.random(10))
    told = {
        "command": command, "host": host, "verb": verb, "arguments": dict(arguments),
        "expires": time_text(now + ttl_seconds * _MICROSECONDS),
    }  # fmt: skip
    fleet.store.decide(partial(_issue, fleet, told, actor))
    fleet.live.wake(host)
    return command


def _issue(fleet: Fleet, told: Mapping[str, Any], actor: str, connection: Connection) -> list[Event]:
    host = told["host"]
    state = row_of(connection, host).state
    if state != "active":
        raise UsageError(f"host {host} is {state}; only active hosts can be told something")
    last = connection.execute(select(func.max(COMMAND.c.fence)).where(COMMAND.c.host == host)).scalar()
    return [_event(fleet, "command.issued", {**told, "fence": (last or 0) + 1}, actor)]


def _event(fleet: Fleet, name: str, data: Mapping[str, Any], actor: str | None = None) -> Event:
    subject = f"command/{data['command']}"
    cause = None if name == "command.issued" else str(data["command"])
    return fleet.event(name, subject, data, component=_COMPONENT, actor=actor, cause=cause)


def waiting(fleet: Fleet, host: str, after: int) -> list[Command]:
    """Return the commands that a host is still to do, those above a fence, at most ``MOST_AT_ONCE``."""
    return fleet.store.query(partial(_waiting, host, after, fleet.clock()))


def _waiting(host: str, after: int, now: int, connection: Connection) -> list[Command]:
    wanted = (
        select(COMMAND)
        .where((COMMAND.c.host == host) & (COMMAND.c.fence > after) & (COMMAND.c.expires > now))
        .where(COMMAND.c.state.in_(_OPEN))
        .order_by(COMMAND.c.fence)
        .limit(MOST_AT_ONCE)
    )
    return [_command(row) for row in connection.execute(wanted)]


def deliver(fleet: Fleet, host: str, after: int) -> list[Command]:
    """Return the commands that a host is still to do, and write down of each that it was fetched, once.

    Raises:
        FullError: that cannot be written down; nothing was delivered.
    """
    found = waiting(fleet, host, after)
    if any(one.state == "issued" for one in found):
        fleet.store.decide(partial(_delivered, fleet, host, after, fleet.clock()))
    return found


def _delivered(fleet: Fleet, host: str, after: int, now: int, connection: Connection) -> list[Event]:
    return [
        _event(fleet, "command.delivered", {"command": one.id, "host": host, "fence": one.fence})
        for one in _waiting(host, after, now, connection)
        if one.state == "issued"
    ]


def acknowledge(fleet: Fleet, host: str, command: str, ack: Ack) -> None:
    """Write down what became of a command; the same answer again changes nothing.

    An answer that comes after the command expired counts: the host knows what it did.

    Raises:
        MissingError: the host was given no such command.
        ConflictError: it has another fence, or another answer was given before.
    """
    fleet.store.decide(partial(_acknowledge, fleet, host, command, ack))


def _acknowledge(fleet: Fleet, host: str, command: str, ack: Ack, connection: Connection) -> list[Event]:
    here = (COMMAND.c.id == command) & (COMMAND.c.host == host)
    row = connection.execute(select(COMMAND).where(here)).first()
    if row is None:
        raise MissingError(f"this host was given no command {command[:40]!r}")
    if row.fence != ack.fence:
        raise ConflictError(f"command {command} has fence {row.fence} and not {ack.fence}")
    if row.state == "acked":
        if row.result != ack.result:
            raise ConflictError(f"command {command} was answered {row.result} before; an answer stands")
        return []
    told = {"command": command, "host": host, "result": ack.result, "fence": ack.fence, "detail": ack.detail}
    return [_event(fleet, "command.acked", told)]


def expire(fleet: Fleet) -> int:
    """Write down which commands ran out, unfetched or unanswered; return how many."""
    now = fleet.clock()
    if not fleet.store.query(partial(_expired, now)):
        return 0
    return len(fleet.store.decide(partial(_expire, fleet, now)))


def _expire(fleet: Fleet, now: int, connection: Connection) -> list[Event]:
    return [
        _event(fleet, "command.expired", {"command": row.id, "host": row.host})
        for row in _expired(now, connection)
    ]


def _expired(now: int, connection: Connection) -> list[Row[Any]]:
    unfetched = (COMMAND.c.state == "issued") & (COMMAND.c.expires <= now)
    late = now - ANSWER_SECONDS * _MICROSECONDS
    unanswered = (COMMAND.c.state == "delivered") & (COMMAND.c.expires <= late)
    wanted = select(COMMAND.c.id, COMMAND.c.host).where(unfetched | unanswered).limit(1000)
    return list(connection.execute(wanted.order_by(COMMAND.c.expires)))


def commands(fleet: Fleet, host: str, limit: int = 100) -> list[Command]:
    """Return the newest commands of a host, the newest first."""
    wanted = select(COMMAND).where(COMMAND.c.host == host).order_by(COMMAND.c.fence.desc()).limit(limit)
    rows = fleet.store.query(lambda connection: connection.execute(wanted).all())
    return [_command(row) for row in rows]


def _command(row: Row[Any]) -> Command:
    return Command(
        row.id, row.host, row.verb, json.loads(row.arguments), row.fence, row.expires, row.state,
        row.result, row.detail, row.actor,
    )  # fmt: skip
