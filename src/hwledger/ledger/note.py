"""Checkpoints: what a ledger signs to have been at a size, as C2SP signed notes.

The text is that of ``tlog-checkpoint`` (origin, size, root, a line each), the signature that of
``signed-note`` with Ed25519; verifiers of others read them. The key belongs outside of the database.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from hwledger.errors import MalformedError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ED25519: Final = b"\x01"
_DASH: Final = "\u2014"
_SIGNATURE_BYTES: Final = 4 + 64
_KEY_BYTES: Final = 1 + 32
_LONGEST_NOTE: Final = 1 << 16
_NAME: Final = re.compile(r"[^\s+]+")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a ledger was at a size.

    Attributes:
        origin: the name of the ledger, and of the key that signs for it.
        size: how many events.
        root: of the Merkle tree over them, 32 bytes.
    """

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return what is signed: three lines."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """The public half of a key that signs notes.

    Attributes:
        name: of the ledger that it signs for.
        public: 32 bytes of an Ed25519 key.
    """

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Return the 4 bytes that name the key in a note."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    def text(self) -> str:
        """Return the key in one line, as others write it: ``name+id+key``."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(ED25519 + self.public).decode()}"

    @classmethod
    def read(cls, text: str) -> "VerifierKey":
        """Return the key of a line.

        Raises:
            MalformedError: it is no such line, or its parts do not belong together.
        """
        name, _, rest = text.strip().partition("+")
        identity, _, encoded = rest.partition("+")
        raw = _decoded(encoded)
        if raw is None or len(raw) != _KEY_BYTES or raw[:1] != ED25519 or not _NAME.fullmatch(name):
            raise MalformedError(f"{text.strip()[:80]!r} is no key of a note: one line, name+id+key")
        key = cls(name, raw[1:])
        if key.key_id.hex() != identity:
            raise MalformedError(f"the key of {name!r} has another id than it says; copy all of it")
        return key


def signed(checkpoint: Checkpoint, key: "Ed25519PrivateKey") -> str:
    """Return the note of a checkpoint, signed in the name of its origin.

    Raises:
        MalformedError: the origin has white space or a plus sign.
    """
    if not _NAME.fullmatch(checkpoint.origin):
        raise MalformedError(f"{checkpoint.origin!r} cannot sign notes; use no spaces or plus signs")
    text = checkpoint.text()
    public = verifier_key(checkpoint.origin, key)
    signature = base64.b64encode(public.key_id + key.sign(text.encode())).decode()
    return f"{text}\n{_DASH} {checkpoint.origin} {signature}\n"


def verifier_key(name: str, key: "Ed25519PrivateKey") -> VerifierKey:
    """Return the public half of a key, in the name of a ledger."""
    return VerifierKey(name, key.public_key().public_bytes_raw())


def opened(note: str, key: VerifierKey) -> Checkpoint:
    """Return the checkpoint of a note that a key has signed; other signatures on it are passed over.

    Raises:
        MalformedError: it is no note of a checkpoint, or the key did not sign it.
    """
    text, lines = _split(note)
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - start-up time
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - start-up time

    for line in lines:
        name, raw = _signature(line)
        if name == key.name and raw[:4] == key.key_id:
            try:
                Ed25519PublicKey.from_public_bytes(key.public).verify(raw[4:], text.encode())
            except (InvalidSignature, ValueError):
                raise MalformedError(f"the signature of {name!r} on it is false; do not trust it") from None
            return _checkpoint(text, key.name)
    raise MalformedError(f"it is not signed by {key.text()}; it is of another ledger or key")


def unverified(note: str) -> Checkpoint:
    """Return what a note says without asking who signed it.

    Raises:
        MalformedError: it is no note of a checkpoint.
    """
    text, _ = _split(note)
    return _checkpoint(text, text.partition("\n")[0])


def _split(note: str) -> tuple[str, list[str]]:
    text, blank, signatures = note.rpartition("\n\n")
    lines = signatures.split("\n")
    if len(note) > _LONGEST_NOTE or not blank or not signatures.endswith("\n") or len(lines) < 2:  # noqa: PLR2004 - a line and its end
        raise MalformedError("this is no signed note: a text, an empty line, and a line for each signature")
    return f"{text}\n", lines[:-1]


def _signature(line: str) -> tuple[str, bytes]:
    parts = line.split(" ")
    raw = _decoded(parts[-1])
    if len(parts) != 3 or parts[0] != _DASH or raw is None or len(raw) <= 4:  # noqa: PLR2004 - dash, name, signature; the key id
        raise MalformedError("this is no signed note: a signature is a dash, a name and base64")
    return parts[1], raw


def _checkpoint(text: str, name: str) -> Checkpoint:
    """Read the lines of a checkpoint; lines after the third are extensions and are passed over."""
    lines = text.split("\n")
    root = _decoded(lines[2]) if len(lines) >= 4 else None  # noqa: PLR2004 - three lines and their end
    if root is None or len(root) != 32 or not _SIZE.fullmatch(lines[1]):  # noqa: PLR2004 - SHA-256
        raise MalformedError("this is no checkpoint: three lines with origin, size and root")
    if lines[0] != name:
        raise MalformedError(f"it is of {lines[0]!r} and signed by {name!r}; a ledger signs its own")
    return Checkpoint(lines[0], int(lines[1]), root)


def _decoded(text: str) -> bytes | None:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode() == text else None
