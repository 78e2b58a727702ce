"""Reading a ledger file: no lock, no change, while others write or with no server at all."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

from sqlalchemy import Connection, Engine, select

from hwledger.errors import AlteredError, MalformedError, MissingError
from hwledger.ledger.chain import Entry, Head, follow
from hwledger.ledger.event import leaf_of
from hwledger.ledger.merkle import Nodes
from hwledger.ledger.schema import CHECKPOINT, EVENT, META
from hwledger.ledger.sqlite.connecting import explaining, reading_engine
from hwledger.ledger.sqlite.places import check_header, check_marks, printable_path
from hwledger.ledger.store import PAGE, Answer

ENTRY: Final = (EVENT.c.seq, EVENT.c.body, EVENT.c.leaf, EVENT.c.chain)


class SqliteReader:
    """A ledger file that is only read.

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        """Open a ledger.

        Raises:
            MissingError: there is none.
            MalformedError: the file is no ledger, or damaged.
            NewerError: a newer version wrote it.
        """
        self.path = path
        check_header(path)
        self._reading: Engine = reading_engine(path)
        try:
            with self.connected() as connection:
                marks = [
                    connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                    for name in ("user_version", "application_id")
                ]
                check_marks(path, *marks)  # a change that still lies in the write-ahead log
                self._origin = origin_of(connection, path)
        except BaseException:
            self._reading.dispose()
            raise

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """Give a connection that sees the ledger as it is at its first question.

        Raises:
            HwledgerError: the database says no; in a sentence.
        """
        with explaining(self.path), self._reading.connect() as connection:
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
            wanted = wanted.where(EVENT.c.type.in_(types))
        if subject:
            wanted = wanted.where(EVENT.c.subject == subject)
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
            return node_of(connection, level, index)

    @contextmanager
    def nodes(self) -> Iterator[Nodes]:
        """Give the Merkle tree over one connection, for proofs of many nodes at one moment."""
        with self.connected() as connection:
            yield partial(_node, connection.connection.cursor())

    def notes(self) -> dict[int, str]:
        """Return the kept checkpoints, by size."""
        with self.connected() as connection:
            rows = connection.execute(
                select(CHECKPOINT.c.size, CHECKPOINT.c.note).order_by(CHECKPOINT.c.size)
            )
            return {row.size: str(row.note) for row in rows}

    def close(self) -> None:
        """Let go of the file."""
        self._reading.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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


def origin_of(connection: Connection, path: Path) -> str:
    """Return the name of a ledger.

    Raises:
        MalformedError: it has none.
    """
    found = connection.execute(select(META.c.value).where(META.c.name == "origin")).scalar()
    if not isinstance(found, str):
        raise MalformedError(
            f"{printable_path(path)}: is a ledger without a name; restore a backup that verifies"
        )
    return found


def head_of(connection: Connection) -> Head:
    """Return the end of a ledger."""
    row = connection.execute(select(EVENT.c.seq, EVENT.c.chain).order_by(EVENT.c.seq.desc()).limit(1)).first()
    if row and not isinstance(row.chain, bytes):
        raise AlteredError(f"event {row.seq} has a chain hash that is none; restore a backup", row.seq)
    return Head(*row) if row else Head()


def node_of(connection: Connection, level: int, index: int) -> bytes:
    """Return a node of the Merkle tree; level 0 are the leaves of the events.

    Raises:
        AlteredError: it is missing.
    """
    return _node(connection.connection.cursor(), level, index)


def _node(cursor: Any, level: int, index: int) -> bytes:
    """Ask past SQLAlchemy: a proof asks some thirty times, and each takes it longer than SQLite."""
    if level:
        cursor.execute("SELECT hash FROM node WHERE level = ? AND idx = ?", (level, index))
    else:
        cursor.execute("SELECT leaf FROM event WHERE seq = ?", (index + 1,))
    row = cursor.fetchone()
    if row is None or not isinstance(row[0], bytes):
        raise AlteredError(f"node {index} of level {level} is missing from the Merkle tree; restore a backup")
    return row[0]


def _chain_at(connection: Connection, seq: int) -> bytes:
    found = connection.execute(select(EVENT.c.chain).where(EVENT.c.seq == seq)).scalar()
    if not isinstance(found, bytes):
        raise AlteredError(f"event {seq} is missing; restore a backup that verifies", seq)
    return found


def known_among(connection: Connection, ids: Sequence[str]) -> list[tuple[str, int, bytes, bytes]]:
    """Return id, sequence number, leaf and chain of those ids that are there."""
    wanted = select(EVENT.c.id, EVENT.c.seq, EVENT.c.leaf, EVENT.c.chain).where(EVENT.c.id.in_(ids))
    return [(row.id, row.seq, row.leaf, row.chain) for row in connection.execute(wanted)]


def last_epoch(connection: Connection) -> int:
    """Return the epoch of the writer of the last event; 0: none did."""
    last = select(EVENT.c.writer_epoch).order_by(EVENT.c.seq.desc()).limit(1)
    return int(connection.execute(last).scalar() or 0)
