"""A whole server of a fleet on loopback, over real TLS and a ledger in a file; it is stopped and put back."""

import asyncio
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from starlette.applications import Starlette

from hwledger.fleet.certificates import Authorities
from hwledger.fleet.context import Fleet
from hwledger.fleet.enrolment import create_token
from hwledger.fleet.notary import Notary
from hwledger.fleet.segments import Segments
from hwledger.fleet.views import projections
from hwledger.ledger.event import Event, event_of
from hwledger.ledger.sqlite import SqliteStore
from hwledger.ledger.types import split_type
from hwledger.server.agents import agents_app
from hwledger.server.enrolling import Offer, Rate
from hwledger.server.enrolling import routes as enrolling
from hwledger.server.listening import listener
from hwledger.server.reporting import keep_watch, routes
from hwledger.server.tls import agents_context, public_context

NAMES = ("127.0.0.1", "localhost")


@dataclass
class RealFleet:
    """A server with its public and its agents' listener; leaving the context stops it, entering starts it.

    Attributes:
        folder: of the ledger, keys and telemetry.
        clock: microseconds since 1970; the real one where ``None``.
    """

    folder: Path
    clock: Callable[[], int] | None = None
    ports: tuple[int, int] = (0, 0)
    settings: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._stack = stack = ExitStack()
        store = SqliteStore(self.folder / "ledger.db", projections=projections())
        stack.callback(store.close)
        more = {} if self.clock is None else {"clock": self.clock}
        self.fleet = fleet = Fleet(store, self.folder, "example.org", **more)
        self.authorities = trust = Authorities.open(self.folder, "example.org", fleet.clock)
        self.segments = Segments(self.folder)
        stack.callback(self.segments.close)
        notary = Notary(fleet, self.folder)
        bound = [socket.create_server(("127.0.0.1", port), backlog=512) for port in self.ports]
        self.ports = (bound[0].getsockname()[1], bound[1].getsockname()[1])
        offer = Offer(f":{self.ports[1]}", notary.key)
        public = Starlette(routes=enrolling(fleet, trust, offer, Rate(1000, 1000)))
        agents = agents_app(fleet, trust, routes(fleet, self.segments, notary), offer)
        stack.enter_context(_served(public, public_context(trust, NAMES), bound[0], None, self.settings))
        watch = lambda ending: keep_watch(fleet, self.segments, ending)  # noqa: E731 - one line
        stack.enter_context(_served(agents, agents_context(trust, NAMES), bound[1], watch, self.settings))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def token(self, **more: Any) -> str:
        """Return the text of a new join token."""
        told: dict[str, Any] = {"address": f"127.0.0.1:{self.ports[0]}", "actor": "user:anna", **more}
        return create_token(self.fleet, **told).text

    def events(self, *types: str) -> list[Event]:
        """Return all events, or those of some types, in order."""
        found = [event_of(entry.body) for entry in self.fleet.store.read(limit=100_000)]
        return [event for event in found if not types or split_type(event.type)[0] in types]

    def told(self, *types: str) -> list[dict[str, Any]]:
        """Return the data of all events of some types."""
        return [dict(event.data) for event in self.events(*types)]

    def copied_to(self, place: Path) -> None:
        """Copy everything that a server has; it is stopped."""
        shutil.copytree(self.folder, place)

    def put_back(self, place: Path) -> None:
        """Put an older copy in place of what the server has; it is stopped."""
        shutil.rmtree(self.folder)
        shutil.copytree(place, self.folder)


@contextmanager
def _served(
    app: Any, context: Any, bound: socket.socket, watch: Any, settings: dict[str, Any]
) -> Iterator[None]:
    server = listener(app, context)
    for name, value in settings.items():
        setattr(server.config, name, value)

    async def serve() -> None:
        ending = asyncio.Event()
        watching = asyncio.create_task(watch(ending)) if watch else None
        await server.serve(sockets=[bound])
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        ending.set()
        if watching:
            await watching

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield
    finally:
        server.should_exit = server.force_exit = True  # no wait for long polls
        thread.join(10)
        bound.close()


def wait_until(holds: Callable[[], Any], seconds: float = 90) -> Any:
    """Return what becomes true within a while."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if found := holds():
            return found
        pause.wait(0.02)
    raise AssertionError("it did not come about")
