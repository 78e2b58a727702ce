"""Raw telemetry: a database file of its own beside the ledger, which has only the hashes of its segments.

``synchronous=NORMAL``: a crash of the process loses nothing, a loss of power may lose the newest seconds; a
figure a host sent is worth less than a commit for each. What is kept: batches 30 days, hourly figures 400.
"""

import json
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from hwledger.errors import ConflictError, FullError, NewerError
from hwledger.fleet.context import Fleet
from hwledger.fleet.hourly import merged, summed
from hwledger.fleet.wire.reports import Telemetry
from hwledger.ledger.event import body_of, event_of, time_text

RAW_DAYS: Final = 30
HOURLY_DAYS: Final = 400
SETTLING_SECONDS: Final = 60
"""After the end of an hour until what arrived in it is sealed."""
_SECOND: Final = 1_000_000
_HOUR: Final = 3600 * _SECOND
_DAY: Final = 24 * _HOUR
_VERSION: Final = 1
_NAME: Final = "telemetry.db"
_SETTINGS: Final = (
    "PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", "PRAGMA foreign_keys=ON",
    "PRAGMA journal_size_limit=67108864",
)  # fmt: skip
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS segment(
  id INTEGER PRIMARY KEY, host TEXT NOT NULL, t0 INTEGER NOT NULL, t1 INTEGER NOT NULL, rows INTEGER NOT NULL,
  sha256 TEXT NOT NULL, event BLOB NOT NULL, told INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS batch(
  host TEXT NOT NULL, boot TEXT NOT NULL, seq INTEGER NOT NULL, t0 INTEGER NOT NULL, step INTEGER NOT NULL,
  rows INTEGER NOT NULL, received INTEGER NOT NULL, content BLOB NOT NULL, sha256 BLOB NOT NULL,
  segment INTEGER REFERENCES segment(id), UNIQUE(host, boot, seq));
CREATE INDEX IF NOT EXISTS batch_by_time ON batch(host, t0);
CREATE INDEX IF NOT EXISTS batch_unsealed ON batch(received) WHERE segment IS NULL;
CREATE INDEX IF NOT EXISTS batch_by_segment ON batch(segment);
CREATE TABLE IF NOT EXISTS hourly(
  host TEXT NOT NULL, t0 INTEGER NOT NULL, content BLOB NOT NULL, PRIMARY KEY(host, t0));
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch as it is kept.

    Attributes:
        boot: the run of the agent that made it.
        seq: its number in that run.
        from_microseconds: of the first row, by the agent's clock.
        step_seconds: between two rows.
        columns: values by name, one a row.
    """

    boot: str
    seq: int
    from_microseconds: int
    step_seconds: int
    columns: Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of raw telemetry whose hash is in the ledger.

    Attributes:
        id: its number in this file.
        host: whose.
        rows: in all its batches.
        sha256: over its batches, in the order of boot and number.
        whole: what is kept has that hash; ``None``: it is no longer kept.
    """

    id: int
    host: str
    rows: int
    sha256: str
    whole: bool | None


class Segments:
    """The raw telemetry of a fleet; any thread may use it."""

    def __init__(self, folder: Path) -> None:
        """Open the file in a folder, or create it.

        Raises:
            FullError: it cannot be written.
            NewerError: a newer version wrote it.
        """
        self.path = folder / _NAME
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.touch(0o600)
        with self._explained():
            self._connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise NewerError(f"{self.path}: was written by a newer hwledger; update hwledger")
        for setting in _SETTINGS:
            self._connection.execute(setting)
        self._connection.executescript(_TABLES)
        self._connection.execute(f"PRAGMA user_version={_VERSION}")

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise FullError(
                f"{self.path}: could not be written ({error}); free the disk, then repeat"
            ) from None

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._explained(), self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite itself may have rolled back
                    self._connection.execute("ROLLBACK")
                raise

    def _rows(self, question: str, *values: Any) -> list[Any]:
        with self._explained(), self._lock:
            return self._connection.execute(question, values).fetchall()

    def accept(self, host: str, batch: Telemetry, received: int) -> bool:
        """Keep a batch; return whether it is new. One that is there already, or too old, changes nothing.

        Raises:
            ConflictError: another batch has its number.
            FullError: it cannot be kept.
        """
        if batch.from_microseconds < received - RAW_DAYS * _DAY:
            return False
        content = _content(batch)
        digest = sha256(content).digest()
        with self._writing() as connection:
            before = connection.execute(
                "SELECT sha256 FROM batch WHERE host=? AND boot=? AND seq=?", (host, batch.boot, batch.seq)
            ).fetchone()
            if before is not None and before[0] != digest:
                raise ConflictError(f"batch {batch.seq} of boot {batch.boot} is there with other content")
            if before is None:
                kept = (batch.seq, batch.from_microseconds, batch.step_seconds, batch.rows, received)
                connection.execute(
                    "INSERT INTO batch VALUES(?,?,?,?,?,?,?,?,?,NULL)",
                    (host, batch.boot, *kept, zlib.compress(content), digest),
                )
        return before is None

    def last_seq(self, host: str, boot: str) -> int:
        """Return the largest number of a batch of a boot that is kept; 0: none."""
        ((found,),) = self._rows("SELECT MAX(seq) FROM batch WHERE host=? AND boot=?", host, boot)
        return found or 0

    def batches(self, host: str, start: int, end: int, limit: int = 1000) -> list[Batch]:
        """Return what is kept of a host from a moment until before another, in order of time."""
        rows = self._rows(
            "SELECT boot, seq, t0, step, content FROM batch WHERE host=? AND t0>=? AND t0<?"
            " ORDER BY t0, boot, seq LIMIT ?", host, start, end, limit,
        )  # fmt: skip
        return [
            Batch(row[0], row[1], row[2], row[3], json.loads(zlib.decompress(row[4]))["columns"])
            for row in rows
        ]

    def hours(self, host: str, start: int, end: int) -> dict[int, Mapping[str, Mapping[str, float]]]:
        """Return count, least, most and sum of each column by the hour, of a stretch of time."""
        rows = self._rows(
            "SELECT t0, content FROM hourly WHERE host=? AND t0>=? AND t0<? ORDER BY t0", host, start, end
        )
        return {t0: json.loads(zlib.decompress(content)) for t0, content in rows}

    def seal(self, fleet: Fleet) -> int:
        """Close what arrived in hours that are over, put the hashes into the ledger; return how many.

        First the segment is written here with its event, then the event there, then that it is there: at
        whatever point this ends, the next time finishes the same segments.

        Raises:
            FullError: it cannot be kept.
        """
        end = (fleet.clock() - SETTLING_SECONDS * _SECOND) // _HOUR * _HOUR
        for (host,) in self._rows(
            "SELECT DISTINCT host FROM batch WHERE segment IS NULL AND received<?", end
        ):
            self._close_segment(fleet, host, end)
        untold = self._rows("SELECT id, event FROM segment WHERE told=0 ORDER BY id")
        for number, event in untold:
            fleet.store.append([event_of(event)])
            with self._writing() as connection:
                connection.execute("UPDATE segment SET told=1 WHERE id=?", (number,))
        return len(untold)

    def _close_segment(self, fleet: Fleet, host: str, end: int) -> None:
        with self._writing() as connection:
            rows = connection.execute(
                "SELECT rowid, t0, step, rows, content, sha256, boot, seq FROM batch"
                " WHERE host=? AND segment IS NULL AND received<? ORDER BY boot, seq", (host, end),
            ).fetchall()  # fmt: skip
            first = min(row[1] for row in rows)
            last = max(row[1] + row[2] * row[3] * _SECOND for row in rows)
            told = {
                "host": host, "from": time_text(first), "to": time_text(last),
                "rows": sum(row[3] for row in rows), "sha256": _digest(row[5:8] for row in rows),
            }  # fmt: skip
            event = fleet.event("telemetry.segment_sealed", f"host/{host}", told, component="telemetry")
            number = connection.execute(
                "INSERT INTO segment(host, t0, t1, rows, sha256, event, told) VALUES(?,?,?,?,?,?,0)",
                (host, first, last, told["rows"], told["sha256"], body_of(event)),
            ).lastrowid
            connection.executemany(
                "UPDATE batch SET segment=? WHERE rowid=?", [(number, row[0]) for row in rows]
            )
            _add_hours(connection, host, rows)

    def check(self, host: str) -> list[Segment]:
        """Hold what is kept against the hashes of its segments."""
        found = []
        for number, rows, digest in self._rows("SELECT id, rows, sha256 FROM segment WHERE host=?", host):
            kept = self._rows(
                "SELECT sha256, boot, seq, content FROM batch WHERE segment=? ORDER BY boot, seq", number
            )
            sound = all(sha256(_inflated(row[3])).digest() == row[0] for row in kept)
            whole = sound and _digest(row[:3] for row in kept) == digest if kept else None
            found.append(Segment(number, host, rows, digest, whole))
        return found

    def retain(self, now: int) -> int:
        """Delete what is older than it is kept; return how many batches. What is not sealed stays."""
        with self._writing() as connection:
            gone = connection.execute(
                "DELETE FROM batch WHERE segment IS NOT NULL AND received<?", (now - RAW_DAYS * _DAY,)
            ).rowcount
            connection.execute("DELETE FROM hourly WHERE t0<?", (now - HOURLY_DAYS * _DAY,))
        return gone


def _content(batch: Telemetry) -> bytes:
    told = {
        "from": time_text(batch.from_microseconds), "step_seconds": batch.step_seconds,
        "columns": dict(batch.columns),
    }  # fmt: skip
    return json.dumps(told, sort_keys=True, separators=(",", ":")).encode()


def _inflated(content: bytes) -> bytes:
    try:
        return zlib.decompress(content)
    except zlib.error:
        return b""


def _digest(batches: Any) -> str:
    """Return the hash of a segment: over hash, boot and number of each batch."""
    whole = sha256()
    for digest, boot, seq in batches:
        whole.update(digest + f"{boot} {seq}\n".encode())
    return whole.hexdigest()


def _add_hours(connection: sqlite3.Connection, host: str, rows: Sequence[Any]) -> None:
    """Add batches to the figures by the hour of their first row."""
    found: dict[int, Any] = {}
    for row in rows:
        hour = row[1] // _HOUR * _HOUR
        found[hour] = merged(found.get(hour, {}), summed(json.loads(zlib.decompress(row[4]))["columns"]))
    for hour, figures in found.items():
        before = connection.execute(
            "SELECT content FROM hourly WHERE host=? AND t0=?", (host, hour)
        ).fetchone()
        whole = merged(json.loads(zlib.decompress(before[0])) if before else {}, figures)
        connection.execute(
            "INSERT OR REPLACE INTO hourly VALUES(?,?,?)",
            (host, hour, zlib.compress(json.dumps(whole).encode())),
        )
