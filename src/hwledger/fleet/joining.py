"""Joining a fleet, from the machine that joins: the server is held to the token before it sees the secret.

The authority's certificate is fetched over a connection that proves nothing; only where its hash is the one
in the token is it trusted, and only over a connection that it vouches for does the secret leave this machine.
No more than this module, ``signing``, ``private`` and ``wire`` is needed for it.
"""

import base64
import json
import ssl
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from http.client import HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Any, Final

from hwledger.errors import ConflictError, DeniedError, MalformedError, UnreachableError
from hwledger.fleet.presented import presented
from hwledger.fleet.signing import key_hash, make_request
from hwledger.fleet.wire.enrolment import EnrolAnswer, EnrolRequest, ProofRequest, proof_text
from hwledger.fleet.wire.tokens import JoinToken, address_text, read_address

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_LARGEST_ANSWER: Final = 1 << 20
_SECONDS: Final = 20.0
_PEM_END: Final = "-----END CERTIFICATE-----"


def join(  # noqa: PLR0913 - what a machine says of itself
    token: JoinToken,
    key: "EllipticCurvePrivateKey",
    *,
    name: str,
    machine: str,
    inventory: Mapping[str, Any],
    version: str,
    seconds: float = _SECONDS,
) -> EnrolAnswer:
    """Return what the server of a token answers; ``waiting``: ask again with the same key and token.

    Args:
        token: as it was given to this machine.
        key: of this machine, on its disk already: an answer that was lost is asked for again with it.
        name: of this machine.
        machine: SHA-256 of the machine's id, hexadecimal.
        inventory: what it has; JSON without fractions.
        version: of the agent.
        seconds: to wait for each answer.

    Raises:
        DeniedError: the server is not the one that the token was made on, or it refuses the token.
        ConflictError: the key is enrolled already.
        UnreachableError: nobody answers, or not usefully.
        MalformedError: the answer is not for this key, or the server finds the request wrong.
    """
    authority = vouched(token, seconds)
    asked = EnrolRequest(token.secret, make_request(key), name, machine, inventory, version)
    found = _post(token.host, token.port, authority, "/v1/enrol", asked.document(), seconds)
    return checked(EnrolAnswer.read(found), key, token.host)


def vouched(token: JoinToken, seconds: float = _SECONDS) -> str:
    """Return the certificate (PEM) whose hash is in a token, as the server of its address shows it.

    Raises:
        DeniedError: it shows others: somebody stands between, or the token is of another server.
        UnreachableError: nobody answers.
    """
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.minimum_version = ssl.TLSVersion.TLSv1_3
    anybody.check_hostname = False
    anybody.verify_mode = ssl.CERT_NONE  # nothing is said to it but which page is wanted
    _, raw = _asked(token.host, token.port, anybody, ("GET", "/ca", None), seconds)
    for part in raw.decode("ascii", "replace").split(_PEM_END)[:-1]:
        pem = f"{part.strip()}\n{_PEM_END}\n"
        if _hash(pem) == token.authority_sha256:
            return pem
    raise DeniedError(
        f"the server at {address_text(token.host, token.port)} is not the one that this token was made on:"
        " somebody stands between, or it was set up anew; nothing was told to it"
    )


def _hash(pem: str) -> bytes:
    try:
        return sha256(ssl.PEM_cert_to_DER_cert(pem)).digest()
    except ValueError:
        return b""


def come_back(  # noqa: PLR0913, PLR0917 - two keys, a host, and where to ask
    address: str,
    authorities: str,
    host: str,
    enrolled: "EllipticCurvePrivateKey",
    following: "EllipticCurvePrivateKey",
    seconds: float = _SECONDS,
) -> EnrolAnswer:
    """Return the next certificate of a host whose certificate ran out.

    Args:
        address: ``host:port`` of the public listener.
        authorities: PEM of what the server is known by.
        host: the id of this host.
        enrolled: the key of its last certificate.
        following: the key of the next one, on its disk already.
        seconds: to wait for each answer.

    Raises:
        DeniedError: the server refuses it.
        ConflictError: a certificate is valid still.
        UnreachableError: nobody answers, or not usefully.
        MalformedError: the answer is not for this key.
    """
    name, port = read_address(address)
    page = "/v1/renew-with-proof"
    given = _post(name, port, authorities, page, ProofRequest(host).document(), seconds)
    nonce = given.get("nonce") if isinstance(given, Mapping) else None
    if not isinstance(nonce, str):
        raise UnreachableError(f"the server at {address} gives no nonce; install the same hwledger on both")
    text = proof_text(host, nonce, key_hash(following.public_key()))
    signature = base64.urlsafe_b64encode(_signed(enrolled, text)).decode()
    asked = ProofRequest(host, nonce, signature, make_request(following))
    found = _post(name, port, authorities, page, asked.document(), seconds)
    return checked(EnrolAnswer.read(found), following, name)


