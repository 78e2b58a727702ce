"""Checking a whole ledger, page by page: nothing is trusted that can be computed again."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import orjson
from sqlalchemy import Connection, func, select

from hwledger.errors import AlteredError
from hwledger.ledger.chain import MARK, Head, follow
from hwledger.ledger.merkle import Frontier, node_hash
from hwledger.ledger.note import Checkpoint, VerifierKey, opened, unverified
from hwledger.ledger.reader import SqlReader, entry_of
from hwledger.ledger.schema import CHECKPOINT, EVENT, NODE

PAGE: Final = 4096
"""Events that are looked at together; a power of two, so that a page is a subtree."""
_LEVEL: Final = PAGE.bit_length() - 1
_ROWS: Final = (
    "SELECT seq, body, leaf, chain, id, type, subject, source, ts FROM event"
    " WHERE seq > ? AND seq <= ? ORDER BY seq"
)
_NODES: Final = "SELECT hash FROM node WHERE level = ? AND idx >= ? AND idx < ? ORDER BY idx"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_RESTORE: Final = "restore a backup that verifies"


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found, where nothing is wrong.

    Attributes:
        origin: the name of the ledger.
        head: its end.
        root: of the Merkle tree over all events, 32 bytes.
        kept: how many of its own checkpoints it was held against.
        seen: the size of the largest checkpoint from outside that it was held against; ``None``: there was
            none, so that an end that was cut off together with its checkpoints cannot have been noticed.
    """

    origin: str
    head: Head
    root: bytes
    kept: int
    seen: int | None

    @property
    def checkpoint(self) -> Checkpoint:
        """Return what could be signed now."""
        return Checkpoint(self.origin, self.head.seq, self.root)


def audit(
    reader: SqlReader,
    seen: Sequence[Checkpoint] = (),
    key: VerifierKey | None = None,
    tell: Callable[[int], None] = lambda _: None,
) -> Report:
    """Check every event, every hash and every checkpoint of a ledger.

    Args:
        reader: the ledger.
        seen: checkpoints from outside, whose signatures were checked.
        key: that the kept checkpoints have to be signed by; ``None``: only their roots are checked.
        tell: called with the number of events done.

    Returns:
        What the ledger is.

    Raises:
        AlteredError: it is not what was written; with the first sequence number that shows it.
        MalformedError: a kept checkpoint is not signed by the key.
    """
    with ThreadPoolExecutor(1) as beside, reader.connected() as connection:
        sound = beside.submit(_check_database, reader)  # the database's own work, a quarter of all
        kept = [_kept(str(row.note), key) for row in connection.execute(select(CHECKPOINT.c.note))]
        roots = _roots_to_check(reader.origin, [*kept, *seen])
        head, frontier, rows = Head(), Frontier(), _Rows(reader, connection)
        while page := rows.page(head.seq):
            head = _check_page(rows, page, head, frontier, roots)
            tell(head.seq)
        _check_end(connection, reader.origin, head, roots)
        sound.result()
    largest = max((one.size for one in seen), default=None)
    return Report(reader.origin, head, frontier.root(), len(kept), largest)


def _check_database(reader: SqlReader) -> None:
    with reader.connected() as connection:
        reader.check_database(connection)


def _kept(note: str, key: VerifierKey | None) -> Checkpoint:
    return unverified(note) if key is None else opened(note, key)


def _roots_to_check(origin: str, checkpoints: Iterable[Checkpoint]) -> dict[int, bytes]:
    """Return the root that the ledger has to have had, by size."""
    roots: dict[int, bytes] = {}
    for one in checkpoints:
        if one.origin != origin:
            raise AlteredError(
                f"this is the ledger {origin}, and a checkpoint is of {one.origin}; check the path"
            )
        if roots.setdefault(one.size, one.root) != one.root:
            raise AlteredError(
                f"two checkpoints of size {one.size} differ: it was forked; {_RESTORE}", one.size
            )
    return roots


