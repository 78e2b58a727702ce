"""A server in this process, with hosts that need no agents."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from hwledger.errors import MissingError
from hwledger.fleet.context import Fleet
from hwledger.fleet.users import Role, make_user_token
from hwledger.fleet.views import projections
from hwledger.ledger.event import event_of, time_text
from hwledger.ledger.sqlite import SqliteStore
from hwledger.server.api.app import api
from hwledger.server.health import Readiness
from hwledger.server.pulse import Pulse
from hwledger.server.side import HostServices, Side

HOST = "11111111-1111-4111-8111-111111111111"


@dataclass(frozen=True)
class View:
    """A host as ``fleet.hosts`` tells it."""

    id: str
    name: str
    state: str
    online: bool = True
    last_seen: int = 1_764_061_200_000_000
    labels: Mapping[str, str] = ()  # type: ignore[assignment]
    inventory: Any = None
    agent_version: str = "0.1.0"
    clock_offset_ms: int = 3
    not_after: int = 1_764_061_200_000_000


@dataclass(frozen=True)
class NewToken:
    """A join token as ``fleet.tokens`` makes it."""

    text: str
    hash: str
    expires: int


def hosts(fleet: Fleet) -> Sequence[View]:
    """Return the one host; its state is what its last event says."""
    states = {"host.retired": "retired", "host.banned": "banned", "host.enrolled": "active"}
    entries = fleet.store.read(0, 1000, subject=f"host/{HOST}")
    names = [event_of(entry.body).type.removeprefix("fleet.").rpartition(".v")[0] for entry in entries]
    state = next((states[name] for name in reversed(names) if name in states), "waiting")
    return [View(HOST, "node1", state, labels={"rack": "a"}, inventory={"devices": []})]


def host(fleet: Fleet, name: str) -> View:
    """Return the host by id or name."""
    for one in hosts(fleet):
        if name in {one.id, one.name}:
            return one
    raise MissingError(f"there is no host {name!r}; hwledger hosts lists them")


def _said(fleet: Fleet, kind: str, identity: str, actor: str, **data: Any) -> None:
    made = fleet.event(kind, f"host/{identity}", {"host": identity, **data}, actor=actor)
    fleet.store.decide(lambda _: [made])


def approve(fleet: Fleet, identity: str, *, actor: str) -> None:
    """Let the host in."""
    _said(fleet, "host.enrolled", identity, actor, serial="1", not_after=time_text(fleet.clock()))


def retire(fleet: Fleet, identity: str, *, reason: str, actor: str) -> None:
    """Take the host out."""
    _said(fleet, "host.retired", identity, actor, reason=reason)


def ban(fleet: Fleet, identity: str, *, reason: str, actor: str) -> None:
    """Refuse the host."""
    _said(fleet, "host.banned", identity, actor, reason=reason)


def create_token(fleet: Fleet, *, address: str, actor: str, **asked: Any) -> NewToken:
    """Make a join token."""
    text = f"hwl1.{fleet.random(32).hex()}@{address}"
    expires = fleet.clock() + asked["ttl_seconds"] * 1_000_000
    hashed = sha256(text.encode()).hexdigest()
    data = {"token": hashed, "uses": asked["uses"], "expires": time_text(expires)}
    made = fleet.event("token.created", f"token/{hashed}", data, actor=actor)
    fleet.store.decide(lambda _: [made])
    return NewToken(text, hashed, expires)


def tokens(fleet: Fleet) -> list[dict[str, Any]]:
    """Return the join tokens."""
    entries = fleet.store.read(0, 1000, types=["fleet.token.created.v1"])
    found = [event_of(entry.body).data for entry in entries]
    return [
        {
            "hash": one["token"],
            "uses_left": one["uses"],
            "expires": one["expires"],
            "labels": {},
            "approve": False,
        }
        for one in found
    ]


def issue(  # noqa: PLR0913 - as the use case has them
    fleet: Fleet, identity: str, verb: str, arguments: Mapping[str, Any], *, ttl_seconds: int, actor: str
) -> str:
    """Tell the host to do something."""
    del arguments
    command = fleet.random(8).hex()
    expires = time_text(fleet.clock() + ttl_seconds * 1_000_000)
    _said(fleet, "command.issued", identity, actor, command=command, verb=verb, expires=expires, fence=1)
    return command


SERVICES = HostServices(hosts, host, approve, retire, ban, create_token, tokens, issue, "127.0.0.1:8471")


@dataclass(frozen=True)
class Served:
    """A server, a client of it, and a token for each role."""

    side: Side
    client: TestClient
    tokens: Mapping[str, str]

    def ask(self, role: str, method: str, path: str, **more: Any) -> Any:
        """Return the reply to who has a role; ``anyone`` has no token."""
        headers = dict(more.pop("headers", {}))
        if role != "anyone":
            headers["Authorization"] = f"Bearer {self.tokens[role]}"
        return self.client.request(method, path, headers=headers, **more)


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """Give a server over a new ledger in a folder."""
    with SqliteStore(folder / "ledger.db", origin="hwledger.local/test", projections=projections()) as store:
        fleet = Fleet(store, folder)
        shown = {
            role.value: make_user_token(fleet, user=f"a-{role.value}", role=role, actor="test").text.reveal()
            for role in Role
        }
        readiness = Readiness(store, folder)
        side = Side(fleet, readiness, Pulse(store), services=SERVICES)
        with TestClient(api(side), raise_server_exceptions=False) as client:  # type: ignore[arg-type]
            yield Served(side, client, shown)
        readiness.close()
