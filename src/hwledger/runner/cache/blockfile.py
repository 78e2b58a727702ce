"""One block of a prompt cache in a file: the keys that it answers, its content, and a checksum over both.

``MAGIC | LENGTH OF KEYS (8 bytes, little-endian) | KEYS (JSON) | CONTENT | SHA-256 OF ALL BEFORE``. A file is
written beside its place, handed to the disk and moved there, so that it is whole wherever it is found; one
that was changed, cut, or put in another's place is not read.
"""

import contextlib
import hashlib
import json
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

MAGIC: Final = b"hwledger-kv-1\n\0\0"
SUM_BYTES: Final = 32
MOST_KEYS: Final = 1 << 24
"""Bytes of the list of keys at most."""
_HEAD: Final = len(MAGIC) + 8


def write_block(path: Path, keys: Sequence[str], content: bytes) -> int:
    """Write a block and return its size in bytes.

    Raises:
        OSError: it cannot be written; then nothing is at its place that was not there before.
    """
    listed = json.dumps(list(keys)).encode()
    head = MAGIC + struct.pack("<Q", len(listed)) + listed
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_suffix(f".{os.getpid()}.new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            for part in (head, content, _sum(head, content)):
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    _sync(path.parent)
    return len(head) + len(content) + SUM_BYTES


def read_block(path: Path, size: int, key: str | None = None) -> memoryview | None:
    """Return the content of a block; ``None`` where it is not as it was written, or answers another key.

    Args:
        path: its file.
        size: bytes that it has to have.
        key: one of the keys that it has to answer; ``None``: any.
    """
    try:
        if path.is_symlink() or path.stat().st_size != size:
            return None
        whole = path.read_bytes()
    except (OSError, ValueError, MemoryError):
        return None
    if len(whole) != size or size < _HEAD + SUM_BYTES or not whole.startswith(MAGIC):
        return None
    view = memoryview(whole)
    if hashlib.sha256(view[:-SUM_BYTES]).digest() != view[-SUM_BYTES:]:
        return None
    (length,) = struct.unpack_from("<Q", whole, len(MAGIC))
    if length > min(MOST_KEYS, size - _HEAD - SUM_BYTES) or not _answers(view[_HEAD : _HEAD + length], key):
        return None
    return view[_HEAD + length : -SUM_BYTES]


def _answers(listed: memoryview, key: str | None) -> bool:
    try:
        keys = json.loads(bytes(listed))
    except (ValueError, RecursionError):
        return False
    return isinstance(keys, list) and (key is None or key in keys)


def _sum(head: bytes, content: bytes) -> bytes:
    found = hashlib.sha256(head)
    found.update(content)
    return found.digest()


def _sync(folder: Path) -> None:
    """Have the disk keep a folder's names."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
