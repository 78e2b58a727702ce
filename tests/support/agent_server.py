"""The agents' listener over real loopback HTTP; a header stands in for the certificate."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from hwledger.fleet.context import Fleet
from hwledger.fleet.segments import Segments
from hwledger.server.reporting import Notary, keep_watch, routes
from support.reporting import Member

HEADER = "x-test-member"


class StandIn:
    """Sets who speaks, as the check of certificates does."""

    def __init__(self, app: ASGIApp, member: Callable[[str], Any]) -> None:
        self._app, self._member = app, member

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on a request with its member."""
        if scope["type"] == "http":
            names = dict(scope["headers"])
            host = names.get(HEADER.encode(), b"").decode()
            scope.setdefault("state", {})["member"] = self._member(host)
        await self._app(scope, receive, send)


def agents_app(fleet: Fleet, segments: Segments, notary: Notary | None = None) -> Starlette:
    """Return the app of the agents' listener."""
    guard = Middleware(StandIn, member=Member)
    return Starlette(routes=routes(fleet, segments, notary), middleware=[guard])


class AgentServer:
    """Serves an app on a free port of loopback from a thread, with the server's watch."""

    def __init__(
        self, fleet: Fleet, segments: Segments, notary: Notary | None = None, port: int = 0, **settings: Any
    ) -> None:
        self._fleet, self._segments = fleet, segments
        config = uvicorn.Config(
            agents_app(fleet, segments, notary), host="127.0.0.1", port=port, log_level="error",
            lifespan="off", timeout_graceful_shutdown=1, **settings,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        ending = asyncio.Event()
        watch = asyncio.create_task(keep_watch(self._fleet, self._segments, ending))
        try:
            await self._server.serve()
        finally:
            ending.set()
            await watch

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.01)
            if not self._thread.is_alive():
                raise RuntimeError("the server did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    @property
    def port(self) -> int:
        """Return the port that it listens on."""
        sockets: Sequence[Any] = self._server.servers[0].sockets
        return int(sockets[0].getsockname()[1])

    @property
    def address(self) -> str:
        """Return where it answers."""
        return f"127.0.0.1:{self.port}"
