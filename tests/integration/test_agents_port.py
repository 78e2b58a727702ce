"""The agents' port: bans and revocations count on open connections, and nothing slips through."""

import asyncio
import json
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from hwledger.fleet.enrolment import ban, renew, retire, revoke
from hwledger.fleet.signing import make_request, new_key
from hwledger.server import peer
from hwledger.server.agents import agents_app
from hwledger.server.bodies import json_body
from hwledger.server.tls import agents_context
from support.fleets import Connection, Host, Site, serving, site

pytestmark = [pytest.mark.requirement("FR-FLEET-MEMBER"), pytest.mark.enable_socket]
WHO = "/a/v1/who"


class Port:
    """The agents' port of a fleet with routes that remember what reached them."""

    def __init__(self, here: Site) -> None:
        self.here = here
        self.reached: list[Any] = []
        self.waits, self.goes_on = threading.Event(), threading.Event()
        self.port = 0

    async def _who(self, request: Request) -> Response:
        self.reached.append(request.state.member.host)
        return JSONResponse({"host": request.state.member.host})

    async def _take(self, request: Request) -> Response:
        self.waits.set()
        body = await json_body(request, 1000)
        self.reached.append(body)
        return JSONResponse({"taken": body})

    async def _poll(self, request: Request) -> Response:
        self.waits.set()
        await asyncio.to_thread(self.goes_on.wait, 20)
        return JSONResponse({"secret": request.state.member.host})

    async def _stream(self, _request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"first"
            self.waits.set()
            await asyncio.to_thread(self.goes_on.wait, 20)
            yield b"second"

        return StreamingResponse(parts())

    async def _end(self, request: Request) -> Response:
        """Ban who asks, from inside of the request."""
        host = request.state.member.host
        await asyncio.to_thread(
            ban, self.here.fleet, host, reason="asked for", actor="user:anna"
        )  # fmt: skip
        return JSONResponse({"secret": host})

    @property
    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/a/v1/who", self._who), Route("/a/v1/take", self._take, methods=["POST"]),
            Route("/a/v1/poll", self._poll), Route("/a/v1/stream", self._stream),
            Route("/a/v1/end", self._end),
        ]  # fmt: skip


@pytest.fixture
def here(tmp_path: Path) -> Site:
    """Return a fleet that goes by the real time."""
    return site(tmp_path)


@pytest.fixture
def port(here: Site) -> Iterator[Port]:
    """Serve the agents' port as it is served."""
    with _port(here) as serving_port:
        yield serving_port


@contextmanager
def _port(here: Site, tickets: int = 0) -> Iterator[Port]:
    made = Port(here)
    context = agents_context(here.authorities, ["127.0.0.1"])
    assert context.num_tickets == 0
    context.num_tickets = tickets
    with serving(agents_app(here.fleet, here.authorities, made.routes), context) as number:
        made.port = number
        try:
            yield made
        finally:
            made.goes_on.set()


@contextmanager
def _open(here: Site, port: Port, host: Host, **more: Any) -> Iterator[Connection]:
    context = more.pop("context", None) or host.context(here.fleet.folder, here.authorities.server_trust())
    connection = Connection(port.port, context, **more)
    try:
        yield connection
    finally:
        connection.close()


def _ban(here: Site, host: Host) -> None:
    ban(here.fleet, host.id, reason="stolen", actor="user:anna")


def _retire(here: Site, host: Host) -> None:
    retire(here.fleet, host.id, actor="user:anna")


def _revoke(here: Site, host: Host) -> None:
    revoke(here.fleet, host.member.serial, reason="copied", actor="user:anna")


def _run_out(here: Site, _host: Host) -> None:
    here.clock.pass_hours(24)


def _set_back(here: Site, _host: Host) -> None:
    here.clock.pass_hours(-1)


ENDS = {
    "banned": _ban, "retired": _retire, "revoked": _revoke, "run out": _run_out, "not valid yet": _set_back,
}  # fmt: skip


@pytest.mark.parametrize("kind", ENDS)
def test_an_end_counts_on_open_and_new_connections(here: Site, port: Port, kind: str) -> None:
    """The next request after the decision returned is refused, wherever it comes from."""
    host, other = here.host(), here.host()
    with _open(here, port, host) as first, _open(here, port, host) as second:
        for one in (first, second):
            assert one.ask(WHO) == (200, {"host": host.id})
        ENDS[kind](here, host)
        for one in (first, second, first):
            assert one.ask(WHO)[0] == 403
        with _open(here, port, host) as third:
            assert third.ask(WHO)[0] == 403
    if kind in {"banned", "retired", "revoked"}:
        with _open(here, port, other) as fourth:
            assert fourth.ask(WHO) == (200, {"host": other.id})
    assert port.reached.count(host.id) == 2


