"""The use case of freezing the local ledger: sealed, signed, and on record in what goes on behind it."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hwledger.errors import UsageError
from hwledger.history import source_name, user_name
from hwledger.ledger.event import Event, new_id
from hwledger.ledger.sqlite import SqliteStore
from hwledger.ledger.sqlite.freezing import freeze, shrink
from hwledger.ledger.types import shipped_types

if TYPE_CHECKING:
    from hwledger.ledger.note import Checkpoint
    from hwledger.ledger.writer import SqlStore

FROZEN: Final = "fleet.ledger.shard_frozen.v1"


def freeze_ledger(store: "SqlStore", signed: "Checkpoint", note: str) -> Path:
    """Seal all events of a ledger in a file beside it, and put that on record as the next event.

    Args:
        store: the ledger, open without projections, checked and signed just now.
        signed: what was signed.
        note: the signed checkpoint.

    Returns:
        The sealed file.

    Raises:
        UsageError: it is on PostgreSQL, or there is nothing to freeze.
        HwledgerError: as ``sqlite.freezing.freeze``.
    """
    if not isinstance(store, SqliteStore):
        raise UsageError(
            f"{store.name}: only a ledger in a file is frozen; PostgreSQL needs no smaller files"
        )
    sealed = freeze(store)
    moment, user = time.time_ns() // 1000, user_name()
    data = {"size": signed.size, "root": signed.root.hex(), "note": note}
    event = Event(
        new_id(moment, os.urandom(10)), source_name(user), FROZEN, f"ledger/{sealed.name}", moment, data,
        actor=f"user:{user}",
    )  # fmt: skip
    shipped_types().check(event)
    store.append([event])
    return sealed


def shrink_ledger(ledger: Path | str) -> None:
    """Give the room that frozen events took in a file back to the disk."""
    if isinstance(ledger, Path):
        shrink(ledger)
