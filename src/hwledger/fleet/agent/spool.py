"""What an agent still has to send, on its disk: a ring of at most 64 MB that outlives being killed.

An event is on the disk when ``add_event`` returns; a loss of power may lose the newest telemetry. Where there
is no room the oldest telemetry goes first, and events only when no telemetry is left; what went is counted.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hwledger.errors import FullError, InputError

LARGEST_BYTES: Final = 64_000_000
"""Of all files of the spool together."""
_PAGE: Final = 4096
_LOG_BYTES: Final = 2_000_000
"""Of the write-ahead log: it is put into the file when half of that is reached."""
_PAGES: Final = (LARGEST_BYTES - 2 * _LOG_BYTES) // _PAGE
_SLACK_PAGES: Final = 16
_SETTINGS: Final = (
    f"PRAGMA page_size={_PAGE}", "PRAGMA journal_mode=WAL", f"PRAGMA journal_size_limit={_LOG_BYTES}",
    f"PRAGMA wal_autocheckpoint={_LOG_BYTES // 2 // _PAGE}",
)  # fmt: skip
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS item(
  id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, boot TEXT NOT NULL, seq INTEGER NOT NULL,
  body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS item_by_kind ON item(kind, id);
CREATE TABLE IF NOT EXISTS dropped(kind TEXT PRIMARY KEY, count INTEGER NOT NULL);
"""
EVENT: Final = "event"
TELEMETRY: Final = "telemetry"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to send.

    Attributes:
        id: its place in the spool; what was spooled earlier has a smaller one.
        boot: the run of the agent that it is of.
        seq: its number in that run, for its kind.
        body: the canonical bytes of an event; a batch of telemetry as it is sent, packed.
    """

    id: int
    boot: str
    seq: int
    body: bytes


class Spool:
    """The spool in a folder; any thread may use it, and one process at a time."""

    def __init__(self, folder: Path, largest_bytes: int = LARGEST_BYTES) -> None:
        """Open the spool, or make it.

        Raises:
            FullError: it cannot be written.
        """
        self.path = folder / "spool.db"
        self._pages = min(_PAGES, (largest_bytes - 2 * _LOG_BYTES) // _PAGE)
        self._lock = threading.Lock()
        with self._explained():
            self._connection = self._opened()

    def _opened(self) -> sqlite3.Connection:
        """Return a connection; a file that is damaged is put aside, and a new one begun."""
        try:
            return self._prepared()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            for end in ("-wal", "-shm"):
                self.path.with_name(f"{self.path.name}{end}").unlink(missing_ok=True)
            self.path.replace(self.path.with_suffix(".damaged"))
            return self._prepared()

    def _prepared(self) -> sqlite3.Connection:
        self.path.touch(0o600)
        made = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        try:
            for setting in _SETTINGS:
                made.execute(setting)
            made.executescript(_TABLES)
            made.execute(f"PRAGMA max_page_count={self._pages}")
            made.execute("PRAGMA quick_check(1)")
        except BaseException:
            made.close()
            raise
        return made

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise FullError(f"{self.path}: the spool could not be written ({error}); free the disk") from None

    @contextmanager
    def _writing(self, durable: str) -> Iterator[sqlite3.Connection]:
        with self._lock, self._explained():
            self._connection.execute(f"PRAGMA synchronous={durable}")
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite itself may have rolled back
                    self._connection.execute("ROLLBACK")
                raise

    def add_event(self, boot: str, seq: int, body: bytes) -> None:
        """Keep an event until it is sent; it is on the disk when this returns.

        Raises:
            FullError: the disk has no room; it is not kept.
        """
        with self._writing("FULL") as connection:
            self._make_room(connection, len(body), (TELEMETRY, EVENT))
            self._insert(connection, EVENT, boot, seq, body)

    def add_telemetry(self, boot: str, seq: int, body: bytes) -> bool:
        """Keep a batch of telemetry; return whether there was room, which no event had to make.

        Raises:
            FullError: the disk has no room; it is not kept.
        """
        with self._writing("NORMAL") as connection:
            room = self._make_room(connection, len(body), (TELEMETRY,))
            if room:
                self._insert(connection, TELEMETRY, boot, seq, body)
            else:
                _count(connection, TELEMETRY, 1)
        return room

    @staticmethod
    def _insert(connection: sqlite3.Connection, kind: str, boot: str, seq: int, body: bytes) -> None:
        connection.execute("INSERT INTO item(kind, boot, seq, body) VALUES(?,?,?,?)", (kind, boot, seq, body))

    def _make_room(self, connection: sqlite3.Connection, size: int, kinds: Sequence[str]) -> bool:
        """Delete the oldest of the first kind that has any until so many bytes fit; say whether they do."""
        needed = size // _PAGE + _SLACK_PAGES
        for kind in kinds:
            while self._used(connection) + needed > self._pages:
                gone = connection.execute(
                    "DELETE FROM item WHERE id = (SELECT MIN(id) FROM item WHERE kind=?)", (kind,)
                ).rowcount
                if not gone:
                    break
                _count(connection, kind, 1)
        return self._used(connection) + needed <= self._pages

    @staticmethod
    def _used(connection: sqlite3.Connection) -> int:
        return sum(
            sign * int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name, sign in (("page_count", 1), ("freelist_count", -1))
        )

    def oldest(self, kind: str, most: int, largest_bytes: int) -> list[Item]:
        """Return the oldest of a kind, at most so many and of so many bytes together, but one at least."""
        with self._lock, self._explained():
            rows = self._connection.execute(
                "SELECT id, boot, seq, body FROM item WHERE kind=? ORDER BY id LIMIT ?", (kind, most)
            )
            found: list[Item] = []
            size = 0
            for row in rows:
                size += len(row[3])
                if found and size > largest_bytes:
                    break
                found.append(Item(*row))
            rows.close()
        return found

    def remove(self, items: Sequence[Item]) -> None:
        """Delete what was sent.

        Raises:
            FullError: the disk has no room for that; it will be sent again, which changes nothing.
        """
        with self._writing("NORMAL") as connection:
            connection.executemany("DELETE FROM item WHERE id=?", [(one.id,) for one in items])

    def remove_up_to(self, kind: str, boot: str, seq: int) -> None:
        """Delete what the server says to have of one run of the agent; it is sent in order.

        Raises:
            FullError: as in ``remove``.
        """
        if seq and any(one.boot == boot and one.seq <= seq for one in self.oldest(kind, 1, 1)):
            with self._writing("NORMAL") as connection:
                connection.execute("DELETE FROM item WHERE kind=? AND boot=? AND seq<=?", (kind, boot, seq))

    def drop(self, item: Item, kind: str) -> None:
        """Delete what the server will never take, and count it."""
        with self._writing("NORMAL") as connection:
            connection.execute("DELETE FROM item WHERE id=?", (item.id,))
            _count(connection, kind, 1)

    def waiting(self) -> dict[str, int]:
        """Return how many of each kind wait."""
        with self._lock, self._explained():
            rows = self._connection.execute("SELECT kind, COUNT(*) FROM item GROUP BY kind").fetchall()
        return {EVENT: 0, TELEMETRY: 0, **dict(rows)}

    def used_bytes(self) -> int:
        """Return how much of the ring is in use."""
        with self._lock, self._explained():
            return self._used(self._connection) * _PAGE

    def dropped(self) -> dict[str, int]:
        """Return how many of each kind were let go and not yet told of."""
        with self._lock, self._explained():
            return dict(self._connection.execute("SELECT kind, count FROM dropped WHERE count>0").fetchall())

    def tell_dropped(self, kind: str, count: int, boot: str, seq: int, body: bytes) -> None:
        """Put in the event that tells of what was let go, and count it no more, both or neither.

        Raises:
            FullError: the disk has no room.
        """
        with self._writing("FULL") as connection:
            self._make_room(connection, len(body), (TELEMETRY, EVENT))
            self._insert(connection, EVENT, boot, seq, body)
            _count(connection, kind, -count)


def _count(connection: sqlite3.Connection, kind: str, count: int) -> None:
    connection.execute(
        "INSERT INTO dropped VALUES(?,?) ON CONFLICT(kind) DO UPDATE SET count=count+?", (kind, count, count)
    )


def waiting_in(folder: Path) -> dict[str, int]:
    """Return how many of each kind wait in the spool of a folder, whoever has it open; it is only read.

    Raises:
        InputError: it cannot be read.
    """
    path = folder / "spool.db"
    if not path.exists():
        return {EVENT: 0, TELEMETRY: 0}
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute("SELECT kind, COUNT(*) FROM item GROUP BY kind").fetchall()
    except sqlite3.Error as error:
        raise InputError(f"{path}: cannot be read ({error}); does the agent of another user run?") from None
    return {EVENT: 0, TELEMETRY: 0, **dict(rows)}
