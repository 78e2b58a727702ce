"""Freezing: all events so far go into a file of their own, sealed, and the ledger goes on behind them.

Numbers, hashes, name and checkpoints stay; every connection reads both as one (``shards``). A crash leaves
the ledger as it was, or frozen: the sealed file is there, whole and checked, before anything leaves the
ledger, and that is one transaction.
"""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from hwledger.errors import HwledgerError, UsageError
from hwledger.ledger.audit import audit
from hwledger.ledger.chain import Head
from hwledger.ledger.copies import in_place
from hwledger.ledger.schema import LASTING, MARK
from hwledger.ledger.sqlite.connecting import explaining
from hwledger.ledger.sqlite.places import make_private, printable_path
from hwledger.ledger.sqlite.reading import SqliteReader
from hwledger.ledger.sqlite.shards import FROZEN, MOST, shards_of
from hwledger.ledger.sqlite.writing import SqliteStore, locked

_KEPT: Final = frozenset({*(table.name for table in LASTING), MARK})


def freeze(store: SqliteStore) -> Path:
    """Seal all events of a ledger in a file beside it; the ledger goes on behind them.

    Args:
        store: the ledger, which was checked; without projections of a server, which has to be stopped.

    Returns:
        The sealed file, named after its first and last event; it is to be kept beside the ledger.

    Raises:
        UsageError: there is nothing new to freeze, no more files can be attached, or another file is there.
        HwledgerError: the file cannot be written.
    """
    head, path = store.head(), store.path
    with explaining(path), closing(sqlite3.connect(path)) as connection:
        before = shards_of(connection)
    first = before[-1][0] + 1 if before else 1
    if head.seq < first:
        raise UsageError(f"{store.name}: there is nothing to freeze since event {first - 1}")
    if len(before) >= MOST:
        raise UsageError(
            f"{store.name}: has {MOST} frozen files, and SQLite attaches no more; migrate it to PostgreSQL"
        )
    sealed = path.with_name(f"{path.stem}.{first}-{head.seq}{path.suffix}")
    if sealed.exists():
        _check_same(sealed, store.origin, head)  # a crash came between
    else:
        _seal(path, sealed, head)
    store.transact(lambda one: _empty(one, f"shard {len(before):02}", f"{head.seq} {sealed.name}"))
    return sealed


def _seal(path: Path, sealed: Path, head: Head) -> None:
    with in_place(sealed) as part:
        make_private(part)
        with (
            explaining(part),
            closing(sqlite3.connect(path)) as reading,
            closing(sqlite3.connect(part, isolation_level=None)) as writing,
        ):
            reading.execute("PRAGMA query_only=ON")
            reading.backup(writing)
            _strip(writing, head.seq)
        _check_same(part, "", head)
    sealed.chmod(0o400)


def _strip(connection: sqlite3.Connection, last: int) -> None:
    """Make a copy a frozen file: without projections, which go on beside the events to come."""
    connection.execute("PRAGMA journal_mode=DELETE")
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    for (table,) in tables:
        if table not in _KEPT and not table.startswith("sqlite_"):
            connection.execute(f'DROP TABLE "{table}"')
    connection.execute("INSERT INTO meta (name, value) VALUES (?, ?)", (FROZEN, str(last)))
    connection.execute("VACUUM")


def _check_same(sealed: Path, origin: str, head: Head) -> None:
    with SqliteReader(sealed) as reader:
        if audit(reader).head != head or origin not in {"", reader.origin}:
            raise UsageError(f"{printable_path(sealed)}: is there and is none of this ledger; move it away")


def _empty(connection: Connection, name: str, value: str) -> None:
    """Take events and nodes out of the ledger's own tables, and list the file that has them.

    The tables are dropped and made again as they were: no trigger lets a row of them be deleted.
    """
    own = "tbl_name IN ('event', 'node') AND sql IS NOT NULL"
    made = connection.exec_driver_sql(
        f"SELECT sql FROM main.sqlite_schema WHERE {own} ORDER BY type <> 'table'"
    )
    again = list(made.scalars())
    for table in ("event", "node"):
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS temp.{table}")  # it comes back, with one file more
        connection.exec_driver_sql(f"DROP TABLE main.{table}")
    for sql in again:
        connection.exec_driver_sql(sql)
    connection.exec_driver_sql("INSERT INTO main.meta (name, value) VALUES (?, ?)", (name, value))


def shrink(path: Path) -> None:
    """Give the room that frozen events took back to the disk, where nobody is in the way."""
    with (
        suppress(HwledgerError),
        explaining(path),
        locked(path),
        closing(sqlite3.connect(path, isolation_level=None)) as connection,
    ):
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
