"""Version 2: a ledger says its version, and one in a file can have frozen beginnings in other files."""

from alembic import op

revision = "2"
down_revision = "1"

FROZEN = "this is the frozen beginning of a ledger; write to the file that continues it"
AT_THE_END = "an event is added at the end, once"
LAST = (
    "COALESCE((SELECT MAX(seq) FROM event), (SELECT MAX(CAST(value AS INTEGER)) FROM meta"
    " WHERE name GLOB 'shard [0-9][0-9]'), 0)"
)
IN_SQLITE = (
    "DROP TRIGGER event_in_order",
    (
        f"CREATE TRIGGER event_in_order BEFORE INSERT ON event WHEN NEW.seq <> {LAST} + 1"
        " OR EXISTS (SELECT 1 FROM event WHERE id = NEW.id)"
        f" BEGIN SELECT RAISE(ABORT, '{AT_THE_END}'); END"
    ),
    "CREATE TRIGGER event_not_frozen BEFORE INSERT ON event"
    " WHEN EXISTS (SELECT 1 FROM meta WHERE name = 'frozen')"
    f" BEGIN SELECT RAISE(ABORT, '{FROZEN}'); END",
)


def upgrade() -> None:
    """Make what guards a frozen file, and let the one that continues it begin where that ends."""
    if op.get_bind().dialect.name == "sqlite":
        for guard in IN_SQLITE:
            op.get_bind().exec_driver_sql(guard)
