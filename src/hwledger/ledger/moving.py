"""Moving a ledger to another store, byte for byte: from a file to PostgreSQL, and back."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from hwledger.errors import ConflictError, MissingError
from hwledger.ledger.audit import Report, audit
from hwledger.ledger.chain import Entry, Head
from hwledger.ledger.copies import in_place
from hwledger.ledger.opening import file_of, open_reader, open_store
from hwledger.ledger.reader import SqlReader
from hwledger.ledger.writer import SqlStore

_PAGE: Final = 2000
Tell = Callable[[int, int], None]
"""Is called with how many events are there, and how many there are to be."""


def migrate(source: str | Path, target: str | Path, tell: Tell = lambda *_: None) -> Head:
    """Copy a ledger with its checkpoints to where none is, or where a beginning of it is.

    Nobody may write either meanwhile. All of it is there at the end, or nothing more than before: each event
    is held against the chain on both sides, and the two ends are compared.

    Args:
        source: a path or an address, as ``opening`` takes them.
        target: another one.
        tell: is told how far it is.

    Returns:
        The end of both.

    Raises:
        BusyError: somebody writes to one of them, or both are the same.
        ConflictError: the target is another ledger, has more, or goes on differently.
        AlteredError: the source is not what was written.
    """
    with open_reader(source) as reader:  # that there is one, before a lock is made beside it
        origin = reader.origin
    path = file_of(target)
    with open_store(source, projections=()) as kept:
        if path is None or path.exists():
            with open_store(target, origin=origin) as store:  # refused where it is the same: it is locked
                return _filled(kept, store, tell)
        with in_place(path) as part, open_store(part, origin=origin) as store:
            return _filled(kept, store, tell)


def _filled(source: SqlReader, store: SqlStore, tell: Tell) -> Head:
    wanted, begun = source.head(), store.head()
    _refuse_other(source, store, wanted, begun)
    pages = _pages(source, begun.seq, wanted.seq, tell)
    notes = {size: note for size, note in source.notes().items() if size <= wanted.seq}
    found = store.take_in(pages, notes)
    if found != wanted:
        raise ConflictError(
            f"{store.name}: ends at event {found.seq} with another hash than {source.name}; verify both"
        )
    return found


def _refuse_other(source: SqlReader, store: SqlStore, wanted: Head, begun: Head) -> None:
    if source.origin != store.origin:
        raise ConflictError(
            f"{store.name}: is the ledger {store.origin} and not {source.origin}; choose an empty target"
        )
    if begun.seq > wanted.seq:
        raise ConflictError(
            f"{store.name}: has {begun.seq} events, more than the {wanted.seq} of {source.name}; the other"
            " direction may be meant"
        )
    if begun.seq and source.get(begun.seq).chain != begun.chain:
        raise ConflictError(
            f"{store.name}: goes on differently than {source.name} before event {begun.seq + 1}; verify both"
        )


def _pages(source: SqlReader, after: int, last: int, tell: Tell) -> Iterator[Sequence[Entry]]:
    while after < last:
        page = source.read(after, min(_PAGE, last - after))
        if not page:
            raise MissingError(f"{source.name}: event {after + 1} is missing; restore a backup that verifies")
        yield page
        after = page[-1].seq
        tell(after, last)


def backup_whole(source: str | Path, target: Path) -> Report:
    """Copy a ledger event by event to a new file, also while others write it, and check the copy.

    Returns:
        What the copy holds.

    Raises:
        UsageError: there is a file already.
        HwledgerError: the ledger cannot be read, or is not whole; nothing is left behind.
    """
    with in_place(target) as part:
        with open_reader(source) as reader, open_store(part, origin=reader.origin) as store:
            _filled(reader, store, lambda *_: None)
        with open_reader(part) as made:
            return audit(made)
