"""Doing a thing once however often it is asked for: keys of requests, kept in the ledger itself.

The first event that a request with a key leads to carries the hash of the key and of what was asked, as
extensions of its envelope. So key and deed are durable together, a repetition finds the deed, and nothing
else has to be kept. Chance of such a request follows from the key and a secret of the server, so that a
token that was made can be shown again to who has the key, and is nowhere kept.
"""

import hmac
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Final, Generic, TypeVar, cast

from sqlalchemy import BigInteger, Column, Connection, Table, Text, insert, select

from hwledger.errors import ConflictError, MalformedError
from hwledger.fleet.context import Fleet
from hwledger.fleet.private import make_private
from hwledger.ledger.chain import Entry
from hwledger.ledger.event import Event, event_of
from hwledger.ledger.schema import METADATA
from hwledger.ledger.store import Decision, Receipt, Store
from hwledger.ledger.types import split_type

KEY: Final = "fleetkey"
ASKED: Final = "fleetasked"
_SECRET_BYTES: Final = 32
Made = TypeVar("Made")

REQUEST: Final = Table(
    "request",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("asked", Text, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
)


class Requests:
    """Which requests with a key were done, and where their events are."""

    name = "requests"
    version = 1
    tables: Sequence[Table] = (REQUEST,)

    def apply(self, connection: Connection, seq: int, event: Event) -> None:
        """Keep the key of a request; agents have none."""
        key, asked = event.extensions.get(KEY), event.extensions.get(ASKED)
        if not isinstance(key, str) or not isinstance(asked, str) or "/agent/" in event.source:
            return
        hashed, _, count = asked.partition("+")
        row = {"key": key, "asked": hashed, "first_seq": seq, "count": int(count or 1)}
        connection.execute(insert(REQUEST).values(row))


class OtherRequestError(ConflictError):
    """The key was used for something else."""


class _DoneBeforeError(Exception):
    """The deed of this key is in the ledger."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is to be done once.

    Attributes:
        key: hash of who asks, what for, and the key that they gave; ``None``: it has none.
        asked: hash of what they sent.
        secret: of this server, which chance follows from.
    """

    key: str | None = None
    asked: str = ""
    secret: bytes = b""

    @classmethod
    def of(cls, fleet: Fleet, who: str, what: str, key: str | None, sent: bytes) -> "Asked":
        """Return the request of a user to a route, with the bytes that were sent."""
        if key is None:
            return cls()
        name = sha256(f"{who}\0{what}\0{key}".encode("utf-8", "surrogatepass")).hexdigest()
        return cls(name, sha256(sent).hexdigest(), _secret(fleet.folder))


@dataclass(frozen=True, slots=True)
class Done(Generic[Made]):
    """What came of a request.

    Attributes:
        made: what the use case returned; ``None`` for a repetition that was not to be made again.
        entries: the events of it, as they are in the ledger; none: nothing was left to be done.
        repeated: it was done before.
    """

    made: Made | None
    entries: tuple[tuple[Entry, Event], ...]
    repeated: bool

    def event(self, kind: str) -> Event:
        """Return the event of a kind (``token.created``) among what came of it, whatever came beside it."""
        return next(event for _, event in self.entries if split_type(event.type)[0] == kind)


def once(fleet: Fleet, asked: Asked, act: Callable[[Fleet], Made], *, remade: bool = False) -> Done[Made]:
    """Do something once, or find what it did.

    Args:
        fleet: the fleet.
        asked: the request.
        act: does it, by at most one decision, with a fleet like this one whose clock stands.
        remade: call it for a repetition, too: the decision is answered with the receipts of the first time,
            the clock stands where it stood and chance repeats itself.

    Raises:
        OtherRequestError: the key was used for something else.
        HwledgerError: whatever ``act`` raises.
    """
    before = fleet.store.query(lambda connection: _found(connection, asked))
    if before is None:
        recording, moment = _Recording(fleet.store, asked), fleet.clock()
        try:
            made = act(_at(fleet, moment, cast("Store", recording), asked))
        except _DoneBeforeError:
            before = fleet.store.query(lambda connection: _found(connection, asked))
        else:
            return Done(made, _entries(fleet, recording.receipts), repeated=False)
    return _again(fleet, asked, act if remade else None, before or [])


def _again(
    fleet: Fleet, asked: Asked, act: Callable[[Fleet], Made] | None, before: Sequence[int]
) -> Done[Made]:
    entries = [fleet.store.get(seq) for seq in before]
    events = [(entry, event_of(entry.body)) for entry in entries]
    if act is None:
        return Done(None, tuple(events), repeated=True)
    moment = events[0][1].time_microseconds
    receipts = [Receipt(event.id, entry.seq, entry.leaf, entry.chain) for entry, event in events]
    store = cast("Store", _Replaying(fleet.store, tuple(receipts)))
    made = act(_at(fleet, moment, store, asked))
    return Done(made, tuple(events), repeated=True)


def _at(fleet: Fleet, moment: int, store: Store, asked: Asked) -> Fleet:
    """Return a fleet whose clock stands and whose chance follows from the key."""
    return replace(fleet, store=store, clock=lambda: moment, random=_chance(fleet, asked))


def _found(connection: Connection, asked: Asked) -> list[int] | None:
    """Return the sequence numbers of what a key did; ``None``: nothing yet.

    Raises:
        OtherRequestError: it did something else.
    """
    if asked.key is None:
        return None
    row = connection.execute(select(REQUEST).where(REQUEST.c.key == asked.key)).first()
    if row is None:
        return None
    if row.asked != asked.asked:
        raise OtherRequestError("this Idempotency-Key was used for another request; take a new one")
    return list(range(row.first_seq, row.first_seq + row.count))


@dataclass(slots=True)
class _Recording:
    """A store that puts the key of a request on what its first decision adds."""

    store: Store
    asked: Asked
    receipts: tuple[Receipt, ...] = field(default=())

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)

    def append(self, events: Sequence[Event], *, expected_seq: int | None = None) -> tuple[Receipt, ...]:
        """Add events with the key."""
        del expected_seq
        return self.decide(lambda _: events)

    def decide(self, decision: Decision) -> tuple[Receipt, ...]:
        """Decide, unless the key did it before."""

        def marked(connection: Connection) -> Sequence[Event]:
            if _found(connection, self.asked) is not None:
                raise _DoneBeforeError
            return self._marked(decision(connection))

        receipts = self.store.decide(decision if self.asked.key is None or self.receipts else marked)
        self.receipts += receipts
        return receipts

    def _marked(self, events: Sequence[Event]) -> list[Event]:
        if not events:
            return []
        marks = {KEY: self.asked.key, ASKED: f"{self.asked.asked}+{len(events)}"}
        first = replace(events[0], extensions={**events[0].extensions, **marks})
        return [first, *events[1:]]


