"""Whether a request of an agent is let in: asked of every request, answered from memory.

A certificate that passed the handshake is not enough: connections outlive certificates, hosts are banned, and
keys are stolen. So each request is held to what the ledger says at that moment.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from hwledger.fleet.context import Fleet
from hwledger.fleet.identity_tables import (
    ACTIVE,
    Certificate,
    Identity,
    RefusedError,
    certificate_of,
    identities_of,
    identity_of,
)
from hwledger.fleet.presented import Presented, presented
from hwledger.ledger.event import Event, time_text

AGENT_PATHS: Final = "/a/v1/"
"""What a certificate of an agent opens: paths that begin so."""


@dataclass(frozen=True, slots=True)
class Member:
    """A host that was let in.

    Attributes:
        host: its UUID.
        serial: of the certificate that it showed, hexadecimal.
        not_after: of that certificate, microseconds since 1970.
    """

    host: str
    serial: str
    not_after: int


class Verdict(Enum):
    """What a request means for the identity of who makes it."""

    PLAIN = "nothing changes"
    FIRST_USE = "the next certificate is used for the first time: the one before ends"
    REUSED = "a certificate is used after its successor: its key is in two hands"


@dataclass(frozen=True, slots=True)
class Standing:
    """A member, and what has to be put on record before it is let in; ``settle`` does."""

    member: Member
    verdict: Verdict


def check_member(fleet: Fleet, certificate_der: bytes, path: str) -> Member:
    """Return who makes a request, and put on record what it means; see ``standing`` and ``settle``.

    Raises:
        DeniedError: the request is refused.
        FullError: what it means cannot be put on record, so it is refused.
    """
    return settle(fleet, standing(fleet, certificate_der, path))


def standing(fleet: Fleet, certificate_der: bytes, path: str) -> Standing:
    """Return who makes a request and what it means; from memory, but for hosts that something happened to.

    Args:
        fleet: whose store has the projection ``Identities`` and is written by this process.
        certificate_der: what was shown in the handshake, which proved the key and the authority.
        path: that is asked for.

    Raises:
        DeniedError: the request is refused; nothing needs to be put on record.
    """
    shown, now = presented(certificate_der), fleet.clock()
    if not path.startswith(AGENT_PATHS):
        raise RefusedError("path", f"an agent asks for {AGENT_PATHS}… alone; use the API for the rest")
    if shown.trust_domain != fleet.trust_domain:
        raise RefusedError("trust-domain", "this certificate is of another fleet; join this one with a token")
    if not shown.not_before <= now < shown.not_after:
        raise RefusedError("expired", "this certificate ran out or is not valid yet; renew it with proof")
    found = identities_of(fleet.store).of(fleet.store, shown.host)
    if found is None:
        raise RefusedError("unknown", "no host of this fleet has that name; join it with a token")
    if found.state != ACTIVE:
        raise RefusedError(found.state, f"this host is {found.state}; ask who runs the fleet")
    return Standing(Member(shown.host, shown.serial, shown.not_after), _verdict(fleet, found, shown))


def _verdict(fleet: Fleet, found: Identity, shown: Presented) -> Verdict:
    known = found.accepted(shown.serial)
    if known is None:
        earlier = fleet.store.query(lambda connection: certificate_of(connection, shown.serial))
        if earlier is None or (earlier.host, earlier.key) != (shown.host, shown.key):
            raise RefusedError("not-issued", "this certificate is not on record; join the fleet with a token")
        return Verdict.REUSED
    if known.sha256 != shown.sha256:
        raise RefusedError("not-issued", "this certificate is not the one on record; join the fleet anew")
    if shown.serial in found.revoked:
        raise RefusedError("revoked", "this certificate was revoked; ask who runs the fleet")
    return Verdict.FIRST_USE if known is found.next else Verdict.PLAIN


def settle(fleet: Fleet, found: Standing) -> Member:
    """Put on record what a request means, and return who made it; waits for the disk unless nothing changes.

    Raises:
        RefusedError: a certificate was used after its successor; the host is banned when this is raised.
        FullError: it cannot be put on record.
    """
    if found.verdict is Verdict.FIRST_USE:
        fleet.store.decide(
            lambda connection: _first_use(fleet, identity_of(connection, found.member.host), found)
        )
    elif found.verdict is Verdict.REUSED:
        fleet.store.decide(
            lambda connection: _reused(fleet, identity_of(connection, found.member.host), found)
        )
        raise RefusedError("reused", "this certificate was replaced by another: its host is banned")
    return found.member


def _first_use(fleet: Fleet, host: Identity | None, found: Standing) -> list[Event]:
    serial = found.member.serial
    if host is None or host.state != ACTIVE or host.accepted(serial) is None or serial in host.revoked:
        raise RefusedError("superseded", "this certificate was replaced meanwhile; renew it")
    if host.next is None or host.next.serial != serial:
        return []
    return [renewed(fleet, host.id, host.next, host.active.serial if host.active else "")]


def renewed(fleet: Fleet, host: str, following: Certificate, previous: str) -> Event:
    """Return the event that says that a certificate took the place of another."""
    data = {
        "host": host, "serial": following.serial, "previous": previous, "key": following.key,
        "not_after": time_text(following.not_after),
    }  # fmt: skip
    return fleet.event("host.cert_renewed", f"host/{host}", data, component="identity")


def _reused(fleet: Fleet, host: Identity | None, found: Standing) -> list[Event]:
    if host is None or host.state != ACTIVE or host.accepted(found.member.serial):
        return []
    return reused(fleet, host.id, found.member.serial)


def reused(fleet: Fleet, host: str, serial: str) -> list[Event]:
    """Return the events of a certificate or key that was used after its successor: an alarm and a ban."""
    alarm = fleet.event(
        "host.cert_reused", f"host/{host}", {"host": host, "serial": serial}, component="identity"
    )
    reason = f"certificate {serial} was used after its successor"
    data = {"host": host, "reason": reason}
    return [alarm, fleet.event("host.banned", f"host/{host}", data, component="identity", cause=alarm.id)]


__all__ = [
    "AGENT_PATHS", "Member", "RefusedError", "Standing", "Verdict", "check_member", "renewed", "reused",
    "settle", "standing",
]  # fmt: skip
