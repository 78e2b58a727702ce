"""What an agent says to its server, read strictly: sizes, kinds, limits; no sender is trusted."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from hwledger.errors import MalformedError, NewerError, TooLargeError
from hwledger.fleet.wire.reading import Fields, object_of
from hwledger.ledger.canonical import canonical
from hwledger.ledger.event import Event, event_of

PROTOCOL: Final = 1
MOST_EVENTS: Final = 256
MOST_COLUMNS: Final = 4096
MOST_ROWS: Final = 3600
LARGEST_INVENTORY: Final = 1 << 16
LARGEST_STATE: Final = 1 << 12
LONGEST_DETAIL: Final = 2048
RESULTS: Final = ("done", "failed", "refused")


@dataclass(frozen=True, slots=True)
class Hello:
    """A heartbeat.

    Attributes:
        boot: the run of the agent that it counts in.
        time_microseconds: by the agent's clock.
        version: of the agent.
        seen_size: size of the checkpoint that the agent keeps; ``None``: none yet.
        inventory_sha256: of the canonical bytes of its inventory.
        inventory: the inventory, where it is sent; its hash is as said.
        spool_bytes: what waits to be sent.
        state: how the agent is: counts of what it dropped, and what it found wrong with the ledger.
    """

    boot: str
    time_microseconds: int
    version: str
    seen_size: int | None
    inventory_sha256: str
    inventory: Mapping[str, Any] | None
    spool_bytes: int
    state: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Alarm:
    """What an agent found wrong with the ledger that its server showed.

    Attributes:
        reason: a sentence.
        seen: the note that the agent keeps.
        shown: the note that it was shown.
        seq: the first event that shows it, where one does.
    """

    reason: str
    seen: str
    shown: str
    seq: int | None


@dataclass(frozen=True, slots=True)
class Telemetry:
    """One batch of telemetry.

    Attributes:
        boot: the run of the agent that made it.
        seq: its number in that run, from 1.
        from_microseconds: of the first row, by the agent's clock.
        step_seconds: between two rows.
        rows: how many.
        columns: values by name, one a row; ``None`` where there is none.
    """

    boot: str
    seq: int
    from_microseconds: int
    step_seconds: int
    rows: int
    columns: Mapping[str, Sequence[float | str | None]]


@dataclass(frozen=True, slots=True)
class Ack:
    """What became of a command.

    Attributes:
        fence: of the command.
        result: ``done``, ``failed`` or ``refused``.
        detail: a sentence, or what was found.
    """

    fence: int
    result: str
    detail: str


def hello_of(raw: bytes) -> Hello:
    """Return the heartbeat of a body.

    Raises:
        MalformedError: it is none; ``TooLargeError`` where it is too large.
        NewerError: it is of a protocol that this server does not speak.
    """
    found = object_of(raw)
    _check_protocol(found.get("protocol"))
    fields = Fields(found, "hello")
    fields.number("protocol")
    seen = fields.map("seen")
    made = Hello(
        boot=fields.boot(),
        time_microseconds=fields.moment("time"),
        version=fields.text("version", 64),
        seen_size=None if seen is None else Fields(seen, "hello: seen").number("size"),
        inventory_sha256=fields.digest("inventory_sha256"),
        inventory=_limited(fields.map("inventory"), LARGEST_INVENTORY, "inventory"),
        spool_bytes=fields.number("spool_bytes"),
        state=_limited(fields.map("state"), LARGEST_STATE, "state") or {},
    )
    fields.end()
    if made.inventory is not None and inventory_hash(made.inventory) != made.inventory_sha256:
        raise MalformedError("hello: the inventory has another hash than it is said to have")
    alarm_of(made.state)
    return made


def _check_protocol(version: Any) -> None:
    if type(version) is int and version > PROTOCOL:
        raise NewerError(
            f"this agent speaks protocol {version} and this server {PROTOCOL}; update the server"
        )
    if version != PROTOCOL:
        raise MalformedError(f"hello: 'protocol' has to be {PROTOCOL}")


def inventory_hash(inventory: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an inventory's canonical bytes, in hexadecimal digits."""
    return sha256(canonical(inventory)).hexdigest()


