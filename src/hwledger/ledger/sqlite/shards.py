"""Frozen beginnings of a ledger: files beside it, which every connection reads as one with it.

The table ``meta`` lists them, in order; each is attached, and two views of the connection's own, ``event``
and ``node``, stand before the tables of those names: whatever reads reads across, and the chain links them.
"""

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from hwledger.errors import MissingError
from hwledger.ledger.sqlite.places import printable_path

MOST: Final = 10
"""Databases that SQLite attaches to one, as it is built; section 11 of its limits."""
FROZEN: Final = "frozen"
"""The row of ``meta`` that makes a file the frozen beginning of another."""
_LISTED: Final = "SELECT value FROM main.meta WHERE name GLOB 'shard [0-9][0-9]' ORDER BY name"
_ACROSS: Final = ("event", "node")


class ShardedConnection(sqlite3.Connection):
    """A connection to a ledger file and to its frozen beginnings.

    Attributes:
        path: of the ledger file.
        query_only: it only reads.
        shards: the names of the files that are attached.
    """

    path: Path
    query_only: bool
    shards: tuple[str, ...] = ()

    def begin(self, how: str) -> None:
        """Begin a transaction that sees all files as of one moment of the ledger.

        Raises:
            MissingError: a frozen beginning is not beside the ledger.
        """
        while True:
            self.execute(how)
            listed = tuple(name for _, name in shards_of(self))
            if listed == self.shards:
                return
            self.execute("ROLLBACK")
            self._attach(listed)

    def _attach(self, names: tuple[str, ...]) -> None:
        self.execute("PRAGMA query_only=OFF")  # which is for temporary views, too
        for table in _ACROSS:
            self.execute(f"DROP VIEW IF EXISTS temp.{table}")
        for number in range(len(self.shards)):
            self.execute(f"DETACH shard{number}")
        self.shards = ()
        for number, name in enumerate(names):
            self.execute(f"ATTACH ? AS shard{number}", (_address(self.path.with_name(name)),))
            self.shards += (name,)
        if names:
            for table in _ACROSS:
                parts = [f"SELECT * FROM shard{number}.{table}" for number in range(len(names))]
                parts.append(f"SELECT * FROM main.{table}")
                self.execute(f"CREATE TEMP VIEW {table} AS {' UNION ALL '.join(parts)}")
        if self.query_only:
            self.execute("PRAGMA query_only=ON")


def _address(path: Path) -> str:
    if not path.is_file():
        raise MissingError(
            f"{printable_path(path)}: is the frozen beginning of a ledger and not there; put it back beside"
            " the ledger"
        )
    return f"file:{quote(str(path))}?mode=ro"


def shards_of(connection: sqlite3.Connection) -> list[tuple[int, str]]:
    """Return of each frozen beginning its last event and its file's name, in order."""
    found = []
    with suppress(sqlite3.OperationalError):  # it has no tables yet
        for (value,) in connection.execute(_LISTED):
            last, _, name = str(value).partition(" ")
            found.append((int(last), Path(name).name))
    return found
