"""A store in memory: the fake of the port, for tests and for trying things out."""

import sqlite3
from collections.abc import Callable, Sequence
from threading import RLock

from sqlalchemy import Connection, create_engine
from sqlalchemy import event as on
from sqlalchemy.pool import StaticPool

from hwledger.errors import AlteredError, MissingError
from hwledger.ledger.chain import Entry, Head, follow
from hwledger.ledger.event import Event, event_of
from hwledger.ledger.merkle import Frontier
from hwledger.ledger.projections import Producers, Projection, catch_up, project
from hwledger.ledger.schema import METADATA
from hwledger.ledger.store import PAGE, Answer, Decision, Receipt, decided, place, with_bodies


class MemoryStore:
    """Keeps a ledger for as long as the object lives."""

    def __init__(
        self, origin: str = "hwledger.local/memory", projections: Sequence[Projection] = (Producers(),)
    ) -> None:
        self._origin = origin
        self._entries: list[Entry] = []
        self._known: dict[str, Receipt] = {}
        self._nodes: dict[tuple[int, int], bytes] = {}
        self._frontier = Frontier()
        self._notes: dict[int, str] = {}
        self._lock = RLock()
        self._projections = tuple(projections)
        self._engine = create_engine(
            "sqlite://",
            creator=lambda: sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False),
            poolclass=StaticPool,
        )
        on.listen(self._engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        with self._engine.begin() as connection:
            METADATA.create_all(connection)
            for projection in self._projections:
                catch_up(connection, projection)

    @property
    def origin(self) -> str:
        """Return the name of this ledger."""
        return self._origin

    @property
    def projections(self) -> Sequence[Projection]:
        """Return what is kept up to date, as the port says."""
        return self._projections

    def append(self, events: Sequence[Event], *, expected_seq: int | None = None) -> tuple[Receipt, ...]:
        """Add events, as the port says."""
        return self._append(with_bodies(events), expected_seq)

    def decide(self, decision: Decision) -> tuple[Receipt, ...]:
        """Add what a decision makes, as the port says."""
        with self._lock:
            return self._append(self.query(lambda connection: decided(connection, decision)), None)

    async def append_async(
        self, events: Sequence[Event], *, expected_seq: int | None = None
    ) -> tuple[Receipt, ...]:
        """Add events, as the port says; at once."""
        return self.append(events, expected_seq=expected_seq)

    async def decide_async(self, decision: Decision) -> tuple[Receipt, ...]:
        """Add what a decision makes, as the port says; at once."""
        return self.decide(decision)

    def query(self, question: Callable[[Connection], Answer]) -> Answer:
        """Return what a question finds in the projections, as the port says."""
        with self._lock, self._engine.connect() as connection:
            return question(connection)

    def _append(self, bodies: Sequence[tuple[Event, bytes]], expected_seq: int | None) -> tuple[Receipt, ...]:
        with self._lock, self._engine.begin() as connection:
            placed = place(bodies, self._head(), self._known, expected_seq)
            for entry, event in placed.added:
                self._entries.append(entry)
                self._known[event.id] = Receipt(event.id, entry.seq, entry.leaf, entry.chain)
                self._nodes[0, entry.seq - 1] = entry.leaf
                for level, index, value in self._frontier.add(entry.leaf):
                    self._nodes[level, index] = value
            for projection in self._projections:
                project(connection, projection, [(entry.seq, event) for entry, event in placed.added])
            return placed.receipts

    def _head(self) -> Head:
        return Head(len(self._entries), self._entries[-1].chain) if self._entries else Head()

    def head(self) -> Head:
        """Return the end of the ledger."""
        with self._lock:
            return self._head()

    def read(
        self, after: int = 0, limit: int = PAGE, *, types: Sequence[str] = (), subject: str = ""
    ) -> list[Entry]:
        """Return entries, as the port says."""
        if types or subject:
            found = [entry for entry in self._entries[after:] if _is_wanted(entry, types, subject)]
            return found[:limit]
        page = self._entries[after : after + limit]
        follow(Head(after, self._entries[after - 1].chain) if after and page else Head(), page)
        return page

    def get(self, seq: int) -> Entry:
        """Return one entry, as the port says."""
        if not 1 <= seq <= len(self._entries):
            raise MissingError(f"this ledger has no event {seq}; it has {len(self._entries)}")
        return self._entries[seq - 1]

    def node(self, level: int, index: int) -> bytes:
        """Return a node of the Merkle tree, as the port says."""
        if (level, index) not in self._nodes:
            raise AlteredError(f"node {index} of level {level} is missing from the Merkle tree")
        return self._nodes[level, index]

    def keep_note(self, note: str, size: int) -> None:
        """Keep a signed checkpoint, as the port says."""
        self._notes.setdefault(size, note)

    def notes(self) -> dict[int, str]:
        """Return the kept checkpoints, by size."""
        return dict(sorted(self._notes.items()))

    def close(self) -> None:
        """Let go of the projections."""
        self._engine.dispose()


def _is_wanted(entry: Entry, types: Sequence[str], subject: str) -> bool:
    event = event_of(entry.body)
    return (not types or event.type in types) and (not subject or event.subject == subject)
