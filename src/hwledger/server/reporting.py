"""The routes under ``/a/v1`` on which agents report: who speaks is known from the certificate alone.

``server.agents`` sets ``request.state.member`` before any of these runs. A long poll holds no thread.
"""

import asyncio
import json
from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol, cast

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hwledger.errors import (
    AlteredError,
    BusyError,
    ConflictError,
    DeniedError,
    FullError,
    HwledgerError,
    MissingError,
    NewerError,
    TooLargeError,
)
from hwledger.fleet import commands, reports
from hwledger.fleet.context import Fleet
from hwledger.fleet.liveness import Watch
from hwledger.fleet.segments import Segments
from hwledger.fleet.wire.reading import LARGEST_SENT, unpacked
from hwledger.fleet.wire.reports import ack_of, events_of, hello_of, telemetry_of
from hwledger.ledger.event import time_text

LONGEST_WAIT_SECONDS: Final = 60
_STATUS: Final = (
    (TooLargeError, 413), (NewerError, 426), (DeniedError, 422), (MissingError, 404), (ConflictError, 409),
    (FullError, 507), (BusyError, 503),
)  # fmt: skip
_OTHER: Final = 400
# 403 is not among them: it says that the host is refused, whatever it sends, and is said before these routes.
WATCH_SECONDS: Final = 1.0
MOST_PROOFS: Final = 1000
"""That are remembered of one checkpoint."""
SEAL_SECONDS: Final = 60.0


class Notary(Protocol):
    """Who signs checkpoints (``fleet.notary.Notary``)."""

    def note(self) -> str:
        """Return the newest signed checkpoint."""

    def proof(self, from_size: int) -> tuple[str, Sequence[bytes]]:
        """Return it with the proof that it continues the ledger of a size.

        Raises:
            AlteredError: the ledger is shorter than that, or does not continue what was signed before.
        """


