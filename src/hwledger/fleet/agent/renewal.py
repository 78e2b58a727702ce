"""When an agent renews its certificate: at half its life, give or take a tenth, with a new key each time."""

import random
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from hwledger.errors import MalformedError
from hwledger.fleet.agent.state import Home
from hwledger.fleet.signing import key_hash, make_request

if TYPE_CHECKING:
    from hwledger.fleet.agent.client import Client

_MICROSECONDS: Final = 1_000_000
_JITTER: Final = 0.1


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
    from cryptography import x509  # noqa: PLC0415 - start-up time

    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise MalformedError("the certificate of this agent is damaged; join the fleet anew") from None
    begins, ends = (
        _moment(one) for one in (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    )
    share = 0.5 * (1 + chance.uniform(-_JITTER, _JITTER))
    return Term(begins, ends, begins + int((ends - begins) * share))


def _moment(moment: datetime) -> int:
    return int(moment.timestamp()) * _MICROSECONDS


def renew(home: Home, client: "Client") -> None:
    """Ask for the next certificate with a new key, and switch to it; killed at any moment, one of both holds.

    The key is on the disk before it is sent, and the server takes the old certificate until the new one is
    first used: an answer that is lost costs nothing but a key.

    Raises:
        UnreachableError: the server does not answer, or says no.
        MalformedError: it answers with a certificate for another key.
    """
    generation, key = home.prepared()
    answer = client.post("/a/v1/renew", {"csr": make_request(key)})
    certificate, authorities = answer.get("certificate"), answer.get("authorities")
    _check_own(certificate, key)
    home.install(generation, str(certificate), authorities if isinstance(authorities, str) else "")


def _check_own(certificate: Any, key: Any) -> None:
    from cryptography import x509  # noqa: PLC0415 - start-up time

    try:
        found = x509.load_pem_x509_certificate(str(certificate).encode()).public_key()
        same = key_hash(found) == key_hash(key.public_key())  # type: ignore[arg-type]
    except (ValueError, AttributeError, TypeError):
        same = False
    if not same:
        raise MalformedError("the server answered with a certificate for another key; ask who runs it")
