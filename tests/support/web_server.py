"""A web server on loopback whose replies a test decides to the byte, and that logs what it was asked."""

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from support.replies import Pieces, RawReply, Reply, Request, closes, json_reply, pieces, ranged

__all__ = [
    "Answer",
    "Around",
    "Fault",
    "RawReply",
    "Reply",
    "Request",
    "Route",
    "WebServer",
    "file",
    "json_reply",
    "ranged",
]


Answer = Reply | RawReply
Route = Answer | Callable[[Request], Answer]


@dataclass(frozen=True)
class Around:
    """A fault that alters the ordinary answer: it is given the request and the function that answers it."""

    alter: Callable[[Request, Callable[[Request], Answer]], Answer]


Fault = tuple[str, float, Route | Around]


class WebServer:
    """A server of ``routes`` by path, for use as a context manager.

    Attributes:
        url: the address, without a slash at its end.
        elsewhere: what other paths get.
        faults: (pattern, times, reply): given so many times to targets that hold the pattern.
        faults_of: the server whose faults are given: this one, unless two share theirs.
        most_at_once: requests that were being answered side by side at most.
    """

    elsewhere: Route = Reply(404, body=b"not found")

    def __init__(
        self,
        routes: Mapping[str, Route] | None = None,
        *,
        elsewhere: Route | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.routes: dict[str, Route] = dict(routes or {})
        if elsewhere is not None:
            self.elsewhere = elsewhere
        self.faults: list[Fault] = []
        self.faults_of: WebServer = self
        self.most_at_once = 0
        self.stopping = threading.Event()
        self.errors: list[BaseException] = []
        self._log: list[Request] = []
        self._now = 0
        self._lock = threading.Lock()
        self._listener = _Listener(self)
        if tls:
            self._listener.socket = tls.wrap_socket(self._listener.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._listener.server_address[1]}"
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self.stopping.set()
        self._listener.shutdown()
        self._listener.hang_up()
        self._listener.server_close()
        self._thread.join()
        if self.errors and kind is None:
            raise self.errors[0]

    @property
    def log(self) -> list[Request]:
        """Every request so far, in order of arrival."""
        with self._lock:
            return list(self._log)

    def forget(self) -> None:
        """Empty the log."""
        with self._lock:
            self._log.clear()

    @property
    def sent(self) -> int:
        """Bytes of all bodies so far."""
        return sum(request.sent for request in self.log)

    def answer(self, request: Request) -> Answer:
        """Return the ordinary answer."""
        return settle(self.routes.get(request.path, self.elsewhere), request)

    def settled(self, request: Request) -> Answer:
        """Return the fault that is due, else the ordinary answer."""
        due = self._due(request)
        if due is None:
            return self.answer(request)
        return due.alter(request, self.answer) if isinstance(due, Around) else settle(due, request)

    def _due(self, request: Request) -> Route | Around | None:
        with self.faults_of._lock:
            for at, (pattern, times, reply) in enumerate(self.faults_of.faults):
                if times > 0 and re.search(pattern, request.target):
                    self.faults_of.faults[at] = (pattern, times - 1, reply)
                    return reply
        return None

    def arrived(self, request: Request) -> None:
        """Write a request down and count it as being answered."""
        with self._lock:
            self._log.append(request)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)

    def answered(self) -> None:
        """Count one request less as being answered."""
        with self._lock:
            self._now -= 1


def file(content: bytes) -> Route:
    """Return the route of a file, which can be asked for in parts."""
    return lambda request: ranged(content, request)


def settle(route: Route, request: Request) -> Answer:
    """Return the reply that a route is or makes."""
    return route(request) if callable(route) else route


class _Listener(ThreadingHTTPServer):
    daemon_threads = False  # joined on closing: no socket outlives its test
    request_queue_size = 64

    def __init__(self, site: WebServer) -> None:
        self.site = site
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):  # the other side may have gone first
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        del request, client_address  # the handler has kept the error


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            return  # a client that hangs up
        except Exception as error:
            self.server.site.errors.append(error)
            raise

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(self.command, self.path, self.headers, self.rfile.read(length) if length else b"")
        self.server.site.arrived(request)
        with contextlib.ExitStack() as counted:
            counted.callback(self.server.site.answered)
            reply = self.server.site.settled(request)
            self.server.site.stopping.wait(reply.delay_s)
            self._write(request, pieces(reply, request), counted)
            self.close_connection = self.close_connection or closes(reply)

    def _write(self, request: Request, pieces: Pieces, counted: contextlib.ExitStack) -> None:
        head, ahead = True, next(pieces, None)
        while ahead and not self.server.site.stopping.is_set():
            (pause, raw), ahead = ahead, next(pieces, None)
            self.server.site.stopping.wait(pause)
            request.sent += 0 if head else len(raw)
            head = False
            if ahead is None:
                counted.close()  # before the last bytes: whoever has them all may ask anew at once
            self.wfile.write(raw)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

    def log_message(self, *args: object) -> None:
        del args  # the log is the server's
