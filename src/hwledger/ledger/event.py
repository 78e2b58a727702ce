"""The envelope of an event, under the names of CloudEvents 1.0, and the bytes that are stored of it."""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from hwledger.errors import MalformedError
from hwledger.ledger.canonical import canonical, parsed

LARGEST_BODY: Final = 1 << 20
"""Bytes of one event; more than a plan of any model takes, and what an agent may send inflated."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_TYPE: Final = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+\.v[1-9][0-9]{0,5}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_EXTENSION: Final = re.compile(r"[a-z0-9]{1,20}")
_LONGEST: Final = 1024
_FIXED: Final = {"specversion": "1.0", "datacontenttype": "application/json"}
_OPTIONAL: Final = {
    "fleetactor": ("actor", str), "fleetcause": ("cause", str), "fleettrace": ("trace", str),
    "fleetboot": ("boot", str), "fleetseq": ("boot_seq", int), "fleetclockoffsetms": ("clock_offset_ms", int),
}  # fmt: skip
_REQUIRED: Final = frozenset({*_FIXED, "id", "source", "type", "subject", "time", "data"})


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        id: a UUID of version 7 made by the producer; the same id is the same event, however often it arrives.
        source: who says so, a URI: ``spiffe://<trust domain>/agent/<id>``.
        type: what happened, with the version of its data: ``fleet.host.enrolled.v1``.
        subject: what it happened to: ``host/<id>``, ``model/<name>``.
        time_microseconds: when, by the clock of the source, since 1970 in UTC.
        data: the particulars; JSON without fractions: money is in micros, shares in parts per million.
        actor: the user or component on whose behalf, ``user:anna``.
        cause: the id of the command or event that led to it.
        trace: a W3C traceparent.
        boot: the boot of the source that ``boot_seq`` counts in.
        boot_seq: how many events the source made in this boot.
        clock_offset_ms: by how much the source's clock was off, as it believed.
        extensions: other attributes of the envelope, kept as they came.
    """

    id: str
    source: str
    type: str
    subject: str
    time_microseconds: int
    data: Mapping[str, Any]
    actor: str | None = None
    cause: str | None = None
    trace: str | None = None
    boot: str | None = None
    boot_seq: int | None = None
    clock_offset_ms: int | None = None
    extensions: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_names(self)
        if not isinstance(self.data, Mapping):
            raise MalformedError(f"event {self.id}: data is no object; put its value under a name")
        for name in self.extensions:
            if not _EXTENSION.fullmatch(name) or name in _REQUIRED or name in _OPTIONAL:
                raise MalformedError(
                    f"event {self.id}: {name!r} cannot be an extension; use 1 to 20 of a-z and 0-9"
                )


def _check_names(event: Event) -> None:
    if not _ID.fullmatch(event.id):
        raise MalformedError(f"event id {event.id!r} is no UUID of version 7; make one with new_id")
    if not _TYPE.fullmatch(event.type):
        raise MalformedError(f"event {event.id}: type {event.type!r} is not like fleet.host.enrolled.v1")
    for name in ("source", "subject"):
        text = getattr(event, name)
        if not text or len(text) > _LONGEST or not text.isprintable():
            raise MalformedError(
                f"event {event.id}: its {name} is empty, longer than {_LONGEST} characters or not printable"
            )
    if any(character.isspace() for character in event.source):
        raise MalformedError(f"event {event.id}: its source has spaces; it is a URI")
    if event.boot_seq is not None and event.boot is None:
        raise MalformedError(
            f"event {event.id}: it counts in a boot (fleetseq) and does not say which (fleetboot)"
        )


def new_id(time_microseconds: int, random_bytes: bytes) -> str:
    """Return a UUID of version 7 (RFC 9562, section 5.7).

    Args:
        time_microseconds: since 1970; its milliseconds come first, so that ids sort by time.
        random_bytes: 10 of them, unpredictable.
    """
    random = int.from_bytes(random_bytes[:10], "big")
    value = (time_microseconds // 1000 & (1 << 48) - 1) << 80 | 7 << 76 | (random >> 62 & 0xFFF) << 64
    text = f"{value | 2 << 62 | random & (1 << 62) - 1:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def time_text(microseconds: int) -> str:
    """Return a moment as RFC 3339 in UTC with six digits: ``2026-11-22T09:00:00.000000Z``.

    Raises:
        MalformedError: it is not in the years 1 to 9999.
    """
    try:
        moment = _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        raise MalformedError(
            f"{microseconds} microseconds since 1970 is no date of the years 1 to 9999"
        ) from None
    return f"{moment.isoformat(timespec='microseconds')[:-6]}Z"


def microseconds_of(text: str) -> int:
    """Return the microseconds since 1970 of what ``time_text`` writes.

    Raises:
        MalformedError: it is not written like that.
    """
    with contextlib.suppress(ValueError):
        if _TIME.fullmatch(text):
            return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
    raise MalformedError(f"time {text!r} is not like 2026-11-22T09:00:00.000000Z")


def body_of(event: Event) -> bytes:
    """Return the bytes that are stored and hashed: one event has exactly one body.

    Raises:
        MalformedError: its data cannot be written as JSON, or it is larger than ``LARGEST_BODY``.
    """
    optional = {key: getattr(event, name) for key, (name, _) in _OPTIONAL.items()}
    body = canonical(
        {
            **_FIXED,
            **event.extensions,
            **{key: value for key, value in optional.items() if value is not None},
            "id": event.id,
            "source": event.source,
            "type": event.type,
            "subject": event.subject,
            "time": time_text(event.time_microseconds),
            "data": event.data,
        }
    )
    if len(body) > LARGEST_BODY:
        raise MalformedError(
            f"event {event.id} takes {len(body)} bytes of at most {LARGEST_BODY}; keep its hash alone"
        )
    return body


def event_of(body: bytes) -> Event:
    """Return the event of a body.

    Raises:
        MalformedError: it is too large, not canonical, or not an envelope.
    """
    if len(body) > LARGEST_BODY:
        raise MalformedError(f"this event takes {len(body)} bytes and may take {LARGEST_BODY}")
    found = parsed(body)
    missing = sorted(_REQUIRED - found.keys())
    if missing:
        raise MalformedError(f"this event lacks {', '.join(missing)}; it is no CloudEvents 1.0 envelope")
    for name, value in _FIXED.items():
        if found[name] != value:
            raise MalformedError(f"this event has {name} {found[name]!r}; only {value!r} is read")
    for name in ("id", "source", "type", "subject", "time"):
        _typed(found, name, str)
    return Event(
        id=found["id"],
        source=found["source"],
        type=found["type"],
        subject=found["subject"],
        time_microseconds=microseconds_of(found["time"]),
        data=found["data"],
        extensions={key: found[key] for key in found.keys() - _REQUIRED - _OPTIONAL.keys()},
        **{name: _typed(found, key, kind) for key, (name, kind) in _OPTIONAL.items() if key in found},
    )


def _typed(found: Mapping[str, Any], name: str, kind: type) -> Any:
    if type(found[name]) is not kind:
        wanted = "a whole number" if kind is int else "text"
        raise MalformedError(f"this event has {name} {found[name]!r}; it is {wanted}")
    return found[name]


def leaf_of(body: bytes) -> bytes:
    """Return the hash of a stored body, 32 bytes: ``SHA-256(0x00 ‖ body)``, a leaf of RFC 9162 (2.1.1)."""
    return sha256(b"\x00" + body).digest()
