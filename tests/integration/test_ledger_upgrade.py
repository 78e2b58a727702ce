"""A ledger of the schema before this one: read as it is, made newer when it is written, whole or not at all.

``ledger-schema-1.db.gz`` was written by hwledger before its schema had migrations: 11 events by two openings,
two signed checkpoints, a producer's count.
"""

import gzip
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Connection, insert

from faults.alter_ledger import KEY
from hwledger.errors import HwledgerError
from hwledger.ledger import migrations
from hwledger.ledger.audit import audit
from hwledger.ledger.moving import migrate
from hwledger.ledger.note import signed, verifier_key
from hwledger.ledger.opening import open_reader, open_store
from hwledger.ledger.postgresql import creating
from hwledger.ledger.postgresql.connecting import Address, session, writing_engine
from hwledger.ledger.projections import last_of_producer
from hwledger.ledger.reader import SqlReader
from hwledger.ledger.schema import META, VERSION
from hwledger.ledger.sqlite import SqliteReader, SqliteStore
from support.events import event, events
from support.postgres import Server

pytestmark = pytest.mark.requirement("FR-LEDGER-UPGRADE")
OLD = Path(__file__).parents[1] / "data" / "ledger-schema-1.db.gz"
ORIGIN = "hwledger.example/first"
CHAIN = "3bd2517c5a428777cfe6c687793fc68b4d527b6b8c30d45247d983c244c182de"
"""Of its last event, as the version that wrote it said."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a ledger file of schema 1."""
    made = tmp_path / "ledger.db"
    made.write_bytes(gzip.decompress(OLD.read_bytes()))
    return made


def marks(path: Path) -> tuple[int, str]:
    """Return both versions that a file says."""
    other = sqlite3.connect(path)
    (number,) = other.execute("PRAGMA user_version").fetchone()
    said = ""
    with suppress(sqlite3.OperationalError):  # there is no such table
        said = ",".join(one for (one,) in other.execute("SELECT version_num FROM hwledger_schema"))
    other.close()
    return number, said


def rows(reader: SqlReader) -> list[tuple[object, ...]]:
    """Return every row of the events and the tree."""
    asked = ("SELECT * FROM event ORDER BY seq", "SELECT * FROM node ORDER BY level, idx")
    with reader.connected() as connection:
        return [tuple(row) for one in asked for row in connection.exec_driver_sql(one)]


def test_it_is_read_as_it_is(path: Path) -> None:
    """Reading, checking and backing up change no byte of the file."""
    before = path.read_bytes()
    with SqliteReader(path) as reader:
        report = audit(reader, key=verifier_key(ORIGIN, KEY))
        assert (report.origin, report.head.seq, report.head.chain.hex()) == (ORIGIN, 11, CHAIN)
        assert report.kept == 2
    assert path.read_bytes() == before
    assert marks(path) == (1, "")


def test_it_becomes_newer_when_it_is_written(path: Path) -> None:
    """With the same rows and hashes; it goes on in the next epoch, and its projections have what they had."""
    with SqliteReader(path) as reader:
        before, notes = rows(reader), reader.notes()
    with SqliteStore(path) as store:
        assert (rows(store), store.notes(), store.origin) == (before, notes, ORIGIN)
        assert marks(path) == (VERSION, str(VERSION))
        assert store.query(lambda one: last_of_producer(one, "spiffe://test/agent/a", "b")) == 7
        assert store.append([event(2), event(100)])[1].seq == 12
        assert audit(store, key=verifier_key(ORIGIN, KEY)).head.seq == 12
        assert [row[-1] for row in rows(store)[:12]] == [1] * 4 + [2] * 7 + [3]


def schema(path: Path) -> set[tuple[str, str, str]]:
    """Return every table, index and trigger of a file, without its white space."""
    other = sqlite3.connect(path)
    found = other.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_schema").fetchall()
    other.close()
    return {(kind, name, "".join(sql.split())) for kind, name, sql in found if not name.startswith("sqlite_")}


def test_what_it_becomes_is_what_a_new_one_is(path: Path, tmp_path: Path) -> None:
    """Tables, indexes and guards have the same names, and the same columns; so no third kind exists."""
    SqliteStore(path).close()
    SqliteStore(tmp_path / "new.db").close()
    old, new = schema(path), schema(tmp_path / "new.db")
    assert {one[:2] for one in old} == {one[:2] for one in new}
    assert {one for one in old if one[0] != "table"} == {one for one in new if one[0] != "table"}
    columns = (
        'SELECT m.name, c.name, c.type, c."notnull", c.pk FROM sqlite_schema m, pragma_table_info(m.name) c'
    )
    for_both = []
    for one in (path, tmp_path / "new.db"):
        other = sqlite3.connect(one)
        for_both.append(set(other.execute(f"{columns} WHERE m.type = 'table'")))
        other.close()
    assert for_both[0] == for_both[1]


def test_an_upgrade_that_fails_changes_nothing(path: Path) -> None:
    """Something of the new version's name is in the way: it stays schema 1, and is read as before."""
    other = sqlite3.connect(path)
    other.execute(
        "CREATE TRIGGER event_not_frozen BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'in the way'); END"
    )
    other.close()
    before = schema(path)
    for _ in range(2):
        with pytest.raises(HwledgerError):
            SqliteStore(path)
    assert (marks(path), schema(path)) == ((1, ""), before)
    with SqliteReader(path) as reader:
        assert audit(reader).head.chain.hex() == CHAIN


def test_it_moves_to_a_server(path: Path, postgres: Server) -> None:
    """With the hashes that it had."""
    address = postgres.new_schema()
    assert migrate(path, address).chain.hex() == CHAIN
    with open_reader(address) as reader:
        assert audit(reader, key=verifier_key(ORIGIN, KEY)).kept == 2


@pytest.fixture
def first(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a ledger of schema 1 on a server, of 11 events, as a version of that schema writes it."""
    address = postgres.new_schema()
    made = session(Address.read(address))
    made.autocommit = False
    engine = writing_engine(lambda: made)
    with engine.begin() as connection:
        command.upgrade(migrations._config(connection), "1")
        connection.execute(insert(META).values(name="origin", value=ORIGIN))
    engine.dispose()
    with monkeypatch.context() as then:
        then.setattr(creating, "VERSION", 1)
        with open_store(address) as store:
            store.append(events(11))
            store.keep_note(signed(audit(store).checkpoint, KEY), 11)
    return address


def version(connection: Connection) -> int | None:
    """Return the version that the schema says."""
    return migrations.version_of(connection)


def test_on_a_server_too(first: str) -> None:
    """It is read as it is, and made newer by the next writer, with the same rows."""
    with open_reader(first) as reader:
        before = rows(reader)
        assert reader.query(version) == 1
        assert audit(reader).head.seq == 11
    with open_store(first) as store:
        assert (rows(store), set(store.notes()), store.origin) == (before, {11}, ORIGIN)
        assert store.query(version) == VERSION
        assert store.append([event(3), event(100)])[1].seq == 12
        assert store.head().seq == 12


def test_an_upgrade_that_fails_changes_nothing_on_a_server(first: str, postgres: Server) -> None:
    """Something is in the way: it stays schema 1, and is read as before."""
    refuse = (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'in the way'; END $$"
    )
    postgres.run(refuse, first)
    postgres.run("CREATE TRIGGER t BEFORE UPDATE ON hwledger_schema EXECUTE FUNCTION refuse()", first)
    for _ in range(2):
        with pytest.raises(HwledgerError):
            open_store(first)
    with open_reader(first) as reader:
        assert reader.query(version) == 1
        assert reader.head().seq == 11
