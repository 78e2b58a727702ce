"""Requests and replies of the web server on loopback, and how a reply goes over the wire."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

PIECE = 1 << 16
Pieces = Iterator[tuple[float, bytes]]


@dataclass(eq=False)
class Request:
    """One request.

    Attributes:
        target: the path with its query as sent.
        headers: they know no upper or lower case.
        sent: bytes of the reply's body so far.
    """

    method: str
    target: str
    headers: Message
    body: bytes = b""
    sent: int = 0

    @property
    def path(self) -> str:
        """The path, decoded."""
        return unquote(urlsplit(self.target).path)

    @property
    def segments(self) -> list[str]:
        """The parts of the path between slashes, each decoded on its own."""
        return [unquote(part) for part in urlsplit(self.target).path.split("/")[1:]]

    @property
    def query(self) -> dict[str, list[str]]:
        """The query's values by name, in the order sent."""
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)

    def first(self, name: str, default: str = "") -> str:
        """Return the query's first value of this name."""
        return self.query.get(name, [default])[0]

    @property
    def range(self) -> str | None:
        """The part asked for, as the request put it."""
        return self.headers.get("Range")

    @property
    def authorization(self) -> str | None:
        """What it shows to be let in."""
        return self.headers.get("Authorization")


@dataclass(frozen=True)
class Reply:
    """One reply.

    Attributes:
        status, headers: as they are; a length is added unless one is stated, and a stated one may lie.
        body: bytes, or a function that starts a stream of them.
        delay_s: seconds before anything is sent.
        drip: (bytes, seconds): the body is sent in steps of so many bytes, with a pause before each.
        cut_after: bytes of the body after which the connection is closed, the length still claiming all.
        chunked: send the body in chunks instead of stating a length.
        omit_length: state no length; the body ends where the connection does.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Callable[[], Iterator[bytes]] = b""
    delay_s: float = 0
    drip: tuple[int, float] | None = None
    cut_after: int | None = None
    chunked: bool = False
    omit_length: bool = False


@dataclass(frozen=True)
class RawReply:
    """Bytes sent as they are, HTTP or not, before the connection is closed."""

    raw: bytes
    delay_s: float = 0


def json_reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Return a reply of JSON."""
    kind = {"Content-Type": "application/json; charset=utf-8"}
    return Reply(status, {**kind, **(headers or {})}, json.dumps(value).encode())


def ranged(content: bytes, request: Request, headers: Mapping[str, str] | None = None) -> Reply:
    """Return the part of a file that the request asks for, or all of it where it asks for no part."""
    named, size = {"Accept-Ranges": "bytes", **(headers or {})}, len(content)
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", request.range or "")
    if not found or found[0] == "bytes=-":
        return Reply(200, named, content)
    start = int(found[1]) if found[1] else max(0, size - int(found[2]))
    end = min(int(found[2]), size - 1) if found[1] and found[2] else size - 1
    if start > end:
        return Reply(416, {**named, "Content-Range": f"bytes */{size}"})
    return Reply(206, {**named, "Content-Range": f"bytes {start}-{end}/{size}"}, content[start : end + 1])


def closes(reply: Reply | RawReply) -> bool:
    """Tell whether the connection ends with the reply."""
    if isinstance(reply, RawReply) or reply.cut_after is not None or reply.omit_length:
        return True
    stated = {key.lower(): value for key, value in reply.headers.items()}.get("content-length")
    if not isinstance(reply.body, bytes):
        return stated is None and not reply.chunked
    return stated not in {None, str(len(reply.body))}


def pieces(reply: Reply | RawReply, request: Request) -> Pieces:
    """Return the reply as it goes over the wire: (seconds to wait, bytes), the head first."""
    if isinstance(reply, RawReply):
        yield 0, reply.raw
        return
    yield 0, _head(reply)
    if request.method == "HEAD":
        return
    for pause, raw in _steps(reply):
        yield pause, b"%x\r\n%b\r\n" % (len(raw), raw) if reply.chunked else raw
    if reply.chunked and reply.cut_after is None:
        yield 0, b"0\r\n\r\n"


def _head(reply: Reply) -> bytes:
    headers = {"Date": "Sun, 01 Nov 2026 10:00:00 GMT", **reply.headers}
    if reply.chunked:
        headers["Transfer-Encoding"] = "chunked"
    elif not reply.omit_length and isinstance(reply.body, bytes):
        headers |= {} if _stated(reply) else {"Content-Length": str(len(reply.body))}
    if closes(reply) and reply.cut_after is None:
        headers["Connection"] = "close"
    phrase = HTTPStatus(reply.status).phrase if reply.status in set(HTTPStatus) else "Unknown"
    lines = [f"HTTP/1.1 {reply.status} {phrase}", *(f"{key}: {value}" for key, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _stated(reply: Reply) -> bool:
    return "content-length" in {key.lower() for key in reply.headers}


def _steps(reply: Reply) -> Pieces:
    size, pause = reply.drip or (PIECE, 0.0)
    left = reply.cut_after
    for part in [reply.body] if isinstance(reply.body, bytes) else reply.body():
        for start in range(0, len(part), size):
            raw = part[start : start + size][:left]
            left = None if left is None else left - len(raw)
            if raw:
                yield pause, raw
            if left == 0:
                return
