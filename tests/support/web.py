"""A real web server on loopback whose every answer a test decides, and that remembers what it was asked."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request as it came; header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Reply:
    """One answer.

    Attributes:
        status, headers, body: as they are; Content-Length is added where it is not stated.
        pause_s: seconds before anything is sent.
        drip_s: seconds between single bytes of the body.
        cut_after: bytes of the body after which the connection is closed.
        raw: sent instead of everything else, HTTP or not.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    pause_s: float = 0.0
    drip_s: float = 0.0
    cut_after: int | None = None
    raw: bytes | None = None


Answer = Callable[[Asked], Reply]


def parts_of(content: bytes, asked: Asked, **headers: str) -> Reply:
    """Return the part of a file that a range request asks for, as web servers do."""
    named = {key.replace("_", "-"): value for key, value in headers.items()} | {"Accept-Ranges": "bytes"}
    wanted = asked.headers.get("range", "")
    if not wanted.startswith("bytes="):
        return Reply(200, named, content)
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    start, end = int(first), min(int(last), len(content) - 1) if last else len(content) - 1
    if start >= len(content):
        return Reply(416, {**named, "Content-Range": f"bytes */{len(content)}"})
    return Reply(
        206, {**named, "Content-Range": f"bytes {start}-{end}/{len(content)}"}, content[start : end + 1]
    )


class WebServer:
    """A server of ``answer``; use as a context manager.

    Attributes:
        url: address without a slash at the end.
        asked: every request, in order of arrival.
        sent_bytes: bytes of all bodies.
        most_at_once: requests that were answered side by side at most.
    """

    def __init__(self, answer: Answer, *, pause_s: float = 0.0) -> None:
        self.answer = answer
        self.pause_s = pause_s
        self.asked: list[Asked] = []
        self.sent_bytes = 0
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @contextlib.contextmanager
    def _counted(self, asked: Asked) -> Iterator[None]:
        with self._lock:
            self.asked.append(asked)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            yield
        finally:
            with self._lock:
                self._now -= 1

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):  # a client that hangs up
                    super().handle()

            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                split = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                asked = Asked(
                    self.command, unquote(split.path), {k: v[0] for k, v in parse_qs(split.query).items()},
                    {key.lower(): value for key, value in self.headers.items()},
                    self.rfile.read(length) if length else b"",
                )  # fmt: skip
                with server._counted(asked), contextlib.suppress(OSError):
                    time.sleep(server.pause_s)
                    self._send(server.answer(asked))

            do_POST = do_HEAD = do_GET  # noqa: N815

            def _send(self, reply: Reply) -> None:
                time.sleep(reply.pause_s)
                if reply.raw is not None:
                    self.wfile.write(reply.raw)
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                headers = {"Content-Length": str(len(reply.body)), **reply.headers}
                for key, value in headers.items():
                    self.send_header(key, value)
                self.end_headers()
                if self.command == "HEAD":
                    return
                body = reply.body if reply.cut_after is None else reply.body[: reply.cut_after]
                if reply.drip_s:
                    for byte in body:
                        self.wfile.write(bytes([byte]))
                        self.wfile.flush()
                        time.sleep(reply.drip_s)
                else:
                    self.wfile.write(body)
                with server._lock:
                    server.sent_bytes += len(body)
                self.close_connection = self.close_connection or reply.cut_after is not None

            def log_message(self, *args: object) -> None:
                del args

        return Handler