@pytest.mark.parametrize("kind", ENDS)
def test_an_end_counts_on_resumed_connections(here: Site, kind: str) -> None:
    """Even if the server gave tickets (it gives none), a connection that is resumed would be refused."""
    host = here.host()
    with _port(here, tickets=2) as port:
        context = host.context(here.fleet.folder, here.authorities.server_trust())
        with _open(here, port, host, context=context) as first:
            assert first.ask(WHO)[0] == 200
            session = first.socket.session
        ENDS[kind](here, host)
        with _open(here, port, host, context=context, session=session) as resumed:
            assert resumed.socket.session_reused
            assert resumed.ask(WHO)[0] == 403
    assert port.reached == [host.id]


def test_no_connection_is_resumed(here: Site, port: Port) -> None:
    """There are no tickets: whoever comes back shows the certificate again."""
    host = here.host()
    context = host.context(here.fleet.folder, here.authorities.server_trust())
    with _open(here, port, host, context=context) as first:
        assert first.ask(WHO)[0] == 200
        session = first.socket.session
    assert session is None or not session.has_ticket
    with _open(here, port, host, context=context, session=session) as second:
        assert second.ask(WHO)[0] == 200
        assert not second.socket.session_reused


def test_a_ban_while_the_body_comes(here: Site, port: Port) -> None:
    """What was sent half before is not taken in."""
    host = here.host()
    with _open(here, port, host) as open_one:
        open_one.socket.sendall(b"POST /a/v1/take HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n[1,2,")
        assert port.waits.wait(10)
        _ban(here, host)
        open_one.socket.sendall(b"3,45]")
        status, problem = open_one.answer()
    assert (status, port.reached) == (403, [])
    assert "banned" in problem["detail"]


def test_a_ban_while_a_poll_waits(here: Site, port: Port) -> None:
    """The answer that was made is not sent."""
    host = here.host()
    with _open(here, port, host) as open_one:
        open_one.send("/a/v1/poll")
        assert port.waits.wait(10)
        _ban(here, host)
        port.goes_on.set()
        status, problem = open_one.answer()
    assert status == 403
    assert "secret" not in problem


def test_a_ban_while_an_answer_goes_out(here: Site, port: Port, caplog: pytest.LogCaptureFixture) -> None:
    """The rest of it is not sent; the connection ends."""
    host = here.host()
    with _open(here, port, host) as open_one:
        open_one.send("/a/v1/stream")
        assert port.waits.wait(10)
        _ban(here, host)
        port.goes_on.set()
        heard = _all(open_one)
    assert b"first" in heard
    assert b"second" not in heard
    assert not [one for one in caplog.records if one.exc_info]


