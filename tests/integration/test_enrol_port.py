"""The port on which machines come in, against requests that are made to get more than they should."""

import gzip
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.applications import Starlette

from hwledger.fleet.enrolment import ban, retire
from hwledger.fleet.signing import make_request, new_key
from hwledger.fleet.wire.tokens import JoinToken, encoded
from hwledger.server.enrolling import Offer, Rate, routes
from hwledger.server.tls import public_context
from support.fleets import MACHINE, Connection, Site, client_context, serving, site

pytestmark = [pytest.mark.requirement("FR-FLEET-ENROL"), pytest.mark.enable_socket]
PAGE = "/v1/enrol"


@pytest.fixture
def here(tmp_path: Path) -> Site:
    """Return a fleet."""
    return site(tmp_path)


@contextmanager
def _open(here: Site, rate: Rate | None = None) -> Iterator[Connection]:
    offer = Offer(":8472", "x+0a0b0c0d+AQID")
    app = Starlette(routes=routes(here.fleet, here.authorities, offer, rate or Rate(1e6, 10**6)))
    with serving(app, public_context(here.authorities, ["127.0.0.1"])) as port:
        connection = Connection(
            port, client_context(here.fleet.folder, here.authorities.server_trust())
        )  # fmt: skip
        try:
            yield connection
        finally:
            connection.close()


def _message(token: JoinToken, **more: Any) -> dict[str, Any]:
    return {
        "protocol": 1, "token": encoded(token.secret), "csr": make_request(new_key()), "name": "box",
        "machine": MACHINE, "inventory": {}, "version": "1", **more,
    }  # fmt: skip


def _raw(connection: Connection, body: bytes, more: str = "") -> tuple[int, Any]:
    head = f"POST {PAGE} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    connection.socket.sendall(head.encode() + body)
    return connection.answer()


def _nested(token: JoinToken) -> bytes:
    return orjson.dumps(_message(token)).replace(
        b'"inventory":{}', b'"inventory":{"a":' + b"[" * 9999 + b"]" * 9999 + b"}"
    )


BODIES: dict[str, Callable[[JoinToken], bytes]] = {
    "nothing": lambda _: b"",
    "a list": lambda token: orjson.dumps([_message(token)]),
    "text": lambda token: orjson.dumps(encoded(token.secret)),
    "half of it": lambda token: orjson.dumps(_message(token))[:-9],
    "two of it": lambda token: orjson.dumps(_message(token)) * 2,
    "UTF-16": lambda token: orjson.dumps(_message(token)).decode().encode("utf-16-be"),
    "packed": lambda token: gzip.compress(orjson.dumps(_message(token))),
    "nested": _nested,
    "no number": lambda token: orjson.dumps(_message(token)).replace(
        b'"inventory":{}', b'"inventory":{"a":NaN}'
    ),
    "a huge number": lambda token: orjson.dumps(_message(token)).replace(
        b'"inventory":{}', b'"inventory":{"a":' + b"9" * 5000 + b"}"
    ),
    "half a character": lambda token: orjson.dumps(_message(token)).replace(
        b'"inventory":{}', b'"inventory":{"a":"\\ud800"}'
    ),
    "too large": lambda token: orjson.dumps(_message(token, inventory={"a": "x" * 300_000})),
    "an event too large": lambda token: orjson.dumps(_message(token, inventory={"a": "\u0001" * 200_000}))[
        :262_000
    ],
    "a form": lambda token: b"token=" + encoded(token.secret).encode(),
}


def test_bodies_that_are_wrong(here: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Each is refused in words, the secret is in neither answer nor log, and the token keeps its use."""
    caplog.set_level(logging.DEBUG)
    token = here.token()
    with _open(here) as connection:
        for kind, body in BODIES.items():
            status, told = _raw(connection, body(token), "Content-Encoding: gzip\r\n" * (kind == "packed"))
            assert status in {413, 422}, kind
            assert told["detail"], kind
            assert encoded(token.secret)[:8] not in repr(told) + caplog.text, kind
        assert not [one for one in caplog.records if one.exc_info]
        assert connection.ask(PAGE, "POST", _message(token))[0] == 201


def test_only_posts_come_in(here: Site) -> None:
    """Other methods are not allowed, and change nothing."""
    token = here.token()
    with _open(here) as connection:
        for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
            assert connection.ask(PAGE, method, _message(token))[0] == 405
    assert here.kinds() == ["token.created"]


def test_a_request_that_was_overheard_is_of_no_use(here: Site) -> None:
    """Sent again it gets the same certificate, whose key the listener has not; once the host ended, none."""
    token = here.token(uses=2)
    asked = _message(token)
    with _open(here) as connection:
        _, first = connection.ask(PAGE, "POST", asked)
        _, again = connection.ask(PAGE, "POST", asked)
        assert again["certificate"] == first["certificate"]
        _, other = connection.ask(PAGE, "POST", {**asked, "name": "another", "machine": "cd" * 32})
        assert other == again
        assert connection.ask(PAGE, "POST", {**asked, "token": encoded(here.token().secret)})[0] == 409
        before = here.kinds()
        ban(here.fleet, first["host"], reason="stolen", actor="user:anna")
        assert connection.ask(PAGE, "POST", asked)[0] == 403
        assert connection.ask(PAGE, "POST", _message(token))[0] == 403  # another key on the banned machine
    assert here.kinds() == [*before, "host.banned"]


def test_a_request_of_a_host_that_left(here: Site) -> None:
    """The token and key of a host that was retired let nobody in again."""
    asked = _message(here.token(uses=2))
    with _open(here) as connection:
        _, first = connection.ask(PAGE, "POST", asked)
        retire(here.fleet, first["host"], actor="user:anna")
        assert connection.ask(PAGE, "POST", asked)[0] == 403


def test_guessing_is_slow_and_leaves_no_trace(here: Site) -> None:
    """From one address a hundred at once, then 429 and when to ask again; the ledger hears of none."""
    here.token()
    with _open(here, Rate(0.01, 100)) as connection:
        found = [
            connection.ask(PAGE, "POST", _message(JoinToken(bytes(32), bytes(31) + bytes([at]), "x", 1)))
            for at in range(105)
        ]
        assert [status for status, _ in found] == [403] * 100 + [429] * 5
        assert connection.ask("/ca")[0] == 200
        assert connection.ask("/v1/renew-with-proof", "POST", {"host": "x"})[0] == 429
    assert here.kinds() == ["token.created"]


def test_an_address_is_counted_as_what_one_person_has() -> None:
    """Of IPv6 a network of 64 bits; IPv4 by its address, also as IPv6 writes it; the time gives back."""
    now = [0.0]
    rate = Rate(1.0, 2, lambda: now[0])
    assert [rate.seconds_to_wait(f"2001:db8::{at}") > 0 for at in range(4)] == [False, False, True, True]
    assert rate.seconds_to_wait("2001:db8:0:1::1") == 0
    assert [rate.seconds_to_wait(f"::ffff:10.0.0.{at}") for at in range(4)] == [0.0] * 4
    assert [rate.seconds_to_wait(f"10.0.1.{at}") for at in range(4)] == [0.0] * 4
    assert rate.seconds_to_wait("fe80::1%eth0") == 0
    assert rate.seconds_to_wait("") == 0
    now[0] += 1.0
    assert rate.seconds_to_wait("2001:db8::7") == 0
    assert 0 < rate.seconds_to_wait("2001:db8::7") <= 1
