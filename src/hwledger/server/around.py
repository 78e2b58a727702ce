"""What stands around the application: an id for each request, limits, counting, and a word on every error."""

import logging
import secrets
import time
from typing import TYPE_CHECKING, Final

from starlette.requests import Request

from hwledger.server.api.guard import bare
from hwledger.server.problems import problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from hwledger.server.metrics import ServerMetrics

LARGEST_BODY: Final = 2 << 20
"""Bytes of a request: an event of the largest kind, escaped."""
API_VERSION: Final = "1"
_LOG: Final = logging.getLogger("hwledger.server")
_ALWAYS: Final = (
    (b"hwledger-api", API_VERSION.encode()),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


class Around:
    """An ASGI application around another."""

    def __init__(self, app: "ASGIApp", metrics: "ServerMetrics") -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Serve one request, and say in one line of the log what came of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identity = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = identity
        reply = _Reply(send, identity)
        began = time.perf_counter()
        try:
            await self._within_limits(scope, receive, reply)
        except Exception:
            _LOG.exception("a request ended in an error", extra={"request": identity})
            if not reply.whole:
                raise  # the reply has begun: hanging up is all that is left
        finally:
            self._tell(scope, reply.status, reply.began or time.perf_counter(), began, identity)

    async def _within_limits(self, scope: "Scope", receive: "Receive", reply: "_Reply") -> None:
        length = dict(scope["headers"]).get(b"content-length", b"")
        body = None if length else await _whole(scope, receive)
        if (length and int(length) > LARGEST_BODY) or (body is not None and len(body) > LARGEST_BODY):
            told = f"a request has at most {LARGEST_BODY} bytes; send less"
            headers = {"Connection": "close"}
            await problem(413, told, headers, request=Request(scope))(scope, receive, reply.send)
            return
        await self._app(scope, receive if body is None else _replayed(body, receive), reply.send)

    def _tell(self, scope: "Scope", status: int, answered: float, began: float, identity: str) -> None:
        route = getattr(scope.get("route"), "path", None)
        path = bare(route) if isinstance(route, str) else "none"  # what somebody typed is not repeated
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.count(method, path, status, answered - began)
        user = scope["state"].get("user")
        told = {"method": method, "route": path, "status": status, "request": identity}
        told |= {"ms": round((answered - began) * 1000, 1), "user": getattr(user, "name", None)}
        _LOG.info("answered", extra=told)


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class _Reply:
    """Passes a reply on, with the headers that every reply has."""

    def __init__(self, send: "Send", identity: str) -> None:
        self._send, self._identity = send, identity.encode()
        self.status = 0
        self.began = 0.0
        self.whole = False

    async def send(self, message: "Message") -> None:
        """Send a part of the reply."""
        if message["type"] == "http.response.start":
            self.status, self.began = message["status"], time.perf_counter()
            message["headers"] = [*message.get("headers", ()), *_ALWAYS, (b"x-request-id", self._identity)]
        await self._send(message)
        self.whole = message["type"] == "http.response.body" and not message.get("more_body", False)


async def _whole(scope: "Scope", receive: "Receive") -> bytes | None:
    """Return a body that came in pieces without saying how long it is, as far as the limit."""
    if dict(scope["headers"]).get(b"transfer-encoding") is None:
        return None
    body = b""
    while len(body) <= LARGEST_BODY:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    return body


def _replayed(body: bytes, receive: "Receive") -> "Receive":
    given = False

    async def again() -> "Message":
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
