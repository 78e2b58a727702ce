"""Reading a ledger on a PostgreSQL server: no lock, no change, while another process writes it."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Final

from sqlalchemy import ColumnElement, Connection, and_, func

from hwledger.errors import AlteredError
from hwledger.ledger.postgresql.connecting import Address, reading_engine
from hwledger.ledger.postgresql.creating import check_schema
from hwledger.ledger.postgresql.explaining import explaining
from hwledger.ledger.reader import SqlReader
from hwledger.ledger.schema import EVENT

_INDEXED: Final = 256
"""Characters of a subject or type that the index has."""
_COUNTS: Final = (
    ("event_pkey", "SELECT count(*) FROM event WHERE seq > 0"),
    ("event_by_subject", "SELECT count(*) FROM event WHERE left(subject, 256) >= ''"),
    ("event_by_type", "SELECT count(*) FROM event WHERE left(type, 256) >= ''"),
    ("event_id_key", "SELECT count(*) FROM event WHERE id >= ''"),
)


class PostgresReader(SqlReader):
    """A ledger on a PostgreSQL server that is only read."""

    placeholder: ClassVar[str] = "%s"

    def __init__(self, address: str) -> None:
        """Open a ledger.

        Args:
            address: as libpq takes it: ``postgresql://user@host:5432/database``.

        Raises:
            UsageError: it is no address, or psycopg is not installed.
            UnreachableError: the server does not answer.
            DeniedError: it lets nobody in.
            MissingError: there is no such database, or no ledger in it.
            NewerError: a newer version wrote it.
        """
        self.address = Address.read(address)
        super().__init__(self.address.name, reading_engine(self.address))

    @classmethod
    def cursor(cls, connection: Connection) -> Any:
        """Return a cursor of the driver to which bytes come as they are, not as text."""
        driver: Any = connection.connection
        return driver.cursor(binary=True)

    def check_marks(self, connection: Connection) -> None:
        """Look at the version of the schema."""
        check_schema(connection, self.address)

    def check_database(self, connection: Connection) -> None:
        """Count the events by each index and by none: PostgreSQL has no check that needs no superuser."""
        counts = {"": _count(connection, "SELECT count(*) FROM event", by_index=False)}
        for index, wanted in _COUNTS:
            counts[index] = _count(connection, wanted, by_index=True)
            if counts[index] != counts[""]:
                raise AlteredError(
                    f"the index {index} lists {counts[index]} of {counts['']} events; REINDEX it, then verify"
                )
        _choose(connection, by_index=None)

    def explaining(self) -> AbstractContextManager[None]:
        """Turn errors of PostgreSQL into sentences."""
        return explaining(self.address)

    def of_subject(self, subject: str) -> ColumnElement[bool]:
        """Return the condition as the index answers it, which has the beginning alone."""
        return and_(func.left(EVENT.c.subject, _INDEXED) == subject[:_INDEXED], EVENT.c.subject == subject)

    def of_types(self, types: Sequence[str]) -> ColumnElement[bool]:
        """Return the condition as the index answers it, which has the beginning alone."""
        beginnings = [one[:_INDEXED] for one in types]
        return and_(func.left(EVENT.c.type, _INDEXED).in_(beginnings), EVENT.c.type.in_(types))


def _count(connection: Connection, wanted: str, *, by_index: bool) -> int:
    _choose(connection, by_index=by_index)
    return int(connection.exec_driver_sql(wanted).scalar_one())


def _choose(connection: Connection, *, by_index: bool | None) -> None:
    """Have the planner use indexes, or none; ``None``: as it likes."""
    chosen = {
        "seqscan": by_index is not True,
        "indexscan": by_index is not False,
        "indexonlyscan": by_index is not False,
        "bitmapscan": by_index is None,
    }
    for name, value in chosen.items():
        connection.exec_driver_sql(f"SET LOCAL enable_{name} = {'on' if value else 'off'}")