def test_a_ban_from_a_request_that_others_wait_behind(here: Site, port: Port) -> None:
    """Requests that were sent in one go are looked at one by one; none of them is answered."""
    host = here.host()
    with _open(here, port, host) as open_one:
        open_one.socket.sendall(
            b"".join(f"GET /a/v1/{one} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for one in ("end", "who", "who"))
        )
        assert [open_one.answer()[0] for _ in range(3)] == [403] * 3
    assert port.reached == []


def test_an_old_certificate_over_tls(here: Site, port: Port) -> None:
    """The first use of the next ends the old one; who shows the old one then bans both, where they are."""
    host, key = here.host(), new_key()
    with _open(here, port, host) as old:
        status, told = old.ask("/a/v1/renew", "POST", {"csr": make_request(key)})
        following = Host(host.id, key, told["certificate"])
        assert (status, old.ask(WHO)[0]) == (201, 200)
        with _open(here, port, following) as new:
            assert new.ask(WHO)[0] == 200
            assert old.ask(WHO)[0] == 403
            assert new.ask(WHO)[0] == 403
    assert here.kinds()[-3:] == ["host.cert_renewed", "host.cert_reused", "host.banned"]


def test_a_request_that_was_under_way_is_no_alarm(here: Site, port: Port) -> None:
    """A poll with the old certificate that waits while the next is first used is refused, and bans nobody."""
    host, key = here.host(), new_key()
    answer = renew(here.fleet, here.authorities, host.member, make_request(key))
    following = Host(host.id, key, answer.certificate)
    with _open(here, port, host) as old, _open(here, port, following) as new:
        old.send("/a/v1/poll")
        assert port.waits.wait(10)
        assert new.ask(WHO)[0] == 200
        port.goes_on.set()
        assert old.answer()[0] == 403
        assert new.ask(WHO)[0] == 200
    assert "host.banned" not in here.kinds()


PATHS = [
    "/", "/v1/hosts", "/a/v2/who", "/a/v1who", "//a/v1/who", "/a//v1/who", "/A/v1/who",
    "/a/v1/../../v1/hosts",
    "/a/v1/%2e%2e/%2e%2e/v1/hosts", "/a/v1/..%2f..%2fv1/hosts", "/%61/v1/../../healthz",
    "/a/v1/who%00", "/a/v1/who/",
    "/a/v1/who;x", "/a/v1/who%2f", "http://x/v1/enrol", "/a/v1/%77ho%20", "*", "/a/v1",
    "/metrics", "/v1/enrol",
]  # fmt: skip


def test_paths_that_are_none(here: Site, port: Port) -> None:
    """An agent reaches what is under /a/v1/, as it is written, and nothing else."""
    host = here.host()
    for path in PATHS:
        with _open(here, port, host) as one:
            assert one.ask(path)[0] in {400, 403, 404, 307}, path
    assert port.reached == []


def test_headers_do_not_say_who_asks(here: Site, port: Port) -> None:
    """Whatever names of another a request carries: the certificate alone counts."""
    host, other = here.host(), here.host()
    words = f"spiffe://example.org/agent/{other.id}"
    names = (
        "hwledger.certificate", "X-Client-Cert", "X-SSL-Client-Cert",
        "X-Forwarded-Client-Cert", "X-Forwarded-For",
        "Forwarded", "X-Forwarded-Proto", "X-Original-URL", "X-Rewrite-URL", "Authorization",
        "Cookie", "State", "Member",
    )  # fmt: skip
    head = "".join(f"{name}: {words}\r\n" for name in names)
    with _open(here, port, host) as one:
        one.socket.sendall(f"GET {WHO} HTTP/1.1\r\nHost: {words}\r\n{head}\r\n".encode())
        assert one.answer() == (200, {"host": host.id})
    assert port.reached == [host.id]


INNER = b"GET /a/v1/who HTTP/1.1\r\nHost: x\r\n\r\n"
SMUGGLED = {
    "both lengths": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: 37\r\n\r\n",
    "a signed length": b"Content-Length: +0\r\n\r\n",
    "a negative length": b"Content-Length: -1\r\n\r\n",
    "a length with a comma": b"Content-Length: 0, 0\r\n\r\n",
    "a space before the colon": b"Content-Length : 0\r\n\r\n",
    "chunked and more": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "an odd coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a bare carriage return": b"X: a\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk with a sign": b"Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n",
    "a chunk in words": b"Transfer-Encoding: chunked\r\n\r\nx\r\n\r\n",
    "a nul": b"X: a\0b\r\n\r\n",
}


@pytest.mark.parametrize("kind", SMUGGLED)
def test_no_second_request_hides_in_a_first(here: Site, port: Port, kind: str) -> None:
    """Lengths that two readers would read in two ways end the connection; what follows is not read."""
    host = here.host()
    with _open(here, port, host) as one:
        one.socket.sendall(b"POST /a/v1/take HTTP/1.1\r\nHost: x\r\n" + SMUGGLED[kind] + INNER)
        heard = _all(one)
    assert heard.count(b"HTTP/1.1") <= 1
    assert b"HTTP/1.1 200" not in heard
    assert port.reached == []


def test_a_head_that_is_too_long(here: Site, port: Port) -> None:
    """A name, a value, many of them, a path: beyond 64 KiB the connection ends."""
    host = here.host()
    for head in (b"X: " + b"a" * 200_000, b"X" * 200_000 + b": a", b"X: a\r\n" * 20_000):
        with _open(here, port, host) as one:
            with suppress(OSError):
                one.socket.sendall(b"GET /a/v1/who HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
            assert b"200 OK" not in _all(one)
    with _open(here, port, host) as one:
        with suppress(OSError):
            one.socket.sendall(b"GET /a/v1/who?" + b"a" * 200_000)
        assert b"200 OK" not in _all(one)
    assert port.reached == []


def test_a_body_that_is_too_long(here: Site, port: Port) -> None:
    """It is refused without being read to its end, said beforehand or not; the next request is served."""
    host = here.host()
    with _open(here, port, host) as one:
        assert one.ask("/a/v1/take", "POST", "x" * 2000)[0] in {413, 422}
    with _open(here, port, host) as one:
        chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
        one.socket.sendall(
            b"POST /a/v1/take HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 2
        )
        assert one.answer()[0] in {413, 422}
    with _open(here, port, host) as one:
        assert one.ask("/a/v1/take", "POST", [1])[0] == 200
    assert port.reached == [[1]]


NEVER = [
    [b""], [b"GET /a"], [b"GET /a/v1/who HTTP/1.1\r\nHost: x\r\nX: "], [b"\r\n"], [INNER + b"GET /a"],
    [INNER, b"\r\n"], [INNER, b"G"],
]  # fmt: skip


@pytest.mark.parametrize("sent", NEVER)
def test_who_never_says_what_he_wants(here: Site, monkeypatch: pytest.MonkeyPatch, sent: list[bytes]) -> None:
    """The connection ends by itself, before the first request and after it."""
    monkeypatch.setattr(peer, "HEAD_SECONDS", 0.3)
    host, heard = here.host(), b""
    with _port(here) as port, _open(here, port, host) as one:
        for part in sent[:-1]:
            one.socket.sendall(part)
            assert one.answer()[0] == 200
        one.socket.sendall(sent[-1])
        heard = _all(one)
    assert heard.count(b"HTTP/1.1 200") == sent[-1].count(INNER)


def test_a_body_that_never_ends(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection ends by itself, also where the answer was given already."""
    monkeypatch.setattr(peer, "BODY_SECONDS", 0.3)
    host = here.host()
    with _port(here) as port:
        for length, sent in ((10, b"[1"), (10**9, b"x" * 2000)):
            with _open(here, port, host) as one:
                head = f"POST /a/v1/take HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
                one.socket.sendall(head.encode() + sent)
                assert b"HTTP/1.1 200" not in _all(one)
        assert port.reached == []


def test_who_hangs_up_in_the_middle(here: Site, port: Port, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is taken in, and it is no fault for the log, where anybody could fill it."""
    host = here.host()
    for _ in range(5):
        with _open(here, port, host) as one:
            one.socket.sendall(b"POST /a/v1/take HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n[1,")
            assert port.waits.wait(10)
    with _open(here, port, host) as one:
        assert one.ask(WHO)[0] == 200
    assert port.reached == [host.id]
    assert not [one for one in caplog.records if one.exc_info]


def test_an_answer_may_take_its_time(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The times are for requests: a poll waits longer than they are."""
    monkeypatch.setattr(peer, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(peer, "BODY_SECONDS", 0.2)
    host = here.host()
    with _port(here) as port, _open(here, port, host) as one:
        one.send("/a/v1/poll")
        assert port.waits.wait(10)
        threading.Timer(0.8, port.goes_on.set).start()
        assert one.answer() == (200, {"secret": host.id})


def test_no_other_protocol(here: Site, port: Port) -> None:
    """A request to change to WebSockets or HTTP/2 is a request like any other."""
    host = here.host()
    for more in (
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA",
    ):
        with _open(here, port, host) as one:
            one.socket.sendall(f"GET {WHO} HTTP/1.1\r\nHost: x\r\n{more}\r\n\r\n".encode())
            assert one.answer()[0] == 200
    assert ssl.HAS_TLSv1_3


def test_a_message_with_the_id_of_another(here: Site, port: Port) -> None:
    """The next certificate is for who shows the present one, whatever the message says."""
    host, other, key = here.host(), here.host(), new_key()
    sent = {"csr": make_request(key), "host": other.id, "serial": other.member.serial}
    with _open(here, port, host) as one:
        _, told = one.ask("/a/v1/renew", "POST", sent)
    assert told["host"] == host.id
    assert Host(host.id, key, told["certificate"]).member.host == host.id
    assert json.dumps(here.told("host.cert_issued")).count(other.id) == 0


def test_a_renewal_that_makes_no_sense(here: Site, port: Port) -> None:
    """It is answered in words, and the certificate in use stays."""
    host = here.host()
    with _open(here, port, host) as one:
        for body in (None, [], {}, {"csr": 1}, {"csr": "x"}, {"csr": make_request(host.key)}):
            status, told = one.ask("/a/v1/renew", "POST", body)
            assert status in {400, 409, 422}, body
            assert told["detail"]
        assert one.ask(WHO)[0] == 200
    assert "host.cert_issued" not in here.kinds()


def _all(one: Connection) -> bytes:
    """Return all that comes until the connection ends."""
    one.socket.settimeout(15)
    heard = b""
    with suppress(ConnectionError, ssl.SSLError):
        while more := one.socket.recv(65536):
            heard += more
    return heard
