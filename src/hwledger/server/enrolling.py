"""The routes by which machines that are no members yet come in: the authority, enrolment, coming back."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from ipaddress import IPv4Address, ip_address
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from hwledger.errors import HwledgerError
from hwledger.fleet.certificates import Authorities
from hwledger.fleet.context import Fleet
from hwledger.fleet.enrolment import Nonces, enrol, renew_with_proof
from hwledger.fleet.wire.enrolment import LARGEST_REQUEST, EnrolAnswer, EnrolRequest, ProofRequest
from hwledger.server.bodies import json_body
from hwledger.server.problems import problem, problem_of

_KNOWN: Final = 10_000


@dataclass(frozen=True, slots=True)
class Offer:
    """What a host is told along with its certificate.

    Attributes:
        agents_address: ``host:port`` of the agents' listener; ``:port``: on the host that was joined through.
        checkpoint_key: one line ``name+id+key``: who signs the ledger's checkpoints.
    """

    agents_address: str = ""
    checkpoint_key: str = ""

    def along(self, answer: EnrolAnswer) -> EnrolAnswer:
        """Return an answer with this in it, where it hands over a certificate."""
        if answer.state != "active":
            return answer
        return replace(answer, agents_address=self.agents_address, checkpoint_key=self.checkpoint_key)


class Rate:
    """How often one address may ask: so many a second on average, so many at once.

    Of IPv6 a network of 64 bits counts as one address: whoever has one has them all.
    """

    def __init__(
        self, per_second: float = 20.0, at_once: int = 100, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second = per_second
        self._at_once = at_once
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def seconds_to_wait(self, address: str) -> float:
        """Count a request of an address; return 0, or after how many seconds it may ask."""
        now, address = self._clock(), _network(address)
        left, since = self._left.pop(address, (float(self._at_once), now))
        left = min(self._at_once, left + (now - since) * self._per_second)
        allowed = left >= 1
        self._left[address] = (left - 1 if allowed else left, now)
        if len(self._left) > _KNOWN:
            self._left.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._per_second


def _network(address: str) -> str:
    """Return what a client is counted by: its address, of IPv6 the first half."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv4Address) or found.ipv4_mapped:
        return str(found)
    return str(int(found) >> 64)


def routes(
    fleet: Fleet, authorities: Authorities, offer: Offer | None = None, rate: Rate | None = None
) -> list[BaseRoute]:
    """Return ``GET /ca``, ``POST /v1/enrol`` and ``POST /v1/renew-with-proof`` of the public listener."""
    said, limit, nonces = offer or Offer(), rate or Rate(), Nonces(fleet)

    async def authority(_request: Request) -> Response:
        return PlainTextResponse(authorities.server_trust(), media_type="application/x-pem-file")

    async def enrolling(request: Request) -> Response:
        asked = EnrolRequest.read(await json_body(request, LARGEST_REQUEST))
        answer = await asyncio.to_thread(enrol, fleet, authorities, asked)
        status = HTTPStatus.CREATED if answer.state == "active" else HTTPStatus.ACCEPTED
        return JSONResponse(said.along(answer).document(), int(status))

    async def proving(request: Request) -> Response:
        asked = ProofRequest.read(await json_body(request, LARGEST_REQUEST))
        if not asked.nonce:
            return JSONResponse({"nonce": nonces.give(asked.host)})
        answer = await asyncio.to_thread(renew_with_proof, fleet, authorities, nonces, asked)
        return JSONResponse(said.along(answer).document(), 201)

    return [
        Route("/ca", authority, methods=["GET"]),
        Route("/v1/enrol", _limited(enrolling, limit), methods=["POST"]),
        Route("/v1/renew-with-proof", _limited(proving, limit), methods=["POST"]),
    ]


def _limited(
    answering: Callable[[Request], Awaitable[Response]], rate: Rate
) -> Callable[[Request], Awaitable[Response]]:
    async def limited(request: Request) -> Response:
        wait = rate.seconds_to_wait(request.client.host if request.client else "")
        if wait:
            seconds = str(int(wait) + 1)
            detail = f"too many requests from this address; ask again in {seconds} s"
            return problem(HTTPStatus.TOO_MANY_REQUESTS, detail, {"Retry-After": seconds})
        try:
            return await answering(request)
        except HwledgerError as error:
            return problem_of(error)

    return limited
