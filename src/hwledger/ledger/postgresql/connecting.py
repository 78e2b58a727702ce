"""Connections to a PostgreSQL server, with the settings that the ledger's promises rest on."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import QueuePool, StaticPool

from hwledger.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg import Connection

SCHEMES: Final = ("postgresql://", "postgres://")
OLDEST: Final = 140_000
"""Of the servers that this room is for: 14, as ``server_version`` counts."""
_READERS: Final = 4
_WAIT_SECONDS: Final = 10
_NEVER_CUT: Final = (
    "SET statement_timeout = 0",
    "SET idle_session_timeout = 0",
    "SET idle_in_transaction_session_timeout = 0",
    "SET client_min_messages = warning",
)
"""A check reads for minutes and a writer waits for days; who set a role to be cut off meant others."""
_WRITING: Final = (
    *_NEVER_CUT,
    # each statement sees what was committed before it: so the next writer sees all of the one before
    "SET default_transaction_isolation = 'read committed'",
    "SET synchronous_commit = on",  # off loses acknowledged events when the server's power fails
    "SET tcp_keepalives_idle = 10",  # a writer whose machine is gone holds the lock for half a minute more
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 4",
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a ledger is on a PostgreSQL server.

    Attributes:
        conninfo: what libpq is given; it may hold a password.
        name: the same as it can be printed, without password.
        secret: the password, which no sentence may show; empty: there is none.
    """

    conninfo: str
    name: str
    secret: str

    @classmethod
    def read(cls, address: str) -> Self:
        """Return what an address says.

        Raises:
            UsageError: it is none, or psycopg is not installed.
        """
        psycopg = driver()
        try:
            said = psycopg.conninfo.conninfo_to_dict(address)
        except psycopg.Error:  # what libpq says of it holds the address, and a password with it
            raise UsageError(
                "this is no address of a PostgreSQL database; it is like postgresql://user@host:5432/database"
            ) from None
        user, host, port = (str(said.get(one) or "") for one in ("user", "host", "port"))
        where = f"{f'{user}@' if user else ''}{host}{f':{port}' if port else ''}"
        name = f"postgresql://{where}/{said.get('dbname') or ''}"
        shown = name if name.isprintable() else ascii(name)
        return cls(address, shown, str(said.get("password") or ""))


def driver() -> Any:
    """Return psycopg.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import psycopg  # noqa: PLC0415 - an extra, and start-up time
    except ImportError:
        raise UsageError(
            "a ledger on PostgreSQL needs psycopg, which is not installed; pip install 'hwledger[postgresql]'"
        ) from None
    return psycopg


def session(address: Address) -> "Connection[Any]":
    """Return a new session that writes, outside of any transaction.

    Raises:
        InputError: the server is too old, or does not keep what it acknowledges.
        psycopg.Error: there is no session to be had.
    """
    connection = _connected(address, _WRITING)
    try:
        _check_server(connection, address)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_server(connection: "Connection[Any]", address: Address) -> None:
    if connection.info.server_version < OLDEST:
        raise InputError(f"{address.name}: this server is older than PostgreSQL 14; use a newer one")
    settings = {name: connection.execute(f"SHOW {name}").fetchone() for name in ("fsync", "server_encoding")}
    if settings["fsync"] != ("on",):
        raise InputError(
            f"{address.name}: this server runs with fsync=off and loses what it acknowledged; set it to on"
        )
    if settings["server_encoding"] != ("UTF8",):
        raise InputError(f"{address.name}: this database is not in UTF-8; create one with ENCODING 'UTF8'")


def _connected(address: Address, settings: tuple[str, ...]) -> "Connection[Any]":
    connection: Connection[Any] = driver().connect(
        address.conninfo,
        autocommit=True,
        connect_timeout=_WAIT_SECONDS,
        application_name="hwledger",
        client_encoding="utf8",
    )
    try:
        for setting in settings:
            connection.execute(setting)
    except BaseException:
        connection.close()
        raise
    return connection


def reading_engine(address: Address) -> Engine:
    """Return an engine whose connections only read, each at a moment of its own."""
    from psycopg import IsolationLevel  # noqa: PLC0415 - start-up time

    def connect() -> "Connection[Any]":
        connection = _connected(address, _NEVER_CUT)
        connection.autocommit = False
        connection.read_only = True
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        return connection

    return _engine(connect, poolclass=QueuePool, pool_size=_READERS, max_overflow=-1, pool_pre_ping=True)


def writing_engine(connect: "Callable[[], Connection[Any]]") -> Engine:
    """Return an engine of one session; ``connect`` gives it once, and raises when it is asked again."""
    return _engine(connect, poolclass=StaticPool)


def _engine(connect: "Callable[[], Connection[Any]]", **options: Any) -> Engine:
    return create_engine("postgresql+psycopg://", creator=connect, hide_parameters=True, **options)
