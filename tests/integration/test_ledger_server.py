"""The ledger on a real PostgreSQL server: what guards it, who may write it, what it says when it cannot."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from hwledger.errors import (
    AlteredError,
    BusyError,
    DeniedError,
    HwledgerError,
    InputError,
    MalformedError,
    MissingError,
    NewerError,
    UnreachableError,
    UsageError,
)
from hwledger.ledger.audit import audit
from hwledger.ledger.note import Checkpoint
from hwledger.ledger.opening import file_of, open_reader, open_store
from hwledger.ledger.postgresql import PostgresReader, PostgresStore
from hwledger.ledger.postgresql.explaining import explained
from support.events import event, events
from support.postgres import SECRET, Server

pytestmark = pytest.mark.requirement("FR-LEDGER-POSTGRESQL")
REST = "ts, type, subject, source, body, leaf, chain"


@pytest.fixture
def address(postgres: Server) -> str:
    """Return the address of an empty database."""
    return postgres.new_database()


@pytest.fixture
def store(address: str) -> Iterator[PostgresStore]:
    """Return an empty ledger, open."""
    with PostgresStore(address, origin="hwledger.example/server") as made:
        yield made


def test_what_was_written_is_there_again(address: str) -> None:
    """A ledger that is closed and opened goes on where it ended, under its name, in the next epoch."""
    with PostgresStore(address, origin="example.org/one") as store:
        first = store.append(events(3))
    with PostgresStore(address, origin="ignored") as store:
        assert store.origin == "example.org/one"
        second = store.append([event(0), *events(3, 3)])
        assert (second[0].seq, second[0].repeated) == (first[0].seq, True)
    with PostgresReader(address) as reader:
        assert audit(reader).head == reader.head()
        assert reader.head().seq == 6
        with reader.connected() as connection:
            rows = connection.exec_driver_sql("SELECT writer_epoch FROM event ORDER BY seq").scalars().all()
    assert rows == [1, 1, 1, 2, 2, 2]


CHANGES = (
    "UPDATE event SET type = 'x'", "DELETE FROM event", "TRUNCATE event", "DELETE FROM node",
    "UPDATE node SET hash = ''", "DELETE FROM checkpoint", "UPDATE checkpoint SET note = ''",
    "UPDATE meta SET value = 'x'", "DELETE FROM meta", "TRUNCATE meta, node, checkpoint",
    f"INSERT INTO event SELECT 9, 'x', {REST}, 1 FROM event LIMIT 1",
    f"INSERT INTO event SELECT 0, 'x', {REST}, 1 FROM event LIMIT 1",
    f"INSERT INTO event SELECT seq + 4, id || 'x', {REST}, 1 FROM event",
    f"INSERT INTO event SELECT seq + 3, id || 'x', {REST}, 0 FROM event",
    f"INSERT INTO event SELECT seq, id || 'x', {REST}, 1 FROM event",
)  # fmt: skip


def test_a_tool_of_others_changes_nothing(store: PostgresStore, address: str) -> None:
    """Even the owner's session is refused to change, delete, empty, add out of order or for a past writer."""
    store.append(events(3))
    store.keep_note("note", 3)
    before = store.read()
    for change in CHANGES:
        with psycopg.connect(address) as other, pytest.raises(psycopg.Error) as refused:
            other.execute(change)
        assert refused.value.sqlstate in {"HL001", "HL002", "23505"}, change
    assert (store.read(), store.notes()) == (before, {3: "note"})


def test_readers_cannot_write(store: PostgresStore) -> None:
    """What reads is held to reading by the server, too."""
    with pytest.raises(HwledgerError, match="takes nothing new"), store.connected() as connection:
        connection.exec_driver_sql("CREATE TABLE x (y int)")


def test_a_second_writer_is_refused_and_readers_are_not(address: str) -> None:
    """In this process and in another; once the first is gone, who waited may write."""
    with PostgresStore(address) as store:
        store.append(events(2))
        with pytest.raises(BusyError, match="another process writes"):
            PostgresStore(address)
        code = "import sys; from hwledger.ledger.opening import open_store as o; o(sys.argv[1])"
        other = subprocess.run(
            [sys.executable, "-c", code, address], capture_output=True, text=True, check=False
        )
        assert "BusyError" in other.stderr
        with PostgresReader(address) as reader:
            assert reader.head() == store.head()
        waited: list[PostgresStore] = []
        thread = threading.Thread(target=lambda: waited.append(PostgresStore(address, patience_seconds=30)))
        thread.start()
        time.sleep(0.2)
        assert waited == []
    thread.join()
    with waited[0] as store:
        assert store.append(events(1, 9))[0].seq == 3


