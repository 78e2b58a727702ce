"""Writing a ledger file: one process by a lock on a file beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import filelock
from sqlalchemy import Connection, select

from hwledger.errors import BusyError, FullError
from hwledger.ledger.projections import Projection
from hwledger.ledger.reader import last_epoch
from hwledger.ledger.schema import EVENT, META, NODE
from hwledger.ledger.sqlite.connecting import explaining, writing_engine
from hwledger.ledger.sqlite.creating import create
from hwledger.ledger.sqlite.places import check_local, make_private, printable_path
from hwledger.ledger.sqlite.reading import SqliteReader
from hwledger.ledger.sqlite.shards import FROZEN
from hwledger.ledger.writer import SqlStore

_ADD_EVENT, _ADD_NODE = (
    f"INSERT INTO main.{table.name} VALUES ({','.join('?' * len(table.columns))})"  # noqa: S608 - our own names
    for table in (EVENT, NODE)
)
"""What Core would write, without what it takes to write it for each row."""
_KNOWN: Final = "SELECT id, seq, leaf, chain FROM event WHERE id IN ("
_IDS: Final = 500


class SqliteStore(SqlStore, SqliteReader):
    """A ledger file that this process writes, and any number of threads and processes read."""

    def __init__(
        self,
        path: Path,
        *,
        origin: str | None = None,
        projections: Sequence[Projection] | None = None,
        patience_seconds: float = 0,
    ) -> None:
        """Open a ledger, or create it.

        Args:
            path: the file.
            origin: the name of a new ledger, without spaces and plus signs; a random one if not given.
            projections: which to keep; those of the ledger if not given.
            patience_seconds: how long to wait for another process that writes.

        Raises:
            BusyError: another process writes to it.
            InputError: it lies on a network file system, or cannot be opened.
            MalformedError: it is no ledger, or damaged.
            NewerError: a newer version wrote it.
        """
        check_local(path)
        make_private(path)
        self._lock = locked(path, patience_seconds)
        try:
            create(path, origin)
            SqliteReader.__init__(self, path)
            self._refuse_frozen()
            with explaining(path):
                self.start(writing_engine(path), projections)
        except BaseException:
            self._lock.release()
            raise

    def _refuse_frozen(self) -> None:
        frozen = select(META.c.value).where(META.c.name == FROZEN)
        with self.connected() as connection:
            if connection.execute(frozen).scalar() is not None:
                raise FullError(
                    f"{self.name}: is the frozen beginning of a ledger and takes nothing new; write to the"
                    " file that continues it"
                )

    def begin_epoch(self, connection: Connection) -> int:
        """Return the epoch of this opening: one more than that of the last event."""
        return last_epoch(connection) + 1

    def known(self, connection: Connection, ids: Sequence[str]) -> list[tuple[str, int, bytes, bytes]]:
        """Return id, sequence number, leaf and chain of those ids that are there."""
        cursor, found = self.cursor(connection), []
        for start in range(0, len(ids), _IDS):
            some = ids[start : start + _IDS]
            found += cursor.execute(f"{_KNOWN}{','.join('?' * len(some))})", some).fetchall()
        return found

    def add_rows(
        self,
        connection: Connection,
        events: Sequence[tuple[Any, ...]],
        nodes: Sequence[tuple[int, int, bytes]],
    ) -> None:
        """Insert events, and the nodes that they made full."""
        cursor = self.cursor(connection)
        cursor.executemany(_ADD_EVENT, events)
        if nodes:
            cursor.executemany(_ADD_NODE, nodes)

    def let_go(self) -> None:
        """Let the next process write."""
        self._lock.release()


def locked(path: Path, patience_seconds: float = 0) -> filelock.BaseFileLock:
    """Return the lock of the one who writes, held.

    Raises:
        BusyError: another process, or another store of this one, holds it.
    """
    lock = filelock.FileLock(
        path.with_name(f"{path.name}.lock"), timeout=patience_seconds, thread_local=False
    )
    try:
        lock.acquire()
    except filelock.Timeout:
        raise BusyError(
            f"{printable_path(path)}: another process writes to this ledger; stop it first"
        ) from None
    return lock
