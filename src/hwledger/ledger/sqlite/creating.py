"""Making a new ledger file, or an older one newer: in one transaction, so that no half is ever found."""

import os
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Connection, insert
from sqlalchemy.exc import DBAPIError

from hwledger.errors import MalformedError
from hwledger.ledger.schema import APPLICATION, META, VERSION
from hwledger.ledger.sqlite.connecting import explaining, writing_engine
from hwledger.ledger.sqlite.places import check_header, check_marks, printable_path


def create(path: Path, origin: str | None) -> None:
    """Make an empty file a ledger, and a ledger of an older version one of this; another stays as it is.

    Args:
        path: a file that is there, empty or a ledger; nobody else writes it.
        origin: its name; a random one if not given.

    Raises:
        MalformedError: it is something else, or a ledger of another name.
        NewerError: a newer version wrote it.
    """
    blank = _is_blank(path)
    if not blank:
        check_header(path)
    engine = writing_engine(path)
    try:
        with explaining(path), engine.connect() as connection:
            marks = [int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()) for name in _MARKS]
            if not blank:
                check_marks(path, *marks)
            if blank or marks[0] < VERSION:
                _upgrade(connection, None if blank else marks[0])
                if blank:
                    name = origin or f"hwledger.local/{uuid4()}"
                    connection.execute(insert(META).values(name="origin", value=name))
                connection.commit()
    finally:
        engine.dispose()
    if blank:
        _settle(path.parent)


_MARKS = ("user_version", "application_id")


def _upgrade(connection: Connection, known: int | None) -> None:
    from hwledger.ledger.migrations import upgrade  # noqa: PLC0415 - Alembic is needed once a version

    upgrade(connection, known)
    connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION}")
    connection.exec_driver_sql(f"PRAGMA user_version={VERSION}")


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
