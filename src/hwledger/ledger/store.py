"""The port of stores: where events are kept. Adapters: ``memory`` (a fake) and ``sqlite``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from hwledger.errors import ConflictError
from hwledger.ledger.chain import Entry, Head, next_entry
from hwledger.ledger.event import Event, body_of
from hwledger.ledger.projections import Projection

if TYPE_CHECKING:
    from sqlalchemy import Connection

PAGE: Final = 1000
Answer = TypeVar("Answer")
Decision = Callable[["Connection"], Sequence[Event]]
"""What makes events of the projections as they are; it reads, and raises where it refuses."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the producer of an event gets once it is durable.

    Attributes:
        id: of the event.
        seq: its place.
        leaf: the hash of its body.
        chain: the chain hash there.
        repeated: it was there before; nothing was added.
    """

    id: str
    seq: int
    leaf: bytes
    chain: bytes
    repeated: bool = False


class Store(Protocol):
    """A ledger that can be read and appended to by many threads.

    Attributes:
        origin: the name of this ledger, which its checkpoints are signed in.
    """

    @property
    def origin(self) -> str:
        """Return the name of this ledger."""

    @property
    def projections(self) -> Sequence[Projection]:
        """Return what is kept up to date with the events: the objects that take them in."""

    def append(self, events: Sequence[Event], *, expected_seq: int | None = None) -> tuple[Receipt, ...]:
        """Add events, all or none, one after the other; they are durable when this returns.

        An event whose id is there with the same body is not added again; its receipt says ``repeated``.

        Args:
            events: at least one.
            expected_seq: the sequence number that the ledger has to end with; ``None``: any. Events that are
                all there already are answered whatever it is.

        Raises:
            ConflictError: an id is there with another body, or the ledger ends elsewhere.
            MalformedError: an event has no body.
            FullError: it cannot be made durable; nothing was added.
        """

    def decide(self, decision: Decision) -> tuple[Receipt, ...]:
        """Add the events that a decision makes; nothing is added between what it reads and what it adds.

        Args:
            decision: is given a connection on which every projection has all events so far. What it writes
                there is undone; what it raises is raised here, and nothing is added. No events: no receipts.

        Raises:
            HwledgerError: as in ``append``.
        """

    async def append_async(
        self, events: Sequence[Event], *, expected_seq: int | None = None
    ) -> tuple[Receipt, ...]:
        """Add events as ``append`` does, while the event loop goes on.

        Who is cancelled meanwhile has to look whether they were added; sent again, they are added once.
        """

    async def decide_async(self, decision: Decision) -> tuple[Receipt, ...]:
        """Add what a decision makes as ``decide`` does, while the event loop goes on."""

    def query(self, question: Callable[["Connection"], Answer]) -> Answer:
        """Return what a question finds in the projections, which are as of one event."""

    def head(self) -> Head:
        """Return the end of the ledger."""

    def read(
        self, after: int = 0, limit: int = PAGE, *, types: Sequence[str] = (), subject: str = ""
    ) -> list[Entry]:
        """Return entries in order, at most so many, after a sequence number.

        Args:
            after: a sequence number; 0 for the first page.
            limit: how many at most.
            types: of these types alone, as they stand in the envelope; none: of any.
            subject: of this subject alone; empty: of any.

        Raises:
            AlteredError: an entry is not what was written; without ``types`` and ``subject`` the chain is
                followed, with them each body is held against its hash.
        """

    def get(self, seq: int) -> Entry:
        """Return one entry.

        Raises:
            MissingError: the ledger has no such event.
        """

    def node(self, level: int, index: int) -> bytes:
        """Return the hash of a full subtree of the Merkle tree, as ``merkle.Nodes``.

        Raises:
            AlteredError: it is not there, and has to be.
        """

    def keep_note(self, note: str, size: int) -> None:
        """Keep a signed checkpoint of a size; one that is kept already stays."""

    def notes(self) -> dict[int, str]:
        """Return the kept checkpoints, by size."""

    def close(self) -> None:
        """Finish what was accepted and let go of the store; again does nothing."""


@dataclass(frozen=True, slots=True)
class Placed:
    """What appending would do: receipts for the caller, and what is new with its event."""

    receipts: tuple[Receipt, ...]
    added: tuple[tuple[Entry, Event], ...]


def place(
    events: Sequence[tuple[Event, bytes]], head: Head, known: Mapping[str, Receipt], expected_seq: int | None
) -> Placed:
    """Return what appending events after a head does; every adapter decides by this.

    Args:
        events: events with their bodies.
        head: the end of the ledger.
        known: receipts of the events with these ids that are there.
        expected_seq: as in ``Store.append``.

    Raises:
        ConflictError: as in ``Store.append``.
    """
    receipts: list[Receipt] = []
    added: list[tuple[Entry, Event]] = []
    own: dict[str, Receipt] = {}
    end = head
    for event, body in events:
        entry = next_entry(end, body)
        before = own.get(event.id) or known.get(event.id)
        if before is None:
            end = Head(entry.seq, entry.chain)
            added.append((entry, event))
            own[event.id] = Receipt(event.id, entry.seq, entry.leaf, entry.chain)
            receipts.append(own[event.id])
        elif before.leaf == entry.leaf:
            receipts.append(Receipt(before.id, before.seq, before.leaf, before.chain, repeated=True))
        else:
            raise ConflictError(
                f"event {event.id} is in the ledger as number {before.seq} with other content; make a new id"
            )
    if added and expected_seq is not None and expected_seq != head.seq:
        raise ConflictError(
            f"the ledger ends at {head.seq} and not at {expected_seq}: others wrote; read on and retry"
        )
    return Placed(tuple(receipts), tuple(added))


def with_bodies(events: Sequence[Event]) -> list[tuple[Event, bytes]]:
    """Return events with what is stored of them.

    Raises:
        MalformedError: one has no body.
        ConflictError: there are none.
    """
    if not events:
        raise ConflictError("there is nothing to append; give at least one event")
    return [(event, body_of(event)) for event in events]


def decided(connection: "Connection", decision: Decision) -> list[tuple[Event, bytes]]:
    """Return what a decision makes, with bodies; whatever it did to the connection is undone."""
    point = connection.begin_nested()
    try:
        events = decision(connection)
    finally:
        point.rollback()
    return with_bodies(events) if events else []