class _Rows:
    """What a check reads, as the driver gives it: it reads millions of rows, and has no use for more."""

    def __init__(self, reader: SqlReader, connection: Connection) -> None:
        self._connection, self._reader = connection, reader
        self._page, self._some = (text.replace("?", reader.placeholder) for text in (_ROWS, _NODES))

    def page(self, after: int) -> Sequence[Any]:
        """Return the events up to the end of a page of the tree."""
        rows = self._fetched(self._page, (after, (after // PAGE + 1) * PAGE))
        if not rows:
            wanted = select(func.min(EVENT.c.seq)).where(EVENT.c.seq > after)
            beyond = self._connection.execute(wanted).scalar()
            if beyond is not None:
                raise AlteredError(
                    f"event {after + 1} is missing: after {after} comes {beyond}; {_RESTORE}", after + 1
                )
        return rows

    def nodes(self, level: int, start: int, count: int) -> list[bytes]:
        """Return the nodes of a level that are there, of so many from one on."""
        return [row[0] for row in self._fetched(self._some, (level, start, start + count))]

    def node(self, level: int, index: int) -> bytes:
        """Return one node, which has to be there."""
        return self._reader.node_of(self._connection, level, index)

    def _fetched(self, statement: str, values: tuple[int, ...]) -> Sequence[Any]:
        cursor = self._reader.cursor(self._connection)
        cursor.execute(statement, values)
        found: Sequence[Any] = cursor.fetchall()
        return found


def _check_page(
    rows: _Rows, page: Sequence[Any], head: Head, frontier: Frontier, roots: dict[int, bytes]
) -> Head:
    new = _followed(page, head)
    _check_columns(page)
    _check_tree(rows, [row[2] for row in page], head.seq)
    due = [size for size in roots if head.seq < size <= new.seq]
    if not due and len(page) == PAGE:
        frontier.add(rows.node(_LEVEL, head.seq // PAGE), _LEVEL)
    else:
        _grow(frontier, [row[2] for row in page], {size: roots[size] for size in due})
    return new


def _followed(page: Sequence[Any], head: Head) -> Head:
    """Return the head after a page; what is wrong is said by ``follow``, which looks more slowly."""
    chain = head.chain
    try:
        for seq, row in enumerate(page, head.seq + 1):
            leaf = sha256(b"\x00" + row[1]).digest()  # as ``leaf_of`` and ``chain_hash``, without the calls
            chain = sha256(MARK + seq.to_bytes(8, "big") + chain + leaf).digest()
            if row[0] != seq or row[2] != leaf or row[3] != chain:
                break
        else:
            return Head(head.seq + len(page), chain)
    except TypeError:  # no bytes
        pass
    return follow(head, [entry_of(*row[:4]) for row in page])


def _check_columns(page: Sequence[Any]) -> None:
    """Hold what is searched by against the bodies: the hash covers the body alone."""
    for seq, raw, _, _, *listed in page:
        try:
            body = orjson.loads(raw)
            since = datetime.fromisoformat(body["time"]) - _EPOCH
            moment = (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds
            said = [body["id"], body["type"], body["subject"], body["source"], moment]
        except (KeyError, TypeError, ValueError):
            raise AlteredError(f"event {seq} has a body that is no event; {_RESTORE}", seq) from None
        if said != listed:
            raise AlteredError(
                f"event {seq} is listed under another name than its body says; {_RESTORE}", seq
            )


def _check_tree(rows: _Rows, leaves: list[bytes], before: int) -> None:
    """Compute the full nodes over a page and those that the page completed above it, and compare."""
    level, first, below = 0, before, leaves
    while True:
        if first & 1:  # the left half lies in an earlier page
            below = [rows.node(level, first - 1), *below]
        level, first = level + 1, first >> 1
        each = iter(below)
        below = [node_hash(left, right) for left, right in zip(each, each, strict=False)]
        if not below:
            return
        _compare(rows, level, first, below)


def _compare(rows: _Rows, level: int, start: int, values: list[bytes]) -> None:
    found = rows.nodes(level, start, len(values))
    if found != values:
        pairs = enumerate(zip(found, values, strict=False))
        at = next((at for at, (one, other) in pairs if one != other), len(found))
        seq = ((start + at) << level) + 1
        raise AlteredError(f"the Merkle tree is not that of the events, from event {seq} on; {_RESTORE}", seq)


def _grow(frontier: Frontier, leaves: list[bytes], roots: dict[int, bytes]) -> None:
    for leaf in leaves:
        frontier.add(leaf)
        if frontier.size in roots and frontier.root() != roots[frontier.size]:
            raise AlteredError(
                f"the first {frontier.size} events are not those of the checkpoint of that size: history was"
                f" made anew or forked; {_RESTORE}",
                frontier.size,
            )


def _check_end(connection: Connection, origin: str, head: Head, roots: dict[int, bytes]) -> None:
    largest = max(roots, default=0)
    if largest > head.seq:
        raise AlteredError(
            f"the ledger {origin} has {head.seq} events and a checkpoint of {largest}: its end was cut off or"
            f" an old copy was put back; events {head.seq + 1} to {largest} are missing",
            head.seq + 1,
        )
    if 0 in roots and roots[0] != Frontier().root():
        raise AlteredError(f"the checkpoint of size 0 is not that of an empty ledger; {_RESTORE}")
    first = connection.execute(select(func.min(EVENT.c.seq))).scalar()
    if first is not None and first < 1:
        raise AlteredError(f"event {first} stands before the first; {_RESTORE}", first)
    nodes = connection.execute(select(func.count()).select_from(NODE)).scalar_one()
    if nodes != head.seq - head.seq.bit_count():
        raise AlteredError(f"the Merkle tree has {nodes} nodes, not what {head.seq} events make; {_RESTORE}")
