"""Who belongs to the fleet: hosts, the certificates each was given, and which of them are accepted now."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    insert,
    select,
    update,
)

from hwledger.errors import DeniedError
from hwledger.fleet.origins import is_of_server
from hwledger.fleet.presented import presented, serial_text
from hwledger.ledger.event import Event, microseconds_of
from hwledger.ledger.schema import METADATA
from hwledger.ledger.store import Store
from hwledger.ledger.types import split_type

WAITING, APPROVED, ACTIVE, RETIRED, BANNED = "waiting", "approved", "active", "retired", "banned"
JOINS: Final = 3
"""How often a host may come back after its certificate ran out, until somebody approves it again."""

IDENTITY: Final = Table(
    "identity",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("active_serial", Text),
    Column("next_serial", Text),
    Column("not_after", BigInteger),
    Column("key", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("machine", Text, nullable=False),
    Column("joins_left", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Index("identity_by_key", "key"),
    Index("identity_by_machine", "machine"),
)
CERTIFICATE: Final = Table(
    "certificate",
    METADATA,
    Column("serial", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("public", LargeBinary, nullable=False),
    Column("not_after", BigInteger, nullable=False),
    Column("der", LargeBinary),
    Column("seq", BigInteger, nullable=False),
    Index("certificate_by_host", "host", "seq"),
    Index("certificate_by_key", "key"),
)
REVOKED: Final = Table(
    "revoked",
    METADATA,
    Column("serial", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Index("revoked_by_host", "host"),
)


class RefusedError(DeniedError):
    """A member, or who wants to be one, is refused; ``reason`` is one word for logs and counters."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that a host was given.

    Attributes:
        serial: hexadecimal.
        host: to whom.
        key: the hash of its public key.
        public: the public key (SubjectPublicKeyInfo, DER).
        not_after: microseconds since 1970.
        der: all of it; ``None`` once another took its place.
    """

    serial: str
    host: str
    key: str
    public: bytes
    not_after: int
    der: bytes | None

    @property
    def sha256(self) -> bytes:
        """Return the hash of all of it; empty where it is no longer kept."""
        return sha256(self.der).digest() if self.der else b""

    def is_valid(self, now: int) -> bool:
        """Return whether a moment is within its life; never of one whose place another took."""
        return self.der is not None and presented(self.der).not_before <= now < self.not_after


@dataclass(frozen=True, slots=True)
class Identity:
    """A host, as of one event.

    Attributes:
        id: a UUID.
        state: waiting, approved, active, retired or banned.
        active: the certificate in use.
        next: the one that was issued and not used yet; both are accepted.
        key: the hash of the public key that it asked with, then of the certificate in use.
        token: the hash of the join token that it came with.
        machine: SHA-256 of the machine's id.
        joins_left: how often it may come back after its certificate ran out.
        revoked: serials of its accepted certificates that are not accepted any more.
        seq: the last event that changed any of this.
    """

    id: str
    state: str
    active: Certificate | None
    next: Certificate | None
    key: str
    token: str
    machine: str
    joins_left: int
    revoked: frozenset[str]
    seq: int

    def accepted(self, serial: str) -> Certificate | None:
        """Return the certificate with a serial, where it is the one in use or the next."""
        both = (one for one in (self.active, self.next) if one and one.serial == serial)
        return next(both, None)


@dataclass(frozen=True, slots=True)
class _Mark:
    """The last event that touched a host; each mark is an object of its own."""

    seq: int


class Identities:
    """The tables, and of each host what was last read of them, for as long as no event touches it.

    An event marks its host before it is committed. What was read counts only while the mark is the same
    object as before reading, and only where the row is of the event of that mark: so the answer is never
    behind the last committed event, and where a commit fails the tables are asked until the next event.
    """

    name = "identities"
    version = 1
    tables: Sequence[Table] = (IDENTITY, CERTIFICATE, REVOKED)

    def __init__(self) -> None:
        self._marks: dict[str, _Mark] = {}
        self._kept: dict[str, tuple[_Mark, Identity]] = {}

    def apply(self, connection: Connection, seq: int, event: Event) -> None:
        """Take in the events of hosts that the server wrote."""
        change = _CHANGES.get(split_type(event.type)[0])
        if change is None or not is_of_server(event):
            return
        host = event.data["host"]
        self._marks[host] = _Mark(seq)
        change(connection, seq, event, event.data)
        connection.execute(update(IDENTITY).where(IDENTITY.c.id == host).values(seq=seq))

    def of(self, store: Store, host: str) -> Identity | None:
        """Return a host as of the last committed event; from memory where nothing happened to it since."""
        mark, kept = self._marks.get(host), self._kept.get(host)
        if kept is not None and kept[0] is mark:
            return kept[1]
        found = store.query(lambda connection: identity_of(connection, host))
        if found is None:
            return None
        if mark is None:
            mark = self._marks.setdefault(host, _Mark(found.seq))
        if mark.seq == found.seq:
            self._kept[host] = (mark, found)
        return found


def identities_of(store: Store) -> Identities:
    """Return the projection of a store that was given it.

    Raises:
        LookupError: it was not; a fault of the program.
    """
    for one in store.projections:
        if isinstance(one, Identities):
            return one
    raise LookupError("this store keeps no identities; open it with fleet.views.projections()")


_Data = Mapping[str, Any]


def _requested(connection: Connection, seq: int, _event: Event, data: _Data) -> None:
    connection.execute(insert(IDENTITY).values(_new(seq, data) | {"state": WAITING}))


def _approved(connection: Connection, _seq: int, _event: Event, data: _Data) -> None:
    _set(connection, data["host"], joins_left=data.get("joins_left", JOINS))
    waiting = (IDENTITY.c.id == data["host"]) & (IDENTITY.c.state == WAITING)
    connection.execute(update(IDENTITY).where(waiting).values(state=APPROVED))


def _enrolled(connection: Connection, seq: int, _event: Event, data: _Data) -> None:
    if connection.execute(select(IDENTITY.c.id).where(IDENTITY.c.id == data["host"])).first() is None:
        connection.execute(insert(IDENTITY).values(_new(seq, data)))
    _keep_certificate(connection, seq, data)
    _put_in_use(connection, data["host"], data["serial"])
    _set(connection, data["host"], state=ACTIVE)


def _issued(connection: Connection, seq: int, _event: Event, data: _Data) -> None:
    _keep_certificate(connection, seq, data)
    _set(connection, data["host"], next_serial=data["serial"])


def _renewed(connection: Connection, seq: int, _event: Event, data: _Data) -> None:
    if "certificate" in data:
        _keep_certificate(connection, seq, data)
    if "joins_left" in data:
        _set(connection, data["host"], joins_left=data["joins_left"])
    _put_in_use(connection, data["host"], data["serial"])


def _revoked(connection: Connection, _seq: int, event: Event, data: _Data) -> None:
    if connection.execute(select(REVOKED).where(REVOKED.c.serial == data["serial"])).first() is None:
        row = {"serial": data["serial"], "host": data["host"], "reason": data["reason"]}
        connection.execute(insert(REVOKED).values(row | {"at": event.time_microseconds}))


def _banned(connection: Connection, _seq: int, _event: Event, data: _Data) -> None:
    _set(connection, data["host"], state=BANNED)


def _retired(connection: Connection, _seq: int, _event: Event, data: _Data) -> None:
    _set(connection, data["host"], state=RETIRED)


_CHANGES: Final[Mapping[str, Callable[[Connection, int, Event, _Data], None]]] = {
    "host.enrol_requested": _requested,
    "host.approved": _approved,
    "host.enrolled": _enrolled,
    "host.cert_issued": _issued,
    "host.cert_renewed": _renewed,
    "host.cert_revoked": _revoked,
    "host.banned": _banned,
    "host.retired": _retired,
}


def _new(seq: int, data: _Data) -> dict[str, Any]:
    optional = {name: data.get(name, "") for name in ("key", "token", "machine")}
    return {"id": data["host"], "state": ACTIVE, "joins_left": JOINS, "seq": seq, **optional}


def _set(connection: Connection, host: str, **values: Any) -> None:
    connection.execute(update(IDENTITY).where(IDENTITY.c.id == host).values(values))


def _keep_certificate(connection: Connection, seq: int, data: _Data) -> None:
    der = base64.b64decode(data["certificate"], validate=True)
    found = x509.load_der_x509_certificate(der)
    public = found.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if serial_text(found.serial_number) != data["serial"]:
        raise ValueError("the certificate has another serial number than its event")
    row = {
        "serial": data["serial"],
        "host": data["host"],
        "key": sha256(public).hexdigest(),
        "public": public,
    }
    end = microseconds_of(data["not_after"])
    connection.execute(insert(CERTIFICATE).values(row | {"not_after": end, "der": der, "seq": seq}))


def _put_in_use(connection: Connection, host: str, serial: str) -> None:
    """Make a certificate the only one that is accepted; of the others serial and key are still needed."""
    row = connection.execute(select(CERTIFICATE).where(CERTIFICATE.c.serial == serial)).one()
    _set(
        connection, host, active_serial=serial, next_serial=None, not_after=row.not_after, key=row.key
    )  # fmt: skip
    others = (CERTIFICATE.c.host == host) & (CERTIFICATE.c.serial != serial) & CERTIFICATE.c.der.is_not(None)
    connection.execute(update(CERTIFICATE).where(others).values(der=None))


def identity_of(connection: Connection, host: str) -> Identity | None:
    """Return a host; ``None``: there is none of that id."""
    row = connection.execute(select(IDENTITY).where(IDENTITY.c.id == host)).first()
    if row is None:
        return None
    serials = connection.execute(select(REVOKED.c.serial).where(REVOKED.c.host == host)).scalars()
    active, following = (
        certificate_of(connection, serial) if serial else None
        for serial in (row.active_serial, row.next_serial)
    )
    return Identity(
        row.id, row.state, active, following, row.key, row.token, row.machine, row.joins_left,
        frozenset(serials), row.seq,
    )  # fmt: skip


def certificate_of(connection: Connection, serial: str) -> Certificate | None:
    """Return the certificate with a serial, as far as it is kept; ``None``: no host was given one."""
    row = connection.execute(select(CERTIFICATE).where(CERTIFICATE.c.serial == serial)).first()
    return _certificate(row) if row else None


def earlier_certificates(connection: Connection, host: str, limit: int) -> list[Certificate]:
    """Return the last certificates that a host was given, newest first."""
    wanted = select(CERTIFICATE).where(CERTIFICATE.c.host == host).order_by(CERTIFICATE.c.seq.desc())
    return [_certificate(row) for row in connection.execute(wanted.limit(limit))]


def _certificate(row: Any) -> Certificate:
    return Certificate(row.serial, row.host, row.key, row.public, row.not_after, row.der)


def host_of_key(connection: Connection, key: str) -> Identity | None:
    """Return the host that a key (its hash) belongs to or belonged to; ``None``: it is new."""
    found = connection.execute(select(IDENTITY.c.id).where(IDENTITY.c.key == key)).scalar()
    found = found or connection.execute(select(CERTIFICATE.c.host).where(CERTIFICATE.c.key == key)).scalar()
    return identity_of(connection, found) if found else None


def is_banned_machine(connection: Connection, machine: str) -> bool:
    """Return whether a host on a machine was banned."""
    here = (IDENTITY.c.machine == machine) & (IDENTITY.c.state == BANNED)
    return connection.execute(select(IDENTITY.c.id).where(here).limit(1)).first() is not None
