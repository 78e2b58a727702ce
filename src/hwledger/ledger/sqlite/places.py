"""Where a ledger may lie, and which file is one."""

import csv
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hwledger.errors import HwledgerError, InputError, MalformedError, MissingError, NewerError
from hwledger.ledger.schema import APPLICATION, VERSION
from hwledger.shipped import shipped_text

_MAGIC: Final = b"SQLite format 3\x00"
_HEADER_BYTES: Final = 100


def printable_path(path: Path) -> str:
    """Return a path as it can be printed; what cannot is escaped."""
    return str(path) if str(path).isprintable() else ascii(str(path))


def check_header(path: Path) -> None:
    """Refuse a file that is no ledger that this version can read, by its first 100 bytes.

    Where they say and what: the file format of SQLite 3, sections 1.3.1 and 1.3.

    Raises:
        MissingError: there is no file.
        InputError: it cannot be read.
        MalformedError: it is no SQLite file, or one of another program.
        NewerError: a newer version wrote it.
    """
    shown = printable_path(path)
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except FileNotFoundError:
        raise MissingError(f"{shown}: there is no ledger; check the path") from None
    except OSError as error:
        raise InputError(f"{shown}: cannot be read ({error.strerror})") from None
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        raise MalformedError(f"{shown}: is no ledger (no SQLite file, or cut off); check the path")
    version, application = (int.from_bytes(header[at : at + 4], "big") for at in (60, 68))
    check_marks(path, version, application)


def check_marks(path: Path, version: int, application: int) -> None:
    """Refuse a database that is marked as another program's or as newer.

    Raises:
        MalformedError: another program's.
        NewerError: a newer version wrote it.
    """
    if application != APPLICATION:
        raise MalformedError(
            f"{printable_path(path)}: is a database of another program, no ledger; check the path"
        )
    if version > VERSION:
        raise NewerError(
            f"{printable_path(path)}: was written by a newer hwledger (schema {version}, this one"
            f" knows {VERSION}); update hwledger"
        )


def check_local(path: Path) -> None:
    """Refuse a place on a network file system: locks and shared memory do not hold there.

    Raises:
        InputError: it is one.
    """
    import psutil  # noqa: PLC0415 - start-up time

    mounts = [(mount.mountpoint, mount.fstype) for mount in psutil.disk_partitions(all=True)]
    kind = file_system(path, mounts)
    if kind in network_file_systems():
        raise InputError(
            f"{printable_path(path)}: lies on a network file system ({kind}), where a ledger is not"
            " safe; use a local disk or PostgreSQL"
        )


def network_file_systems() -> frozenset[str]:
    """Return the names of file systems that several hosts may share."""
    rows = csv.DictReader(shipped_text("hwledger.ledger", "data/network_file_systems.csv").splitlines())
    return frozenset(row["type"] for row in rows)


def file_system(path: Path, mounts: Sequence[tuple[str, str]]) -> str:
    """Return the type of file system that a path lies on, in lower case; of several mounts there the last."""
    place = path.resolve()
    found, depth = "", -1
    for point, kind in mounts:
        parts = Path(point).parts
        if place.parts[: len(parts)] == parts and len(parts) >= depth:
            found, depth = kind.lower(), len(parts)
    return found


def explained(path: Path, error: sqlite3.Error | OSError) -> HwledgerError:
    """Return what an error of SQLite means for people."""
    from hwledger.errors import AlteredError, BusyError, FullError  # noqa: PLC0415 - beside their use

    shown, code = printable_path(path), getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return AlteredError(f"{shown}: is damaged or cut off ({error}); restore a backup that verifies")
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return BusyError(f"{shown}: another process holds it ({error}); try again, or stop that process")
    if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY}:
        return FullError(
            f"{shown}: could not be written ({error}); free the disk or make it writable, then repeat"
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return InputError(f"{shown}: cannot be opened ({error}); check its folder and its permissions")
    return MalformedError(f"{shown}: is no ledger that can be read ({error}); restore a backup that verifies")


def make_private(path: Path) -> None:
    """Create an empty file that only its owner reads, with its folder; one that is there stays.

    Raises:
        InputError: it cannot be created.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise InputError(f"{printable_path(path)}: cannot be created ({error.strerror})") from None
