"""The ledger in a real SQLite file: what guards it, what it refuses, what follows from it."""

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select

from hwledger.errors import (
    AlteredError,
    BusyError,
    ConflictError,
    FullError,
    MalformedError,
    MissingError,
    NewerError,
)
from hwledger.ledger import writer
from hwledger.ledger.event import Event
from hwledger.ledger.projections import PRODUCER, Producers, last_of_producer, parked
from hwledger.ledger.sqlite import SqliteReader, SqliteStore, places
from hwledger.ledger.sqlite.connecting import explaining
from support.events import event, events

pytestmark = pytest.mark.requirement("FR-LEDGER-SQLITE")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a ledger may be made."""
    return tmp_path / "a folder" / "ledger #1?.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    """Return an empty ledger file, open."""
    with SqliteStore(path) as made:
        yield made


def test_what_was_written_is_there_again(path: Path) -> None:
    """A ledger that is closed and opened goes on where it ended, under the same name, by the next writer."""
    with SqliteStore(path, origin="example.org/one") as store:
        first = store.append(events(3))
    with SqliteStore(path, origin="ignored") as store:
        assert store.origin == "example.org/one"
        second = store.append([event(0), *events(3, 3)])
        assert (second[0].seq, second[0].repeated) == (first[0].seq, True)
        assert [entry.seq for entry in store.read()] == [1, 2, 3, 4, 5, 6]
    with SqliteReader(path) as reader, reader.connected() as connection:
        assert reader.head().seq == 6
        epochs = connection.exec_driver_sql("SELECT writer_epoch FROM event ORDER BY seq").scalars().all()
    assert epochs == [1, 1, 1, 2, 2, 2]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_promise_of_durability_is_set(store: SqliteStore) -> None:
    """The connection that writes uses a write-ahead log and syncs it at each commit."""
    settings = {
        name: store.transact(
            lambda connection, one=name: connection.exec_driver_sql(f"PRAGMA {one}").scalar()
        )
        for name in ("journal_mode", "synchronous", "recursive_triggers")
    }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "recursive_triggers": 1}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE event SET type = 'x'", "UPDATE event SET seq = seq + 10", "DELETE FROM event",
        "DELETE FROM node",
        "UPDATE node SET hash = x''", "DELETE FROM checkpoint", "UPDATE checkpoint SET note = ''",
        "UPDATE meta SET value = 'x'", "DELETE FROM meta",
        "INSERT INTO event SELECT 9, 'x', ts, type, subject, source, body, leaf, chain, 1 FROM event LIMIT 1",
        "INSERT INTO event SELECT 2, 'x', ts, type, subject, source, body, leaf, chain, 1 FROM event LIMIT 1",
        "REPLACE INTO event SELECT 4, id, ts, type, subject, source, body, leaf, chain, 1 FROM event",
        "REPLACE INTO event SELECT seq, 'x', ts, type, subject, source, body, leaf, chain, 1 FROM event",
    ],
)  # fmt: skip
def test_a_tool_of_others_changes_nothing(store: SqliteStore, change: str) -> None:
    """Any connection is refused to update, delete, replace, or add out of order."""
    store.append(events(3))
    store.keep_note("note", 3)
    before = store.read()
    other = sqlite3.connect(store.path)
    with pytest.raises(sqlite3.IntegrityError, match=r"never changed|at the end"):
        other.execute(change)
    other.close()
    assert store.read() == before


def test_readers_cannot_write(store: SqliteStore) -> None:
    """What reads is held to reading by the database, too."""
    store.append(events(1))
    with pytest.raises(FullError), store.connected() as connection:
        connection.exec_driver_sql("CREATE TABLE x (y)")


def test_a_second_writer_is_refused_and_readers_are_not(path: Path) -> None:
    """In this process and in another; once the first is gone, the next may write."""
    with SqliteStore(path) as store:
        store.append(events(2))
        with pytest.raises(BusyError, match="another process writes"):
            SqliteStore(path)
        code = (
            "import pathlib, hwledger.ledger.sqlite as room, sys; room.SqliteStore(pathlib.Path(sys.argv[1]))"
        )
        other = subprocess.run(
            [sys.executable, "-c", code, path], capture_output=True, text=True, check=False
        )
        assert "BusyError" in other.stderr
        with SqliteReader(path) as reader:
            assert reader.head() == store.head()
    SqliteStore(path).close()


def test_a_writer_past_the_lock_forks_nothing(store: SqliteStore) -> None:
    """Somebody who adds rows without the lock makes the next commit fail; the ledger is not forked."""
    store.append(events(2))
    other = sqlite3.connect(store.path)
    other.execute(
        "INSERT INTO event SELECT 3, 'x', ts, type, subject, source, body, leaf, chain, 1 FROM event LIMIT 1"
    )
    other.commit()
    other.close()
    with pytest.raises(MalformedError):
        store.append(events(1, 5))
    with store.connected() as connection:
        assert connection.exec_driver_sql("SELECT max(seq) FROM event").scalar() == 3


FOREIGN = {
    "text": b"this is a text, and longer than the header of a database " * 4,
    "cut": b"SQLite format 3\x00\x10\x00",
    "empty": b"",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path, kind: str) -> None:
    """A text, a cut header and an empty file are refused for reading; but the empty one, for writing, too."""
    path = tmp_path / "file"
    path.write_bytes(FOREIGN[kind])
    with pytest.raises(MalformedError, match="is no ledger"):
        SqliteReader(path)
    if FOREIGN[kind]:
        with pytest.raises(MalformedError):
            SqliteStore(path)
        assert path.read_bytes() == FOREIGN[kind]


def test_databases_of_others_are_refused(tmp_path: Path) -> None:
    """Another program's database is neither read nor written, nor is a folder or nothing at all."""
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE event (seq INTEGER PRIMARY KEY)")
    other.commit()
    other.close()
    for opened in (SqliteReader, SqliteStore):
        with pytest.raises(MalformedError, match="another program"):
            opened(path)
    with pytest.raises(MissingError, match="there is no ledger"):
        SqliteReader(tmp_path / "nothing")
    with pytest.raises((MissingError, MalformedError, places.InputError)):
        SqliteReader(tmp_path)


