"""The application of the agents' listener: every request is held to what the ledger says of who makes it."""

import asyncio
from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hwledger.errors import DeniedError, HwledgerError, MalformedError
from hwledger.fleet.certificates import Authorities
from hwledger.fleet.context import Fleet
from hwledger.fleet.enrolment import renew
from hwledger.fleet.identities import AGENT_PATHS, Member, Verdict, settle, standing
from hwledger.fleet.wire.enrolment import LARGEST_REQUEST, csr_of
from hwledger.server.bodies import json_body
from hwledger.server.enrolling import Offer
from hwledger.server.peer import PEER
from hwledger.server.problems import problem_of


def agents_app(
    fleet: Fleet, authorities: Authorities, routes: Sequence[BaseRoute] = (), offer: Offer | None = None
) -> ASGIApp:
    """Return the application of the agents' listener.

    Each request has ``request.state.member``: who makes it. Nothing of a request but its certificate says so.

    Args:
        fleet: whose agents they are.
        authorities: that sign their certificates.
        routes: under ``/a/v1/``; ``POST /a/v1/renew`` is there already.
        offer: what is said along with a certificate; without one no agent takes what it is answered.
    """
    said = offer or Offer()

    async def renewing(request: Request) -> Response:
        csr = csr_of(await json_body(request, LARGEST_REQUEST))
        member: Member = request.state.member
        answer = await asyncio.to_thread(renew, fleet, authorities, member, csr)
        return JSONResponse(said.along(answer).document(), 201)

    own = Route(f"{AGENT_PATHS}renew", renewing, methods=["POST"])
    app = Starlette(
        routes=[own, *routes], exception_handlers={HwledgerError: _explained, ClientDisconnect: _unheard}
    )
    return MembersOnly(app, fleet)


async def _unheard(_request: Request, _error: Exception) -> Response:
    """Answer who hung up in the middle of a request: nobody hears it, and it is no fault of the server."""
    return problem_of(MalformedError("the body ended before it was whole; send it again"))


async def _explained(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HwledgerError):
        raise error
    return problem_of(error)


class MembersOnly:
    """Lets members in, and answers others with 403.

    A request takes time: its body may come slowly, and a long poll waits. So who makes it is looked at again
    when its body is whole, when its answer begins, and with every further part: who was banned meanwhile
    changes nothing any more and hears nothing.
    """

    def __init__(self, app: ASGIApp, fleet: Fleet) -> None:
        self._app = app
        self._fleet = fleet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return  # no WebSockets, and nothing to do when the server starts or stops
        try:
            scope.setdefault("state", {})["member"] = await self._member(scope)
        except HwledgerError as error:
            await problem_of(error)(scope, receive, send)
            return
        exchange = _Exchange(self._fleet, scope, receive, send)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception:
            if not exchange.refused:  # else the answer was cut off on purpose
                raise

    async def _member(self, scope: Scope) -> Member:
        certificate = scope.get(PEER)
        if certificate is None:
            raise DeniedError("agents show their certificate here; join the fleet with a token")
        found = standing(self._fleet, certificate, scope["path"])
        if found.verdict is Verdict.PLAIN:
            return found.member
        return await asyncio.to_thread(settle, self._fleet, found)  # waits for the disk


class _Exchange:
    """One request and its answer; ``refused``: who makes it is no member any more."""

    def __init__(self, fleet: Fleet, scope: Scope, receive: Receive, send: Send) -> None:
        self._fleet, self._scope = fleet, scope
        self._receive, self._send = receive, send
        self._begun = self.refused = False

    def _check(self) -> None:
        try:
            found = standing(self._fleet, self._scope[PEER], self._scope["path"])
            if found.verdict is Verdict.REUSED:
                raise DeniedError("this certificate was replaced by another meanwhile")
        except HwledgerError:
            self.refused = True
            raise

    async def receive(self) -> Message:
        """Return what comes next of the request; a whole body of a member alone."""
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._check()
        return message

    async def send(self, message: Message) -> None:
        """Send what comes next of the answer; to who is no member any more only that it is refused."""
        if self.refused and self._begun:
            return
        try:
            self._check()
        except HwledgerError as error:
            if self._begun:
                raise  # the rest is not sent, so the connection is closed
            self._begun = True
            await problem_of(error)(self._scope, self._receive, self._send)
            return
        self._begun = True
        await self._send(message)
