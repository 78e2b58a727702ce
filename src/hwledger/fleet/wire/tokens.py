"""The text of a join token: whom to ask, how to know that it is the right one, and the secret to show it.

``hwl1.<SHA-256 of the authority's certificate>.<32 random bytes>@host:port``, hash and secret in base64url
without padding. Whoever joins holds the server to the hash before the secret leaves the machine.
"""

import base64
import binascii
import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from hwledger.errors import MalformedError

_VERSION: Final = "hwl1"
_BYTES: Final = 32
_LONGEST: Final = 400
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
_LARGEST_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class JoinToken:
    """What a join token says.

    Attributes:
        authority_sha256: 32 bytes: of the certificate (DER) that the server's own was signed by.
        secret: 32 bytes; never printed but in ``text``.
        host: a name or an address, without brackets.
        port: of the public listener.
    """

    authority_sha256: bytes
    secret: bytes = field(repr=False)
    host: str
    port: int

    def text(self) -> str:
        """Return the token in one line."""
        parts = (_VERSION, encoded(self.authority_sha256), encoded(self.secret))
        return f"{'.'.join(parts)}@{address_text(self.host, self.port)}"

    @classmethod
    def read(cls, text: str) -> "JoinToken":
        """Return the token of a line; one token has exactly one text, but for the case of the host's name.

        Raises:
            MalformedError: it is none; the sentence does not repeat it.
        """
        token, at, address = text.strip().partition("@")
        parts = token.split(".")
        if len(text) > _LONGEST or not at or len(parts) != 3 or parts[0] != _VERSION:  # noqa: PLR2004 - version, hash, secret
            raise MalformedError("this is no join token; copy all of what 'hwledger token create' printed")
        host, port = read_address(address)
        return cls(decoded(parts[1], "the authority's hash"), decoded(parts[2], "the secret"), host, port)


def secret_hash(secret: bytes) -> str:
    """Return what a server keeps of a secret: its SHA-256, hexadecimal."""
    return sha256(secret).hexdigest()


def encoded(raw: bytes) -> str:
    """Return bytes in base64url without padding."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decoded(text: str, what: str) -> bytes:
    """Return 32 bytes of base64url without padding.

    Raises:
        MalformedError: it is not written exactly so.
    """
    try:
        raw = base64.b64decode(f"{text}=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _BYTES or encoded(raw) != text:
        raise MalformedError(f"{what} of this join token is cut off or changed; copy all of the token")
    return raw


def address_text(host: str, port: int) -> str:
    """Return host and port as one text; an IPv6 address gets brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def read_address(text: str) -> tuple[str, int]:
    """Return host and port of a text.

    Raises:
        MalformedError: it is not ``host:port``.
    """
    host, _, port = text.rpartition(":")
    bare = _bare_address(host)
    if bare is None or not _PORT.fullmatch(port) or int(port) > _LARGEST_PORT:
        raise MalformedError(f"{text[:80]!r} is no address: host:port, an IPv6 address in brackets")
    return bare, int(port)


def _bare_address(host: str) -> str | None:
    if host.startswith("[") and host.endswith("]"):
        from ipaddress import IPv6Address  # noqa: PLC0415 - start-up time

        try:
            return str(IPv6Address(host[1:-1]))
        except ValueError:
            return None
    return host if _HOST.fullmatch(host) else None
