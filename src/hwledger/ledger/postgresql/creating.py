"""Making a ledger in a PostgreSQL database, or one of an older version newer, in one transaction."""

from typing import Final
from uuid import uuid4

from sqlalchemy import Connection, insert

from hwledger.errors import MalformedError, MissingError, NewerError
from hwledger.ledger.postgresql.connecting import Address
from hwledger.ledger.schema import LASTING, MARK, META, VERSION

_OWN: Final = (*(table.name for table in LASTING), "writer", "projection", "parked")


def check_schema(connection: Connection, address: Address) -> int:
    """Return the version of the ledger's schema.

    Raises:
        MissingError: there is no ledger.
        NewerError: a newer version wrote it.
        MalformedError: the mark is none of ours.
    """
    if not _has(connection, MARK):
        raise MissingError(f"{address.name}: there is no ledger in this database; check the address")
    found = str(connection.exec_driver_sql(f"SELECT max(version_num) FROM {MARK}").scalar())  # noqa: S608 - ours
    if not found.isdecimal():
        raise MalformedError(f"{address.name}: its schema has the version {found!r}, which is none of ours")
    if int(found) > VERSION:
        raise NewerError(
            f"{address.name}: was written by a newer hwledger (schema {found}, this one knows {VERSION});"
            " update hwledger"
        )
    return int(found)


def create(connection: Connection, address: Address, origin: str | None) -> None:
    """Make the ledger's tables where there are none, and those of an older version newer.

    Args:
        connection: in whose transaction it happens; the writer's lock is held.
        address: where, for sentences.
        origin: the name of a new ledger; a random one if not given.

    Raises:
        MalformedError: there are tables of that name that are none of ours.
        NewerError: a newer version made them.
    """
    new = not _has(connection, MARK)
    if new:
        taken = [name for name in _OWN if _has(connection, name)]
        if taken:
            raise MalformedError(
                f"{address.name}: has a table {taken[0]} of another program; use an empty database"
            )
    elif check_schema(connection, address) == VERSION:
        return
    from hwledger.ledger.migrations import upgrade  # noqa: PLC0415 - Alembic is needed once a version

    upgrade(connection)
    if new:
        connection.execute(insert(META).values(name="origin", value=origin or f"hwledger.local/{uuid4()}"))


def _has(connection: Connection, table: str) -> bool:
    """Return whether the schema that tables are made in has one of a name."""
    wanted = "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = %s"
    return connection.exec_driver_sql(wanted, (table,)).scalar() is not None
