"""Doing what a POST asks for, once per key."""

from collections.abc import Callable
from typing import Final, TypeVar

from fastapi import Request, Response

from hwledger.fleet.context import Fleet
from hwledger.fleet.once import Asked, Done, once
from hwledger.server.side import side_of, user_of

REPLAYED: Final = "Idempotency-Replayed"
Made = TypeVar("Made")


def did(
    request: Request,
    response: Response,
    key: str | None,
    act: Callable[[Fleet], Made],
    *,
    remade: bool = False,
) -> Done[Made]:
    """Do something once per user, address and key; a repetition is marked in the reply's header."""
    fleet = side_of(request).fleet
    what = f"{request.method} {request.url.path}"
    asked = Asked.of(fleet, user_of(request).name, what, key, request.state.sent)
    done = once(fleet, asked, act, remade=remade)
    if done.repeated:
        response.headers[REPLAYED] = "true"
    return done
