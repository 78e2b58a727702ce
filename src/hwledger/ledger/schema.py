"""The tables of a ledger, in SQL that SQLite and PostgreSQL share, and what guards them in SQLite."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text

VERSION: Final = 1
"""Of the schema; ``PRAGMA user_version``. A file with a larger one is left alone."""
APPLICATION: Final = 0x686C6467
"""``hldg``: ``PRAGMA application_id``, by which a file is known to be a ledger."""

METADATA: Final = MetaData()
EVENT: Final = Table(
    "event",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    Column("ts", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    Column("chain", LargeBinary, nullable=False),
    Column("writer_epoch", BigInteger, nullable=False),
    Index("event_by_subject", "subject", "seq"),
    Index("event_by_type", "type", "seq"),
)
NODE: Final = Table(
    "node",
    METADATA,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
CHECKPOINT: Final = Table(
    "checkpoint",
    METADATA,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),
)
META: Final = Table(
    "meta", METADATA, Column("name", Text, primary_key=True), Column("value", Text, nullable=False)
)
PROJECTION: Final = Table(
    "projection",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
)
PARKED: Final = Table(
    "parked",
    METADATA,
    Column("projection", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("reason", Text, nullable=False),
)
LASTING: Final = (EVENT, NODE, CHECKPOINT, META)
"""Tables whose rows are never changed or deleted; the others follow from the events."""

GUARDS: Final = (
    *(
        f"CREATE TRIGGER {table.name}_no_{verb.lower()} BEFORE {verb} ON {table.name}"
        " BEGIN SELECT RAISE(ABORT, 'a ledger is never changed, only added to'); END"
        for table in LASTING
        for verb in ("UPDATE", "DELETE")
    ),
    (
        "CREATE TRIGGER event_in_order BEFORE INSERT ON event"
        " WHEN NEW.seq <> (SELECT COALESCE(MAX(seq), 0) + 1 FROM event)"
        " OR EXISTS (SELECT 1 FROM event WHERE id = NEW.id)"
        " BEGIN SELECT RAISE(ABORT, 'an event is added at the end, once'); END"
    ),
)
"""They stop accidents and careless tools, not who may write the file; hashes and notes show those."""
