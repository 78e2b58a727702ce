"""Users of the server and their tokens: who may do what. A projection; only hashes of tokens are kept."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Final

from sqlalchemy import Column, Connection, Table, Text, insert, select, update

from hwledger.errors import DeniedError, MissingError, UsageError
from hwledger.fleet.context import Fleet
from hwledger.fleet.private import write_private
from hwledger.fleet.running import admin_token_path, read_token
from hwledger.fleet.secret import Secret
from hwledger.ledger.event import Event, microseconds_of, time_text
from hwledger.ledger.schema import METADATA
from hwledger.ledger.types import split_type

PREFIX: Final = "hwu1."
ADMIN: Final = "admin"
"""The user of the token that a server makes on its first start."""
USER_NAME: Final = r"[a-z0-9][a-z0-9._-]{0,62}"
LONGEST_TTL_SECONDS: Final = 10 * 366 * 86400
_SECRET_BYTES: Final = 32
_ID_BYTES: Final = 8
_BY_SERVER: Final = re.compile(r"spiffe://[^/]+/server/.+")


class Role(StrEnum):
    """What a user may do; each may do what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def covers(self, wanted: "Role") -> bool:
        """Whether who has this role may do what another is needed for."""
        order = list(Role)
        return order.index(self) >= order.index(wanted)


USER_TOKEN: Final = Table(
    "user_token",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("hash", Text, nullable=False, unique=True),
    Column("user", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created", Text, nullable=False),
    Column("expires", Text),
    Column("revoked", Text),
)


@dataclass(frozen=True, slots=True)
class User:
    """Who asks, as a token says.

    Attributes:
        name: of the user.
        role: what the token allows.
        token_id: of the token, which is no secret.
    """

    name: str
    role: Role
    token_id: str


@dataclass(frozen=True, slots=True)
class UserToken:
    """A token of a user, without its secret; times are RFC 3339, ``None``: never."""

    id: str
    user: str
    role: Role
    created: str
    expires: str | None
    revoked: str | None


@dataclass(frozen=True, slots=True)
class NewUserToken:
    """A token that was made; its text is shown once."""

    id: str
    text: Secret
    expires: str | None


class Users:
    """Who has which token."""

    name = "users"
    version = 1
    tables: Sequence[Table] = (USER_TOKEN,)

    def apply(self, connection: Connection, seq: int, event: Event) -> None:
        """Take in a token that was made or revoked; only a server's word on tokens counts."""
        del seq
        name, _ = split_type(event.type)
        if not name.startswith("user.token_") or not _BY_SERVER.fullmatch(event.source):
            return
        moment, data = time_text(event.time_microseconds), event.data
        if name == "user.token_created":
            kept = {key: data[key] for key in ("id", "user", "role")} | {"expires": data.get("expires")}
            row = {**kept, "hash": data["token"], "role": Role(data["role"]).value, "created": moment}
            connection.execute(insert(USER_TOKEN).values(row))
        elif name == "user.token_revoked":
            here = (USER_TOKEN.c.id == data["id"]) & USER_TOKEN.c.revoked.is_(None)
            connection.execute(update(USER_TOKEN).where(here).values(revoked=moment))


def make_user_token(
    fleet: Fleet, *, user: str, role: Role, ttl_seconds: int | None = None, actor: str
) -> NewUserToken:
    """Make a token, and an event of it.

    Args:
        fleet: the fleet.
        user: whose it is; the user comes to be with the first.
        role: what it allows.
        ttl_seconds: how long it counts; ``None``: until it is revoked.
        actor: on whose behalf.

    Raises:
        UsageError: that is no name of a user, or no time.
    """
    if not re.fullmatch(USER_NAME, user):
        raise UsageError(f"{user!r} is no name of a user; use 1 to 63 of a-z, 0-9, '.', '_' and '-'")
    if ttl_seconds is not None and not 1 <= ttl_seconds <= LONGEST_TTL_SECONDS:
        raise UsageError(f"a token counts for 1 second to ten years, not {ttl_seconds} s")
    raw = fleet.random(_ID_BYTES + _SECRET_BYTES)
    identity = raw[:_ID_BYTES].hex()
    text = f"{PREFIX}{base64.urlsafe_b64encode(raw[_ID_BYTES:]).rstrip(b'=').decode()}"
    expires = None if ttl_seconds is None else time_text(fleet.clock() + ttl_seconds * 1_000_000)
    data = {"id": identity, "token": _hash(text), "user": user, "role": role.value}
    if expires is not None:
        data["expires"] = expires
    made = fleet.event("user.token_created", f"user/{user}", data, component="users", actor=actor)
    fleet.store.decide(lambda _: [made])
    return NewUserToken(identity, Secret(text), expires)


def revoke_user_token(fleet: Fleet, token_id: str, *, actor: str) -> None:
    """Make a token count no longer; one that is revoked already stays as it is.

    Raises:
        MissingError: there is no such token.
    """

    def decision(connection: Connection) -> Sequence[Event]:
        row = connection.execute(select(USER_TOKEN).where(USER_TOKEN.c.id == token_id)).first()
        if row is None:
            raise MissingError(f"there is no token {token_id!r}; the list of users' tokens has them")
        if row.revoked:
            return []
        told, subject = {"id": token_id}, f"user/{row.user}"
        return [fleet.event("user.token_revoked", subject, told, component="users", actor=actor)]

    fleet.store.decide(decision)


def user_tokens(fleet: Fleet) -> list[UserToken]:
    """Return all tokens of users, in the order of their names."""
    wanted = select(USER_TOKEN).order_by(USER_TOKEN.c.user, USER_TOKEN.c.created, USER_TOKEN.c.id)
    rows = fleet.store.query(lambda connection: connection.execute(wanted).all())
    return [_token(row) for row in rows]


def _token(row: object) -> UserToken:
    fields = ("id", "user", "role", "created", "expires", "revoked")
    values = {name: getattr(row, name) for name in fields}
    return UserToken(**values | {"role": Role(values["role"])})


def authenticate(fleet: Fleet, text: str) -> User:
    """Return who shows a token, as of the last event.

    Raises:
        DeniedError: nobody has it, or it counts no longer.
    """
    wanted = select(USER_TOKEN).where(USER_TOKEN.c.hash == _hash(text))
    row = fleet.store.query(lambda connection: connection.execute(wanted).first())
    if row is None:
        raise DeniedError("this token is not known here; hwledger's admin makes tokens for users")
    if row.revoked is not None:
        raise DeniedError("this token was revoked; ask hwledger's admin for another")
    if row.expires is not None and microseconds_of(row.expires) <= fleet.clock():
        raise DeniedError(f"this token ran out at {row.expires}; ask hwledger's admin for another")
    return User(row.user, Role(row.role), row.id)


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def ensure_admin_token(fleet: Fleet) -> Path:
    """Return the file of a token of the admin, made first where there is none that counts; 0600.

    Raises:
        InputError: it cannot be read or written.
    """
    path = admin_token_path(fleet.folder)
    try:
        if path.exists():
            authenticate(fleet, read_token(path))
            return path
    except DeniedError:
        pass  # of another ledger, revoked, or run out: who can write here is the admin
    made = make_user_token(fleet, user=ADMIN, role=Role.ADMIN, actor="server")
    write_private(path, f"{made.text.reveal()}\n".encode())
    return path
