"""Version 1: events, the Merkle tree, checkpoints, the name, and how far projections have got."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TEXT

revision = "1"
down_revision = None

WORDS = sa.Text().with_variant(TEXT(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
LASTING = ("event", "node", "checkpoint", "meta")
NEVER = "a ledger is never changed, only added to"
AT_THE_END = "an event is added at the end, once"

IN_SQLITE = (
    *(
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table}"
        f" BEGIN SELECT RAISE(ABORT, '{NEVER}'); END"
        for table in LASTING
        for verb in ("UPDATE", "DELETE")
    ),
    (
        "CREATE TRIGGER event_in_order BEFORE INSERT ON event"
        " WHEN NEW.seq <> (SELECT COALESCE(MAX(seq), 0) + 1 FROM event)"
        " OR EXISTS (SELECT 1 FROM event WHERE id = NEW.id)"
        f" BEGIN SELECT RAISE(ABORT, '{AT_THE_END}'); END"
    ),
)
IN_POSTGRESQL = (
    f"""CREATE FUNCTION hwledger_never() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
    BEGIN
        RAISE EXCEPTION '{NEVER}' USING ERRCODE = 'HL001';
    END $$""",
    *(
        f"CREATE TRIGGER {table}_never BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION hwledger_never()"
        for table in LASTING
    ),
    f"""CREATE FUNCTION hwledger_added() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
    DECLARE
        lowest bigint; highest bigint; counted bigint; foreign_epochs bigint; before bigint;
    BEGIN
        SELECT min(seq), max(seq), count(*),
            count(*) FILTER (WHERE writer_epoch IS DISTINCT FROM (SELECT epoch FROM writer))
            INTO lowest, highest, counted, foreign_epochs FROM added;
        IF counted = 0 THEN
            RETURN NULL;
        END IF;
        IF foreign_epochs > 0 THEN
            RAISE EXCEPTION 'another writer took over' USING ERRCODE = 'HL002';
        END IF;
        SELECT coalesce(max(seq), 0) INTO before FROM event WHERE seq < lowest;
        IF before + 1 <> lowest OR highest - lowest + 1 <> counted
            OR EXISTS (SELECT 1 FROM event WHERE seq > highest) THEN
            RAISE EXCEPTION '{AT_THE_END}' USING ERRCODE = 'HL001';
        END IF;
        RETURN NULL;
    END $$""",
    "CREATE TRIGGER event_in_order AFTER INSERT ON event REFERENCING NEW TABLE AS added"
    " FOR EACH STATEMENT EXECUTE FUNCTION hwledger_added()",
    "INSERT INTO writer (only_row, epoch) VALUES (true, 0)",
)


def upgrade() -> None:
    """Make the tables and what guards them."""
    _tables()
    if op.get_bind().dialect.name == "sqlite":
        op.create_index("event_by_subject", "event", ["subject", "seq"])
        op.create_index("event_by_type", "event", ["type", "seq"])
        guards = IN_SQLITE
    else:
        # an entry of an index takes 2,704 bytes at most there, and a subject may take 4,096
        op.create_index("event_by_subject", "event", [sa.text("left(subject, 256)"), "seq"])
        op.create_index("event_by_type", "event", [sa.text("left(type, 256)"), "seq"])
        op.create_table(
            "writer",
            sa.Column("only_row", sa.Boolean, sa.CheckConstraint("only_row"), primary_key=True),
            sa.Column("epoch", sa.BigInteger, nullable=False),
        )
        guards = IN_POSTGRESQL
    for guard in guards:
        op.get_bind().exec_driver_sql(guard)


def _tables() -> None:
    op.create_table(
        "event",
        sa.Column("seq", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("id", WORDS, nullable=False, unique=True),
        sa.Column("ts", sa.BigInteger, nullable=False),
        sa.Column("type", WORDS, nullable=False),
        sa.Column("subject", WORDS, nullable=False),
        sa.Column("source", WORDS, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("leaf", sa.LargeBinary, nullable=False),
        sa.Column("chain", sa.LargeBinary, nullable=False),
        sa.Column("writer_epoch", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "node",
        sa.Column("level", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("idx", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "checkpoint",
        sa.Column("size", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("note", WORDS, nullable=False),
    )
    op.create_table(
        "meta", sa.Column("name", WORDS, primary_key=True), sa.Column("value", WORDS, nullable=False)
    )
    op.create_table(
        "projection",
        sa.Column("name", WORDS, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "parked",
        sa.Column("projection", WORDS, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("reason", WORDS, nullable=False),
    )
