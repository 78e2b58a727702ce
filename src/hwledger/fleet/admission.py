"""Letting hosts in: each decision reads what is so and adds what follows, in one transaction."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection

from hwledger.errors import ConflictError, HwledgerError
from hwledger.fleet.certificates import Authorities, Issued
from hwledger.fleet.context import Fleet
from hwledger.fleet.identity_tables import (
    ACTIVE,
    APPROVED,
    WAITING,
    Certificate,
    Identity,
    RefusedError,
    host_of_key,
    is_banned_machine,
)
from hwledger.fleet.signing import key_hash, requested_key
from hwledger.fleet.tokens import MOST_REFUSALS, TokenState, expired, token_of
from hwledger.fleet.wire.enrolment import EnrolAnswer, EnrolRequest
from hwledger.fleet.wire.tokens import secret_hash
from hwledger.ledger.event import Event, new_id, time_text

_SERIAL_BYTES: Final = 16


@dataclass
class Outcome:
    """What a decision came to, beside its events.

    A refusal that has to be on record is not raised in the decision, which would undo it, but after it.
    """

    answer: EnrolAnswer | None = None
    refusal: HwledgerError | None = None

    def result(self) -> EnrolAnswer:
        """Return the answer, or raise the refusal."""
        if self.refusal is not None:
            raise self.refusal
        if self.answer is None:
            raise AssertionError("the decision came to nothing")  # a fault of the program
        return self.answer


def enrol(fleet: Fleet, authorities: Authorities, request: EnrolRequest) -> EnrolAnswer:
    """Return what a machine gets that shows a join token: a certificate, or that it has to wait.

    The use of the token, the identity and their events are one transaction. The same request again (the same
    token and key) gets the same answer, also after the token's end, and the certificate once it was approved.

    Returns:
        An answer without the address of the agents' listener and the key of the checkpoints.

    Raises:
        RefusedError: the token is unknown, used up or over, the machine was banned, or the host ended.
        ConflictError: the key belongs to a host already.
        MalformedError: the request for a certificate, or the inventory, cannot be used.
    """
    asking = _Asking(fleet, authorities, request, requested_key(request.csr), Outcome())
    fleet.store.decide(asking.decide)
    return asking.outcome.result()


@dataclass(frozen=True, slots=True)
class _Asking:
    fleet: Fleet
    authorities: Authorities
    request: EnrolRequest
    key: ec.EllipticCurvePublicKey
    outcome: Outcome

    def decide(self, connection: Connection) -> list[Event]:
        token = token_of(connection, secret_hash(self.request.secret))
        if token is None:
            raise RefusedError("token-unknown", "this join token is not known; make one on this server")
        known = host_of_key(connection, key_hash(self.key))
        if known is not None:
            return self._again(known, token)
        if is_banned_machine(connection, self.request.machine):
            raise RefusedError("banned", "a host on this machine was banned; ask who runs the fleet")
        if token.uses_left < 1:
            return self._used_up(token)
        if token.expires <= self.fleet.clock():
            return self._over(token)
        return self._let_in(token)

    def _again(self, known: Identity, token: TokenState) -> list[Event]:
        """Answer a request that was answered before, or whose host was approved meanwhile."""
        if known.token != token.hash or known.key != key_hash(self.key):
            raise ConflictError(
                f"this key belongs to the host {known.id} already; make a new key and ask again"
            )
        if known.state == WAITING:
            self.outcome.answer = EnrolAnswer("waiting", known.id)
            return []
        if known.state == APPROVED:
            return [self._enrolled(known.id, token)]
        if known.state != ACTIVE or known.active is None:
            raise RefusedError(known.state, f"this host is {known.state}; ask who runs the fleet")
        self.outcome.answer = answer(self.authorities, known.active, self.fleet.clock())
        return []

    def _used_up(self, token: TokenState) -> list[Event]:
        self.outcome.refusal = RefusedError("token-used", "this join token was used up; make another")
        return [self._of_token("token.reuse_refused", token)] if token.refused < MOST_REFUSALS else []

    def _over(self, token: TokenState) -> list[Event]:
        self.outcome.refusal = RefusedError("token-expired", "this join token ran out; make another")
        return [] if token.ended else [expired(self.fleet, token.hash)]

    def _let_in(self, token: TokenState) -> list[Event]:
        host = new_id(self.fleet.clock(), self.fleet.random(10))
        used = self._of_token("token.used", token, host=host)
        if not token.approve:
            return [used, self._enrolled(host, token)]
        self.outcome.answer = EnrolAnswer("waiting", host)
        return [used, self._of_host("host.enrol_requested", host, token)]

    def _enrolled(self, host: str, token: TokenState) -> Event:
        issued = self.authorities.issue(host, self.key, self.fleet.random(_SERIAL_BYTES))
        self.outcome.answer = answer_of(self.authorities, host, issued)
        return self._of_host("host.enrolled", host, token, **in_event(issued, self.key))

    def _of_token(self, name: str, token: TokenState, **more: str) -> Event:
        data = {"token": token.hash, **more}
        return self.fleet.event(name, f"token/{token.hash}", data, component="enrolment")

    def _of_host(self, name: str, host: str, token: TokenState, **more: str) -> Event:
        asked = self.request
        data = {
            "host": host, "token": token.hash, "key": key_hash(self.key), "machine": asked.machine,
            "name": asked.name, "version": asked.version, "labels": dict(token.labels),
            "inventory": dict(asked.inventory), **more,
        }  # fmt: skip
        return self.fleet.event(
            name, f"host/{host}", data, component="enrolment", actor=token.created_by or None
        )


def in_event(issued: Issued, key: ec.EllipticCurvePublicKey) -> Mapping[str, str]:
    """Return what an event says of a certificate: all of it, so that everybody sees what was signed."""
    return {
        "serial": issued.serial,
        "not_after": time_text(issued.not_after),
        "certificate": base64.b64encode(issued.der).decode(),
        "key": key_hash(key),
    }


def answer_of(authorities: Authorities, host: str, issued: Issued) -> EnrolAnswer:
    """Return the answer that hands over a certificate."""
    return EnrolAnswer(
        "active", host,
        certificate=x509.load_der_x509_certificate(issued.der).public_bytes(Encoding.PEM).decode(),
        authorities=authorities.server_trust(),
        trust_domain=authorities.trust_domain,
        not_after=time_text(issued.not_after),
    )  # fmt: skip


def answer(authorities: Authorities, kept: Certificate, now: int) -> EnrolAnswer:
    """Return the answer that hands over a certificate once more.

    Raises:
        RefusedError: it ran out or is not valid yet, or another took its place.
    """
    if kept.der is None or not kept.is_valid(now):
        raise RefusedError("expired", "the certificate for this key ran out; renew it with proof")
    return answer_of(authorities, kept.host, Issued(kept.serial, kept.der, kept.not_after))


def issue(
    fleet: Fleet, authorities: Authorities, host: str, key: ec.EllipticCurvePublicKey
) -> tuple[Issued, dict[str, Any]]:
    """Return a new certificate for a host's key, and what an event says of it."""
    issued = authorities.issue(host, key, fleet.random(_SERIAL_BYTES))
    return issued, {"host": host, **in_event(issued, key)}
