"""Every command that takes a ledger, on one that a PostgreSQL server keeps; and moving it there and back."""

import sqlite3
from pathlib import Path

import psycopg
import pytest

from faults.alter_ledger import KEY
from hwledger.cli import run as call
from hwledger.errors import AlteredError, BusyError, ConflictError
from hwledger.ledger.audit import audit
from hwledger.ledger.merkle import root_at
from hwledger.ledger.moving import migrate
from hwledger.ledger.note import Checkpoint, signed
from hwledger.ledger.opening import open_reader, open_store
from hwledger.ledger.reader import SqlReader
from hwledger.ledger.sqlite import SqliteStore
from support.events import event, events
from support.postgres import SECRET, Server

ORIGIN = "hwledger.example/moved"


@pytest.fixture
def address(postgres: Server) -> str:
    """Return the address of an empty database."""
    return postgres.new_schema()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a ledger file of 5,000 events with two checkpoints."""
    with SqliteStore(tmp_path / "ledger.db", origin=ORIGIN) as store:
        for first in range(0, 5000, 500):
            store.append([event(first + n, f"host/{n % 3}", text='ä€😀\\"\x00') for n in range(500)])
        for size in (500, 5000):
            store.keep_note(signed(Checkpoint(ORIGIN, size, root_at(size, store.node)), KEY), size)
    return tmp_path / "ledger.db"


def said(capsys: pytest.CaptureFixture[str], code: int, *arguments: object) -> str:
    """Return what a call prints to where its outcome goes, after checking its exit code."""
    capsys.readouterr()
    assert call([str(one) for one in arguments]) == code
    out, err = capsys.readouterr()
    return err if code else out


@pytest.mark.requirement("FR-LEDGER-POSTGRESQL", "FR-LEDGER-CLI")
def test_each_command_takes_an_address(
    capsys: pytest.CaptureFixture[str], address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A plan is recorded there and shown, listed, checked, signed, proved, exported and backed up."""
    plan = ("plan", "Qwen/Qwen3-32B", "--engine", "vllm", "--device", "2x H100 SXM", "--record")
    monkeypatch.setenv("HWLEDGER_LEDGER", address)
    assert "there is no ledger" in said(capsys, 4, "events")
    assert call(plan) == 0
    assert "recorded as event 1 of postgresql://" in capsys.readouterr().err
    assert call(plan) == 0
    assert "Qwen" in said(capsys, 0, "events")
    assert said(capsys, 0, "events", address) == said(capsys, 0, "events")
    assert "vllm" in said(capsys, 0, "history", "Qwen/Qwen3-32B")
    assert "vllm" in said(capsys, 0, "history", "Qwen/Qwen3-32B", "--ledger", address, "--after", 1)
    assert "2 events" in said(capsys, 0, "ledger", "verify")
    assert "\n2\n" in said(capsys, 0, "ledger", "checkpoint")
    assert "continues the checkpoint of 2" in said(capsys, 0, "ledger", "verify", address)
    assert "(signed)" in said(capsys, 0, "ledger", "prove", address, 1)
    assert said(capsys, 0, "ledger", "export", address).count("\n") == 2
    copy = tmp_path / "backup.db"
    assert "2 events" in said(capsys, 0, "ledger", "backup", address, copy)
    assert sorted(one.name for one in tmp_path.iterdir()) == [copy.name]
    assert said(capsys, 0, "ledger", "export", copy) == said(capsys, 0, "ledger", "export", address)
    assert "is not replaced" in said(capsys, 2, "ledger", "backup", address, copy)
    assert "migrate" in said(capsys, 2, "ledger", "restore", copy, address)
    assert "migrate" in said(capsys, 2, "ledger", "backup", copy, address)


