"""A proxy for HTTP on loopback that cuts, delays, repeats and reorders requests, and loses answers."""

import random
import threading
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Ask = Callable[[], tuple[int, bytes]]


class FaultyProxy:
    """Stands between agents and their server.

    Attributes:
        cut: nothing comes through.
        faults: the share of requests that something happens to.
        happened: how often each fault was.
    """

    def __init__(self, port: int, seed: int = 1) -> None:
        self.cut, self.faults = False, 0.0
        self.happened: dict[str, int] = {}
        self._port, self._chance = port, random.Random(seed)
        self._late: list[Ask] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def address(self) -> str:
        """Return where it answers."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 5
            disable_nagle_algorithm = True

            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                headers = dict(self.headers.items())
                answer = proxy.passed(lambda: proxy.asked(self.command, self.path, body, headers))
                if answer is None:
                    self.close_connection = True
                    return
                self.send_response_only(answer[0])
                self.send_header("Content-Length", str(len(answer[1])))
                self.end_headers()
                self.wfile.write(answer[1])

            do_GET = do_POST = _pass_on  # noqa: N815 - their names

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler

    def passed(self, ask: Ask) -> tuple[int, bytes] | None:
        """Return the answer to a request as the agent gets it; ``None``: none."""
        fault = self._fault()
        if fault in {"cut", "lost request"}:
            return None
        if fault == "late":  # the agent hears nothing, and the server hears it after what comes next
            with self._lock:
                self._late.append(ask)
            return None
        answer = ask()
        if fault == "repeated":
            answer = ask()
        self._replay()
        return None if fault == "lost answer" else answer

    def _fault(self) -> str:
        with self._lock:
            found = "cut" if self.cut else ""
            if not found and self._chance.random() < self.faults:
                found = self._chance.choice(("lost request", "lost answer", "late", "repeated"))
            if found:
                self.happened[found] = self.happened.get(found, 0) + 1
        return found

    def _replay(self) -> None:
        with self._lock:
            late, self._late = self._late, []
        for ask in late:
            ask()

    def asked(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """Ask the server itself."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, HTTPException):
            return 502, b"{}"
        finally:
            connection.close()
