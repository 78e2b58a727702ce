"""Writing a ledger on a PostgreSQL server: one process by a lock of its session, and by its epoch.

The lock keeps a second writer away while the session lives. A session can end without its process knowing;
so each transaction first holds on to the row ``writer``, which the next writer has to change before it
begins: what a writer adds that lost its lock fails, or is there before the next one looks.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection

from hwledger.errors import BusyError, HwledgerError
from hwledger.ledger.postgresql.connecting import Address, session, writing_engine
from hwledger.ledger.postgresql.creating import create
from hwledger.ledger.postgresql.explaining import explaining
from hwledger.ledger.postgresql.reading import PostgresReader
from hwledger.ledger.projections import Projection
from hwledger.ledger.schema import APPLICATION
from hwledger.ledger.writer import SqlStore

if TYPE_CHECKING:
    import psycopg

_LOCK: Final = f"SELECT pg_try_advisory_lock(hashtextextended(current_schema(), {APPLICATION}))"
_HOLD: Final = "SELECT 1 FROM writer WHERE epoch = %s FOR SHARE"
_TAKE: Final = "UPDATE writer SET epoch = epoch + 1 RETURNING epoch"
_KNOWN: Final = "SELECT id, seq, leaf, chain FROM event WHERE id = ANY(%s)"
_ADD_EVENTS: Final = (
    "INSERT INTO event (seq, id, ts, type, subject, source, body, leaf, chain, writer_epoch)"
    " SELECT * FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[],"
    " %b::bytea[], %b::bytea[], %b::bytea[], %s::bigint[])"
)
_ADD_NODES: Final = (
    "INSERT INTO node (level, idx, hash) SELECT * FROM unnest(%s::int[], %s::bigint[], %b::bytea[])"
)
_PAUSE_SECONDS: Final = 0.05


class PostgresStore(SqlStore, PostgresReader):
    """A ledger on a PostgreSQL server that this process writes, and any number of processes read.

    A session that is lost ends the writing: from then on each call says so, and the ledger has to be opened
    again, by this process or by another that waited.
    """

    def __init__(
        self,
        address: str,
        *,
        origin: str | None = None,
        projections: Sequence[Projection] | None = None,
        patience_seconds: float = 0,
    ) -> None:
        """Open a ledger, or create it in a database that is there.

        Args:
            address: as libpq takes it: ``postgresql://user@host:5432/database``.
            origin: the name of a new ledger, without spaces and plus signs; a random one if not given.
            projections: which to keep; those of the ledger if not given.
            patience_seconds: how long to wait for another process that writes.

        Raises:
            BusyError: another process writes to it.
            HwledgerError: as ``PostgresReader``.
        """
        self.address = Address.read(address)
        self._taken_over: HwledgerError | None = None
        with explaining(self.address):
            self._session = session(self.address)
            try:
                _lock(self._session, self.address, patience_seconds)
                self._session.autocommit = False
                self._given = False
                engine = writing_engine(self._once)
                with engine.begin() as connection:
                    create(connection, self.address, origin)
                PostgresReader.__init__(self, address)
                self.start(engine, projections)
            except BaseException:
                self._session.close()
                raise

    def _once(self) -> "psycopg.Connection[Any]":
        """Return the session that holds the lock; another would hold none."""
        if self._given:
            raise self._lost()
        self._given = True
        return self._session

    def begin_epoch(self, connection: Connection) -> int:
        """Return the epoch of this opening; whoever had the one before can add no more."""
        return int(connection.exec_driver_sql(_TAKE).scalar_one())

    def begin_group(self, connection: Connection) -> None:
        """Hold on to the epoch until the transaction ends."""
        if self.cursor(connection).execute(_HOLD, (self._epoch,)).fetchone() is None:
            self._taken_over = BusyError(
                f"{self.name}: another writer took over; nothing more is written here; open the ledger again"
            )
            raise self._taken_over

    def known(self, connection: Connection, ids: Sequence[str]) -> list[tuple[str, int, bytes, bytes]]:
        """Return id, sequence number, leaf and chain of those ids that are there."""
        found: list[tuple[str, int, bytes, bytes]] = (
            self.cursor(connection).execute(_KNOWN, (list(ids),)).fetchall()
        )
        return found

    def add_rows(
        self,
        connection: Connection,
        events: Sequence[tuple[Any, ...]],
        nodes: Sequence[tuple[int, int, bytes]],
    ) -> None:
        """Insert events, and the nodes that they made full, each in one statement."""
        cursor = self.cursor(connection)
        cursor.execute(_ADD_EVENTS, [list(column) for column in zip(*events, strict=True)])
        if nodes:
            cursor.execute(_ADD_NODES, [list(column) for column in zip(*nodes, strict=True)])

    def has_stopped(self) -> HwledgerError | None:
        """Return why nothing more can be written: the session is lost, or another writer took over."""
        return self._taken_over or (self._lost() if self._session.closed else None)

    def _lost(self) -> HwledgerError:
        return BusyError(
            f"{self.name}: the session with the server was lost, and the lock with it; what was not answered"
            " may be there or not: open the ledger again and repeat it"
        )

    def let_go(self) -> None:
        """End the session, and with it the lock."""
        with suppress(Exception):
            self._session.close()


def _lock(connection: "psycopg.Connection[Any]", address: Address, patience_seconds: float) -> None:
    """Take the lock of the one who writes, for as long as the session lives.

    Raises:
        BusyError: another session has it for longer than one is patient.
    """
    end = time.monotonic() + patience_seconds
    while connection.execute(_LOCK).fetchone() != (True,):
        if time.monotonic() >= end:
            raise BusyError(f"{address.name}: another process writes to this ledger; stop it first")
        time.sleep(_PAUSE_SECONDS)
