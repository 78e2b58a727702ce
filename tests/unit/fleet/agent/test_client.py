"""The agent's client against a server that misbehaves."""

import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from hwledger.errors import UnreachableError
from hwledger.fleet.agent.client import BackOff, Client, RefusedError

pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("FR-AGENT-WIRE")]


class Handler(BaseHTTPRequestHandler):
    """Answers what the path says: ``/STATUS``, ``/large``, ``/text``, ``/hang``."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        what = self.path.strip("/")
        if what == "hang":
            self.server.reached.set()  # type: ignore[attr-defined]
            self.server.ending.wait(20)  # type: ignore[attr-defined]
            self.close_connection = True
            return
        body = {"large": b"[" + b"1," * (1 << 20), "text": b"hello", "list": b"[]"}.get(
            what, b'{"detail": "why"}'
        )
        self.send_response_only(int(what) if what.isdigit() else 200)
        self.send_header("Content-Length", str(len(body)))
        if what == "503":
            self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Any]:
    """Return a server that runs."""
    made: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.reached, made.ending = threading.Event(), threading.Event()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.ending.set()
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def client(server: Any) -> Iterator[Client]:
    """Return a client of it."""
    made = Client(f"127.0.0.1:{server.server_address[1]}", None)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("status", "final", "denied", "after"),
    [
        (400, True, False, 0), (401, False, True, 0), (403, False, True, 0), (404, False, False, 0),
        (409, True, False, 0), (413, True, False, 0), (422, True, False, 0), (429, False, False, 0),
        (500, False, False, 0), (503, False, False, 7), (507, False, False, 0),
    ],
)  # fmt: skip
def test_refusals(client: Client, status: int, *, final: bool, denied: bool, after: int) -> None:
    """Of what was sent, of the host, or for now: each is told apart, in the server's words."""
    with pytest.raises(RefusedError, match="why") as refused:
        client.get(f"/{status}")
    found = refused.value
    assert (found.status, found.final, found.denied, found.after_seconds) == (status, final, denied, after)


@pytest.mark.parametrize(
    ("path", "says"), [("large", "more than"), ("text", "no JSON object"), ("list", "no JSON object")]
)
def test_answers_that_are_none(client: Client, path: str, says: str) -> None:
    """They are an error each, and the connection can be used after it."""
    with pytest.raises(UnreachableError, match=says):
        client.get(f"/{path}")
    assert client.get("/200") == {"detail": "why"}


def test_nobody_answers() -> None:
    """A port where nobody listens is an error with what is done about it."""
    client = Client("127.0.0.1:1", None)
    with pytest.raises(UnreachableError, match="tried again"):
        client.get("/200")


def test_a_long_poll_is_interrupted(client: Client, server: Any) -> None:
    """It fails at once, from another thread, and the client can be used after it."""

    def interrupt() -> None:
        server.reached.wait(10)
        client.interrupt()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(UnreachableError):
        client.get("/hang", 60)
    thread.join()
    assert not server.ending.is_set()
    assert client.get("/200") == {"detail": "why"}


def test_back_off() -> None:
    """Waits are spread over a limit that doubles to a minute, and begins with the pace of the fleet."""
    back_off = BackOff(random.Random(1))
    limits = [2, 4, 8, 16, 32, 60, 60]
    for _ in range(50):
        back_off.succeeded()
        assert all(0 <= back_off.failed() <= limit for limit in limits)
    back_off.pace(60)
    many = []
    for _ in range(400):
        back_off.succeeded()
        many.append(back_off.failed())
    assert 13 < max(many) <= 15
    assert 6 < sum(many) / len(many) < 9, "spread evenly"
    assert back_off.failed(at_least=100) >= 100
    assert all(30 <= back_off.refused() <= 60 for _ in range(50))
