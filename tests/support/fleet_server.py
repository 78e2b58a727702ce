"""A server in this process, over a ledger in a file, with authorities and hosts that are let in by tests."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from hwledger.fleet.certificates import Authorities
from hwledger.fleet.context import Fleet
from hwledger.fleet.enrolment import create_token, enrol
from hwledger.fleet.signing import make_request, new_key
from hwledger.fleet.users import Role, make_user_token
from hwledger.fleet.views import projections
from hwledger.fleet.wire.enrolment import EnrolRequest
from hwledger.fleet.wire.tokens import JoinToken
from hwledger.ledger.sqlite import SqliteStore
from hwledger.server.api.app import api
from hwledger.server.enrolling import routes
from hwledger.server.health import Readiness
from hwledger.server.pulse import Pulse
from hwledger.server.services import host_services
from hwledger.server.side import Side

ADDRESS = "127.0.0.1:8471"
_NUMBERS = count(1)


@dataclass(frozen=True)
class Served:
    """A server, a client of it, and a token for each role."""

    side: Side
    client: TestClient
    tokens: Mapping[str, str]
    authorities: Authorities

    def ask(self, role: str, method: str, path: str, **more: Any) -> Any:
        """Return the reply to who has a role; ``anyone`` has no token."""
        headers = dict(more.pop("headers", {}))
        if role != "anyone":
            headers["Authorization"] = f"Bearer {self.tokens[role]}"
        return self.client.request(method, path, headers=headers, **more)

    def request(self, name: str = "node", **more: Any) -> dict[str, Any]:
        """Return what a machine of its own asks with to be let in, over a new token."""
        made = create_token(self.side.fleet, address=ADDRESS, actor="test", **more)
        secret, number = JoinToken.read(made.text).secret, next(_NUMBERS)
        asked = EnrolRequest(secret, make_request(new_key()), name, f"{number:064x}", {"devices": []}, "1")
        return asked.document()

    def host(self, name: str = "node", **more: Any) -> str:
        """Return the id of a new host that was let in, or that waits (``approve=True``)."""
        asked = EnrolRequest.read(self.request(name, **more))
        return enrol(self.side.fleet, self.authorities, asked).host


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """Give a server over a new ledger in a folder."""
    with SqliteStore(folder / "ledger.db", origin="hwledger.local/test", projections=projections()) as store:
        fleet = Fleet(store, folder)
        authorities = Authorities.open(folder, fleet.trust_domain, fleet.clock)
        shown = {
            role.value: make_user_token(fleet, user=f"a-{role.value}", role=role, actor="test").text.reveal()
            for role in Role
        }
        readiness = Readiness(store, folder)
        side = Side(fleet, readiness, Pulse(store), services=host_services(ADDRESS, authorities))
        app = api(side, routes(fleet, authorities))
        with TestClient(app, raise_server_exceptions=False) as client:  # type: ignore[arg-type]
            yield Served(side, client, shown, authorities)
        readiness.close()
