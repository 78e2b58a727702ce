"""Join tokens: made once, kept as a hash, used so many times within so many minutes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Connection, Integer, Table, Text, insert, select, update

from hwledger.errors import UsageError
from hwledger.fleet.certificates import server_authority_hash
from hwledger.fleet.context import Fleet
from hwledger.fleet.origins import is_of_server
from hwledger.fleet.wire.tokens import JoinToken, read_address, secret_hash
from hwledger.ledger.event import Event, microseconds_of, time_text
from hwledger.ledger.schema import METADATA
from hwledger.ledger.types import split_type

TTL_SECONDS: Final = 900
_LONGEST_TTL: Final = 86_400
_MOST_USES: Final = 10_000
_MOST_LABELS, _LONGEST_LABEL = 32, 63
_SECRET_BYTES: Final = 32
_SECOND: Final = 1_000_000
MOST_REFUSALS: Final = 10
"""Refusals of one token that are put on record; more say nothing new and would fill the ledger."""

JOIN_TOKEN: Final = Table(
    "join_token",
    METADATA,
    Column("hash", Text, primary_key=True),
    Column("expires", BigInteger, nullable=False),
    Column("uses_left", Integer, nullable=False),
    Column("labels", Text, nullable=False),
    Column("approve", Boolean, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("ended", Boolean, nullable=False),
)


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made.

    Attributes:
        text: to be shown once; nobody can make it again.
        hash: by which it is known from here on.
        expires: microseconds since 1970.
    """

    text: str = field(repr=False)
    hash: str
    expires: int


@dataclass(frozen=True, slots=True)
class TokenState:
    """What is known of a token.

    Attributes:
        hash: of its secret.
        expires: microseconds since 1970.
        uses_left: how many more machines it lets in.
        labels: what they are given.
        approve: whether somebody has to approve each of them.
        created_by: on whose behalf it was made.
        refused: how often it was shown in vain, as far as that is on record.
        ended: it is on record that it ran out.
    """

    hash: str
    expires: int
    uses_left: int
    labels: Mapping[str, str]
    approve: bool
    created_by: str
    refused: int
    ended: bool


class JoinTokens:
    """Which tokens there are, and what is left of them."""

    name = "join_tokens"
    version = 1
    tables: Sequence[Table] = (JOIN_TOKEN,)

    def apply(self, connection: Connection, seq: int, event: Event) -> None:
        """Take in the events of tokens."""
        del seq
        kind, _ = split_type(event.type)
        if not kind.startswith("token.") or not is_of_server(event):
            return
        here = JOIN_TOKEN.c.hash == event.data["token"]
        if kind == "token.created":
            connection.execute(insert(JOIN_TOKEN).values(_row(event)))
        elif kind == "token.used":
            connection.execute(update(JOIN_TOKEN).where(here).values(uses_left=JOIN_TOKEN.c.uses_left - 1))
        elif kind == "token.reuse_refused":
            connection.execute(update(JOIN_TOKEN).where(here).values(refused=JOIN_TOKEN.c.refused + 1))
        elif kind == "token.expired":
            connection.execute(update(JOIN_TOKEN).where(here).values(ended=True))


def _row(event: Event) -> dict[str, Any]:
    return {
        "hash": event.data["token"],
        "expires": microseconds_of(event.data["expires"]),
        "uses_left": event.data["uses"],
        "labels": json.dumps(dict(event.data.get("labels", {})), sort_keys=True),
        "approve": event.data.get("approve", False),
        "created_by": event.actor or "",
        "refused": 0,
        "ended": False,
    }


def token_of(connection: Connection, token: str) -> TokenState | None:
    """Return what is known of the token of a hash; ``None``: there never was one."""
    row = connection.execute(select(JOIN_TOKEN).where(JOIN_TOKEN.c.hash == token)).first()
    if row is None:
        return None
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's name for it is public
    return TokenState(**values | {"labels": json.loads(values["labels"])})


def create_token(  # noqa: PLR0913 - what can be asked of a token
    fleet: Fleet,
    *,
    uses: int = 1,
    ttl_seconds: int = TTL_SECONDS,
    labels: Mapping[str, str] | None = None,
    approve: bool = False,
    address: str,
    actor: str,
) -> NewToken:
    """Return a new join token; its hash is on record when this returns, its secret nowhere.

    Args:
        fleet: its server has been started once.
        uses: how many machines it lets in.
        ttl_seconds: for how long.
        labels: what the machines that use it are given.
        approve: whether somebody has to approve each of them.
        address: ``host:port`` of the public listener, as the machines reach it.
        actor: on whose behalf: ``user:anna``.

    Raises:
        UsageError: a number or a label is out of bounds.
        MalformedError: the address is none.
        MissingError: no server of this fleet made its authorities yet.
    """
    labels = labels or {}
    _check(uses, ttl_seconds, labels)
    host, port = read_address(address)
    authority = server_authority_hash(fleet.folder, fleet.trust_domain, fleet.clock)
    token = JoinToken(authority, fleet.random(_SECRET_BYTES), host, port)
    known, expires = secret_hash(token.secret), fleet.clock() + ttl_seconds * _SECOND
    data = {
        "token": known, "uses": uses, "expires": time_text(expires), "labels": dict(labels),
        "approve": approve,
    }  # fmt: skip
    made = fleet.event("token.created", f"token/{known}", data, component="enrolment", actor=actor)
    fleet.store.decide(lambda connection: [*_run_out(fleet, connection), made])
    return NewToken(token.text(), known, expires)


def _check(uses: int, ttl_seconds: int, labels: Mapping[str, str]) -> None:
    if not 1 <= uses <= _MOST_USES:
        raise UsageError(f"a join token has 1 to {_MOST_USES} uses, not {uses}")
    if not 1 <= ttl_seconds <= _LONGEST_TTL:
        raise UsageError(f"a join token lives 1 to {_LONGEST_TTL} seconds, not {ttl_seconds}")
    if len(labels) > _MOST_LABELS:
        raise UsageError(f"a join token carries up to {_MOST_LABELS} labels, not {len(labels)}")
    for text in (*labels, *labels.values()):
        if not text.isprintable() or len(text) > _LONGEST_LABEL:
            raise UsageError(f"the label {text[:80]!r} is not printable or longer than {_LONGEST_LABEL}")


def expire_tokens(fleet: Fleet) -> None:
    """Put on record which tokens ran out unused since this was last asked."""
    fleet.store.decide(lambda connection: _run_out(fleet, connection))


def _run_out(fleet: Fleet, connection: Connection) -> list[Event]:
    open_still = ~JOIN_TOKEN.c.ended & (JOIN_TOKEN.c.uses_left > 0) & (JOIN_TOKEN.c.expires <= fleet.clock())
    hashes = connection.execute(select(JOIN_TOKEN.c.hash).where(open_still).order_by(JOIN_TOKEN.c.hash))
    return [expired(fleet, token) for token in hashes.scalars()]


def expired(fleet: Fleet, token: str) -> Event:
    """Return the event that says that a token ran out."""
    return fleet.event("token.expired", f"token/{token}", {"token": token}, component="enrolment")
