"""Making a new ledger file: all of it in one transaction, so that no half of one is ever found."""

import os
from pathlib import Path
from uuid import uuid4

from sqlalchemy import insert
from sqlalchemy.exc import DBAPIError

from hwledger.errors import MalformedError
from hwledger.ledger.schema import APPLICATION, GUARDS, META, METADATA, VERSION
from hwledger.ledger.sqlite.connecting import explaining, writing_engine
from hwledger.ledger.sqlite.places import check_header, printable_path


def create(path: Path, origin: str | None) -> None:
    """Make an empty file a ledger; a ledger stays as it is.

    Args:
        path: a file that is there, empty or a ledger.
        origin: its name; a random one if not given.

    Raises:
        MalformedError: it is something else, or a ledger of another name.
        NewerError: a newer version wrote it.
    """
    if not _is_blank(path):
        check_header(path)
        return
    engine = writing_engine(path)
    try:
        with explaining(path), engine.begin() as connection:
            METADATA.create_all(connection)
            for guard in GUARDS:
                connection.exec_driver_sql(guard)
            name = origin or f"hwledger.local/{uuid4()}"
            connection.execute(insert(META).values(name="origin", value=name))
            connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION}")
            connection.exec_driver_sql(f"PRAGMA user_version={VERSION}")
    finally:
        engine.dispose()
    _settle(path.parent)


def _is_blank(path: Path) -> bool:
    """Return whether nothing was made in a file yet: it is empty, or its making was cut short.

    Raises:
        MalformedError: it is no database.
    """
    if path.stat().st_size == 0:
        return not _log(path).exists() or _has_no_tables(path)
    with path.open("rb") as file:
        if not file.read(16) == b"SQLite format 3\x00":
            raise MalformedError(
                f"{printable_path(path)}: is no ledger (no SQLite file); choose another path"
            )
    return _has_no_tables(path)


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _has_no_tables(path: Path) -> bool:
    engine = writing_engine(path)
    try:
        with explaining(path), engine.connect() as connection:
            return not connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema").scalar_one()
    except DBAPIError as error:  # pragma: no cover - explaining turns it
        raise MalformedError(f"{printable_path(path)}: cannot be read ({error.orig})") from None
    finally:
        engine.dispose()


def _settle(folder: Path) -> None:
    """Make the names in a folder outlive a power failure, where the system lets one."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