def _limited(found: dict[str, Any] | None, most: int, what: str) -> dict[str, Any] | None:
    if found is not None and len(canonical(found)) > most:
        raise TooLargeError(f"hello: {what} takes more than {most} bytes")
    return found


def alarm_of(state: Mapping[str, Any]) -> Alarm | None:
    """Return what an agent found wrong with the ledger; ``None``: nothing.

    Raises:
        MalformedError: it is not said as it has to be.
    """
    found = state.get("alarm")
    if found is None:
        return None
    if not isinstance(found, dict):
        raise MalformedError("hello: 'alarm' has to be an object")
    fields = Fields(found, "hello: alarm")
    notes = [found.get(name) for name in ("seen", "shown")]
    if not all(isinstance(note, str) and len(note) <= 1024 for note in notes):  # noqa: PLR2004 - a note
        raise MalformedError("hello: alarm needs the notes 'seen' and 'shown'")
    seq = fields.number("seq") if found.get("seq") is not None else None
    return Alarm(fields.text("reason", 1024), str(notes[0]), str(notes[1]), seq)


def events_of(raw: bytes) -> tuple[Event, ...]:
    """Return the events of a body, in order; whose they are has not been asked.

    Raises:
        MalformedError: one is no envelope, or there are none or too many.
    """
    fields = Fields(object_of(raw), "events")
    found = fields.list("events", MOST_EVENTS)
    fields.end()
    if not found or not all(isinstance(one, dict) for one in found):
        raise MalformedError(f"events: 1 to {MOST_EVENTS} envelopes have to be sent")
    return tuple(event_of(canonical(one)) for one in found)


def telemetry_of(raw: bytes) -> Telemetry:
    """Return the batch of telemetry of a body.

    Raises:
        MalformedError: it is none.
    """
    fields = Fields(object_of(raw), "telemetry")
    columns = fields.map("columns") or {}
    if not columns or len(columns) > MOST_COLUMNS:
        raise MalformedError(f"telemetry: 'columns' has to have 1 to {MOST_COLUMNS} columns")
    rows = {len(values) if isinstance(values, list) else 0 for values in columns.values()}
    if len(rows) > 1 or not 1 <= max(rows) <= MOST_ROWS:
        raise MalformedError(f"telemetry: all columns have to be lists of the same 1 to {MOST_ROWS} values")
    for name, values in columns.items():
        _check_column(name, values)
    made = Telemetry(
        boot=fields.boot(),
        seq=fields.number("seq", 1),
        from_microseconds=fields.moment("from"),
        step_seconds=fields.number("step_seconds", 1, 3600),
        rows=max(rows),
        columns=columns,
    )
    fields.end()
    return made


def _check_column(name: str, values: list[Any]) -> None:
    if not name or len(name) > 128 or not name.isprintable():  # noqa: PLR2004 - a device and a quantity
        raise MalformedError("telemetry: a column needs a printable name of at most 128 characters")
    for value in values:
        if not _is_value(value):
            raise MalformedError(f"telemetry: {name!a} holds something that is no number, text or null")


def _is_value(value: Any) -> bool:
    if value is None or type(value) is int:
        return True
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str) and len(value) <= 64 and value.isprintable()  # noqa: PLR2004 - a state


def ack_of(raw: bytes) -> Ack:
    """Return the answer to a command.

    Raises:
        MalformedError: it is none.
    """
    fields = Fields(object_of(raw), "ack")
    result = fields.text("result", 16)
    if result not in RESULTS:
        raise MalformedError(f"ack: 'result' has to be one of {', '.join(RESULTS)}")
    made = Ack(fields.number("fence", 1), result, fields.text("detail", LONGEST_DETAIL))
    fields.end()
    return made
