"""Which events each agent reported, by its own count: what makes each of them one event, whatever its id."""

from collections.abc import Sequence

from sqlalchemy import BigInteger, Column, Connection, Table, Text, insert, select

from hwledger.ledger.event import Event
from hwledger.ledger.schema import METADATA

REPORTED = Table(
    "reported",
    METADATA,
    Column("source", Text, primary_key=True),
    Column("boot", Text, primary_key=True),
    Column("boot_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False),
)


class Reported:
    """The id of the event that each count of each boot of a source stands for."""

    name = "reported"
    version = 1
    tables: Sequence[Table] = (REPORTED,)

    def apply(self, connection: Connection, seq: int, event: Event) -> None:
        """Keep the first event of each count."""
        del seq
        if event.boot is None or event.boot_seq is None:
            return
        if reported_id(connection, event.source, event.boot, event.boot_seq) is None:
            values = {"source": event.source, "boot": event.boot, "boot_seq": event.boot_seq, "id": event.id}
            connection.execute(insert(REPORTED).values(values))


def reported_id(connection: Connection, source: str, boot: str, boot_seq: int) -> str | None:
    """Return the id of the event that a count stands for; ``None``: it has not arrived."""
    here = (REPORTED.c.source == source) & (REPORTED.c.boot == boot) & (REPORTED.c.boot_seq == boot_seq)
    found = connection.execute(select(REPORTED.c.id).where(here)).scalar()
    return None if found is None else str(found)
