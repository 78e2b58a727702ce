"""When an agent renews its certificate: at half its life, give or take a tenth, with a new key each time."""

import random
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from hwledger.errors import ConflictError, MalformedError
from hwledger.fleet import joining
from hwledger.fleet.agent.client import Client, RefusedError
from hwledger.fleet.agent.state import Home
from hwledger.fleet.joining import checked
from hwledger.fleet.signing import make_request
from hwledger.fleet.wire.enrolment import EnrolAnswer

_MICROSECONDS: Final = 1_000_000
_JITTER: Final = 0.1
_THRICE: Final = 3
_USED: Final = 409
"""The key that was sent is not new."""


@dataclass(frozen=True, slots=True)
class Term:
    """The life of a certificate, microseconds since 1970.

    Attributes:
        begins: when it holds first.
        ends: when it holds no more.
        renews: when the next one is asked for.
    """

    begins: int
    ends: int
    renews: int


def term_of(pem: bytes, chance: random.Random) -> Term:
    """Return the life of a certificate.

    Raises:
        MalformedError: it is none.
    """
    begins, ends = _life(pem)
    share = 0.5 * (1 + chance.uniform(-_JITTER, _JITTER))
    return Term(begins, ends, begins + int((ends - begins) * share))


def ends_of(pem: bytes) -> int:
    """Return when a certificate holds no more, microseconds since 1970.

    Raises:
        MalformedError: it is none.
    """
    return _life(pem)[1]


def _life(pem: bytes) -> tuple[int, int]:
    from cryptography import x509  # noqa: PLC0415 - start-up time

    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise MalformedError("the certificate of this agent is damaged; join the fleet anew") from None
    return _moment(certificate.not_valid_before_utc), _moment(certificate.not_valid_after_utc)


def _moment(moment: datetime) -> int:
    return int(moment.timestamp()) * _MICROSECONDS


class Credentials:
    """The certificate of one agent over time: when it is due, and what is done then.

    Args:
        home: the agent's folder.
        server: the host of the agents' listener.
        chance: for the jitter.

    Raises:
        MissingError, MalformedError: there is no certificate, or it is damaged.
    """

    def __init__(self, home: Home, server: str, chance: random.Random) -> None:
        self._home, self._server, self._chance = home, server, chance
        self._wanted = self._holds = False
        self._turned_away = 0
        self.term = term_of(home.certificate(), chance)

    def want(self) -> None:
        """Renew as soon as that can be, whatever the time."""
        self._wanted = True

    def turned_away(self) -> None:
        """Take note that the server ended a connection as it does where the certificate ran out."""
        self._turned_away += 1

    def taken(self, *, renew: bool) -> None:
        """Take note that the server answers, and whether it wants the certificate to be renewed."""
        self._turned_away = 0
        self._wanted = self._wanted or renew

    def is_due(self, now: int) -> bool:
        """Return whether to renew, by the server's clock in microseconds."""
        return self._wanted or now >= self.term.renews

    def has_ended(self, now: int) -> bool:
        """Return whether the certificate seems to have run out: by the clock, or by what the server did."""
        return self._turned_away >= _THRICE or (now >= self.term.ends and not self._holds)

    def renew(self, client: Client) -> None:
        """Renew and switch; the errors are those of ``renew``."""
        renew(self._home, client, self._server)
        self._switched()

    def come_back(self) -> None:
        """Get a certificate in place of one that ran out; the errors are those of ``come_back``.

        Where the server says that it holds still it is the clock of this host that is wrong.
        """
        self._turned_away = 0
        try:
            come_back(self._home)
        except ConflictError:
            self._holds = True
            raise
        self._switched()

    def _switched(self) -> None:
        self._wanted = self._holds = False
        self._turned_away = 0
        self.term = term_of(self._home.certificate(), self._chance)


def renew(home: Home, client: Client, server: str) -> None:
    """Ask for the next certificate with a new key, and switch to it; killed at any moment, one of both holds.

    The key is on the disk before it is sent, and the server takes the old certificate until the new one is
    first used: an answer that is lost is asked for again, with the same key.

    Args:
        home: the agent's folder.
        client: to the agents' listener.
        server: the host of that.

    Raises:
        UnreachableError: the server does not answer, or says no.
        MalformedError: it answers with a certificate for another key.
    """
    generation, key = home.following()
    try:
        found = client.post("/a/v1/renew", {"csr": make_request(key)})
    except RefusedError as error:
        if error.status == _USED:
            home.discard(generation)
        raise
    _install(home, generation, checked(EnrolAnswer.read(found), key, server))


def come_back(home: Home) -> None:
    """Ask for the next certificate with proof of the key of the last one, which ran out.

    Raises:
        ConflictError: a certificate holds still, or the next key was used before; another is made.
        UnreachableError: the server does not answer, or says no.
        MalformedError: it answers with a certificate for another key.
    """
    enrolment = home.enrolment()
    generation, key = home.following()
    try:
        found = joining.come_back(enrolment.public, home.authorities(), enrolment.host, home.key(), key)
    except ConflictError:
        home.discard(generation)
        raise
    _install(home, generation, found)


def _install(home: Home, generation: str, answer: EnrolAnswer) -> None:
    if answer.state != "active":
        raise MalformedError("the server answered with no certificate; ask who runs it")
    home.install(generation, answer.certificate, answer.authorities)
