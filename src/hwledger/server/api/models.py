"""The documents of the API."""

from typing import Annotated, Any

from fastapi import Header, Path, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from hwledger.fleet.users import LONGEST_TTL_SECONDS, USER_NAME, Role
from hwledger.ledger.chain import Entry
from hwledger.ledger.event import Event, time_text

LARGEST_SEQ = (1 << 63) - 1
PAGE_LIMIT = 1000
Seq = Annotated[int, Field(ge=0, le=LARGEST_SEQ)]
After = Annotated[int, Query(ge=0, le=LARGEST_SEQ, description="Only what comes after this sequence number.")]
Limit = Annotated[int, Query(ge=1, le=PAGE_LIMIT, description="How many at most.")]
Types = Annotated[
    list[Annotated[str, Field(max_length=200)]],
    Query(alias="type", max_length=50, description="Of this type alone, host.enrolled; repeat it."),
]
Subject = Annotated[
    str, Query(max_length=1024, description="Of this subject alone, host/NAME or model/NAME.")
]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="Of your choice: the same request with the same key is done once and answered alike.",
    ),
]
HostName = Annotated[
    str,
    Path(min_length=1, max_length=255, pattern=r"^[^/\x00-\x1f\x7f]+$", description="Its id or its name."),
]
_LABEL = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$"
_PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*$"
Text = Annotated[str, Field(max_length=500, pattern=_PRINTABLE)]


def _moment(value: object) -> object:
    return time_text(value) if isinstance(value, int) else value or None


Moment = Annotated[str | None, BeforeValidator(_moment)]
Told = BeforeValidator(lambda value: value or None)
"""Empty in the use cases where it is not known; null in documents."""


class Document(BaseModel):
    """What a reply holds."""

    model_config = ConfigDict(from_attributes=True, ser_json_inf_nan="null")


class Sent(BaseModel):
    """What a request holds; a name that is not known is refused."""

    model_config = ConfigDict(extra="forbid")


class Me(Document):
    """Who a token belongs to."""

    name: str = Field(description="The user.")
    role: Role = Field(description="What the token allows.")
    token_id: str = Field(description="By which the list of tokens has it.")
    server: str = Field(description="The version of hwledger that answers.")
    origin: str = Field(description="The name of the ledger.")


class Live(Document):
    """The process lives."""

    status: str = Field(examples=["ok"])


class HeadOut(Document):
    """The end of the ledger."""

    origin: str = Field(description="The name of the ledger.")
    size: Seq = Field(description="How many events it has; the last one's sequence number.")
    chain: str = Field(description="The chain hash of the last event, hexadecimal.")
    root: str = Field(description="The root of the Merkle tree over all events (RFC 9162), base64.")


class EntryOut(Document):
    """One event with its place and its hashes: one line of a list of events."""

    seq: Seq = Field(description="Its place, counted from 1.")
    leaf: str = Field(description="SHA-256 of a zero byte and the body, hexadecimal.")
    chain: str = Field(description="The chain hash here, hexadecimal.")
    body: str = Field(description="The stored bytes, as text: a CloudEvents 1.0 envelope.")


class HistoryOut(Document):
    """What is on record of a model or a host, oldest first."""

    origin: str
    events: list[EntryOut]


class Receipt(Document):
    """Where an event is."""

    id: str
    seq: Seq
    type: str
    subject: str
    leaf: str = Field(description="Hexadecimal.")
    chain: str = Field(description="Hexadecimal.")


class Receipts(Document):
    """What a request led to; nothing where nothing was left to be done."""

    events: list[Receipt]


class InclusionOut(Document):
    """That an event is in the ledger (RFC 9162, section 2.1.3)."""

    origin: str
    seq: Seq
    index: Seq = Field(description="Of the leaf, counted from 0.")
    size: Seq = Field(description="Of the ledger that it is in.")
    leaf: str = Field(description="Base64.")
    hashes: list[str] = Field(description="From the leaf up, base64.")
    root: str = Field(description="Of the tree of that size, base64.")
    checkpoint: str | None = Field(description="The signed note of that size, where one is kept.")
    body: str


class ConsistencyOut(Document):
    """That a ledger continues a smaller one (RFC 9162, section 2.1.4)."""

    origin: str
    a: Seq = Field(description="The smaller size.")
    b: Seq = Field(description="The larger size.")
    root_a: str = Field(description="Base64.")
    root_b: str = Field(description="Base64.")
    hashes: list[str] = Field(description="Base64.")


class CheckpointOut(Document):
    """A signed checkpoint."""

    size: Seq
    note: str = Field(description="A C2SP signed note.")


class Checkpoints(Document):
    """Signed checkpoints, smallest first."""

    origin: str
    checkpoints: list[CheckpointOut]


class VerifyOut(Document):
    """What a check of the whole ledger found, where nothing is wrong."""

    origin: str
    size: Seq
    chain: str
    root: str
    checkpoints_kept: int


