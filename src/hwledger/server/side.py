"""What every route works on, and the use cases of hosts that it calls."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hwledger.fleet.context import Fleet
from hwledger.fleet.users import User
from hwledger.server.health import Readiness
from hwledger.server.metrics import ServerMetrics
from hwledger.server.pulse import Pulse

if TYPE_CHECKING:
    from starlette.requests import Request


@dataclass(frozen=True, slots=True)
class HostServices:
    """The use cases of hosts, join tokens and commands, each on a fleet.

    Attributes:
        hosts: all hosts.
        host: one, by id or name.
        approve: lets in one that waits.
        retire: takes one out, with a reason.
        ban: refuses one, with a reason.
        create_token: makes a join token.
        tokens: the join tokens.
        issue: tells a host to do something.
        address: of the public listener, which join tokens name.
        entrance: the same as a user's HWLEDGER_SERVER, with the authority that vouches for it.
    """

    hosts: Callable[[Fleet], Sequence[Any]]
    host: Callable[[Fleet, str], Any]
    approve: Callable[..., Any]
    retire: Callable[..., Any]
    ban: Callable[..., Any]
    create_token: Callable[..., Any]
    tokens: Callable[[Fleet], Sequence[Any]]
    issue: Callable[..., str]
    address: str
    entrance: str = ""


@dataclass(frozen=True, slots=True)
class Side:
    """One server's side: what it serves of, and what it counts with."""

    fleet: Fleet
    readiness: Readiness
    pulse: Pulse
    metrics: ServerMetrics = field(default_factory=ServerMetrics)
    services: HostServices | None = None
    roles: Mapping[tuple[str, str], str] = field(default_factory=dict)


def side_of(request: "Request") -> Side:
    """Return what the route of a request works on."""
    found: Side = request.app.state.side
    return found


def user_of(request: "Request") -> User:
    """Return who asks; only where the route lets in nobody without a token."""
    found: User = request.state.user
    return found


def services_of(request: "Request") -> HostServices:
    """Return the use cases of hosts; routes that need them are there only with them."""
    found = side_of(request).services
    if found is None:  # pragma: no cover - the route is not there
        raise RuntimeError("a route of hosts without hosts")
    return found