@dataclass(frozen=True, slots=True)
class _Replaying:
    """A store that answers a decision with what came of it the first time."""

    store: Store
    receipts: tuple[Receipt, ...]

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)

    def append(self, events: Sequence[Event], *, expected_seq: int | None = None) -> tuple[Receipt, ...]:
        """Return the receipts of the first time."""
        del events, expected_seq
        return self.receipts

    def decide(self, decision: Decision) -> tuple[Receipt, ...]:
        """Return the receipts of the first time."""
        del decision
        return self.receipts


def _entries(fleet: Fleet, receipts: Sequence[Receipt]) -> tuple[tuple[Entry, Event], ...]:
    entries = [fleet.store.get(receipt.seq) for receipt in receipts]
    return tuple((entry, event_of(entry.body)) for entry in entries)


def _chance(fleet: Fleet, asked: Asked) -> Callable[[int], bytes]:
    """Return chance that repeats itself for a key, and that nobody else can tell."""
    if asked.key is None:
        return fleet.random
    key, counter = hmac.digest(asked.secret, asked.key.encode(), "sha256"), iter(range(1 << 32))

    def drawn(count: int) -> bytes:
        made = b""
        while len(made) < count:
            made += hmac.digest(key, next(counter).to_bytes(4, "big"), "sha256")
        return made[:count]

    return drawn


def _secret(folder: Path) -> bytes:
    """Return what chance of requests with a key follows from; made once, where there is none.

    Raises:
        MalformedError: the file is damaged.
        InputError: it cannot be read or written.
    """
    path = folder / "requests.secret"
    found = make_private(path, os.urandom(_SECRET_BYTES))
    if len(found) != _SECRET_BYTES:
        raise MalformedError(f"{path}: is damaged; restore it, or delete it: another is made")
    return found
