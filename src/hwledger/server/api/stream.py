"""The live stream: Server-Sent Events whose id is the sequence number, so that readers resume."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import Header, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from hwledger.errors import HwledgerError
from hwledger.ledger.chain import Entry
from hwledger.ledger.types import full_names
from hwledger.server.api import models
from hwledger.server.api.guard import shown
from hwledger.server.problems import ProblemError
from hwledger.server.pulse import MOST_READERS
from hwledger.server.side import Side, side_of

MEDIA: Final = "text/event-stream"
HEARTBEAT_SECONDS: Final = 15.0
_PAGE: Final = 64


async def stream(
    request: Request,
    types: models.Types = [],  # noqa: B006 - FastAPI copies it
    subject: models.Subject = "",
    after: Annotated[
        int | None, Query(ge=0, le=models.LARGEST_SEQ, description="Begin after this; else with news.")
    ] = None,
    last: Annotated[
        int | None,
        Header(alias="Last-Event-ID", ge=0, le=models.LARGEST_SEQ, description="Resume after this; wins."),
    ] = None,
) -> Response:
    """Send events as they are added, each with its sequence number as id; comments keep it alive."""
    side, wanted = side_of(request), full_names(types)
    if side.pulse.readers >= MOST_READERS or side.pulse.closed:
        raise ProblemError(503, f"{side.pulse.readers} read the stream already; try again later")
    begin = last if last is not None else after
    if begin is None:
        begin = (await run_in_threadpool(side.fleet.store.head)).seq
    sent = _sent(side, request, begin, wanted, subject)
    return StreamingResponse(sent, media_type=MEDIA, headers={"X-Accel-Buffering": "no"})


async def _sent(
    side: Side, request: Request, cursor: int, types: list[str], subject: str
) -> AsyncIterator[bytes]:
    """Yield what a reader gets; it is read only as fast as the reader takes it, and nothing waits for it."""
    side.pulse.enter()
    side.metrics.streams.inc()
    clock = asyncio.get_running_loop().time
    try:
        yield f": events after {cursor}\nretry: 1000\n\n".encode()
        said = clock()
        while not side.pulse.closed:
            size = await side.pulse.beyond(cursor, max(0.0, said + HEARTBEAT_SECONDS - clock()))
            page = await run_in_threadpool(_page, side, request, cursor, types, subject)
            cursor = page[-1].seq if len(page) == _PAGE else max(cursor, size, *(one.seq for one in page))
            if page:
                yield b"".join(map(message_of, page))
            elif clock() - said >= HEARTBEAT_SECONDS:
                yield f": alive\nid: {cursor}\n\n".encode()
            else:
                continue
            said = clock()
        yield b": the server stops\n\n"
    except (ProblemError, HwledgerError) as error:
        yield f": {' '.join(str(error).split())}\n\n".encode("utf-8", "backslashreplace")
    finally:
        side.pulse.leave()
        side.metrics.streams.dec()


def _page(side: Side, request: Request, cursor: int, types: list[str], subject: str) -> list[Entry]:
    shown(side, request)  # a token that was revoked meanwhile ends the stream
    return side.fleet.store.read(cursor, _PAGE, types=types, subject=subject)


def message_of(entry: Entry) -> bytes:
    """Return an event of the ledger as one of the stream."""
    data = models.entry_out(entry).model_dump_json()
    return f"id: {entry.seq}\ndata: {data}\n\n".encode()
