"""Files that only their owner reads: written whole or not at all, never readable by others on the way."""

import os
from pathlib import Path

from hwledger.errors import InputError


def write_private(path: Path, raw: bytes) -> None:
    """Write a file of mode 0600 in place of one that is there; it outlives a power failure.

    Raises:
        InputError: it cannot be written; the one before stays.
    """
    _placed(path, raw, over=True)


def make_private(path: Path, raw: bytes) -> bytes:
    """Write a file of mode 0600 where there is none; return what is there now: of two who make it, one wins.

    Raises:
        InputError: it cannot be written or read.
    """
    if not path.exists():
        _placed(path, raw, over=False)
    return read_private(path)


def read_private(path: Path) -> bytes:
    """Return the bytes of a file that holds a secret.

    Raises:
        InputError: it cannot be read, or others may read it.
    """
    try:
        with path.open("rb") as file:
            if os.name != "nt" and os.fstat(file.fileno()).st_mode & 0o077:
                raise InputError(f"{path}: holds a secret and others may read it; make it mode 0600")
            return file.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None


def _placed(path: Path, raw: bytes, *, over: bool) -> None:
    draft = path.with_name(f".{path.name}.{os.urandom(6).hex()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        if over:
            draft.replace(path)
        else:
            os.link(draft, path)
        _settle(path.parent)
    except FileExistsError:
        pass  # another made it meanwhile, whole
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); nothing was changed") from None
    finally:
        draft.unlink(missing_ok=True)


def _settle(folder: Path) -> None:
    """Make the names in a folder outlive a power failure, where the system lets one."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
