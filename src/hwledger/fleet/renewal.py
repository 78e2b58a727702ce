"""The next certificate of a host: over mTLS while one is valid, with proof of the key once it ran out."""

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from sqlalchemy import Connection

from hwledger.errors import ConflictError
from hwledger.fleet.admission import Outcome, answer, answer_of, issue
from hwledger.fleet.certificates import AGENT_LIFE, Authorities
from hwledger.fleet.context import Fleet
from hwledger.fleet.identities import Member, reused
from hwledger.fleet.identity_tables import (
    ACTIVE,
    Certificate,
    Identity,
    RefusedError,
    earlier_certificates,
    host_of_key,
    identity_of,
)
from hwledger.fleet.nonces import Nonces
from hwledger.fleet.signing import is_signed, key_hash, requested_key
from hwledger.fleet.wire.enrolment import EnrolAnswer, ProofRequest, proof_text
from hwledger.ledger.event import Event

_UNPROVED: Final = "the proof is not signed with the key of a host of this fleet; join with a token"
_MINUTE: Final = 60_000_000
_EARLIER: Final = 8
"""Certificates of a host whose keys raise the alarm when they sign a proof."""


def renew(fleet: Fleet, authorities: Authorities, member: Member, csr_pem: str) -> EnrolAnswer:
    """Return the next certificate of a member, for a new key.

    Until it is first used the one before is accepted, too; from then on it alone. The same request again gets
    the same certificate.

    Raises:
        ConflictError: the key is not new, or another was given a certificate less than a minute ago.
        RefusedError: the member is one no more.
        MalformedError: the request for a certificate cannot be used.
    """
    key, outcome = requested_key(csr_pem), Outcome()

    def decide(connection: Connection) -> list[Event]:
        host = _active(identity_of(connection, member.host), member.serial)
        following, now = host.next, fleet.clock()
        if following is not None and following.key == key_hash(key) and following.is_valid(now):
            outcome.answer = answer(authorities, following, now)
            return []
        _check_new(connection, key)
        if following is not None and 0 <= now - (following.not_after - AGENT_LIFE) < _MINUTE:
            raise ConflictError(
                "this host was given a certificate for another key a moment ago; use that one"
            )
        issued, data = issue(fleet, authorities, host.id, key)
        outcome.answer = answer_of(authorities, host.id, issued)
        data["previous"] = member.serial
        return [fleet.event("host.cert_issued", f"host/{host.id}", data, component="enrolment")]

    fleet.store.decide(decide)
    return outcome.result()


def _active(host: Identity | None, serial: str) -> Identity:
    if host is None or host.state != ACTIVE or serial in host.revoked or host.accepted(serial) is None:
        raise RefusedError("superseded", "this certificate is not accepted any more; ask who runs the fleet")
    return host


def _check_new(connection: Connection, key: ec.EllipticCurvePublicKey) -> None:
    if host_of_key(connection, key_hash(key)) is not None:
        raise ConflictError("a certificate is renewed for a new key, and this one was used; make a new key")


def renew_with_proof(
    fleet: Fleet, authorities: Authorities, nonces: Nonces, request: ProofRequest
) -> EnrolAnswer:
    """Return the next certificate of a host whose certificate ran out, for a new key.

    Or is not valid yet: it was made while the server's clock was ahead. The proof is a signature by the key
    of its last certificate. It uses up one of ``joins_left``. A signature by a key that was replaced before
    raises the alarm, as the use of its certificate does.

    Raises:
        RefusedError: the nonce is not known, the proof is false, or the host is not active or came back too
            often.
        ConflictError: a certificate of the host is valid still, or the key is not new.
        MalformedError: the request for a certificate cannot be used.
    """
    if not nonces.knows(request.host, request.nonce):
        raise RefusedError(
            "nonce", "this nonce was not given to this host in the last minute; ask for another"
        )
    proving = _Proving(fleet, authorities, request, requested_key(request.csr), Outcome())
    fleet.store.decide(proving.decide)
    return proving.outcome.result()


@dataclass(frozen=True, slots=True)
class _Proving:
    fleet: Fleet
    authorities: Authorities
    request: ProofRequest
    key: ec.EllipticCurvePublicKey
    outcome: Outcome

    def decide(self, connection: Connection) -> list[Event]:
        host = identity_of(connection, self.request.host)
        if host is None:
            raise RefusedError("proof", _UNPROVED)
        signer = self._signer(connection, host)
        if host.state != ACTIVE or host.active is None:
            raise RefusedError(host.state, f"this host is {host.state}; ask who runs the fleet")
        if host.active.key == key_hash(self.key):  # the answer was lost, and the request shows this key, too
            return self._again(host, host.active)
        if signer.serial not in {one.serial for one in (host.active, host.next) if one}:
            return self._alarm(host, signer)
        self._check(host, signer)
        _check_new(connection, self.key)
        return [self._renewed(host, signer)]

    def _again(self, host: Identity, active: Certificate) -> list[Event]:
        """Hand over the certificate that was made for this key, or another where it ran out meanwhile."""
        if not active.is_valid(self.fleet.clock()):
            self._check(host, active)
            return [self._renewed(host, active)]
        self.outcome.answer = answer(self.authorities, active, self.fleet.clock())
        return []

    def _signer(self, connection: Connection, host: Identity) -> Certificate:
        """Return the certificate of the host whose key signed the proof."""
        text = proof_text(host.id, self.request.nonce, key_hash(self.key))
        try:
            signature = base64.b64decode(self.request.signature, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            signature = b""
        for one in earlier_certificates(connection, host.id, _EARLIER):
            public = load_der_public_key(one.public)
            if isinstance(public, ec.EllipticCurvePublicKey) and is_signed(public, signature, text):
                return one
        raise RefusedError("proof", _UNPROVED)

    def _alarm(self, host: Identity, signer: Certificate) -> list[Event]:
        self.outcome.refusal = RefusedError("reused", "this key was replaced by another: its host is banned")
        return reused(self.fleet, host.id, signer.serial)

    def _check(self, host: Identity, signer: Certificate) -> None:
        both, now = (one for one in (host.active, host.next) if one), self.fleet.clock()
        if any(one.is_valid(now) and one.serial not in host.revoked for one in both):
            raise ConflictError("a certificate of this host is valid still; renew it on the agents' port")
        if signer.serial in host.revoked:
            raise RefusedError("revoked", "this certificate was revoked; ask who runs the fleet")
        if host.joins_left < 1:
            raise RefusedError(
                "joins", "this host came back too often; have it approved, or join with a token"
            )

    def _renewed(self, host: Identity, signer: Certificate) -> Event:
        issued, data = issue(self.fleet, self.authorities, host.id, self.key)
        self.outcome.answer = answer_of(self.authorities, host.id, issued)
        data |= {"previous": signer.serial, "joins_left": host.joins_left - 1}
        return self.fleet.event("host.cert_renewed", f"host/{host.id}", data, component="enrolment")
