"""The tables of a ledger, in SQL that SQLite and PostgreSQL share; ``migrations`` makes and guards them."""

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import TEXT

VERSION: Final = 2
"""Of the schema, as ``migrations`` counts; a ledger with a larger one is left alone."""
MARK: Final = "hwledger_schema"
"""The table that says which version a ledger has; in SQLite ``PRAGMA user_version`` says so, too."""
APPLICATION: Final = 0x686C6467
"""``hldg``: ``PRAGMA application_id``, by which a file is known to be a ledger."""

METADATA: Final = MetaData()
WORDS: Final = Text().with_variant(TEXT(collation="C"), "postgresql")
"""Text that sorts by its bytes in every database, and whose indexes no new release of a locale breaks."""
NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")
"""In SQLite the key of the table itself."""
EVENT: Final = Table(
    "event",
    METADATA,
    Column("seq", NUMBER, primary_key=True, autoincrement=False),
    Column("id", WORDS, nullable=False, unique=True),
    Column("ts", BigInteger, nullable=False),
    Column("type", WORDS, nullable=False),
    Column("subject", WORDS, nullable=False),
    Column("source", WORDS, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    Column("chain", LargeBinary, nullable=False),
    Column("writer_epoch", BigInteger, nullable=False),
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
    Column("note", WORDS, nullable=False),
)
META: Final = Table(
    "meta", METADATA, Column("name", WORDS, primary_key=True), Column("value", WORDS, nullable=False)
)
PROJECTION: Final = Table(
    "projection",
    METADATA,
    Column("name", WORDS, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
)
PARKED: Final = Table(
    "parked",
    METADATA,
    Column("projection", WORDS, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("reason", WORDS, nullable=False),
)
LASTING: Final = (EVENT, NODE, CHECKPOINT, META)
"""Tables whose rows are never changed or deleted; the others follow from the events."""