def test_a_writer_that_lost_its_lock_adds_nothing(postgres: Server, address: str) -> None:
    """Its session is ended and another writes: it stops, says so once and for all, and forks nothing."""
    with PostgresStore(address) as first:
        first.append(events(2))
        pid = first._session.info.backend_pid
        assert postgres.run(f"SELECT pg_terminate_backend({pid})") == [(True,)]
        with PostgresStore(address, patience_seconds=10) as second:
            second.append(events(1, 10))
            for _ in range(2):
                with pytest.raises(BusyError, match="session with the server was lost"):
                    first.append(events(1, 20))
            assert second.append(events(1, 30))[0].seq == 4
    with PostgresReader(address) as reader:
        assert audit(reader).head.seq == 4


def test_a_writer_whose_epoch_is_past_adds_nothing(address: str) -> None:
    """Where the lock fails (a pooler between), the epoch decides, and whoever was first stops."""
    with PostgresStore(address) as first:
        first.append(events(1))
        first._session.execute("SELECT pg_advisory_unlock_all()")
        first._session.commit()
        with PostgresStore(address) as second:
            second.append(events(1, 10))
            for _ in range(2):
                with pytest.raises(BusyError, match="another writer took over"):
                    first.append(events(1, 20))
            assert second.append(events(1, 30))[0].seq == 3


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_a_transaction_of_the_past_writer_ends_before_the_next_begins(
    postgres: Server, address: str, isolation: str
) -> None:
    """While the first commits, the next one waits, and then sees what was added, whatever is set."""
    name = address.partition("?")[0].rpartition("/")[2]
    postgres.run(f"ALTER DATABASE {name} SET default_transaction_isolation = '{isolation}'")
    began, go = threading.Event(), threading.Event()
    with PostgresStore(address) as first:
        first._session.execute("SELECT pg_advisory_unlock_all()")
        first._session.commit()

        def slowly(_: object) -> list[object]:
            began.set()
            go.wait(30)
            return [event(1)]

        adding = threading.Thread(target=first.decide, args=(slowly,))
        adding.start()
        began.wait(30)
        opened: list[PostgresStore] = []
        opening = threading.Thread(target=lambda: opened.append(PostgresStore(address)))
        opening.start()
        time.sleep(0.3)
        assert opened == []
        go.set()
        adding.join()
        opening.join()
        with opened[0] as second:
            assert second.append([event(2)])[0].seq == 2
    with PostgresReader(address) as reader:
        assert audit(reader).head.seq == 2


def test_when_the_server_is_killed_nothing_acknowledged_is_lost(postgres: Server) -> None:
    """Its processes are killed and it starts again: the writer has stopped, the next one finds all."""
    address = postgres.new_database()
    with PostgresStore(address) as store:
        receipts = store.append(events(100))
        postgres.kill()
        with pytest.raises(BusyError, match="session with the server was lost"):
            store.append(events(1, 500))
        with pytest.raises(UnreachableError, match="does not answer"):
            PostgresReader(address)
        postgres.start()
        assert store.head().seq == 100
        with pytest.raises(BusyError, match="open the ledger again"):
            store.append(events(1, 500))
    with PostgresStore(address, patience_seconds=10) as store:
        assert store.append(events(1, 500))[0].seq == 101
        assert [entry.leaf for entry in store.read()][:100] == [one.leaf for one in receipts]
        assert audit(store).head.seq == 101


def test_errors_are_sentences_without_the_password(postgres: Server, address: str) -> None:
    """No server, no database, no right, a wrong password, an address that is none: each has its sentence."""
    name = address.partition("?")[0].rpartition("/")[2]
    port = postgres.port
    cases = {
        f"postgresql://guest:{SECRET}@127.0.0.1:1/{name}": (UnreachableError, "does not answer"),
        postgres.address("nothing"): (MissingError, "no such database"),
        f"postgresql://guest:wrong{SECRET}@127.0.0.1:{port}/{name}": (DeniedError, "check user and password"),
        f"postgresql://nobody-here:{SECRET}@127.0.0.1:{port}/{name}": (DeniedError, "check user"),
        f"postgresql://guest@127.0.0.1:{port}/{name}": (DeniedError, "check user and password"),
        f"postgresql://guest@127.0.0.1:{port}/{name}?nonsense={SECRET}": (UsageError, "no address"),
        f"postgresql://guest:{SECRET}@127.0.0.1:{port}/{name}": (DeniedError, "right is missing"),
    }
    for given, (kind, words) in cases.items():
        with pytest.raises(kind, match=words) as said:
            open_store(given.replace(" ", "%20"))
        assert "canary" not in str(said.value)
        assert str(said.value).isprintable()
    with pytest.raises(MissingError, match="there is no ledger"):
        open_reader(address)


