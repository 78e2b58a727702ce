"""Alter a ledger file as somebody who may write it could, again and again, and see whether a check finds it.

    python tests/faults/alter_ledger.py [--times 10000] [--seed 1]

Each case is a copy of one ledger, altered, and checked against its own last signed checkpoint, as an agent
that has seen it would. Prints one JSON object: by kind, how many were found, not found, or found at another
event than the first that shows it. Leaves with 1 where any was not found, or elsewhere.
"""

import argparse
import json
import random
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hwledger.errors import AlteredError, HwledgerError
from hwledger.ledger.audit import audit
from hwledger.ledger.chain import Head, entries
from hwledger.ledger.event import body_of, event_of
from hwledger.ledger.merkle import Frontier
from hwledger.ledger.note import opened, signed, verifier_key
from hwledger.ledger.sqlite import SqliteReader, SqliteStore
from support.events import event, events

ORIGIN = "hwledger.example/altered"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC = verifier_key(ORIGIN, KEY)
SIZE = 150
OLD = 97
EVENT = "seq, id, ts, type, subject, source, body, leaf, chain, writer_epoch"
HASHED = ("id", "ts", "type", "subject", "source", "body", "leaf", "chain")
Connection = sqlite3.Connection


def make(folder: Path) -> tuple[Path, Path, str]:
    """Return a ledger with checkpoints, an old backup of it, and its last note."""
    path, old = folder / "ledger.db", folder / "old.db"
    with SqliteStore(path, origin=ORIGIN) as store:
        for number in range(SIZE):
            store.append(events(1, number))
            if store.head().seq in {50, OLD, SIZE}:
                with SqliteReader(path) as reader:
                    note = signed(audit(reader).checkpoint, KEY)
                store.keep_note(note, store.head().seq)
            if store.head().seq == OLD:
                backup = sqlite3.connect(old)
                with sqlite3.connect(path) as source:
                    source.backup(backup)
                source.close()
                backup.close()
    return path, old, note


def flipped(value: object, chance: random.Random) -> object:
    """Return a value with one bit of it changed, or none, or the same as text."""
    if chance.random() < 0.1:
        return chance.choice((b"", "", "text", 7.5, b"\xff"))
    if isinstance(value, int):
        return value ^ 1 << chance.randrange(48)
    raw = bytearray(value.encode("latin-1") if isinstance(value, str) else bytes(value))
    raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(7)
    return raw.decode("latin-1") if isinstance(value, str) else bytes(raw)


def edit(connection: Connection, chance: random.Random) -> int:
    """Change a bit in any column that is covered."""
    seq, column = chance.randint(1, SIZE), chance.choice(HASHED)
    (value,) = connection.execute(f"SELECT {column} FROM event WHERE seq = ?", [seq]).fetchone()
    connection.execute(f"UPDATE event SET {column} = ? WHERE seq = ?", [flipped(value, chance), seq])
    return seq


def delete(connection: Connection, chance: random.Random) -> int:
    """Take one event out, and sometimes close the gap in the numbers."""
    seq = chance.randint(1, SIZE)
    connection.execute("DELETE FROM event WHERE seq = ?", [seq])
    if chance.random() < 0.5:
        for later in range(seq + 1, SIZE + 1):
            connection.execute("UPDATE event SET seq = ? WHERE seq = ?", [later - 1, later])
    return seq


def swap(connection: Connection, chance: random.Random) -> int:
    """Exchange two events, with or without their hashes."""
    one, other = sorted(chance.sample(range(1, SIZE + 1), 2))
    columns = (
        "ts, type, subject, source, body"
        if chance.random() < 0.5
        else "ts, type, subject, source, body, leaf, chain"
    )
    rows = [
        connection.execute(f"SELECT id, {columns} FROM event WHERE seq = ?", [seq]).fetchone()
        for seq in (one, other)
    ]
    connection.execute("UPDATE event SET id = 'x' WHERE seq = ?", [other])
    names = ["id", *columns.split(", ")]
    for seq, row in zip((one, other), reversed(rows), strict=True):
        connection.execute(
            f"UPDATE event SET {', '.join(f'{name} = ?' for name in names)} WHERE seq = ?", [*row, seq]
        )
    return one


def cut(connection: Connection, chance: random.Random) -> int:
    """Cut the end off, with everything that would tell of it in the file."""
    last = chance.randint(0, SIZE - 1)
    connection.execute("DELETE FROM event WHERE seq > ?", [last])
    connection.execute("DELETE FROM checkpoint WHERE size > ?", [last])
    connection.execute("DELETE FROM node WHERE (idx + 1) << level > ?", [last])
    return last + 1


def forge(connection: Connection, chance: random.Random) -> int:
    """Make history anew from an event on, with all hashes right, without the checkpoints that would tell."""
    seq = chance.randint(1, SIZE)
    bodies = [row[0] for row in connection.execute("SELECT body FROM event ORDER BY seq")]
    changed = event_of(bodies[seq - 1])
    bodies[seq - 1] = body_of(event(int(changed.data["n"]), forged=chance.randrange(1 << 30)))
    if chance.random() < 0.3:
        bodies += [body_of(event(number)) for number in range(5000, 5000 + chance.randint(1, 20))]
    rewrite(connection, bodies)
    connection.execute("DELETE FROM checkpoint WHERE size >= ?", [seq])
    return SIZE  # what was seen last is the first that can tell


