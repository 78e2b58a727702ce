"""Copies of a ledger file: backups, putting one back, and an export that needs no database to be checked."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from hwledger.errors import InputError, UsageError
from hwledger.ledger.audit import Report, audit
from hwledger.ledger.reader import SqlReader
from hwledger.ledger.sqlite.connecting import explaining
from hwledger.ledger.sqlite.places import check_local, make_private, printable_path
from hwledger.ledger.sqlite.reading import SqliteReader
from hwledger.ledger.sqlite.writing import locked

_PAGE: Final = 1000


def backup(source: Path, target: Path) -> Report:
    """Copy a ledger, also while others write it, and check the copy; it is there whole or not at all.

    Of one that has frozen beginnings the copy is one file of everything.

    Returns:
        What the copy holds.

    Raises:
        UsageError: there is a file already.
        HwledgerError: the ledger cannot be read, or is not whole; nothing is left behind.
    """
    with SqliteReader(source) as reader:
        if reader.shards():
            from hwledger.ledger.moving import backup_whole  # noqa: PLC0415 - which builds on this

            return backup_whole(source, target)
    with in_place(target) as part:
        make_private(part)
        with explaining(source):
            _copy(source, part)
        with SqliteReader(part) as reader:
            return audit(reader)


@contextmanager
def in_place(target: Path) -> Iterator[Path]:
    """Give a path to make a file at, which is put in place when it was made; nothing else is left behind.

    Raises:
        UsageError: there is a file already.
    """
    _refuse_taken(target)
    part = target.with_name(f"{target.name}.part")
    _clear(part)
    try:
        yield part
        _put(part, target)
    finally:
        _clear(part)


def _clear(part: Path) -> None:
    for ending in ("", "-wal", "-shm", "-journal", ".lock"):
        part.with_name(f"{part.name}{ending}").unlink(missing_ok=True)


def restore(source: Path, target: Path) -> Report:
    """Put a backup where a ledger was, after it was checked; nobody may write there meanwhile.

    A ledger that is there is never replaced: it may hold more. What writes next continues the backup; who
    has seen a checkpoint of a later size is shown that events are missing.

    Returns:
        What was put back.

    Raises:
        UsageError: there is a file already.
        BusyError: somebody writes there.
        HwledgerError: the backup cannot be read, or is not whole.
    """
    check_local(target)
    _refuse_taken(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{printable_path(target)}: cannot be created ({error.strerror})") from None
    lock = locked(target)
    try:
        return backup(source, target)
    finally:
        lock.release()


def _refuse_taken(target: Path) -> None:
    for name in (target.name, f"{target.name}-wal"):
        if target.with_name(name).exists():
            raise UsageError(
                f"{printable_path(target.with_name(name))}: is there and is not replaced; move it away"
            )


def _copy(source: Path, part: Path) -> None:
    with closing(sqlite3.connect(source)) as reading, closing(sqlite3.connect(part)) as writing:
        reading.execute("PRAGMA query_only=ON")
        reading.backup(writing)
        writing.execute("PRAGMA journal_mode=DELETE")  # one file, with nothing beside it


def _put(part: Path, target: Path) -> None:
    try:
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.link(part, target)  # unlike a rename, it replaces nothing that came meanwhile
    except FileExistsError:
        raise UsageError(
            f"{printable_path(target)}: is there already and is not replaced; move it away"
        ) from None
    except OSError as error:
        raise InputError(f"{printable_path(target)}: cannot be written ({error.strerror})") from None


def exported(reader: SqlReader, after: int = 0) -> Iterator[bytes]:
    """Yield the bodies, a line each: line *n* is event *n*, byte for byte what was hashed.

    Raises:
        AlteredError: an event is not what was written.
    """
    while page := reader.read(after, _PAGE):
        yield b"".join(entry.body + b"\n" for entry in page)
        after = page[-1].seq