def test_a_newer_schema_is_left_alone(path: Path) -> None:
    """A file of a newer version is neither read nor written, also where the mark lies in the log still."""
    SqliteStore(path).close()
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version=3")
    other.commit()
    for opened in (SqliteReader, SqliteStore):
        with pytest.raises(NewerError, match="schema 3, this one knows 2"):
            opened(path)
    other.close()
    with pytest.raises(NewerError):
        SqliteReader(path)


@pytest.mark.parametrize("size", [100, 1000, 4096, 5000, 20_000])
def test_a_file_that_was_cut_off_is_refused_or_named(path: Path, size: int) -> None:
    """Whatever is left of the file, reading all of it ends in a sentence and never in fewer events."""
    with SqliteStore(path) as store:
        store.append(events(200))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises((AlteredError, MalformedError)), SqliteReader(path) as reader:
        reader.read()


def test_a_folder_that_nobody_may_write_is_read(path: Path) -> None:
    """A copy on a read-only medium is read as it is, and nothing is left beside it."""
    with SqliteStore(path) as store:
        store.append(events(3))
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        with SqliteReader(path) as reader:
            assert len(reader.read()) == 3
        assert [one.name for one in path.parent.iterdir()] == [path.name]
    finally:
        path.parent.chmod(0o700)


