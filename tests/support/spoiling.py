"""Bytes that are not as they were written, and prompt caches whose entries are not what they say."""

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

from hwledger.runner.cache.store import BlockStore


def spoiled(content: bytes, chance: random.Random) -> bytes:
    """Return bytes with one thing wrong: flipped, cut, longer, blanked, or with a part of them moved."""
    at = chance.randrange(len(content))
    kind = chance.randrange(5)
    if kind == 0:
        return content[:at] + bytes([content[at] ^ (1 << chance.randrange(8))]) + content[at + 1 :]
    if kind == 1:
        return content[:at]
    if kind == 2:
        return content + chance.randbytes(chance.randrange(1, 40))
    if kind == 3:
        return content[:at] + b"\xff" * (len(content) - at) + b"\xff"
    return content[at:] + content[:at] + b"\0"


def files(store: BlockStore) -> list[Path]:
    """Return the files of the blocks of a store."""
    return sorted((store.folder / "blocks").glob("*/*.kv"))


def spoil_a_file(store: BlockStore, chance: random.Random) -> None:
    """Change bytes of a block."""
    path = chance.choice(files(store))
    path.write_bytes(spoiled(path.read_bytes(), chance))


def remove_a_file(store: BlockStore, chance: random.Random) -> None:
    """Remove a block."""
    chance.choice(files(store)).unlink()


def exchange_files(store: BlockStore, chance: random.Random) -> None:
    """Put whole blocks in each other's places."""
    paths = files(store)
    one, other = chance.sample(paths, 2) if len(paths) > 1 else (paths[0], paths[0])
    mine, theirs = one.read_bytes(), other.read_bytes()
    one.write_bytes(theirs if one != other else mine[:-1])
    other.write_bytes(mine if one != other else mine[:-1])


def exchange_rows(store: BlockStore, chance: random.Random) -> None:
    """Have the index lead to another block."""
    with sqlite3.connect(store.folder / "index.sqlite") as base:
        names = [name for (name,) in base.execute("SELECT name FROM block ORDER BY name")]
        keys = [key for (key,) in base.execute("SELECT key FROM alias ORDER BY key")]
        base.execute("UPDATE alias SET name = ? WHERE key = ?", (chance.choice(names), chance.choice(keys)))
    base.close()


def spoil_the_index(store: BlockStore, chance: random.Random) -> None:
    """Change bytes of the index."""
    with sqlite3.connect(store.folder / "index.sqlite") as base:
        base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    base.close()
    path = store.folder / "index.sqlite"
    path.write_bytes(spoiled(path.read_bytes(), chance))


SPOILS: dict[str, Callable[[BlockStore, random.Random], None]] = {
    "bytes": spoil_a_file, "removed": remove_a_file, "exchanged": exchange_files,
    "other rows": exchange_rows, "index": spoil_the_index,
}  # fmt: skip
