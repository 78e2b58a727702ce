"""Reading what is sent, no more of it than is allowed."""

from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request

from hwledger.errors import MalformedError, TooLargeError


async def body_of(request: Request, largest: int) -> bytes:
    """Return the body of a request.

    Raises:
        TooLargeError: it has more bytes than ``largest``; the rest was not read.
        MalformedError: who sent it hung up before its end.
    """
    raw = bytearray()
    try:
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > largest:
                raise TooLargeError(f"the body takes more than {largest} bytes; send less")
    except ClientDisconnect:
        raise MalformedError("the body ended before it was whole; send it again") from None
    return bytes(raw)


async def json_body(request: Request, largest: int) -> Any:
    """Return what the JSON body of a request holds.

    Raises:
        TooLargeError: it has more bytes than ``largest``.
        MalformedError: it is no JSON.
    """
    raw = await body_of(request, largest)
    try:
        return orjson.loads(raw)  # UTF-8 alone, no NaN, and no halves of characters
    except ValueError:
        raise MalformedError("the body is no JSON; send an object") from None
