"""Blocks of prompt caches on disk: written whole or not at all, checked whenever they are read, bounded.

A block is a file ``blocks/ab/abcdef….kv`` (``blockfile.py``), named by a hash of its first key; an SQLite
index says which keys it answers, how large it is and when it was used. A block is given out only where index
and file agree; whatever does not is forgotten, and counts as a miss. The index is written after the file is
on the disk, so that a process that is killed leaves at most a file that no index knows, and a later writer
removes it. An index that is broken is thrown away with all that it knew.
"""

import contextlib
import hashlib
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from hwledger.runner.cache.blockfile import read_block, write_block

Found = TypeVar("Found")
BUDGET_BYTES: Final = 4 << 30
FREE_SHARE: Final = 0.1
"""Share of the disk that is left free."""
TOGETHER_S: Final = 60
"""What was used within so many seconds was used together."""
STRAY_S: Final = 3600.0
"""A file that no index knows may be one that is being written, for so long."""
WAIT_S: Final = 10
VERSION: Final = 1
_NAME: Final = re.compile(r"[0-9a-f]{64}")
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS block (
    name TEXT PRIMARY KEY, size INTEGER NOT NULL, engine TEXT NOT NULL, tokens INTEGER NOT NULL,
    made REAL NOT NULL, used REAL NOT NULL, hits INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alias (key TEXT PRIMARY KEY, name TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS alias_name ON alias (name);
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""
COUNTERS: Final = ("written_bytes", "written_blocks", "evicted_blocks", "refused_blocks", "hits", "misses")


@dataclass(frozen=True, slots=True)
class Stats:
    """What a store holds, and what it did since it was made.

    Attributes:
        folder: where it is.
        blocks, size_bytes: what it holds.
        by_engine: bytes of each engine.
        counters: as ``COUNTERS`` names them; ``written_bytes`` is what its disk was worn by.
    """

    folder: Path
    blocks: int
    size_bytes: int
    by_engine: dict[str, int]
    counters: dict[str, int]


class BlockStore:
    """Blocks by key.

    Args:
        folder: where they are; it need not exist.
        budget_bytes: what they may take together; the least recently used ones go first.
        clock: the time, in seconds.

    Nothing raises for what is wrong with the disk or the index: then nothing is found, and nothing kept.
    """

    def __init__(
        self, folder: Path, budget_bytes: int = BUDGET_BYTES, clock: Callable[[], float] = time.time
    ) -> None:
        self.folder = folder
        self.budget_bytes = budget_bytes
        self._clock = clock
        self._files = folder / "blocks"
        self._index = folder / "index.sqlite"

    def get(self, key: str) -> memoryview | None:
        """Return the content that was kept under a key; ``None`` where there is none that can be trusted."""
        return self._within(lambda base: self._read(base, key), None)

    def _now(self) -> float:
        return self._clock() // TOGETHER_S * TOGETHER_S

    def has(self, key: str) -> bool:
        """Whether something is kept under a key; whether it can be trusted is seen when it is read."""
        return self._within(lambda base: _row(base, key) is not None, otherwise=False, make=False)

    def put(self, key: str, content: bytes, *, engine: str, tokens: int, also: Iterable[str] = ()) -> bool:
        """Keep a content under a key, and under others that it answers as well; return whether it is kept.

        Args:
            key: of the content.
            content: any bytes.
            engine: whose it is, for people.
            tokens: up to which token of a prompt it is; of blocks that were used together the last go first.
            also: keys that it answers where nothing else does.
        """
        if len(content) > self.budget_bytes:
            return False
        keys = [key, *also]
        return self._within(lambda base: self._keep(base, keys, content, engine, tokens), otherwise=False)

    def forget(self, key: str) -> None:
        """Forget what is kept under a key: its content turned out not to fit."""
        self._within(lambda base: self._forget(base, key), None)

    def stats(self) -> Stats:
        """Return what is held; a store that is broken or absent holds nothing."""
        nothing: tuple[list[tuple[str, int, int]], dict[str, int]] = [], {}
        rows, counted = self._within(_counted, nothing, make=False)
        sizes = {engine: size for engine, _, size in rows}
        counters = {name: counted.get(name, 0) for name in COUNTERS}
        return Stats(self.folder, sum(row[1] for row in rows), sum(sizes.values()), sizes, counters)

    def verify(self) -> tuple[int, int]:
        """Read every block, forget those that are not as they were written, and remove strays.

        Returns:
            How many are right, and how many were not.
        """
        return self._within(self._verify, (0, 0), make=False)

    def clear(self) -> int:
        """Remove everything, and return how many bytes that were; counters are kept."""
        freed = self.stats().size_bytes
        self._within(_emptied, None, make=False)
        shutil.rmtree(self._files, ignore_errors=True)
        return freed

    def _read(self, base: sqlite3.Connection, key: str) -> memoryview | None:
        row = _row(base, key)
        found = None if row is None else read_block(self._path(row[0]), row[1], key)
        if row is not None and found is None:
            self._drop(base, row[0], "refused_blocks")
        if row is not None and found is not None:
            base.execute("UPDATE block SET used = ?, hits = hits + 1 WHERE name = ?", (self._now(), row[0]))
        _count(base, "misses" if found is None else "hits")
        return found

    def _keep(
        self, base: sqlite3.Connection, keys: list[str], content: bytes, engine: str, tokens: int
    ) -> bool:
        if _row(base, keys[0]) is not None:
            return False
        name = _name(keys[0])
        try:
            self._make_room(base, len(content))
            size = write_block(self._path(name), keys, content)
        except OSError:
            return False
        row = (name, size, engine, tokens, self._clock(), self._now())
        base.execute("INSERT OR REPLACE INTO block VALUES (?, ?, ?, ?, ?, ?, 0)", row)
        base.executemany("INSERT OR IGNORE INTO alias VALUES (?, ?)", [(each, name) for each in keys])
        _count(base, "written_bytes", size)
        _count(base, "written_blocks")
        return True

    def _forget(self, base: sqlite3.Connection, key: str) -> None:
        row = _row(base, key)
        if row is not None:
            self._drop(base, row[0], "refused_blocks")

    def _verify(self, base: sqlite3.Connection) -> tuple[int, int]:
        right, wrong = 0, 0
        for name, size in base.execute("SELECT name, size FROM block").fetchall():
            keys = [key for (key,) in base.execute("SELECT key FROM alias WHERE name = ?", (name,))]
            if all(read_block(self._path(name), size, key) is not None for key in keys[:1] or [None]):
                right += 1
            else:
                self._drop(base, name, "refused_blocks")
                wrong += 1
        self._remove_strays(base, 0.0)
        return right, wrong

    def _path(self, name: str) -> Path:
        """Return the file of a block; a name that is none leads nowhere else."""
        safe = name if _NAME.fullmatch(name) else _name(name)
        return self._files / safe[:2] / f"{safe}.kv"

    def _make_room(self, base: sqlite3.Connection, size: int) -> None:
        """Remove what was not used for longest until so many bytes fit into budget and disk.

        Raises:
            OSError: the disk has no room for them.
        """
        (held,) = base.execute("SELECT COALESCE(SUM(size), 0) FROM block").fetchone()
        self._files.mkdir(parents=True, exist_ok=True, mode=0o700)
        disk = shutil.disk_usage(self._files)
        short = max(held + size - self.budget_bytes, size + int(FREE_SHARE * disk.total) - disk.free)
        if short > held:
            raise OSError("the disk is full")
        oldest = base.execute("SELECT name, size FROM block ORDER BY used, tokens DESC").fetchall()
        for name, freed in oldest:
            if short <= 0:
                return
            self._drop(base, name, "evicted_blocks")
            short -= freed

    def _drop(self, base: sqlite3.Connection, name: str, counter: str) -> None:
        base.execute("DELETE FROM alias WHERE name = ?", (name,))
        base.execute("DELETE FROM block WHERE name = ?", (name,))
        _count(base, counter)
        with contextlib.suppress(OSError):
            self._path(name).unlink(missing_ok=True)

    def _remove_strays(self, base: sqlite3.Connection, age_s: float) -> None:
        """Remove files that no index knows and that are older than so many seconds."""
        known = {name for (name,) in base.execute("SELECT name FROM block").fetchall()}
        for path in self._files.glob("*/*"):
            is_stray = path.name.partition(".")[0] not in known or path.suffix == ".new"
            with contextlib.suppress(OSError):
                if is_stray and time.time() - path.stat().st_mtime >= age_s:
                    path.unlink()

    def _within(
        self, work: Callable[[sqlite3.Connection], Found], otherwise: Found, *, make: bool = True
    ) -> Found:
        """Return what is done with the index in one transaction; ``otherwise`` where there is none."""
        base = self._opened(make=make)
        if base is None:
            return otherwise
        try:
            found = work(base)
            base.execute("COMMIT")
        except sqlite3.Error as error:
            if not _passes(error):
                _close(base)
                self._throw_away()
            return otherwise
        else:
            return found
        finally:
            _close(base)

    def _opened(self, *, make: bool) -> sqlite3.Connection | None:
        """Return the index with a transaction begun; one that is broken is made anew, once."""
        if not make and not self._index.is_file():
            return None
        for _ in range(2):
            base = None
            try:
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                base = sqlite3.connect(self._index, timeout=WAIT_S, isolation_level=None)
                self._prepare(base)
            except OSError:
                return None
            except sqlite3.Error as error:
                _close(base)
                if _passes(error):
                    return None
                self._throw_away()
            else:
                return base
        return None

    def _prepare(self, base: sqlite3.Connection) -> None:
        """Make the tables where there are none, and begin a transaction."""
        if base.execute("PRAGMA user_version").fetchone() != (VERSION,):
            base.execute("PRAGMA journal_mode = WAL")
            base.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
            self._remove_strays(base, STRAY_S)
        base.execute("BEGIN IMMEDIATE")

    def _throw_away(self) -> None:
        """Remove an index that is broken, with the files that it knew."""
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                self._index.with_name(self._index.name + suffix).unlink(missing_ok=True)
        shutil.rmtree(self._files, ignore_errors=True)


def _counted(base: sqlite3.Connection) -> tuple[list[tuple[str, int, int]], dict[str, int]]:
    rows = base.execute("SELECT engine, COUNT(*), SUM(size) FROM block GROUP BY engine").fetchall()
    return rows, dict(base.execute("SELECT name, value FROM counter").fetchall())


def _emptied(base: sqlite3.Connection) -> None:
    base.execute("DELETE FROM alias")
    base.execute("DELETE FROM block")


def _row(base: sqlite3.Connection, key: str) -> tuple[str, int] | None:
    found: tuple[str, int] | None = base.execute(
        "SELECT b.name, b.size FROM alias a JOIN block b ON b.name = a.name WHERE a.key = ?", (key,)
    ).fetchone()
    return found


def _name(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def _count(base: sqlite3.Connection, name: str, more: int = 1) -> None:
    base.execute(
        "INSERT INTO counter VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
        (name, more),
    )


def _passes(error: sqlite3.Error) -> bool:
    """Whether an error is none of the index: another process holds it, or the disk is full or read-only."""
    words = str(error)
    return isinstance(error, sqlite3.OperationalError) and "no such" not in words and "columns" not in words


def _close(base: sqlite3.Connection | None) -> None:
    if base is not None:
        with contextlib.suppress(sqlite3.Error):
            base.close()