@pytest.mark.requirement("FR-LEDGER-POSTGRESQL")
def test_a_wrong_password_is_not_shown(
    capsys: pytest.CaptureFixture[str], postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in what is printed nor in the name of the ledger."""
    monkeypatch.setenv(
        "HWLEDGER_LEDGER", f"postgresql://guest:{SECRET.replace(' ', '%20')}x@127.0.0.1:{postgres.port}/d"
    )
    found = said(capsys, 5, "ledger", "verify")
    assert "check user and password" in found
    assert "canary" not in found


def content(reader: SqlReader) -> list[object]:
    """Return all that is hashed of a ledger, its tree, its notes and its columns."""
    with reader.connected() as connection:
        rows = connection.exec_driver_sql(
            "SELECT seq, id, ts, type, subject, source, body, leaf, chain FROM event ORDER BY seq"
        ).all()
        nodes = connection.exec_driver_sql("SELECT level, idx, hash FROM node ORDER BY level, idx").all()
    return [reader.origin, [tuple(row) for row in rows], [tuple(node) for node in nodes], reader.notes()]


@pytest.mark.requirement("FR-LEDGER-MIGRATE")
def test_there_and_back_is_the_same_byte_for_byte(
    capsys: pytest.CaptureFixture[str], path: Path, address: str, tmp_path: Path
) -> None:
    """Events, hashes, tree and checkpoints are those of the first file; nothing else is left beside."""
    back = tmp_path / "back" / "ledger.db"
    assert "5,000 events" in said(capsys, 0, "ledger", "migrate", path, address)
    assert "5,000 events" in said(capsys, 0, "ledger", "migrate", address, f"sqlite:///{back}")
    with open_reader(path) as one, open_reader(address) as other, open_reader(back) as third:
        assert content(one) == content(other) == content(third)
        assert audit(other).root == audit(one).root
    assert {one.name for one in back.parent.iterdir()} <= {"ledger.db", "ledger.db-wal", "ledger.db-shm"}


@pytest.mark.requirement("FR-LEDGER-MIGRATE")
def test_a_beginning_is_continued_and_anything_else_refused(path: Path, address: str, tmp_path: Path) -> None:
    """A second run copies the rest; another ledger, a longer one and a fork are left as they are."""
    told: list[tuple[int, int]] = []
    migrate(path, address, lambda *one: told.append(one))
    assert told == [(2000, 5000), (4000, 5000), (5000, 5000)]
    with open_store(path) as store:
        store.append(events(7, 9000))
        store.keep_note(signed(Checkpoint(ORIGIN, 5007, root_at(5007, store.node)), KEY), 5007)
        with pytest.raises(BusyError):
            migrate(path, address)
    told.clear()
    assert migrate(path, address, lambda *one: told.append(one)).seq == 5007
    assert told == [(5007, 5007)]
    assert migrate(path, address).seq == 5007
    with open_store(address) as store:
        store.append(events(1, 20_000))
    with pytest.raises(ConflictError, match="more than the 5007"):
        migrate(path, address)
    with open_store(path) as store:
        store.append(events(2, 30_000))
    with pytest.raises(ConflictError, match="goes on differently"):
        migrate(path, address)
    SqliteStore(tmp_path / "other.db", origin="other").close()
    with pytest.raises(ConflictError, match="is the ledger other"):
        migrate(path, tmp_path / "other.db")
    with pytest.raises(BusyError):
        migrate(path, path)
    with open_reader(path) as one, open_reader(address) as other:
        assert (one.head().seq, other.head().seq) == (5009, 5008)


@pytest.mark.requirement("FR-LEDGER-MIGRATE")
def test_a_source_that_was_altered_is_not_copied(path: Path, address: str, tmp_path: Path) -> None:
    """The event is named, and the target has nothing of it: no file, and a ledger without events."""
    other = sqlite3.connect(path)
    other.execute("DROP TRIGGER event_no_update")
    other.execute("UPDATE event SET body = body || x'20' WHERE seq = 4100")
    other.commit()
    other.close()
    target = tmp_path / "target.db"
    for place in (target, address):
        with pytest.raises(AlteredError) as found:
            migrate(path, place)
        assert found.value.seq == 4100
    assert not any(one.name.startswith("target") for one in tmp_path.iterdir())
    with psycopg.connect(address) as connection:
        assert connection.execute("SELECT count(*) FROM event").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM node").fetchone() == (0,)
