"""What a certificate says that somebody shows, read strictly; whether to believe it is asked elsewhere."""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from hwledger.errors import DeniedError
from hwledger.fleet.signing import key_hash

_URI: Final = re.compile(
    r"spiffe://(?P<domain>[a-z0-9._-]{1,255})/agent/"
    r"(?P<host>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
)
_UNREADABLE: Final = (
    ValueError, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound, x509.DuplicateExtension,
    x509.InvalidVersion, x509.UnsupportedGeneralNameType,
)  # fmt: skip
_READ: Final = 8192
"""Certificates whose reading is remembered; an agent shows its own with every request."""


@dataclass(frozen=True, slots=True)
class Presented:
    """An agent's certificate.

    Attributes:
        trust_domain: of its SPIFFE URI.
        host: the UUID of its SPIFFE URI.
        serial: hexadecimal.
        not_before: microseconds since 1970.
        not_after: likewise; its last second is the one before.
        sha256: of all of it (DER): one certificate, and no other with its serial.
        key: hash of its public key, as ``signing.key_hash``.
    """

    trust_domain: str
    host: str
    serial: str
    not_before: int
    not_after: int
    sha256: bytes
    key: str


def agent_uri(trust_domain: str, host: str) -> str:
    """Return the name of a host: a SPIFFE ID."""
    return f"spiffe://{trust_domain}/agent/{host}"


def serial_text(serial: int) -> str:
    """Return a serial number as it stands in events."""
    return f"{serial:032x}"


def microseconds(moment: datetime) -> int:
    """Return a moment as microseconds since 1970; certificates know seconds."""
    return int(moment.timestamp()) * 1_000_000


@lru_cache(maxsize=_READ)
def presented(der: bytes) -> Presented:
    """Return what an agent's certificate says.

    Raises:
        DeniedError: it is no certificate of an agent: not one SPIFFE URI, another purpose, another key.
    """
    try:
        found = x509.load_der_x509_certificate(der)
        key, extensions = found.public_key(), found.extensions
        names = list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        purposes = list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
        is_authority = extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except _UNREADABLE:
        raise DeniedError("this certificate is none of an agent; join the fleet with a token") from None
    name = _URI.fullmatch(names[0].value) if _is_one_uri(names) else None
    if name is None:
        raise DeniedError("this certificate does not name one agent of a fleet; join the fleet with a token")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise DeniedError(
            "the key of this certificate is not of the curve P-256; join the fleet with a token"
        )
    if purposes != [ExtendedKeyUsageOID.CLIENT_AUTH] or is_authority:
        raise DeniedError("this certificate is not made for an agent; join the fleet with a token")
    return Presented(
        name["domain"],
        name["host"],
        serial_text(found.serial_number),
        microseconds(found.not_valid_before_utc),
        microseconds(found.not_valid_after_utc),
        sha256(der).digest(),
        key_hash(key),
    )


def _is_one_uri(names: list[x509.GeneralName]) -> bool:
    return len(names) == 1 and isinstance(names[0], x509.UniformResourceIdentifier)
