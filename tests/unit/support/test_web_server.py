"""The web server that tests of remote sources ask."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import httpx2
import pytest

from support import faults
from support.web_server import Answer, RawReply, Reply, Request, WebServer, file

pytestmark = [
    pytest.mark.allow_hosts(["127.0.0.1", "localhost"]),
    pytest.mark.requirement("FR-SRC-HUB"),
]
FILE = bytes(range(256)) * 8


@pytest.fixture
def server() -> Iterator[WebServer]:
    """Serve one file and a greeting."""
    with WebServer({"/file": file(FILE), "/hello": Reply(200, {"X-Kind": "test"}, b"hello")}) as site:
        yield site


@pytest.fixture
def client() -> Iterator[httpx2.Client]:
    """Return a client that keeps connections."""
    with httpx2.Client(timeout=5, trust_env=False) as made:
        yield made


def test_replies_and_log(server: WebServer, client: httpx2.Client) -> None:
    """A reply arrives as given, one connection serves several requests, and the log has them all."""
    assert client.get(f"{server.url}/hello?a=1&a=2").text == "hello"
    assert client.head(f"{server.url}/hello").headers["content-length"] == "5"
    assert client.get(f"{server.url}/file", headers={"RANGE": "bytes=0-9"}).content == FILE[:10]
    assert client.get(f"{server.url}/none").status_code == 404
    assert [(e.method, e.target, e.range, e.sent) for e in server.log[:3]] == [
        ("GET", "/hello?a=1&a=2", None, 5), ("HEAD", "/hello", None, 0), ("GET", "/file", "bytes=0-9", 10),
    ]  # fmt: skip
    assert server.most_at_once == 1
    assert server.sent == 5 + 10 + 9
    server.forget()
    assert (server.log, server.sent) == ([], 0)


def test_elsewhere(client: httpx2.Client) -> None:
    """What has no route gets the reply that stands for all other paths."""
    with WebServer({"/hello": Reply(200, {}, b"hello")}, elsewhere=Reply(200, {}, b"any")) as server:
        assert [client.get(f"{server.url}/{path}").text for path in ("hello", "x", "")] == [
            "hello",
            "any",
            "any",
        ]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=5-7", (206, "bytes 5-7/2048", FILE[5:8])),
        ("bytes=2040-9999", (206, "bytes 2040-2047/2048", FILE[2040:])),
        ("bytes=2047-", (206, "bytes 2047-2047/2048", FILE[2047:])),
        ("bytes=-8", (206, "bytes 2040-2047/2048", FILE[-8:])),
        ("bytes=2048-", (416, "bytes */2048", b"")),
        ("lines=1-2", (200, None, FILE)),
        ("bytes=1-2,4-5", (200, None, FILE)),
    ],
)
def test_ranges(
    server: WebServer, client: httpx2.Client, asked: str, expected: tuple[int, str | None, bytes]
) -> None:
    """Parts of files are served as web servers do it."""
    reply = client.get(f"{server.url}/file", headers={"Range": asked})
    assert (reply.status_code, reply.headers.get("content-range"), reply.content) == expected


def test_most_at_once(server: WebServer) -> None:
    """Requests side by side are counted, those after one another are not."""
    server.faults.append(("/hello", 3, faults.together(3)))
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: httpx2.get(f"{server.url}/hello", trust_env=False), range(3)))
    assert server.most_at_once == 3


def test_together_gives_up(server: WebServer, client: httpx2.Client) -> None:
    """A request that stays alone is answered after the time-out, and those after it at once."""
    server.faults.append(("/hello", 2, faults.together(2, timeout_s=0.05)))
    assert [client.get(f"{server.url}/hello").text for _ in range(2)] == ["hello", "hello"]
    assert server.most_at_once == 1


@pytest.mark.parametrize(
    "reply",
    [Reply(body=FILE, chunked=True), Reply(body=FILE, omit_length=True), Reply(body=lambda: iter([FILE]))],
)
def test_bodies_without_length(server: WebServer, client: httpx2.Client, reply: Reply) -> None:
    """Chunks, streams and bodies that end with the connection arrive whole."""
    server.routes["/x"] = reply
    got = client.get(f"{server.url}/x")
    assert (got.content, got.headers.get("content-length")) == (FILE, None)
    assert client.get(f"{server.url}/hello").text == "hello"


def test_broken_bodies(server: WebServer, client: httpx2.Client) -> None:
    """A body cut off and a length that claims too much are errors of the protocol at the client."""
    server.faults += [("/file", 1, faults.cut(100)), ("/file", 1, faults.lying_length(10))]
    for _ in range(2):
        with pytest.raises(httpx2.RemoteProtocolError):
            client.get(f"{server.url}/file")
    assert client.get(f"{server.url}/file").content == FILE
    assert server.log[0].sent == 100


def test_no_http_at_all(server: WebServer, client: httpx2.Client) -> None:
    """Raw bytes are sent as they are."""
    server.routes["/raw"] = RawReply(b"SSH-2.0-OpenSSH_9.6\r\n")
    with pytest.raises(httpx2.RemoteProtocolError):
        client.get(f"{server.url}/raw")


def test_slow_and_dripping(server: WebServer, client: httpx2.Client) -> None:
    """A delay and a drip take their time and lose nothing."""
    server.faults += [("/hello", 1, faults.slow(0.2)), ("/hello", 1, faults.dripping(1, 0.05))]
    for _ in range(2):
        start = monotonic()
        assert client.get(f"{server.url}/hello").text == "hello"
        assert monotonic() - start > 0.19


def test_closing_does_not_wait(client: httpx2.Client) -> None:
    """A reply that would take an hour does not keep the server from closing."""
    start = monotonic()
    with WebServer({"/": Reply(delay_s=3600)}) as server, pytest.raises(httpx2.ReadTimeout):
        client.get(server.url, timeout=0.1)
    assert monotonic() - start < 60


def test_faults_in_order(server: WebServer, client: httpx2.Client) -> None:
    """Faults are given as often as said, in their order, and then the ordinary answer."""
    server.faults += [("/hel+o", 2, faults.rate_limited(3)), ("/hello", 1, Reply(500))]
    got = [client.get(f"{server.url}/hello") for _ in range(4)]
    assert [reply.status_code for reply in got] == [429, 429, 500, 200]
    assert got[0].headers["retry-after"] == "3"


def test_altered_parts(server: WebServer, client: httpx2.Client) -> None:
    """A part can be mislabelled, ignored or compressed."""
    server.faults += [
        ("/file", 1, faults.wrong_range("bytes 9-12/99")), ("/file", 1, faults.ignoring_range()),
        ("/file", 1, faults.gzipped()),
    ]  # fmt: skip
    got = [client.get(f"{server.url}/file", headers={"Range": "bytes=0-3"}) for _ in range(3)]
    assert (got[0].status_code, got[0].headers["content-range"]) == (206, "bytes 9-12/99")
    assert (got[1].status_code, got[1].content) == (200, FILE)
    assert (got[2].headers["content-encoding"], got[2].content) == ("gzip", FILE[:4])


def test_redirects(server: WebServer, client: httpx2.Client) -> None:
    """Redirects lead to other schemes, to another host, or round and round."""
    server.faults += [
        ("/hello", 1, faults.redirect("file:///etc/passwd")), ("/hello", 1, faults.redirect_loop),
        ("/file", 1, faults.redirect(f"{faults.on_localhost(server.url)}/hello")),
    ]  # fmt: skip
    assert client.get(f"{server.url}/hello").headers["location"] == "file:///etc/passwd"
    assert client.get(f"{server.url}/hello").headers["location"] == "/hello"
    moved = client.get(f"{server.url}/file", follow_redirects=True)
    assert (moved.text, moved.url.host) == ("hello", "localhost")


def test_huge_json_is_a_stream(server: WebServer, client: httpx2.Client) -> None:
    """200 MB are made while they are sent: a client that stops early makes the server stop."""
    server.routes["/huge"] = faults.huge_json()
    with client.stream("GET", f"{server.url}/huge") as reply:
        assert next(reply.iter_bytes()).startswith(b'{"siblings":[')
    assert server.log[-1].sent < 50_000_000


def test_errors_of_routes_fail_the_test() -> None:
    """An error in a route comes out where the server is closed."""

    def wrong(request: Request) -> Answer:
        raise ZeroDivisionError(request.path)

    with (
        pytest.raises(ZeroDivisionError),
        WebServer({"/": wrong}) as server,
        pytest.raises(httpx2.RemoteProtocolError),
    ):
        httpx2.get(server.url, trust_env=False)


def test_other_hosts_stay_blocked() -> None:
    """These tests reach this machine only."""
    with pytest.raises(Exception, match="tried to use socket"), pytest.warns(UserWarning, match="tried to"):
        socket.create_connection(("192.0.2.1", 80), timeout=0.1)
