"""Reading a ledger that lies in a database: what SQLite and PostgreSQL have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, ClassVar, Final, Self

from sqlalchemy import ColumnElement, Connection, Engine, select

from hwledger.errors import AlteredError, MalformedError, MissingError
from hwledger.ledger.chain import Entry, Head, follow
from hwledger.ledger.event import leaf_of
from hwledger.ledger.merkle import Nodes
from hwledger.ledger.schema import CHECKPOINT, EVENT, META
from hwledger.ledger.store import PAGE, Answer

ENTRY: Final = (EVENT.c.seq, EVENT.c.body, EVENT.c.leaf, EVENT.c.chain)


class SqlReader(ABC):
    """A ledger in a database that is only read; what a database does its own way is in its subclass.

    Attributes:
        name: where the ledger is, as it can be printed: a path, or an address without its password.
    """

    placeholder: ClassVar[str] = "?"
    """How the driver writes a value that is given beside a statement."""

    def __init__(self, name: str, engine: Engine) -> None:
        """Read over an engine, whose connections see the ledger at one moment each.

        Raises:
            HwledgerError: it is no ledger that this version can read.
        """
        self.name = name
        self._reading = engine
        try:
            with self.connected() as connection:
                self.check_marks(connection)
                self._origin = self._named(connection)
        except BaseException:
            engine.dispose()
            raise

    @classmethod
    def cursor(cls, connection: Connection) -> Any:
        """Return a cursor of the driver, for what is asked a million times."""
        return connection.connection.cursor()

    @abstractmethod
    def check_marks(self, connection: Connection) -> None:
        """Refuse what is no ledger, or one of a newer version."""

    @abstractmethod
    def check_database(self, connection: Connection) -> None:
        """Ask the database whether it is sound in itself, its indexes too: a search must not miss events.

        Raises:
            AlteredError: it is not.
        """

    @abstractmethod
    def explaining(self) -> AbstractContextManager[None]:
        """Turn errors of the database into sentences."""

    def of_subject(self, subject: str) -> ColumnElement[bool]:
        """Return the condition that an event is of a subject, as an index answers it."""
        return EVENT.c.subject == subject

    def of_types(self, types: Sequence[str]) -> ColumnElement[bool]:
        """Return the condition that an event is of one of some types, as an index answers it."""
        return EVENT.c.type.in_(types)

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """Give a connection that sees the ledger as it is at its first question.

        Raises:
            HwledgerError: the database says no; in a sentence.
        """
        with self.explaining(), self._reading.connect() as connection:
            connection.begin()
            yield connection

    def query(self, question: Callable[[Connection], Answer]) -> Answer:
        """Return what a question finds in the projections, as the port says."""
        with self.connected() as connection:
            return question(connection)

    @property
    def origin(self) -> str:
        """Return the name of this ledger."""
        return self._origin

    def head(self) -> Head:
        """Return the end of the ledger."""
        with self.connected() as connection:
            return head_of(connection)

    def read(
        self, after: int = 0, limit: int = PAGE, *, types: Sequence[str] = (), subject: str = ""
    ) -> list[Entry]:
        """Return entries, as the port says."""
        wanted = select(*ENTRY).where(EVENT.c.seq > after).order_by(EVENT.c.seq).limit(limit)
        if types:
            wanted = wanted.where(self.of_types(types))
        if subject:
            wanted = wanted.where(self.of_subject(subject))
        with self.connected() as connection:
            page = [entry_of(*row) for row in connection.execute(wanted)]
            if types or subject:
                return [_own(entry) for entry in page]
            if page:
                follow(Head(after, _chain_at(connection, after)) if after else Head(), page)
            return page

    def subjects(self, prefix: str) -> list[str]:
        """Return the different subjects that begin with a text."""
        wanted = select(EVENT.c.subject).distinct().where(EVENT.c.subject.startswith(prefix, autoescape=True))
        with self.connected() as connection:
            return list(connection.execute(wanted.order_by(EVENT.c.subject)).scalars())

    def get(self, seq: int) -> Entry:
        """Return one entry, as the port says."""
        with self.connected() as connection:
            row = connection.execute(select(*ENTRY).where(EVENT.c.seq == seq)).first()
            if row is None:
                raise MissingError(f"this ledger has no event {seq}; it has {head_of(connection).seq}")
            return _own(entry_of(*row))

    def node(self, level: int, index: int) -> bytes:
        """Return a node of the Merkle tree, as the port says."""
        with self.connected() as connection:
            return self.node_of(connection, level, index)

    def node_of(self, connection: Connection, level: int, index: int) -> bytes:
        """Return a node of the Merkle tree; level 0 are the leaves of the events.

        Raises:
            AlteredError: it is missing.
        """
        return _node(self.cursor(connection), self.placeholder, level, index)

    @contextmanager
    def nodes(self) -> Iterator[Nodes]:
        """Give the Merkle tree over one connection, for proofs of many nodes at one moment."""
        with self.connected() as connection:
            yield partial(_node, self.cursor(connection), self.placeholder)

    def notes(self) -> dict[int, str]:
        """Return the kept checkpoints, by size."""
        with self.connected() as connection:
            rows = connection.execute(
                select(CHECKPOINT.c.size, CHECKPOINT.c.note).order_by(CHECKPOINT.c.size)
            )
            return {row.size: str(row.note) for row in rows}

    def close(self) -> None:
        """Let go of the ledger."""
        self._reading.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _named(self, connection: Connection) -> str:
        found = connection.execute(select(META.c.value).where(META.c.name == "origin")).scalar()
        if not isinstance(found, str):
            raise MalformedError(f"{self.name}: is a ledger without a name; restore a backup that verifies")
        return found


def entry_of(seq: int, *stored: object) -> Entry:
    """Return an entry of what stands in its columns; SQLite lets anything stand in any.

    Raises:
        AlteredError: one of them is not even bytes.
    """
    body, leaf, chain = stored
    if isinstance(body, bytes) and isinstance(leaf, bytes) and isinstance(chain, bytes):
        return Entry(seq, body, leaf, chain)
    raise AlteredError(
        f"event {seq} is not what was written: what is stored of it is not even bytes; restore a backup that"
        " verifies",
        seq,
    )


def _own(entry: Entry) -> Entry:
    if leaf_of(entry.body) != entry.leaf:
        raise AlteredError(
            f"event {entry.seq} is not what was written: its body has another hash than was stored;"
            " restore a backup that verifies",
            entry.seq,
        )
    return entry


def head_of(connection: Connection) -> Head:
    """Return the end of a ledger."""
    row = connection.execute(select(EVENT.c.seq, EVENT.c.chain).order_by(EVENT.c.seq.desc()).limit(1)).first()
    if row and not isinstance(row.chain, bytes):
        raise AlteredError(f"event {row.seq} has a chain hash that is none; restore a backup", row.seq)
    return Head(*row) if row else Head()


def _node(cursor: Any, placeholder: str, level: int, index: int) -> bytes:
    """Ask past SQLAlchemy: a proof asks some thirty times, and each takes it longer than SQLite."""
    if level:
        wanted = f"SELECT hash FROM node WHERE level = {placeholder} AND idx = {placeholder}"  # noqa: S608 - ? or %s
        cursor.execute(wanted, (level, index))
    else:
        cursor.execute(f"SELECT leaf FROM event WHERE seq = {placeholder}", (index + 1,))  # noqa: S608 - ? or %s
    row = cursor.fetchone()
    if row is None or not isinstance(row[0], bytes):
        raise AlteredError(f"node {index} of level {level} is missing from the Merkle tree; restore a backup")
    return row[0]


def _chain_at(connection: Connection, seq: int) -> bytes:
    found = connection.execute(select(EVENT.c.chain).where(EVENT.c.seq == seq)).scalar()
    if not isinstance(found, bytes):
        raise AlteredError(f"event {seq} is missing; restore a backup that verifies", seq)
    return found


def last_epoch(connection: Connection) -> int:
    """Return the epoch of the writer of the last event; 0: none did."""
    last = select(EVENT.c.writer_epoch).order_by(EVENT.c.seq.desc()).limit(1)
    return int(connection.execute(last).scalar() or 0)
