"""Frozen beginnings of a ledger: sealed in files of their own, read as one, linked by the chain."""

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from faults.alter_ledger import KEY
from hwledger.cli import run as call
from hwledger.errors import AlteredError, ConflictError, FullError, HwledgerError, MissingError, UsageError
from hwledger.history import local_ledger
from hwledger.ledger.audit import audit
from hwledger.ledger.copies import backup, exported
from hwledger.ledger.event import body_of, event_of
from hwledger.ledger.merkle import includes, inclusion_proof, root_at
from hwledger.ledger.moving import migrate
from hwledger.ledger.note import Checkpoint, signed
from hwledger.ledger.opening import open_reader
from hwledger.ledger.projections import last_of_producer, parked
from hwledger.ledger.sqlite import SqliteReader, SqliteStore, freezing
from hwledger.ledger.sqlite.freezing import freeze, shrink
from hwledger.ledger.sqlite.shards import MOST
from support.events import event, events
from support.postgres import Server

pytestmark = pytest.mark.requirement("FR-LEDGER-SHARDS")
ORIGIN = "hwledger.example/shards"
SIZES = (40, 25, 30)
"""Of the first file, of the second, and of what is not frozen."""


def fill(path: Path, *, frozen: bool) -> list[Any]:
    """Write the same events, frozen twice on the way or not; return what is hashed of them."""
    first = 0
    for number, size in enumerate(SIZES):
        with SqliteStore(path, origin=ORIGIN) as store:
            store.append([event(first + one, f"host/{one % 3}") for one in range(size)])
            store.keep_note(signed(audit(store).checkpoint, KEY), store.head().seq)
            first += size
            if frozen and number < len(SIZES) - 1:
                freeze(store)
    with SqliteReader(path) as reader:
        return [reader.read(), reader.notes(), audit(reader)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a ledger of three files, of 95 events."""
    fill(tmp_path / "ledger.db", frozen=True)
    return tmp_path / "ledger.db"


def test_it_is_the_ledger_that_it_was(path: Path, tmp_path: Path) -> None:
    """Events, hashes, numbers, checkpoints, root, proofs and searches are those of one file."""
    whole = tmp_path / "whole" / "ledger.db"
    expected = fill(whole, frozen=False)
    assert sorted(one.name for one in tmp_path.glob("*.db")) == [
        "ledger.1-40.db", "ledger.41-65.db", "ledger.db",
    ]  # fmt: skip
    with SqliteReader(path) as reader, SqliteReader(whole) as other:
        assert [reader.read(), reader.notes(), audit(reader)] == expected
        assert reader.shards() == ["ledger.1-40.db", "ledger.41-65.db"]
        for after in (0, 38, 39, 40, 41, 64, 65, 90):
            assert reader.read(after, 4) == other.read(after, 4)
            assert reader.read(after, 9, subject="host/1") == other.read(after, 9, subject="host/1")
        assert reader.get(40) == other.get(40)
        assert reader.subjects("host/") == ["host/0", "host/1", "host/2"]
        for seq in (1, 40, 41, 65, 66, 95):
            with reader.nodes() as nodes:
                proof = inclusion_proof(seq - 1, 95, nodes)
            assert includes(reader.get(seq).leaf, seq - 1, 95, proof, expected[2].root)
        for size in range(1, 96):
            assert root_at(size, reader.node) == root_at(size, other.node)


def test_each_file_is_checked_by_itself(path: Path) -> None:
    """A sealed file is a ledger up to its end, is read-only, and nobody writes to it."""
    for name, size in (("ledger.1-40.db", 40), ("ledger.41-65.db", 65)):
        sealed = path.with_name(name)
        assert sealed.stat().st_mode & 0o777 == 0o400
        with SqliteReader(sealed) as reader:
            assert audit(reader).head.seq == size
        sealed.chmod(0o600)
        with pytest.raises(FullError, match="frozen beginning"):
            SqliteStore(sealed)
        other = sqlite3.connect(sealed)
        with pytest.raises(sqlite3.IntegrityError, match="frozen"):
            other.execute("INSERT INTO event SELECT 66, 'x', 1, '', '', '', '', '', '', 1")
        other.close()


def test_it_goes_on(path: Path) -> None:
    """An event that is in a sealed file is not added again; the next one follows on the chain; then again."""
    with SqliteStore(path) as store:
        again = store.append([event(3, "host/0"), event(1000)])
        assert [(one.seq, one.repeated) for one in again] == [(4, True), (96, False)]
        with pytest.raises(ConflictError):
            store.append([event(3, "host/9")])
        freeze(store)
        assert store.append(events(3, 2000))[0].seq == 97
        assert audit(store).head.seq == 99
    with SqliteStore(path) as store:
        assert store.append(events(1, 3000))[0].seq == 100
        assert len(store.shards()) == 3


def test_a_reader_that_was_there_before_reads_on(tmp_path: Path) -> None:
    """Its connections take the new files in, at the next question."""
    path = tmp_path / "ledger.db"
    with SqliteStore(path) as store, SqliteReader(path) as reader:
        store.append(events(10))
        assert len(reader.read()) == 10
        for number in range(1, 4):
            freeze(store)
            store.append(events(1, 100 * number))
            assert [entry.seq for entry in reader.read()] == [*range(1, 11 + number)]


def test_projections_are_made_anew_across(path: Path) -> None:
    """From the first event on, with counts that came before the files were frozen."""
    with SqliteStore(path, origin=ORIGIN) as store:
        moved = event(7000)
        store.append([type(moved)(**{**_fields(moved), "boot": "b", "boot_seq": 9})])
        freeze(store)
        assert store.query(lambda one: last_of_producer(one, moved.source, "b")) == 9
        store.rebuild()
        assert store.query(lambda one: last_of_producer(one, moved.source, "b")) == 9
        assert store.query(parked) == []


def _fields(one: Any) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


@pytest.mark.parametrize("seq", [1, 40, 41, 65, 66])
def test_an_alteration_is_named_in_whichever_file(path: Path, seq: int) -> None:
    """An edit in a sealed file, or in the last one, is found at its event."""
    name = {1: "ledger.1-40.db", 40: "ledger.1-40.db", 41: "ledger.41-65.db", 65: "ledger.41-65.db"}
    file = path.with_name(name.get(seq, path.name))
    file.chmod(0o600)
    other = sqlite3.connect(file)
    other.execute("DROP TRIGGER event_no_update")
    other.execute("UPDATE event SET body = replace(body, 'host', 'hos7') WHERE seq = ?", [seq])
    other.commit()
    other.close()
    with SqliteReader(path) as reader, pytest.raises(AlteredError) as found:
        audit(reader)
    assert found.value.seq == seq


def test_a_file_that_is_gone_or_exchanged(path: Path, tmp_path: Path) -> None:
    """Nothing is read past a gap; a sealed file of another ledger does not link."""
    sealed = path.with_name("ledger.1-40.db")
    away = sealed.rename(tmp_path / "away")
    for opened in (SqliteReader, SqliteStore):
        with pytest.raises(MissingError, match=r"ledger\.1-40\.db"):
            opened(path)
    (tmp_path / "other").mkdir()
    with SqliteStore(tmp_path / "other/ledger.db", origin=ORIGIN) as store:
        store.append([event(one + 500) for one in range(40)])
        shutil.copy(freeze(store), sealed)
    with SqliteReader(path) as reader, pytest.raises(AlteredError) as found:
        audit(reader)
    assert found.value.seq == 41
    sealed.unlink()
    away.rename(sealed)
    with SqliteReader(path) as reader:
        assert audit(reader).head.seq == 95


def test_a_cut_of_the_last_file_is_shown_by_a_witness(path: Path) -> None:
    """What is sealed is whole, and the events behind it are missing."""
    with SqliteReader(path) as reader:
        seen = audit(reader).checkpoint
    with SqliteStore(path) as store:
        store.transact(lambda one: freezing._empty(one, "other", "0"))
    with SqliteReader(path) as reader, pytest.raises(AlteredError):
        audit(reader, [Checkpoint(ORIGIN, seen.size, seen.root)])


def test_a_backup_and_an_export_have_everything(path: Path, tmp_path: Path) -> None:
    """In one file, byte for byte."""
    report = backup(path, tmp_path / "copy/ledger.db")
    assert report.head.seq == 95
    with SqliteReader(path) as reader, SqliteReader(tmp_path / "copy/ledger.db") as other:
        assert (reader.read(), reader.notes()) == (other.read(), other.notes())
        assert other.shards() == []
        assert b"".join(exported(reader)) == b"".join(exported(other))


def test_it_moves_to_a_server(path: Path, postgres: Server) -> None:
    """Whole, with the hashes that it had."""
    address = postgres.new_schema()
    head = migrate(path, address)
    with open_reader(address) as reader, SqliteReader(path) as other:
        assert (reader.head(), reader.read()) == (head, other.read())


def test_what_is_refused(path: Path, tmp_path: Path) -> None:
    """Freezing nothing, a name that is taken by something else, and more files than SQLite attaches."""
    with SqliteStore(path) as store:
        path.with_name("ledger.66-95.db").write_bytes(b"")
        with pytest.raises(HwledgerError):
            freeze(store)
        assert store.append(events(1, 5000))[0].seq == 96
    with SqliteStore(tmp_path / "many.db") as store:
        with pytest.raises(UsageError, match="nothing to freeze"):
            freeze(store)
        for number in range(MOST):
            store.append(events(2, 10 * number))
            freeze(store)
        with pytest.raises(UsageError, match="nothing to freeze"):
            freeze(store)
        store.append(events(2, 1000))
        with pytest.raises(UsageError, match="attaches no more"):
            freeze(store)
        assert audit(store).head.seq == 2 * MOST + 2


@pytest.mark.parametrize("then", ["_empty", "_strip"])
def test_a_crash_leaves_it_as_it_was_or_frozen(tmp_path: Path, then: str) -> None:
    """Killed before the ledger lets go of its events, or while they are copied: nothing is lost."""
    path = tmp_path / "ledger.db"
    fill(path, frozen=False)
    code = (
        "import os, sys; from pathlib import Path\n"
        "from hwledger.ledger.sqlite import SqliteStore, freezing\n"
        f"freezing.{then} = lambda *_: os._exit(9)\n"
        "freezing.freeze(SqliteStore(Path(sys.argv[1])))"
    )
    assert subprocess.run([sys.executable, "-c", code, path], check=False).returncode == 9
    with SqliteStore(path) as store:
        assert (audit(store).head.seq, store.shards()) == (95, [])
        assert freeze(store).name == "ledger.1-95.db"
        assert store.append(events(1, 8000))[0].seq == 96
        assert audit(store).head.seq == 96


def test_it_shrinks(tmp_path: Path) -> None:
    """What was frozen is off the ledger's own file."""
    path = tmp_path / "ledger.db"
    with SqliteStore(path) as store:
        store.append(events(3000))
        freeze(store)
    before = path.stat().st_size
    shrink(path)
    assert path.stat().st_size < before / 3
    with SqliteReader(path) as reader:
        assert audit(reader).head.seq == 3000


def test_the_command(capsys: pytest.CaptureFixture[str], postgres: Server) -> None:
    """It signs, seals and goes on, with that on record; on a server it says no."""
    with SqliteStore(local_ledger(), origin=ORIGIN) as store:
        store.append(events(20))
    capsys.readouterr()
    assert call(["ledger", "freeze"]) == 0
    assert "ledger.1-20.db: events up to 20" in capsys.readouterr().out
    with open_reader(local_ledger()) as reader:
        (last,) = reader.read(20)
        assert event_of(last.body).type == "fleet.ledger.shard_frozen.v1"
        assert event_of(last.body).data["note"] == reader.notes()[20]
        assert body_of(event(3)) == reader.get(4).body
    assert call(["ledger", "verify"]) == 0
    assert "21 events" in capsys.readouterr().out
    address = postgres.new_schema()
    migrate(local_ledger(), address)
    assert call(["ledger", "freeze", address]) == 2
    assert "only a ledger in a file" in capsys.readouterr().err
