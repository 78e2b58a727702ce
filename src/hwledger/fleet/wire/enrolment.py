"""Messages of joining a fleet and of getting the next certificate, read strictly."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hwledger.errors import MalformedError
from hwledger.fleet.wire.tokens import decoded, encoded

PROTOCOL: Final = 1
LARGEST_REQUEST: Final = 256 << 10
"""Bytes of any message here; an inventory of sixteen accelerators takes some 20 KiB."""
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_LONGEST_NAME: Final = 253
_LONGEST_CSR: Final = 8192
_PEMS: Final = frozenset({"csr", "certificate", "authorities"})
"""What has more than one line."""


@dataclass(frozen=True, slots=True)
class EnrolRequest:
    """What a machine asks with to be let in.

    Attributes:
        secret: of the join token, 32 bytes.
        csr: a certificate signing request, PEM; only its key counts.
        name: what the machine calls itself.
        machine: SHA-256 of the machine's id, hexadecimal; never the id itself.
        inventory: what it has; JSON without fractions.
        version: of the agent.
    """

    secret: bytes = field(repr=False)
    csr: str
    name: str
    machine: str
    inventory: Mapping[str, Any]
    version: str

    def document(self) -> dict[str, Any]:
        """Return the message."""
        return {
            "protocol": PROTOCOL,
            "token": encoded(self.secret),
            "csr": self.csr,
            "name": self.name,
            "machine": self.machine,
            "inventory": dict(self.inventory),
            "version": self.version,
        }

    @classmethod
    def read(cls, found: Any) -> "EnrolRequest":
        """Return the request of a message.

        Raises:
            MalformedError: something is absent, or not what it has to be.
        """
        message = _message(found)
        if type(message.get("protocol")) is not int or message["protocol"] != PROTOCOL:
            raise MalformedError(f"this server speaks protocol {PROTOCOL}; install the same hwledger on both")
        return cls(
            decoded(_text(message, "token", 64), "the secret"),
            _text(message, "csr", _LONGEST_CSR),
            _text(message, "name", _LONGEST_NAME),
            _matched(message, "machine", _HEX),
            _object(message, "inventory"),
            _text(message, "version", 64),
        )


@dataclass(frozen=True, slots=True)
class EnrolAnswer:
    """What is answered to who asks for a certificate.

    Attributes:
        state: ``active``: here is a certificate; ``waiting``: somebody has to approve it; ask
            again with the same.
        host: the id of the host, a UUID.
        certificate: PEM; absent while waiting, as all that follows.
        authorities: PEM of what servers of this fleet are known by.
        trust_domain: the name in the fleet's SPIFFE URIs.
        agents_address: host and port of the agents' listener; an empty host: where this was asked.
        not_after: RFC 3339, the end of the certificate.
        checkpoint_key: one line ``name+id+key``: who signs the ledger's checkpoints.
    """

    state: str
    host: str
    certificate: str = ""
    authorities: str = ""
    trust_domain: str = ""
    agents_address: str = ""
    not_after: str = ""
    checkpoint_key: str = ""

    def document(self) -> dict[str, str]:
        """Return the message."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name))}

    @classmethod
    def read(cls, found: Any) -> "EnrolAnswer":
        """Return the answer of a message.

        Raises:
            MalformedError: something is absent, or not what it has to be.
        """
        message = _message(found)
        state, host = _text(message, "state", 16), _matched(message, "host", _UUID)
        if state == "waiting":
            return cls(state, host)
        if state != "active":
            raise MalformedError(f"the server answers with the state {state!r}; install the same hwledger")
        rest = (name for name in cls.__slots__ if name not in {"state", "host"})
        return cls(state, host, **{name: _text(message, name, 1 << 16) for name in rest})


@dataclass(frozen=True, slots=True)
class ProofRequest:
    """What a host sends whose certificate ran out: nothing but its id first, then the proof.

    Attributes:
        host: its id.
        nonce: what the server gave it to sign; empty: it asks for one.
        signature: over ``proof_text``, DER, in base64url.
        csr: of its next key, PEM.
    """

    host: str
    nonce: str = ""
    signature: str = ""
    csr: str = ""

    def document(self) -> dict[str, str]:
        """Return the message."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name))}

    @classmethod
    def read(cls, found: Any) -> "ProofRequest":
        """Return the request of a message.

        Raises:
            MalformedError: something is absent, or not what it has to be.
        """
        message = _message(found)
        host = _matched(message, "host", _UUID)
        if "nonce" not in message:
            return cls(host)
        names = {"nonce": 256, "signature": 256, "csr": _LONGEST_CSR}
        return cls(host, **{name: _text(message, name, longest) for name, longest in names.items()})


def proof_text(host: str, nonce: str, key_sha256: str) -> bytes:
    """Return what is signed with the enrolled key: for whom, in answer to what, for which key."""
    return f"hwledger renew-with-proof v1\n{host}\n{nonce}\n{key_sha256}\n".encode()


def csr_of(found: Any) -> str:
    """Return the request of a message that asks for the next certificate.

    Raises:
        MalformedError: there is none.
    """
    return _text(_message(found), "csr", _LONGEST_CSR)


def _message(found: Any) -> Mapping[str, Any]:
    if not isinstance(found, Mapping):
        raise MalformedError("the message is no JSON object")
    return found


def _checked(message: Mapping[str, Any], name: str, wanted: str, *, passes: Callable[[Any], bool]) -> Any:
    if name not in message or not passes(message[name]):
        raise MalformedError(f"the message needs {name!r}: {wanted}")
    return message[name]


def _text(message: Mapping[str, Any], name: str, longest: int) -> str:
    def passes(value: Any) -> bool:
        return isinstance(value, str) and 0 < len(value) <= longest and _is_printable(value, name)

    found: str = _checked(message, name, f"text of 1 to {longest} characters", passes=passes)
    return found


def _is_printable(text: str, name: str) -> bool:
    return (text.replace("\n", "").replace("\r", "") if name in _PEMS else text).isprintable()


def _matched(message: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    wanted = "a UUID" if pattern is _UUID else "64 hexadecimal digits"
    found: str = _checked(
        message, name, wanted, passes=lambda value: isinstance(value, str) and bool(pattern.fullmatch(value))
    )
    return found


def _object(message: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = _checked(
        message, name, "an object", passes=lambda value: isinstance(value, Mapping)
    )
    return found
