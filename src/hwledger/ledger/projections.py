"""Projections: tables that follow from the events, kept in the same transaction, made anew at will."""

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import BigInteger, Column, Connection, Table, Text, delete, insert, select, update

from hwledger.ledger.event import Event, event_of
from hwledger.ledger.schema import EVENT, METADATA, PARKED, PROJECTION

_PAGE = 1000


class Projection(Protocol):
    """One view of the events.

    Attributes:
        name: by which its progress is kept.
        version: of what it makes of events; a change makes it anew.
        tables: what it fills; dropped rows come back from the events.
    """

    name: str
    version: int
    tables: Sequence[Table]

    def apply(self, connection: Connection, seq: int, event: Event) -> None:
        """Take in one event. What it raises parks the event for this projection; the ledger goes on."""


PRODUCER = Table(
    "producer",
    METADATA,
    Column("source", Text, primary_key=True),
    Column("boot", Text, primary_key=True),
    Column("last_seq", BigInteger, nullable=False),
)


class Producers:
    """How far each producer has got in each of its boots: what the server answers an agent with."""

    name = "producers"
    version = 1
    tables: Sequence[Table] = (PRODUCER,)

    def apply(self, connection: Connection, seq: int, event: Event) -> None:
        """Keep the largest count of the source in its boot."""
        del seq
        if event.boot is None or event.boot_seq is None:
            return
        here = (PRODUCER.c.source == event.source) & (PRODUCER.c.boot == event.boot)
        last = connection.execute(select(PRODUCER.c.last_seq).where(here)).scalar()
        if last is None:
            values = {"source": event.source, "boot": event.boot, "last_seq": event.boot_seq}
            connection.execute(insert(PRODUCER).values(values))
        elif event.boot_seq > last:
            connection.execute(update(PRODUCER).where(here).values(last_seq=event.boot_seq))


def last_of_producer(connection: Connection, source: str, boot: str) -> int | None:
    """Return the largest count of a source in a boot; ``None``: nothing of it arrived."""
    here = (PRODUCER.c.source == source) & (PRODUCER.c.boot == boot)
    found = connection.execute(select(PRODUCER.c.last_seq).where(here)).scalar()
    return None if found is None else int(found)


def project(connection: Connection, projection: Projection, page: Sequence[tuple[int, Event]]) -> None:
    """Apply a page of events, in the transaction of the connection; what fails is parked with its reason."""
    try:
        with connection.begin_nested():
            for seq, event in page:
                projection.apply(connection, seq, event)
    except Exception:  # noqa: BLE001 - whatever one event does to a projection, the others count
        for seq, event in page:
            _apply_or_park(connection, projection, seq, event)
    if page:
        here = PROJECTION.c.name == projection.name
        connection.execute(update(PROJECTION).where(here).values(seq=page[-1][0]))


def _apply_or_park(connection: Connection, projection: Projection, seq: int, event: Event) -> None:
    try:
        with connection.begin_nested():
            projection.apply(connection, seq, event)
    except Exception as error:  # noqa: BLE001 - see above
        reason = f"{type(error).__name__}: {error}"
        connection.execute(insert(PARKED).values(projection=projection.name, seq=seq, reason=reason))


def catch_up(connection: Connection, projection: Projection, *, anew: bool = False) -> None:
    """Bring a projection to the end of the ledger; from the first event where it is new or changed."""
    here = PROJECTION.c.name == projection.name
    row = connection.execute(select(PROJECTION.c.version, PROJECTION.c.seq).where(here)).first()
    after = row.seq if row and row.version == projection.version and not anew else 0
    if not after:
        for table in projection.tables:
            table.create(connection, checkfirst=True)
            connection.execute(delete(table))
        connection.execute(delete(PARKED).where(PARKED.c.projection == projection.name))
        connection.execute(delete(PROJECTION).where(here))
        connection.execute(insert(PROJECTION).values(name=projection.name, version=projection.version, seq=0))
    while page := _page(connection, after):
        project(connection, projection, page)
        after = page[-1][0]


def _page(connection: Connection, after: int) -> list[tuple[int, Event]]:
    wanted = select(EVENT.c.seq, EVENT.c.body).where(EVENT.c.seq > after).order_by(EVENT.c.seq).limit(_PAGE)
    return [(row.seq, event_of(row.body)) for row in connection.execute(wanted)]


def parked(connection: Connection) -> list[tuple[str, int, str]]:
    """Return projection, sequence number and reason of each event that a projection could not take in."""
    rows = connection.execute(select(PARKED).order_by(PARKED.c.projection, PARKED.c.seq))
    return [(row.projection, row.seq, row.reason) for row in rows]