def test_every_class_of_error_has_a_kind() -> None:
    """Codes that cannot be brought about here, and one of no class that is known."""
    from hwledger.ledger.postgresql.connecting import Address  # noqa: PLC0415 - needs psycopg

    here = Address.read("postgresql://a@b/c")
    kinds = {
        "53100": "free the server's disk", "25006": "no standby", "XX001": "restore a backup",
        "57P01": "back", "58030": "disk", "40001": "try again", "99999": "update hwledger",
        "42P01": "no ledger",
    }  # fmt: skip
    for code, words in kinds.items():
        error = psycopg.errors.lookup(code) if code != "99999" else psycopg.DatabaseError
        made = error("no")
        made.sqlstate = code
        assert words in str(explained(here, made))


def test_what_is_no_ledger_is_refused(postgres: Server, address: str) -> None:
    """Tables of another program, a database of another encoding, and a newer schema are left alone."""
    postgres.run("CREATE TABLE event (x int)", address)
    with pytest.raises(MalformedError, match="another program"):
        PostgresStore(address)
    latin = postgres.new_database("ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(InputError, match="not in UTF-8"):
        PostgresStore(latin)
    newer = postgres.new_database()
    PostgresStore(newer).close()
    postgres.run("UPDATE hwledger_schema SET version_num = '3'", newer)
    for opened in (PostgresReader, PostgresStore):
        with pytest.raises(NewerError, match="schema 3, this one knows 2"):
            opened(newer)


def test_two_ledgers_in_two_schemas_of_a_database(postgres: Server, address: str) -> None:
    """Each has its tables, its lock and its events."""
    postgres.run("CREATE SCHEMA one", address)
    one = f"{address}&options=-csearch_path%3Done"
    with PostgresStore(address, origin="a") as first, PostgresStore(one, origin="b") as second:
        first.append(events(2))
        second.append(events(3))
    with open_reader(one) as reader:
        assert (reader.origin, reader.head().seq) == ("b", 3)
        assert audit(reader).head.seq == 3


def test_an_alteration_is_found(postgres: Server, address: str) -> None:
    """Who turns the guards off changes what is there, and a check names the event."""
    with PostgresStore(address) as store:
        store.append(events(30))
    postgres.run(
        "SET session_replication_role = replica;UPDATE event SET body = set_byte(body, 40, 65) WHERE seq = 7",
        address,
    )
    with PostgresReader(address) as reader:
        with pytest.raises(AlteredError) as found:
            audit(reader)
        assert found.value.seq == 7
        with pytest.raises(AlteredError):
            reader.read()


def test_a_cut_end_is_found_by_who_saw_more(postgres: Server, address: str) -> None:
    """As in a file: a checkpoint from outside names what is missing."""
    with PostgresStore(address, origin="a") as store:
        store.append(events(30))
        seen = audit(store).checkpoint
    postgres.run(
        "SET session_replication_role = replica; DELETE FROM event WHERE seq > 20; DELETE FROM node WHERE"
        " (idx + 1) << level > 20",
        address,
    )
    with PostgresReader(address) as reader:
        assert audit(reader).head.seq == 20
        with pytest.raises(AlteredError, match="events 21 to 30 are missing"):
            audit(reader, [Checkpoint("a", 30, seen.root)])


def test_addresses() -> None:
    """Paths and both addresses of files mean files; others are refused without what may be a secret."""
    assert str(file_of("sqlite:///a/b.db")) == "a/b.db"
    assert str(file_of("sqlite:////a/b%20c.db")) == "/a/b c.db"
    assert str(file_of("sqlite:a.db")) == "a.db"
    assert str(file_of("a.db")) == "a.db"
    assert file_of("postgresql://x") is None
    assert file_of("postgresql:///x") is None
    for wrong in ("mysql://u:canary@h/d", "sqlite://canary", "sqlite:///"):
        with pytest.raises(UsageError) as said:
            file_of(wrong)
        assert "canary" not in str(said.value)


def test_without_the_driver_it_says_what_to_install() -> None:
    """The extra is named, and files go on without it."""
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from hwledger.ledger.opening import open_reader\n"
        "open_reader('postgresql://a@b/c')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'hwledger[postgresql]'" in done.stderr
    assert "UsageError" in done.stderr
