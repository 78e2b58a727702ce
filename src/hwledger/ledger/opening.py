"""Opening a ledger by its address: a path, ``sqlite:///path`` or ``postgresql://…``."""

from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from hwledger.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hwledger.ledger.projections import Projection
    from hwledger.ledger.reader import SqlReader
    from hwledger.ledger.writer import SqlStore

_SQLITE: Final = "sqlite:"
_SERVERS: Final = ("postgresql:", "postgres:")


def open_store(
    address: str | Path,
    *,
    origin: str | None = None,
    projections: "Sequence[Projection] | None" = None,
    patience_seconds: float = 0,
) -> "SqlStore":
    """Open a ledger for writing; it is made where there is none.

    Args:
        address: a path, ``sqlite:///path`` (``sqlite:////path`` from the root) or ``postgresql://…``.
        origin: the name of a new ledger; a random one if not given.
        projections: which to keep; those of the ledger if not given.
        patience_seconds: how long to wait for another process that writes.

    Raises:
        UsageError: no ledger has such an address.
        HwledgerError: as the stores say.
    """
    path = file_of(address)
    if path is None:
        from hwledger.ledger.postgresql import PostgresStore  # noqa: PLC0415 - an extra

        return PostgresStore(
            str(address), origin=origin, projections=projections, patience_seconds=patience_seconds
        )
    from hwledger.ledger.sqlite import SqliteStore  # noqa: PLC0415 - start-up time

    return SqliteStore(path, origin=origin, projections=projections, patience_seconds=patience_seconds)


def open_reader(address: str | Path) -> "SqlReader":
    """Open a ledger for reading.

    Raises:
        UsageError: no ledger has such an address.
        HwledgerError: as the readers say.
    """
    path = file_of(address)
    if path is None:
        from hwledger.ledger.postgresql import PostgresReader  # noqa: PLC0415 - an extra

        return PostgresReader(str(address))
    from hwledger.ledger.sqlite import SqliteReader  # noqa: PLC0415 - start-up time

    return SqliteReader(path)


def file_of(address: str | Path) -> Path | None:
    """Return the file that an address means; ``None``: it is one of PostgreSQL.

    Raises:
        UsageError: it is neither.
    """
    if isinstance(address, Path):
        return address
    if address.startswith(_SERVERS):
        return None
    scheme, _, rest = address.partition("://")
    if address.startswith(_SQLITE):
        path = unquote(address.removeprefix("sqlite:///") if rest else address.removeprefix(_SQLITE))
        if not path or (address.startswith("sqlite://") and not address.startswith("sqlite:///")):
            raise UsageError(
                "an address of a file is sqlite:///ledger.db, or sqlite:////srv/ledger.db from the root"
            )
        return Path(path).expanduser()
    if rest:
        raise UsageError(f"no ledger has an address {scheme}://…; give a file, sqlite:///… or postgresql://…")
    return Path(address).expanduser()
