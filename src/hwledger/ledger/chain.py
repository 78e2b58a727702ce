"""The hash chain: each event holds on to everything before it.

``chain = SHA-256("hl1" ‖ seq as 8 bytes, big-endian ‖ chain before ‖ leaf)``; sequence numbers count from 1,
and before the first event the chain is 32 zero bytes. It is checked on every page that is read; alone it
cannot show that its end was cut off or that all of it was made anew: signed checkpoints do (``note``,
``witness``).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from hwledger.errors import AlteredError
from hwledger.ledger.event import leaf_of

HASH_BYTES: Final = 32
GENESIS: Final = bytes(HASH_BYTES)
MARK: Final = b"hl1"


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a ledger.

    Attributes:
        seq: the sequence number of the last event, which is how many there are; 0: none.
        chain: the chain hash of the last event, 32 bytes.
    """

    seq: int = 0
    chain: bytes = GENESIS


@dataclass(frozen=True, slots=True)
class Entry:
    """One event as it is stored: its place, its bytes and its hashes."""

    seq: int
    body: bytes
    leaf: bytes
    chain: bytes


def next_entry(head: Head, body: bytes) -> Entry:
    """Return the entry that a body becomes after a head."""
    leaf = leaf_of(body)
    return Entry(head.seq + 1, body, leaf, chain_hash(head.seq + 1, head.chain, leaf))


def chain_hash(seq: int, before: bytes, leaf: bytes) -> bytes:
    """Return the chain hash of an event, 32 bytes."""
    return sha256(MARK + seq.to_bytes(8, "big") + before + leaf).digest()


def entries(head: Head, bodies: Iterable[bytes]) -> list[Entry]:
    """Return the entries that bodies become, one after the other, after a head."""
    made = []
    for body in bodies:
        entry = next_entry(head, body)
        head = Head(entry.seq, entry.chain)
        made.append(entry)
    return made


def follow(head: Head, page: Iterable[Entry]) -> Head:
    """Return the head after a page of entries that has to follow on a head.

    Raises:
        AlteredError: an entry is absent, moved or changed; the first one, with its sequence number.
    """
    for entry in page:
        if entry.seq != head.seq + 1:
            missing = f"event {head.seq + 1} is missing: after {head.seq} comes {entry.seq}"
            raise AlteredError(f"{missing}; restore a backup that verifies", head.seq + 1)
        if leaf_of(entry.body) != entry.leaf:
            raise AlteredError(
                f"event {entry.seq} is not what was written: its body has another hash than was stored;"
                " restore a backup that verifies",
                entry.seq,
            )
        if chain_hash(entry.seq, head.chain, entry.leaf) != entry.chain:
            raise AlteredError(
                f"event {entry.seq} does not follow on event {head.seq}: one of them was changed or moved;"
                " restore a backup that verifies",
                entry.seq,
            )
        head = Head(entry.seq, entry.chain)
    return head
