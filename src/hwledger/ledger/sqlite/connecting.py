"""Connections to a ledger file, with the settings that its promises rest on."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool, StaticPool

from hwledger.ledger.sqlite.places import explained
from hwledger.ledger.sqlite.shards import ShardedConnection

WRITING: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # NORMAL loses acknowledged events when the power fails
    "PRAGMA foreign_keys=ON",
    "PRAGMA recursive_triggers=ON",  # else INSERT OR REPLACE deletes past the triggers
    "PRAGMA cell_size_check=ON",
    "PRAGMA wal_autocheckpoint=1000",
    "PRAGMA journal_size_limit=67108864",
)
READING: Final = ("PRAGMA query_only=ON", "PRAGMA cell_size_check=ON")
_BUSY_SECONDS: Final = 5.0
_READERS: Final = 4


def writing_engine(path: Path) -> Engine:
    """Return an engine of one connection that writes; a transaction begins with the lock on writing."""
    engine = create_engine(
        "sqlite://",
        creator=lambda: _connected(path, "rw", WRITING),
        poolclass=StaticPool,
        hide_parameters=True,
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.connection.driver_connection.begin("BEGIN IMMEDIATE")

    return engine


def reading_engine(path: Path) -> Engine:
    """Return an engine whose connections only read, each at a moment of its own."""
    mode = "rw" if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else "ro"
    if mode == "ro" and not path.with_name(f"{path.name}-wal").exists():
        mode = "ro&immutable=1"  # on a medium that nobody writes, SQLite cannot make its shared memory
    engine = create_engine(
        "sqlite://",
        creator=lambda: _connected(path, mode, READING),
        poolclass=QueuePool,
        pool_size=_READERS,
        max_overflow=-1,
        hide_parameters=True,
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.connection.driver_connection.begin("BEGIN")

    return engine


def _connected(path: Path, mode: str, settings: tuple[str, ...]) -> ShardedConnection:
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(path))}?mode={mode}",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,  # transactions begin and end where this room says
        check_same_thread=False,
        factory=ShardedConnection,
    )
    connection.path, connection.query_only = path, settings == READING
    try:
        for setting in settings:
            connection.execute(setting)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@contextmanager
def explaining(path: Path) -> Iterator[None]:
    """Turn errors of the database into sentences.

    Raises:
        HwledgerError: whichever fits.
    """
    try:
        yield
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.Error):
            raise explained(path, error.orig) from None
        raise
    except (sqlite3.Error, OSError) as error:
        raise explained(path, error) from None
