"""What an operator decides of a host: let it in, let it go, keep it out."""

from sqlalchemy import Connection

from hwledger.errors import ConflictError, MissingError
from hwledger.fleet.context import Fleet
from hwledger.fleet.identity_tables import (
    ACTIVE,
    BANNED,
    JOINS,
    RETIRED,
    WAITING,
    Identity,
    certificate_of,
    identity_of,
)
from hwledger.ledger.event import Event


def approve(fleet: Fleet, host: str, *, actor: str) -> None:
    """Let in a host that waits, or let an active one come back ``JOINS`` times again.

    Raises:
        MissingError: there is no such host.
        ConflictError: it is banned, retired, or approved already.
    """

    def decide(connection: Connection) -> list[Event]:
        found = _known(connection, host)
        if found.state not in {WAITING, ACTIVE}:
            raise ConflictError(
                f"the host {host} is {found.state}; a host that waits or is active is approved"
            )
        data = {"host": host, "joins_left": JOINS}
        return [fleet.event("host.approved", f"host/{host}", data, component="enrolment", actor=actor)]

    fleet.store.decide(decide)


def retire(fleet: Fleet, host: str, *, reason: str = "", actor: str) -> None:
    """Let a host go: it is refused from now on; its machine may join again, as a new host.

    Raises:
        MissingError: there is no such host.
        ConflictError: it is retired or banned already.
    """

    def decide(connection: Connection) -> list[Event]:
        found = _known(connection, host)
        if found.state in {RETIRED, BANNED}:
            raise ConflictError(f"the host {host} is {found.state} already")
        data = {"host": host, **({"reason": reason} if reason else {})}
        return [fleet.event("host.retired", f"host/{host}", data, component="enrolment", actor=actor)]

    fleet.store.decide(decide)


def ban(fleet: Fleet, host: str, *, reason: str, actor: str) -> None:
    """Keep a host out: it is refused when this returns, and its machine may not join again.

    Raises:
        MissingError: there is no such host.
        ConflictError: it is banned already.
    """

    def decide(connection: Connection) -> list[Event]:
        if _known(connection, host).state == BANNED:
            raise ConflictError(f"the host {host} is banned already")
        data = {"host": host, "reason": reason}
        return [fleet.event("host.banned", f"host/{host}", data, component="enrolment", actor=actor)]

    fleet.store.decide(decide)


def revoke(fleet: Fleet, serial: str, *, reason: str, actor: str) -> None:
    """Accept a certificate no more: requests that show it are refused when this returns.

    Raises:
        MissingError: no host was given a certificate with this serial.
        ConflictError: it is revoked already, or no longer in use.
    """

    def decide(connection: Connection) -> list[Event]:
        found = certificate_of(connection, serial)
        if found is None:
            raise MissingError(f"no certificate has the serial {serial!r}; see the host's events")
        host = _known(connection, found.host)
        if serial in host.revoked or host.accepted(serial) is None:
            raise ConflictError(f"the certificate {serial} is not accepted any more as it is")
        data = {"host": host.id, "serial": serial, "reason": reason}
        return [fleet.event("host.cert_revoked", f"host/{host.id}", data, component="enrolment", actor=actor)]

    fleet.store.decide(decide)


def _known(connection: Connection, host: str) -> Identity:
    found = identity_of(connection, host)
    if found is None:
        raise MissingError(f"this fleet has no host {host!r}; 'hwledger hosts' lists them")
    return found