class Reporting:
    """The routes of one fleet.

    Args:
        fleet: whose agents speak.
        segments: where their telemetry is kept.
        notary: who signs checkpoints; without one, agents are shown none.
    """

    def __init__(self, fleet: Fleet, segments: Segments, notary: Notary | None = None) -> None:
        self._fleet, self._segments, self._notary = fleet, segments, notary
        self._proofs: tuple[str, dict[int, Sequence[bytes]]] = ("", {})

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/a/v1/hello", self._answering(self._hello), methods=["POST"]),
            Route("/a/v1/events", self._answering(self._events), methods=["POST"]),
            Route("/a/v1/telemetry", self._answering(self._telemetry), methods=["POST"]),
            Route("/a/v1/commands", self._answering(self._commands), methods=["GET"]),
            Route("/a/v1/commands/{command}/ack", self._answering(self._ack), methods=["POST"]),
            Route("/a/v1/checkpoint", self._answering(self._checkpoint), methods=["GET"]),
        ]

    @staticmethod
    def _answering(
        answer: Callable[[Request], Awaitable[dict[str, Any]]],
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answered(request: Request) -> Response:
            try:
                return JSONResponse(await answer(request))
            except HwledgerError as error:
                return problem(error)

        return answered

    async def _hello(self, request: Request) -> dict[str, Any]:
        message = hello_of(await body_of(request))
        return await run_in_threadpool(self._greet, request.state.member, message)

    def _greet(self, member: Any, message: Any) -> dict[str, Any]:
        told = reports.hello(self._fleet, member, message)
        return {
            "next_in_seconds": told.next_in_seconds,
            "time": time_text(told.time_microseconds),
            **self._signed(message.seen_size),
            "events_seq": told.events_seq,
            "telemetry_seq": self._segments.last_seq(member.host, message.boot),
            "want_inventory": told.want_inventory,
            "renew": told.renew,
        }

    def _signed(self, seen_size: int | None) -> dict[str, Any]:
        """Return the newest checkpoint with its proof.

        A ledger that is shorter than was seen has no proof to show; one that does not continue what was
        signed before is not signed, and no checkpoint is shown: agents refuse both.
        """
        note, hashes = self._proof(seen_size or 0) if self._notary else (None, ())
        return {"checkpoint": note, "consistency": [b64encode(one).decode() for one in hashes]}

    def _proof(self, seen_size: int) -> tuple[str | None, Sequence[bytes]]:
        notary = cast("Notary", self._notary)
        try:
            return self._known_proof(notary, seen_size) if seen_size else (notary.note(), ())
        except AlteredError as error:
            _log(error)
        try:
            return notary.note(), ()
        except AlteredError:
            return None, ()

    def _known_proof(self, notary: Notary, seen_size: int) -> tuple[str, Sequence[bytes]]:
        """Return the newest checkpoint with its proof; many hosts have seen the same, and it is made once."""
        newest, known = self._proofs
        if seen_size in known and notary.note() == newest:
            return newest, known[seen_size]
        note, hashes = notary.proof(seen_size)
        if note != newest or len(known) >= MOST_PROOFS:
            self._proofs = (note, {seen_size: hashes})
        else:
            known[seen_size] = hashes
        return note, hashes

    async def _events(self, request: Request) -> dict[str, Any]:
        reported = events_of(await body_of(request))
        return await run_in_threadpool(self._add_events, request.state.member, reported)

    def _add_events(self, member: Any, reported: Any) -> dict[str, Any]:
        receipts = reports.events(self._fleet, member, reported)
        last = reports.events_seq(self._fleet, member.host, reported[-1].boot)
        told = [{"id": one.id, "seq": one.seq, "repeated": one.repeated} for one in receipts]
        return {"receipts": told, "events_seq": last}

    async def _telemetry(self, request: Request) -> dict[str, Any]:
        batch = telemetry_of(await body_of(request))
        host, now = request.state.member.host, self._fleet.clock()
        await run_in_threadpool(self._segments.accept, host, batch, now)
        self._fleet.live.touch(host, now)
        return {"telemetry_seq": await run_in_threadpool(self._segments.last_seq, host, batch.boot)}

    async def _commands(self, request: Request) -> dict[str, Any]:
        host = request.state.member.host
        after = _number(request, "cursor", 1 << 62)
        wait = min(_number(request, "wait", 3600), LONGEST_WAIT_SECONDS)
        found = await self._next_commands(host, after, wait)
        self._fleet.live.touch(host, self._fleet.clock())
        told = [
            {
                "id": one.id, "verb": one.verb, "arguments": one.arguments, "fence": one.fence,
                "expires": time_text(one.expires),
            }
            for one in found
        ]  # fmt: skip
        return {"commands": told, "cursor": str(max([after, *(one.fence for one in found)]))}

    async def _next_commands(self, host: str, after: int, wait: int) -> list[commands.Command]:
        """Return what a host is to do, as soon as there is something, or nothing after a while."""
        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(news.set)

        leave = self._fleet.live.wait(host, wake)
        try:
            found = await self._delivered(host, after)
            if not found and wait:
                try:
                    await asyncio.wait_for(news.wait(), wait)
                except TimeoutError:
                    return []
                found = await self._delivered(host, after)
            return found
        finally:
            leave()

    async def _delivered(self, host: str, after: int) -> list[commands.Command]:
        """Return what a host is to do; the ledger is not asked again where there was no news since."""
        live = self._fleet.live
        if live.is_idle(host, after):
            return []
        before = live.news(host)  # what comes while the ledger is asked is news still
        found = await run_in_threadpool(commands.deliver, self._fleet, host, after)
        if not found:
            live.keep_idle(host, after, before)
        return found

    async def _ack(self, request: Request) -> dict[str, Any]:
        ack = ack_of(await body_of(request))
        host, command = request.state.member.host, request.path_params["command"]
        await run_in_threadpool(commands.acknowledge, self._fleet, host, command, ack)
        return {}

    async def _checkpoint(self, request: Request) -> dict[str, Any]:
        return await run_in_threadpool(self._signed, _number(request, "from", 1 << 62))


def routes(fleet: Fleet, segments: Segments, notary: Notary | None = None) -> list[Route]:
    """Return the routes on which agents report; ``server.agents`` puts the check of certificates before."""
    return Reporting(fleet, segments, notary).routes()


async def keep_watch(fleet: Fleet, segments: Segments, ending: asyncio.Event) -> None:
    """Look after hosts, commands and telemetry until the server ends; the server runs it as one task.

    What fails is tried again with the next look: a full disk stops no listener.
    """
    watch, sealed = Watch(fleet), 0.0
    loop = asyncio.get_running_loop()
    while not ending.is_set():
        jobs: list[Callable[[], Any]] = [watch.look, partial(commands.expire, fleet)]
        if loop.time() - sealed >= SEAL_SECONDS:
            sealed = loop.time()
            jobs += [partial(segments.seal, fleet), partial(segments.retain, fleet.clock())]
        for job in jobs:
            try:
                await run_in_threadpool(job)
            except HwledgerError as error:
                _log(error)
        try:
            await asyncio.wait_for(ending.wait(), WATCH_SECONDS)
        except TimeoutError:
            continue


def _log(error: HwledgerError) -> None:
    import logging  # noqa: PLC0415 - start-up time

    logging.getLogger(__name__).error("%s", error)


async def body_of(request: Request) -> bytes:
    """Return what a request says, unpacked; what is too large is not read to its end.

    Raises:
        TooLargeError: it is larger than it may be.
        MalformedError: it is not packed as it says.
    """
    stated = request.headers.get("content-length", "0")
    if stated.isdecimal() and int(stated) > LARGEST_SENT:
        raise TooLargeError(f"this request has {stated} bytes and may have {LARGEST_SENT}; send less at once")
    found = bytearray()
    async for part in request.stream():
        found += part
        if len(found) > LARGEST_SENT:
            raise TooLargeError(f"this request has more than {LARGEST_SENT} bytes; send less at once")
    return unpacked(bytes(found), request.headers.get("content-encoding", "").strip().lower())


def _number(request: Request, name: str, most: int) -> int:
    from hwledger.errors import MalformedError  # noqa: PLC0415 - beside its use

    text = request.query_params.get(name) or "0"
    if not (text.isascii() and text.isdecimal() and len(text) <= 19 and int(text) <= most):  # noqa: PLR2004 - digits of 64 bits
        raise MalformedError(f"{name!r} has to be a whole number from 0 to {most}")
    return int(text)


def problem(error: HwledgerError) -> Response:
    """Return an error as a problem document (RFC 9457)."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), _OTHER)
    name = type(error).__name__.removesuffix("Error").lower()
    told = {"type": f"urn:hwledger:problem:{name}", "title": name, "status": status, "detail": str(error)}
    return Response(json.dumps(told), status, media_type="application/problem+json")
