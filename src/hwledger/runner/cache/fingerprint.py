"""The fingerprint of a model's files: a hash of their content, remembered while they stay as they are."""

import hashlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_CHUNK: Final = 1 << 22
KINDS: Final = (".safetensors", ".gguf", ".npz", ".json", ".jinja", ".model", ".txt")
"""Endings of files that decide what a model computes."""


def model_files(model: Path) -> list[Path]:
    """Return the files of a model: a file itself, or those of a folder, in a fixed order."""
    if model.is_file():
        return [model]
    return sorted(each for each in model.iterdir() if each.suffix in KINDS and each.is_file())


def fingerprint(model: Path, memory: Path) -> str:
    """Return a hash over names and contents of a model's files.

    Args:
        model: a file, or a folder.
        memory: an SQLite file that remembers hashes by device, inode, size and times of change; where it
            cannot be used, everything is read again.

    Raises:
        OSError: a file cannot be read.
    """
    whole = hashlib.sha256()
    for path in model_files(model):
        whole.update(f"{path.name}\0{_hash(path, memory)}\n".encode())
    return whole.hexdigest()


def _hash(path: Path, memory: Path) -> str:
    """Return the hash of a file, which must not change while it is read."""
    before = _state(path)
    known = _known(memory, before)
    if known:
        return known
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    if _state(path) != before:
        raise OSError(f"{path} changed while it was read")
    _remember(memory, before, found.hexdigest())
    return found.hexdigest()


def _state(path: Path) -> str:
    told = path.stat()
    return f"{told.st_dev}:{told.st_ino}:{told.st_size}:{told.st_mtime_ns}:{told.st_ctime_ns}"


_TABLE: Final = "CREATE TABLE IF NOT EXISTS hashed (state TEXT PRIMARY KEY, sha256 TEXT NOT NULL)"


def _rows(memory: Path, statements: Iterable[tuple[str, tuple[str, ...]]]) -> list[tuple[str]]:
    """Return what the last statement gives; nothing where the memory cannot be used."""
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        base = sqlite3.connect(memory, timeout=5)
    except (OSError, sqlite3.Error):
        return []
    try:
        with base:
            base.execute(_TABLE)
            return [row for each in statements for row in base.execute(*each).fetchall()]
    except sqlite3.Error:
        return []
    finally:
        base.close()


def _known(memory: Path, state: str) -> str:
    rows = _rows(memory, [("SELECT sha256 FROM hashed WHERE state = ?", (state,))])
    return rows[0][0] if rows else ""


def _remember(memory: Path, state: str, found: str) -> None:
    _rows(memory, [("INSERT OR REPLACE INTO hashed VALUES (?, ?)", (state, found))])
