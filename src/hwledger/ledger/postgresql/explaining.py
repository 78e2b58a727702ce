"""What an error of PostgreSQL means for people; a password is never part of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy.exc import DBAPIError

from hwledger.errors import (
    AlteredError,
    BusyError,
    DeniedError,
    FullError,
    HwledgerError,
    MalformedError,
    MissingError,
    UnreachableError,
)
from hwledger.ledger.postgresql.connecting import Address, driver

_LOGIN: Final = ("password", "no pg_hba.conf entry", "authentication", "role", "not permitted to log in")
"""What libpq's text has where a server lets nobody in; it gives no code for what happens before a session."""
_SAID: Final[dict[str, tuple[type[HwledgerError], str]]] = {
    "HL001": (MalformedError, "somebody wrote past the lock ({}); restore a backup that verifies"),
    "HL002": (BusyError, "another writer took over ({}); open the ledger again"),
    "23": (MalformedError, "somebody wrote past the lock ({}); restore a backup that verifies"),
    "25": (FullError, "takes nothing new ({}); write to the server that is no standby"),
    "28": (DeniedError, "the server lets nobody in ({}); check user and password"),
    "3D": (MissingError, "there is no such database ({}); create it with createdb"),
    "42501": (DeniedError, "a right is missing ({}); let the owner of the ledger's tables write it"),
    "42": (MalformedError, "is no ledger that can be read ({}); restore a backup that verifies"),
    "53300": (BusyError, "the server has too many sessions ({}); try again"),
    "53": (FullError, "could not be written ({}); free the server's disk, then repeat"),
    "55": (BusyError, "another process holds it ({}); try again, or stop that process"),
    "40": (BusyError, "another process was in the way ({}); try again"),
    "57": (UnreachableError, "the server ended the session ({}); when it is back, open the ledger again"),
    "58": (FullError, "the server cannot write ({}); see to its disk, then repeat"),
    "XX001": (AlteredError, "is damaged ({}); restore a backup that verifies"),
    "XX002": (AlteredError, "has a damaged index ({}); REINDEX it, then verify"),
}
"""By SQLSTATE, or its class: appendix A of PostgreSQL's manual; HL… are those of our own triggers."""


@contextmanager
def explaining(address: Address) -> Iterator[None]:
    """Turn errors of the database into sentences.

    Raises:
        HwledgerError: whichever fits.
    """
    psycopg = driver()
    try:
        yield
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.Error):
            raise explained(address, error.orig) from None
        raise
    except psycopg.Error as error:
        raise explained(address, error) from None


def explained(address: Address, error: Any) -> HwledgerError:
    """Return what an error of PostgreSQL means, a ``psycopg.Error``."""
    code = error.sqlstate or ""
    told = _told(address, error)
    for known in (code, code[:2]):
        if known in _SAID:
            kind, sentence = _SAID[known]
            return kind(f"{address.name}: {sentence.format(told)}")
    if code:
        return MalformedError(
            f"{address.name}: the server refused it ({told}); update hwledger, or report it"
        )
    if "does not exist" in told and "database" in told:
        kind, sentence = _SAID["3D"]
    elif any(word in told for word in _LOGIN):
        kind, sentence = _SAID["28"]
    else:
        kind, sentence = UnreachableError, "the server does not answer ({}); start it, or check the address"
    return kind(f"{address.name}: {sentence.format(told)}")


def _told(address: Address, error: Any) -> str:
    """Return the last thing that the server or libpq says, in a line, without the password."""
    lines = [line.strip() for line in str(error.diag.message_primary or error).splitlines() if line.strip()]
    told = lines[0] if lines else type(error).__name__
    if not error.sqlstate and len(lines) > 1 and "failed" not in told:
        told = lines[-1]
    told = told.rpartition("FATAL:")[2].strip() or told
    if address.secret:
        told = told.replace(address.secret, "***")
    return told if told.isprintable() else ascii(told)