class EventIn(Sent):
    """An event to record; its source and actor are the user who sends it."""

    id: str = Field(
        pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
        description="A UUID of version 7 of your making; the same id is the same event.",
    )
    type: str = Field(max_length=200, examples=["fleet.plan.created.v1"], description="Of a recordable type.")
    subject: str = Field(min_length=1, max_length=1024, examples=["model/Qwen/Qwen3-32B"])
    time: str = Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$", examples=["2026-11-22T09:00:00.000000Z"]
    )
    data: dict[str, Any] = Field(description="The particulars; whole numbers alone.")


class UserTokenIn(Sent):
    """A token of a user to make."""

    user: str = Field(pattern=f"^{USER_NAME}$", description="Whose it is.")
    role: Role = Field(description="What it allows.")
    ttl_seconds: int | None = Field(
        None, ge=1, le=LONGEST_TTL_SECONDS, description="How long it counts; absent: until it is revoked."
    )


class UserTokenMade(Document):
    """A token that was made."""

    id: str
    token: str = Field(description="Shown once; keep it.")
    user: str
    role: Role
    expires: Moment = None
    server: str | None = Field(description="The server's address, with the authority that vouches for it.")
    events: list[Receipt]


class UserTokenOut(Document):
    """A token of a user, without its secret."""

    id: str
    user: str
    role: Role
    created: str
    expires: str | None
    revoked: str | None


class UserTokens(Document):
    """Tokens of users."""

    tokens: list[UserTokenOut]


class JoinTokenIn(Sent):
    """A join token to make."""

    uses: int = Field(1, ge=1, le=10_000, description="How many hosts may join with it.")
    ttl_seconds: int = Field(900, ge=1, le=86400, description="How long it counts.")
    labels: dict[
        Annotated[str, Field(pattern=_LABEL)], Annotated[str, Field(max_length=63, pattern=_PRINTABLE)]
    ] = Field(default_factory=dict, max_length=32, description="What hosts that join with it are labelled.")
    approve: bool = Field(False, description="Hosts wait until somebody lets them in.")


class JoinTokenMade(Document):
    """A join token that was made."""

    token: str = Field(description="Shown once: hwledger agent join TOKEN.")
    hash: str = Field(description="What the ledger keeps of it.")
    uses: int
    expires: Moment
    labels: dict[str, str]
    approve: bool
    events: list[Receipt]


class JoinTokenOut(Document):
    """A join token, without its secret."""

    model_config = ConfigDict(from_attributes=True, extra="ignore")

    hash: str
    uses_left: int
    expires: Moment
    labels: dict[str, str]
    approve: bool
    created_by: str | None = Field(None, description="On whose behalf.")


class JoinTokens(Document):
    """Join tokens."""

    tokens: list[JoinTokenOut]


class HostOut(Document):
    """A host as the fleet knows it now."""

    id: str
    name: str
    state: str = Field(description="waiting, active, retired or banned.")
    online: bool
    last_seen: Moment = Field(description="When it was last heard of; null: never.")
    labels: dict[str, str]
    inventory: Annotated[dict[str, Any] | None, Told] = Field(
        description="Its devices and programs; null: not told yet."
    )
    agent_version: Annotated[str | None, Told]
    clock_offset_ms: int | None = Field(description="By how much its clock is ahead; null: not known.")
    not_after: Moment = Field(description="Until when its certificate counts; null: it has none.")
    reason: Annotated[str | None, Told] = Field(description="Why it is retired or banned.")
    alarm: Annotated[str | None, Told] = Field(description="What it found wrong with the ledger.")
    spool_bytes: int | None = Field(description="What waits there to be sent; null: not known.")


class Hosts(Document):
    """Hosts, by name."""

    hosts: list[HostOut]


class ReasonIn(Sent):
    """Why."""

    reason: Text = Field("", description="For the record.")


class CommandIn(Sent):
    """Something that a host is to do."""

    host: str = Field(min_length=1, max_length=255, description="Its id or its name.")
    verb: str = Field(pattern=r"^[a-z][a-z0-9._-]{0,62}$", description="One of the verbs that agents know.")
    arguments: dict[str, Any] = Field(default_factory=dict, description="What the verb takes.")
    ttl_seconds: int = Field(300, ge=1, le=7 * 86400, description="Until when it has to be fetched.")


class CommandMade(Document):
    """A command that waits for its host."""

    command: str = Field(description="Its id.")
    events: list[Receipt]


def entry_out(entry: Entry) -> EntryOut:
    """Return an entry as the API shows it."""
    return EntryOut(seq=entry.seq, leaf=entry.leaf.hex(), chain=entry.chain.hex(), body=entry.body.decode())


def receipts_of(entries: "tuple[tuple[Entry, Event], ...]") -> list[Receipt]:
    """Return where events are."""
    return [
        Receipt(
            id=event.id, seq=entry.seq, type=event.type, subject=event.subject, leaf=entry.leaf.hex(),
            chain=entry.chain.hex(),
        )
        for entry, event in entries
    ]  # fmt: skip
