"""Ledgers that were altered by somebody who may write the file."""

import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from faults.alter_ledger import EVERY, KEY, ORIGIN, PUBLIC, SIZE, make, run
from hwledger.errors import AlteredError, HwledgerError, MalformedError
from hwledger.ledger.audit import PAGE, audit
from hwledger.ledger.chain import Head
from hwledger.ledger.merkle import EMPTY_ROOT, root_of
from hwledger.ledger.note import Checkpoint, opened, signed
from hwledger.ledger.sqlite import SqliteReader, SqliteStore
from support.events import events

pytestmark = pytest.mark.requirement("FR-LEDGER-VERIFY")


def test_every_alteration_is_found_where_it_is(tmp_path: Path) -> None:
    """Edits, deletions, exchanges, cuts, forgeries, additions, rollbacks, forks: found at the first event."""
    found = run(20 * len(EVERY), 7, tmp_path)
    assert found == {kind: {"found": 20} for kind in EVERY}


def content(path: Path) -> list[object]:
    """Return all that a ledger says, past every check."""
    connection = sqlite3.connect(path)
    try:
        tables = ("event", "node", "checkpoint", "meta")
        return [connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables]  # noqa: S608 - above
    finally:
        connection.close()


@pytest.mark.parametrize("seed", range(120))
def test_a_flipped_bit_in_the_file_is_found_or_changes_nothing(
    ledger: tuple[Path, str], tmp_path: Path, seed: int
) -> None:
    """One bit anywhere, also in indexes and free space: it is refused in a sentence, or all is as it was."""
    path = Path(shutil.copy(ledger[0], tmp_path / "copy.db"))
    raw, chance = bytearray(path.read_bytes()), random.Random(seed)
    raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
    path.write_bytes(raw)
    try:
        with SqliteReader(path) as reader:
            audit(reader, [opened(ledger[1], PUBLIC)], PUBLIC)
    except HwledgerError:
        return
    assert content(path) == content(ledger[0])


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a ledger with checkpoints, and its last note."""
    path, _, note = make(tmp_path_factory.mktemp("ledger"))
    return path, note


def test_a_whole_ledger_is_reported(ledger: tuple[Path, str]) -> None:
    """Name, end, root and the checkpoints that were used are told, and where none came from outside."""
    with SqliteReader(ledger[0]) as reader:
        alone = audit(reader)
        report = audit(reader, [opened(ledger[1], PUBLIC)], PUBLIC)
        leaves = [entry.leaf for entry in reader.read()]
    assert (alone.kept, alone.seen) == (3, None)
    assert (report.origin, report.head.seq, report.kept, report.seen) == (ORIGIN, SIZE, 3, SIZE)
    assert report.root == alone.root == root_of(leaves)
    assert report.checkpoint == opened(ledger[1], PUBLIC)


@pytest.mark.parametrize("size", [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE + 5])
def test_sizes_around_pages(tmp_path: Path, size: int) -> None:
    """Pages that are full, and not, give the roots that adding leaf by leaf gives."""
    with SqliteStore(tmp_path / "a.db", origin=ORIGIN) as store:
        for start in range(0, size, 1000):
            store.append(events(min(1000, size - start), start))
    told: list[int] = []
    with SqliteReader(tmp_path / "a.db") as reader:
        leaves = [entry.leaf for entry in reader.read(0, size or 1)]
        marks = [0, 1, size // 2, PAGE, size]
        seen = [Checkpoint(ORIGIN, mark, root_of(leaves[:mark])) for mark in marks if mark <= size]
        assert audit(reader).root == audit(reader, seen, tell=told.append).root == root_of(leaves)
        for one in seen:
            wrong = Checkpoint(ORIGIN, one.size, root_of([*leaves, b"x" * 32]))
            with pytest.raises(AlteredError):
                audit(reader, [wrong])
            with pytest.raises(AlteredError):
                audit(reader, [one, wrong])
    assert told == [*range(PAGE, size, PAGE), size][: len(told)]


def test_checkpoints_that_contradict(tmp_path: Path) -> None:
    """One of another ledger, one by another key, and one of nothing that is not the empty root."""
    path = tmp_path / "a.db"
    with SqliteStore(path, origin=ORIGIN) as store:
        store.append(events(3))
        root = root_of([entry.leaf for entry in store.read()])
        store.keep_note(signed(Checkpoint(ORIGIN, 3, root), KEY), 3)
    with SqliteReader(path) as reader:
        with pytest.raises(AlteredError, match="checkpoint is of another"):
            audit(reader, [Checkpoint("another", 3, root)])
        with pytest.raises(AlteredError, match="size 0"):
            audit(reader, [Checkpoint(ORIGIN, 0, root)])
        other = type(PUBLIC)(ORIGIN, bytes(32))
        with pytest.raises(MalformedError, match="not signed by"):
            audit(reader, key=other)
        assert audit(reader, [Checkpoint(ORIGIN, 0, EMPTY_ROOT)], PUBLIC).head != Head()
