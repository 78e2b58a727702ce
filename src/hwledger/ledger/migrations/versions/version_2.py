"""Version 2: a ledger can be frozen; then nothing is added to it any more."""

from alembic import op

revision = "2"
down_revision = "1"

FROZEN = "this shard of the ledger is frozen; write to the one that continues it"
IN_SQLITE = (
    "CREATE TRIGGER event_not_frozen BEFORE INSERT ON event"
    " WHEN EXISTS (SELECT 1 FROM meta WHERE name = 'frozen')"
    f" BEGIN SELECT RAISE(ABORT, '{FROZEN}'); END",
)
IN_POSTGRESQL = (
    f"""CREATE FUNCTION hwledger_frozen() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
    BEGIN
        IF EXISTS (SELECT 1 FROM meta WHERE name = 'frozen') THEN
            RAISE EXCEPTION '{FROZEN}' USING ERRCODE = 'HL003';
        END IF;
        RETURN NULL;
    END $$""",
    "CREATE TRIGGER event_not_frozen BEFORE INSERT ON event"
    " FOR EACH STATEMENT EXECUTE FUNCTION hwledger_frozen()",
)


def upgrade() -> None:
    """Make what guards a frozen ledger."""
    for guard in IN_SQLITE if op.get_bind().dialect.name == "sqlite" else IN_POSTGRESQL:
        op.get_bind().exec_driver_sql(guard)
