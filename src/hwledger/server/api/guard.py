"""Who may call what: one table, and a route class that lets in nobody else."""

import csv
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from hwledger.errors import DeniedError
from hwledger.fleet.users import Role, User, authenticate
from hwledger.server.problems import ProblemError, unauthenticated
from hwledger.server.side import Side, side_of
from hwledger.shipped import shipped_text

if TYPE_CHECKING:
    from fastapi import FastAPI

ANYONE: Final = "anyone"
BEARER: Final = HTTPBearer(auto_error=False, description="A token of a user: hwu1.…", scheme_name="token")
"""For the description of the API alone; ``Guarded`` is what looks at tokens."""
_LONGEST_TOKEN: Final = 512


@cache
def route_roles() -> Mapping[tuple[str, str], str]:
    """Return the least role for each method and path; ``anyone`` needs no token."""
    rows = csv.DictReader(shipped_text("hwledger.server", "data/routes.csv").splitlines())
    roles = {(row["method"], row["path"]): row["role"] for row in rows}
    wrong = set(roles.values()) - {ANYONE, *(role.value for role in Role)}
    if wrong:
        raise ValueError(f"routes.csv: unknown roles {wrong}")
    return roles


def bare(path: str) -> str:
    """Return the path of a route as the table and OpenAPI write it, without converters."""
    return path.replace(":path}", "}")


class Guarded(APIRoute):
    """A route that looks who asks before anything else of the request is looked at."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler behind its guard."""
        inner, path = super().get_route_handler(), bare(self.path)

        async def guarded(request: Request) -> Response:
            role = route_roles().get((request.method, path))
            request.state.user = await run_in_threadpool(admitted, side_of(request), request, role)
            request.state.sent = await request.body()
            return await inner(request)

        return guarded


def admitted(side: Side, request: Request, role: str | None) -> User:
    """Return who asks, where they have the right.

    Raises:
        ProblemError: 401 without a token that counts, 403 without the right or where the table is silent.
    """
    user = shown(side, request)
    if role is None or role == ANYONE or not user.role.covers(Role(role)):
        side.metrics.refused.labels("role").inc()
        raise ProblemError(403, f"{user.name} is {user.role.value}; this takes {role or 'nobody'}")
    return user


def shown(side: Side, request: Request) -> User:
    """Return whose token a request shows.

    Raises:
        ProblemError: 401, it shows none that counts.
    """
    kind, _, text = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not 0 < len(text) <= _LONGEST_TOKEN:
        side.metrics.refused.labels("no token").inc()
        raise unauthenticated("there is no token; send a user's token in the header Authorization")
    try:
        return authenticate(side.fleet, text.strip())
    except DeniedError as error:
        side.metrics.refused.labels("token").inc()
        raise unauthenticated(str(error)) from None


def served(app: "FastAPI") -> Iterable[tuple[str, str, bool]]:
    """Yield method, path and whether it is guarded, of every route of an application."""
    for route in app.routes:
        if isinstance(route, APIRoute):
            for method in route.methods or ():
                yield method, bare(route.path), isinstance(route, Guarded)


def check_table(app: "FastAPI", roles: Mapping[tuple[str, str], str]) -> None:
    """Refuse an application with a route that the table lacks, or that is not guarded as it says.

    Raises:
        RuntimeError: there is one; it is a fault of the program.
    """
    for method, path, guarded in served(app):
        role = roles.get((method, path))
        if role is None or (role != ANYONE) != guarded:
            raise RuntimeError(f"{method} {path} is not in routes.csv as it is served")
