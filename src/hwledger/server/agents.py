"""The application of the agents' listener: every request is held to what the ledger says of who makes it."""

import asyncio
from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hwledger.errors import DeniedError, HwledgerError
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
        offer: what is said along with a certificate.
    """
    said = offer or Offer()

    async def renewing(request: Request) -> Response:
        try:
            csr = csr_of(await json_body(request, LARGEST_REQUEST))
            member: Member = request.state.member
            answer = await asyncio.to_thread(renew, fleet, authorities, member, csr)
        except HwledgerError as error:
            return problem_of(error)
        return JSONResponse(said.along(answer).document(), 201)

    own = Route(f"{AGENT_PATHS}renew", renewing, methods=["POST"])
    return MembersOnly(Starlette(routes=[own, *routes]), fleet)


class MembersOnly:
    """Lets members in, and answers others with 403.

    A request that waits (a long poll) is asked of again when its answer begins: who was banned meanwhile
    gets none.
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
        await self._app(scope, receive, self._guarded(scope, receive, send))

    async def _member(self, scope: Scope) -> Member:
        certificate = scope.get(PEER)
        if certificate is None:
            raise DeniedError("agents show their certificate here; join the fleet with a token")
        found = standing(self._fleet, certificate, scope["path"])
        if found.verdict is Verdict.PLAIN:
            return found.member
        return await asyncio.to_thread(settle, self._fleet, found)  # waits for the disk

    def _guarded(self, scope: Scope, receive: Receive, send: Send) -> Send:
        refused = False

        async def guarded(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start":
                try:
                    found = standing(self._fleet, scope[PEER], scope["path"])
                    if found.verdict is Verdict.REUSED:
                        raise DeniedError("this certificate was replaced by another meanwhile")
                except HwledgerError as error:
                    refused = True
                    await problem_of(error)(scope, receive, send)
            if not refused:
                await send(message)

        return guarded
