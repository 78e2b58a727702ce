"""Keys that sign checkpoints, in files beside no database, and the last note that each signed.

A key file is one line, ``PRIVATE+KEY+name+id+base64``, as Go's note package writes it. The note beside it is
this machine's own witness: a ledger that is put back to before it is found out.
"""

import base64
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hwledger.errors import InputError, MalformedError
from hwledger.ledger.note import ED25519, VerifierKey, verifier_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_PREFIX: Final = "PRIVATE+KEY+"
_OTHER: Final = re.compile(r"[^A-Za-z0-9.-]")
_ONE_MEBIBYTE: Final = 1 << 20


def key_path(folder: Path, origin: str) -> Path:
    """Return where the key of a ledger lies in a folder of keys."""
    return folder / f"{_OTHER.sub('_', origin)}.key"


def note_path(folder: Path, origin: str) -> Path:
    """Return where the last note of a ledger lies in a folder of keys."""
    return folder / f"{_OTHER.sub('_', origin)}.note"


def signing_key(path: Path, origin: str) -> "Ed25519PrivateKey":
    """Return the key in a file, made there first where there is none; only its owner may read it.

    Raises:
        MalformedError: the file holds no key, or one of another ledger.
        InputError: it cannot be read or written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - start-up

    if path.exists():
        return _read(path, origin)
    key = Ed25519PrivateKey.generate()
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
            file.write(_line(key, origin))
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)  # whole or not at all, and never in place of another
    except FileExistsError:
        return _read(path, origin)
    except OSError as error:
        raise InputError(
            f"{path}: the key cannot be written ({error.strerror}); choose a --key-file"
        ) from None
    finally:
        part.unlink(missing_ok=True)
    return key


def _line(key: "Ed25519PrivateKey", origin: str) -> str:
    secret = base64.b64encode(ED25519 + key.private_bytes_raw()).decode()
    return f"{_PREFIX}{origin}+{verifier_key(origin, key).key_id.hex()}+{secret}\n"


def _read(path: Path, origin: str) -> "Ed25519PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - start-up

    name, _, rest = text_of(path).strip().removeprefix(_PREFIX).partition("+")
    try:
        raw = base64.b64decode(rest.partition("+")[2], validate=True)
        key = Ed25519PrivateKey.from_private_bytes(raw.removeprefix(ED25519))
    except ValueError:
        raise MalformedError(f"{path}: holds no key of a ledger; give another --key-file") from None
    if name != origin or rest.partition("+")[0] != verifier_key(name, key).key_id.hex():
        raise MalformedError(f"{path}: is the key of {name!r} and not of {origin!r}; give its own --key-file")
    return key


def public_key(folder: Path, origin: str) -> VerifierKey | None:
    """Return the public half of a ledger's key in a folder; ``None``: it is not there."""
    path = key_path(folder, origin)
    return verifier_key(origin, _read(path, origin)) if path.exists() else None


def text_of(path: Path) -> str:
    """Return a small file as text.

    Raises:
        InputError: it cannot be read, is large, or is no text.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_ONE_MEBIBYTE + 1)
        if len(raw) > _ONE_MEBIBYTE:
            raise InputError(f"{path}: is too large for a key or a checkpoint; check the path")
        return raw.decode("utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except UnicodeDecodeError:
        raise MalformedError(f"{path}: is no text; a key and a checkpoint are") from None
