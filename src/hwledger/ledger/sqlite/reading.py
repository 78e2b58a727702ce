"""Reading a ledger file: no lock, no change, while others write or with no server at all."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from hwledger.errors import AlteredError
from hwledger.ledger.reader import SqlReader
from hwledger.ledger.sqlite.connecting import explaining, reading_engine
from hwledger.ledger.sqlite.places import check_header, check_marks, printable_path


class SqliteReader(SqlReader):
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
        super().__init__(printable_path(path), reading_engine(path))

    def check_marks(self, connection: Connection) -> None:
        """Look at the marks again, through the database: a change may still lie in the write-ahead log."""
        version, application = (
            int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
            for name in ("user_version", "application_id")
        )
        check_marks(self.path, version, application)

    def shards(self) -> list[str]:
        """Return the names of the files that hold the ledger's frozen beginnings, in order."""
        with self.connected() as connection:
            raw: Any = connection.connection.driver_connection
            return list(raw.shards)

    def check_database(self, connection: Connection) -> None:
        """Ask SQLite for its integrity check, which compares indexes with their table."""
        found = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()
        if found != "ok":
            raise AlteredError(f"the database is damaged ({found}); restore a backup that verifies")

    def explaining(self) -> AbstractContextManager[None]:
        """Turn errors of SQLite into sentences."""
        return explaining(self.path)
