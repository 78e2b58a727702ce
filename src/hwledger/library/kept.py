"""Facts of earlier readings, kept as JSON files in the cache folder, so that the same is not read twice.

Each lies under a digest of its key (a repository's commit and path, or a file's path, size, time and
inode) and is replaced whole; the key itself is not written, since an address may hold a secret. What
cannot be read or was written by another version counts as absent.
"""

import contextlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from hwledger.errors import InputError
from hwledger.library.files import make_folder, write_whole
from hwledger.library.paths import cache_dir

SCHEMA: Final = 1
MOST_BYTES: Final = 512 << 20
"""What the folder may hold; the least recently used go first."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One kept document.

    Attributes:
        document: what was kept.
        age_s: seconds since it was written.
    """

    document: Mapping[str, Any]
    age_s: float


def recall(kind: str, key: str) -> Kept | None:
    """Return what was kept under ``key``, or ``None``."""
    path = _path(kind, key)
    try:
        written = json.loads(path.read_bytes())
        if written["schema"] != SCHEMA:
            return None
        with contextlib.suppress(OSError):  # the time of use, for the tidying
            os.utime(path)
        return Kept(written["document"], max(0.0, time.time() - float(written["at"])))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def keep(kind: str, key: str, document: Mapping[str, Any]) -> None:
    """Keep ``document`` under ``key``; a cache that cannot be written is no reason to fail."""
    path = _path(kind, key)
    text = json.dumps({"schema": SCHEMA, "at": time.time(), "document": document})
    with contextlib.suppress(OSError, InputError):
        make_folder(path.parent)
        write_whole(path, text.encode(), lasting=False)
        _tidy(path.parent)


def _path(kind: str, key: str) -> Path:
    return cache_dir() / kind / f"{sha256(key.encode(errors='surrogateescape')).hexdigest()[:32]}.json"


def _tidy(folder: Path) -> None:
    """Remove the least recently used until the folder is within its bound."""
    entries = [(entry.stat(), entry.path) for entry in os.scandir(folder) if entry.is_file()]
    total = sum(stat.st_size for stat, _ in entries)
    for stat, path in sorted(entries, key=lambda entry: entry[0].st_mtime):
        if total <= MOST_BYTES:
            return
        Path(path).unlink(missing_ok=True)
        total -= stat.st_size