def rewrite(connection: Connection, bodies: list[bytes]) -> None:
    """Fill a ledger with bodies, as if they had always been there."""
    connection.execute("DELETE FROM event")
    connection.execute("DELETE FROM node")
    frontier = Frontier()
    for entry in entries(Head(), bodies):
        made = event_of(entry.body)
        row = [entry.seq, made.id, made.time_microseconds, made.type, made.subject, made.source]
        row += [entry.body, entry.leaf, entry.chain, 1]
        connection.execute(f"INSERT INTO event ({EVENT}) VALUES (?,?,?,?,?,?,?,?,?,?)", row)
        connection.executemany("INSERT INTO node VALUES (?,?,?)", frontier.add(entry.leaf))


def add(connection: Connection, chance: random.Random) -> int:
    """Put an event in, before the first or behind the last, that follows on nothing."""
    seq = chance.choice((0, -1, SIZE + 1, SIZE + 2))
    row = connection.execute(f"SELECT {EVENT} FROM event WHERE seq = ?", [chance.randint(1, SIZE)]).fetchone()
    connection.execute(f"INSERT INTO event VALUES ({','.join('?' * 10)})", [seq, "x", *row[2:]])
    return SIZE + 1 if seq > 0 else seq


def tree(connection: Connection, chance: random.Random) -> int | None:
    """Change, remove or add a node of the Merkle tree."""
    rows = connection.execute("SELECT level, idx, hash FROM node").fetchall()
    level, idx, value = chance.choice(rows)
    kind = chance.randrange(3)
    if kind == 0:
        connection.execute(
            "UPDATE node SET hash = ? WHERE level = ? AND idx = ?", [flipped(value, chance), level, idx]
        )
    elif kind == 1:
        connection.execute("DELETE FROM node WHERE level = ? AND idx = ?", [level, idx])
    else:
        connection.execute("INSERT INTO node VALUES (?, ?, ?)", [level + 20, idx, value])
        return None
    return (idx << level) + 1


def checkpoint(connection: Connection, chance: random.Random) -> None:
    """Change a character of a kept checkpoint."""
    size, note = chance.choice(connection.execute("SELECT size, note FROM checkpoint").fetchall())
    at = chance.randrange(len(note))
    changed = f"{note[:at]}{chr(ord(note[at]) ^ 1)}{note[at + 1 :]}"
    connection.execute("UPDATE checkpoint SET note = ? WHERE size = ?", [changed, size])


def name(connection: Connection, chance: random.Random) -> None:
    """Give the ledger another name."""
    connection.execute("UPDATE meta SET value = ?", [f"{ORIGIN}{chance.randrange(100)}"])


def fork(path: Path, chance: random.Random) -> int:
    """Go on from an old copy as another server with the same key would; return the first event that tells."""
    with SqliteStore(path) as store:
        for _ in range(chance.randint(1, 3)):
            store.append([event(chance.randrange(10_000, 1 << 40)) for _ in range(chance.randint(1, 60))])
        size = store.head().seq
        with SqliteReader(path) as reader:
            store.keep_note(signed(audit(reader).checkpoint, KEY), size)
    return min(size + 1, SIZE)


KINDS: dict[str, Callable[[Connection, random.Random], int | None]] = {
    "edit": edit, "delete": delete, "swap": swap, "cut": cut, "forge": forge, "add": add, "tree": tree,
    "checkpoint": checkpoint, "name": name,
}  # fmt: skip


EVERY = (*KINDS, "rollback", "fork")


def altered(path: Path, kind: str, chance: random.Random) -> int | None:
    """Alter a ledger in one way; return the first event that shows it."""
    connection = sqlite3.connect(path)
    for (trigger,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {trigger}")
    seq = KINDS[kind](connection, chance)
    connection.commit()
    connection.close()
    return seq


def verdict(path: Path, note: str, seq: int | None) -> str:
    """Return what a check says: found, not found, or found elsewhere."""
    try:
        with SqliteReader(path) as reader:
            audit(reader, [opened(note, PUBLIC)], PUBLIC)
    except AlteredError as error:
        return "found" if seq is None or error.seq == seq else "elsewhere"
    except HwledgerError:
        return "found" if seq is None else "elsewhere"
    return "not found"


def clear(path: Path) -> None:
    """Take away what an earlier case left."""
    for one in path.parent.glob(f"{path.name}*"):
        one.unlink()


def run(times: int, seed: int, folder: Path) -> dict[str, dict[str, int]]:
    """Return, by kind, how many cases were found, not found, and found elsewhere."""
    chance = random.Random(seed)
    path, old, note = make(folder)
    copy = folder / "copy.db"
    counts: dict[str, Counter[str]] = {}
    for number in range(times):
        kind = EVERY[number % len(EVERY)]
        clear(copy)
        shutil.copy(old if kind in {"rollback", "fork"} else path, copy)
        if kind in KINDS:
            seq = altered(copy, kind, chance)
        else:
            seq = OLD + 1 if kind == "rollback" else fork(copy, chance)
        counts.setdefault(kind, Counter())[verdict(copy, note, seq)] += 1
    return {kind: dict(found) for kind, found in counts.items()}


def main() -> int:
    """Run as a script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        counts = run(arguments.times, arguments.seed, Path(folder))
    sys.stdout.write(json.dumps(counts) + "\n")
    return 1 if any(set(found) != {"found"} for found in counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