def _signed(key: "EllipticCurvePrivateKey", text: bytes) -> bytes:
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - start-up time
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - start-up time

    return key.sign(text, ec.ECDSA(hashes.SHA256()))


def checked(answer: EnrolAnswer, key: "EllipticCurvePrivateKey", asked_host: str) -> EnrolAnswer:
    """Return an answer that was held against the key that was asked for, with a whole address.

    Raises:
        MalformedError: the certificate is for another key or host, or an address is none.
    """
    if answer.state != "active":
        return answer
    try:
        found = presented(ssl.PEM_cert_to_DER_cert(answer.certificate))
    except (ValueError, DeniedError):
        raise MalformedError("the server answered with no certificate of an agent; ask who runs it") from None
    wanted = (key_hash(key.public_key()), answer.host, answer.trust_domain)
    if (found.key, found.host, found.trust_domain) != wanted:
        raise MalformedError("the server answered with a certificate for another key; ask who runs it")
    here = answer.agents_address.startswith(":")
    address = f"{address_text(asked_host, 0)[:-2]}{answer.agents_address}" if here else answer.agents_address
    read_address(address)
    return replace(answer, agents_address=address)


def _post(host: str, port: int, authorities: str, page: str, message: Any, seconds: float) -> Any:  # noqa: PLR0913, PLR0917 - one request
    context = server_context(authorities)
    status, raw = _asked(host, port, context, ("POST", page, json.dumps(message).encode()), seconds)
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        found = None
    if status in {200, 201, 202} and found is not None:
        return found
    raise refused(status, found)


def server_context(authorities: str) -> ssl.SSLContext:
    """Return a context for connections to the fleet's server alone: TLS 1.3, its name checked.

    Args:
        authorities: PEM of what it is known by; authorities of the machine do not count.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cadata=authorities)
    return context


def refused(status: int, found: Any) -> DeniedError | ConflictError | MalformedError | UnreachableError:
    """Return what an answer that is none means, in the server's own words where it has some."""
    detail = found.get("detail") if isinstance(found, Mapping) else None
    text = f"the server says: {str(detail)[:300]}" if detail else f"the server answers with status {status}"
    kinds: dict[int, type[DeniedError | ConflictError | MalformedError]] = {
        401: DeniedError, 403: DeniedError, 409: ConflictError, 422: MalformedError,
    }  # fmt: skip
    return kinds.get(status, UnreachableError)(text)


def _asked(
    host: str, port: int, context: ssl.SSLContext, request: tuple[str, str, bytes | None], seconds: float
) -> tuple[int, bytes]:
    method, page, body = request
    shown = address_text(host, port)
    headers = {"Content-Type": "application/json"} if body is not None else {}
    connection = HTTPSConnection(host, port, timeout=seconds, context=context)
    try:
        connection.request(method, page, body, headers)
        answer = connection.getresponse()
        raw = answer.read(_LARGEST_ANSWER + 1)
    except ssl.SSLCertVerificationError as error:
        raise DeniedError(
            f"{shown} does not show a certificate of this fleet's server ({error.verify_message});"
            " nothing was told to it"
        ) from None
    except (OSError, HTTPException) as error:
        raise UnreachableError(f"{shown} does not answer ({error}); is the server up?") from None
    finally:
        connection.close()
    if len(raw) > _LARGEST_ANSWER:
        raise UnreachableError(f"{shown} answers with more than {_LARGEST_ANSWER} bytes; check the address")
    return answer.status, raw
