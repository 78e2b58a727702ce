"""How the schema of a ledger came to be, a revision a version; Alembic runs them, in SQLite and PostgreSQL.

A revision is never changed once it was released. What it makes is written out: the tables of ``schema`` are
those of the newest version.
"""

from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from hwledger.ledger.schema import MARK

_SCRIPTS: Final = "hwledger.ledger:migrations"


def upgrade(connection: Connection, known: int | None = None) -> None:
    """Bring a schema to the newest version, in the transaction of a connection.

    Args:
        connection: in whose transaction it happens: all of it, or none.
        known: the version that it has and does not say (SQLite before version 2); ``None``: it says it.
    """
    config = _config(connection)
    if known and version_of(connection) is None:
        command.stamp(config, str(known))
    command.upgrade(config, "head")


def version_of(connection: Connection) -> int | None:
    """Return the version that a schema says it has; ``None``: it says none."""
    context = MigrationContext.configure(connection, opts={"version_table": MARK})
    found = context.get_current_revision()
    return None if found is None else int(found)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", _SCRIPTS)
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