def test_network_file_systems_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The innermost mount decides, by the table that ships; of two on one place, the later."""
    mounts = [("/", "ext4"), ("/home", "nfs4"), ("/home/a", "xfs"), ("/srv", "ext4"), ("/srv", "cifs")]
    kinds = [
        places.file_system(Path(text), mounts) for text in ("/x", "/home/b", "/home/a/b", "/homes", "/srv/x")
    ]
    assert kinds == ["ext4", "nfs4", "xfs", "ext4", "cifs"]
    assert {"nfs4", "cifs", "9p", "fuse.sshfs"} <= places.network_file_systems()
    assert (
        not {"ext4", "xfs", "btrfs", "apfs", "ntfs", "tmpfs", "overlay", "zfs"}
        & places.network_file_systems()
    )
    monkeypatch.setattr(places, "file_system", lambda *_: "nfs4")
    with pytest.raises(places.InputError, match="network file system"):
        SqliteStore(path)
    assert not path.exists()


def test_a_group_is_one_commit_and_each_request_has_its_own_answer(store: SqliteStore) -> None:
    """Requests that wait together are committed together; one that is refused takes no other with it."""
    store.append([event(0)])
    requests = [
        ([event(1)], None), ([replace(event(0), subject="x")], None), ([event(2)], 99),
        ([event(1), event(3)], None), ([event(4)], 3),
    ]  # fmt: skip
    group = [
        writer.Request(writer.with_bodies(made), expected, future=Future[Any]())
        for made, expected in requests
    ]
    store._answer_group(group)
    answers = [one._future.exception() or one._future.result() for one in group]
    assert [type(answer) for answer in answers] == [tuple, ConflictError, ConflictError, tuple, tuple]
    assert [one.seq for one in answers[3]] == [2, 3]
    assert [entry.seq for entry in store.read()] == [1, 2, 3, 4]


def test_when_the_disk_is_full_nothing_is_lost_or_half_there(store: SqliteStore) -> None:
    """A commit that fails is refused whole, reading goes on, and once there is room appending does, too."""
    store.append(events(10))
    pages = store.transact(lambda connection: connection.exec_driver_sql("PRAGMA page_count").scalar())
    store.transact(lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count={pages}").scalar())
    with pytest.raises(FullError, match="free the disk"):
        store.append([event(11, text="x" * 100_000), *events(50, 20)])
    assert store.head().seq == 10
    assert len(store.read()) == 10
    store.transact(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count=1000000").scalar())
    assert store.append([event(11, text="x" * 100_000)])[0].seq == 11
    assert [entry.seq for entry in store.read(9)] == [10, 11]


@pytest.mark.skipif(sys.platform == "win32", reason="the system has no limit on the size of a file")
def test_when_the_system_refuses_to_write_nothing_is_lost_or_half_there(path: Path) -> None:
    """Writes that fail in the middle of a commit, as on a disk that fails; then it goes on."""
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from hwledger.errors import FullError; from hwledger.ledger.audit import audit\n"
        "from hwledger.ledger.sqlite import SqliteStore\n"
        "from support.events import event, events\n"
        "store = SqliteStore(Path(sys.argv[1])); store.append(events(20))\n"
        "limit = lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))\n"
        "size = Path(sys.argv[1] + '-wal').stat().st_size; limit(size + 20_000); refused = 0\n"
        "for number in range(3):\n"
        "    try: store.append([event(100 + n, text='x' * 5000) for n in range(20)])\n"
        "    except FullError as error: refused += 1; assert 'could not be written' in str(error)\n"
        "assert (refused, store.head().seq, len(store.read())) == (3, 20, 20)\n"
        "limit(resource.RLIM_INFINITY)\n"
        "assert store.append([event(100)])[0].seq == 21\n"
        "assert audit(store).head.seq == 21; store.close()"
    )
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code, path], env=here, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with SqliteReader(path) as reader:
        assert reader.head().seq == 21


def test_what_is_cancelled_in_time_is_not_added(store: SqliteStore) -> None:
    """A caller that gives up before its turn leaves nothing behind, and the writer goes on."""
    began, go = threading.Event(), threading.Event()

    def hold(_: Connection) -> None:
        began.set()
        go.wait(30)

    holding = threading.Thread(target=store.transact, args=(hold,))
    holding.start()
    began.wait(30)
    answers = [store.submit([one]) for one in events(3)]
    assert answers[1].cancel()
    go.set()
    holding.join()
    assert [answers[number].result()[0].seq for number in (0, 2)] == [1, 2]
    assert store.append(events(1, 9))[0].seq == 3


def test_after_closing_nothing_is_accepted(path: Path) -> None:
    """What was accepted is written before closing ends, and later calls are refused in a sentence."""
    store = SqliteStore(path)
    answers = [store.submit([one]) for one in events(100)]
    store.close()
    assert [answer.result()[0].seq for answer in answers] == list(range(1, 101))
    with pytest.raises(BusyError, match="was closed"):
        store.append(events(1))


class Picky(Producers):
    """A projection that cannot take in every event, after it has already written something of it."""

    name = "picky"

    def apply(self, connection: Connection, seq: int, event: Event) -> None:
        """Write, then refuse what is poisonous."""
        super().apply(connection, seq, event)
        if event.data.get("poison"):
            raise ValueError(f"poison in {seq}")


def booted(number: int, *, poison: bool = False) -> Event:
    """Return an event that counts in a boot."""
    return replace(event(number, poison=poison), boot=f"b{number % 2}", boot_seq=number)


def test_a_projection_follows_the_events_and_is_made_anew(path: Path) -> None:
    """What it holds is the same kept along, made anew after its rows were lost, and added later."""
    with SqliteStore(path, projections=()) as store:
        store.append([booted(number) for number in range(5)])
    with SqliteStore(path) as store:
        store.append([booted(9), booted(7), event(20)])
        with store.connected() as connection:
            assert last_of_producer(connection, "spiffe://test/agent/a", "b1") == 9
            assert last_of_producer(connection, "spiffe://test/agent/a", "b0") == 4
            assert last_of_producer(connection, "spiffe://test/agent/a", "b2") is None
            before = connection.execute(select(PRODUCER)).all()
        store.transact(lambda connection: connection.execute(delete(PRODUCER)))
        store.rebuild()
        with store.connected() as connection:
            assert connection.execute(select(PRODUCER)).all() == before


def test_poison_is_parked_and_the_ledger_goes_on(path: Path) -> None:
    """What a projection cannot take leaves nothing in it, is named with its reason, and is kept."""
    with SqliteStore(path, projections=[Picky()]) as store:
        for _ in range(2):
            store.append([booted(1), booted(3, poison=True), booted(2)])
            assert store.head().seq == 3
            store.rebuild()
            with store.connected() as connection:
                assert parked(connection) == [("picky", 2, "ValueError: poison in 2")]
                assert last_of_producer(connection, "spiffe://test/agent/a", "b1") == 1


def test_errors_of_the_database_are_sentences(path: Path) -> None:
    """Each code of SQLite has a sentence of the right kind, and no other error is swallowed."""
    kinds = {
        sqlite3.SQLITE_CORRUPT: AlteredError, sqlite3.SQLITE_BUSY: BusyError, sqlite3.SQLITE_FULL: FullError,
        sqlite3.SQLITE_READONLY: FullError, sqlite3.SQLITE_IOERR | 4 << 8: FullError,
        sqlite3.SQLITE_CANTOPEN: places.InputError, sqlite3.SQLITE_ERROR: MalformedError,
    }  # fmt: skip
    for code, kind in kinds.items():
        error = sqlite3.OperationalError("no")
        error.sqlite_errorcode = code
        with pytest.raises(kind), explaining(path):
            raise error
    with pytest.raises(ZeroDivisionError), explaining(path):
        raise ZeroDivisionError
