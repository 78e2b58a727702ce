"""A fleet to try things on: its clock is moved by the test, its server runs on loopback in a thread."""

import asyncio
import os
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from hwledger.fleet.certificates import Authorities
from hwledger.fleet.context import Fleet
from hwledger.fleet.enrolment import create_token, enrol
from hwledger.fleet.identities import Member
from hwledger.fleet.signing import key_pem, make_request, new_key
from hwledger.fleet.views import projections
from hwledger.fleet.wire.enrolment import EnrolRequest
from hwledger.fleet.wire.tokens import JoinToken
from hwledger.ledger.event import event_of
from hwledger.ledger.memory import MemoryStore
from hwledger.ledger.store import Store
from hwledger.server.listening import listener

SECOND, HOUR = 1_000_000, 3_600_000_000
MACHINE = "ab" * 32
ADDRESS = "127.0.0.1:8471"


@dataclass
class Clock:
    """Microseconds since 1970, from the real time on unless a test moves it."""

    now: int = field(default_factory=lambda: real_time())  # noqa: PLW0108 - it is defined below

    def __call__(self) -> int:
        """Return what time it is."""
        return self.now

    def pass_hours(self, hours: float) -> None:
        """Let time pass."""
        self.now += int(hours * HOUR)


def real_time() -> int:
    """Return the real time in whole seconds, as microseconds: OpenSSL goes by it."""
    import time  # noqa: PLC0415 - nothing else in here may ask for it

    return int(time.time()) * SECOND


@dataclass
class Site:
    """A fleet with its clock and its authorities."""

    fleet: Fleet
    clock: Clock
    authorities: Authorities

    def token(self, **more: Any) -> JoinToken:
        """Return a new token, read as a machine reads it."""
        settings: dict[str, Any] = {"address": ADDRESS, "actor": "user:anna", **more}
        return JoinToken.read(create_token(self.fleet, **settings).text)

    def request(self, token: JoinToken, key: EllipticCurvePrivateKey, **more: Any) -> EnrolRequest:
        """Return what a machine asks with."""
        said: dict[str, Any] = {"name": "box", "machine": MACHINE, "inventory": {"gpus": 8}, "version": "1"}
        return EnrolRequest(token.secret, make_request(key), **{**said, **more})

    def host(self) -> "Host":
        """Return a host that was let in, on a machine of its own."""
        key, machine = new_key(), os.urandom(32).hex()
        answer = enrol(self.fleet, self.authorities, self.request(self.token(), key, machine=machine))
        return Host(answer.host, key, answer.certificate)

    def told(self, kind: str = "") -> list[dict[str, Any]]:
        """Return the data of the events whose type begins so, with their type."""
        found = [event_of(entry.body) for entry in self.fleet.store.read(limit=100_000)]
        return [
            {"type": event.type.removeprefix("fleet."), "actor": event.actor, **event.data}
            for event in found
            if event.type.startswith(f"fleet.{kind}")
        ]

    def kinds(self) -> list[str]:
        """Return the short names of all events in order."""
        return [one["type"].rpartition(".v")[0] for one in self.told()]


@dataclass
class Host:
    """A host that was let in."""

    id: str
    key: EllipticCurvePrivateKey
    certificate: str

    @property
    def der(self) -> bytes:
        """Return its certificate."""
        return x509.load_pem_x509_certificate(self.certificate.encode()).public_bytes(Encoding.DER)

    @property
    def member(self) -> Member:
        """Return how the server knows it."""
        found = x509.load_der_x509_certificate(self.der)
        end = int(found.not_valid_after_utc.timestamp()) * SECOND
        return Member(self.id, f"{found.serial_number:032x}", end)

    def context(self, folder: Path, authorities: str, *, verify: bool = True) -> ssl.SSLContext:
        """Return a context that shows its certificate."""
        return client_context(
            folder, authorities, key_pem(self.key) + self.certificate.encode(), verify=verify
        )


def client_context(
    folder: Path, authorities: str, shown: bytes | None = None, *, verify: bool = True
) -> ssl.SSLContext:
    """Return a context of a client: whom it trusts and what it shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if verify:
        context.load_verify_locations(cadata=authorities)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if shown is not None:
        path = folder / f"client-{abs(hash(shown))}.pem"
        path.write_bytes(shown)
        context.load_cert_chain(path)
    return context


def site(folder: Path, store: Store | None = None, trust_domain: str = "example.org") -> Site:
    """Return a fleet; in memory where no store is given."""
    clock = Clock()
    kept = store or MemoryStore(projections=projections())
    fleet = Fleet(kept, folder, trust_domain, clock)
    return Site(fleet, clock, Authorities.open(folder, trust_domain, clock))


@contextmanager
def serving(app: Any, context: ssl.SSLContext | None) -> Iterator[int]:
    """Serve an application on a free port of loopback; give the port."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        server = listener(app, context)
        thread = threading.Thread(target=_run, args=(server, bound))
        thread.start()
        _wait_for(server)
        try:
            yield bound.getsockname()[1]
        finally:
            server.should_exit = server.force_exit = True  # no wait for connections that stay open
            thread.join(10)
            assert not thread.is_alive()


def _run(server: uvicorn.Server, bound: socket.socket) -> None:
    """Serve on the loop that ``hwledger up`` serves on."""
    factory = None
    if sys.platform != "win32":
        import uvloop  # noqa: PLC0415 - not on every system

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(server.serve(sockets=[bound]))


def _wait_for(server: uvicorn.Server) -> None:
    ready = threading.Event()
    for _ in range(1000):
        if server.started:
            return
        ready.wait(0.01)
    raise AssertionError("the server did not start")


class Connection:
    """One TLS connection that speaks HTTP/1.1 and stays open."""

    def __init__(self, port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> None:
        raw = socket.create_connection(("127.0.0.1", port), timeout=10)
        try:
            self.socket = context.wrap_socket(raw, server_hostname="127.0.0.1", session=session)
        except BaseException:
            raw.close()
            raise
        self._file = self.socket.makefile("rb")

    def ask(self, page: str, method: str = "GET", body: Any = None) -> tuple[int, Any]:
        """Return status and content of one answer; EOF raises."""
        self.send(page, method, body)
        return self.answer()

    def send(self, page: str, method: str = "GET", body: Any = None) -> None:
        """Send a request."""
        raw = b"" if body is None else orjson.dumps(body)
        head = f"{method} {page} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(raw)}\r\n\r\n"
        self.socket.sendall(head.encode() + raw)

    def answer(self) -> tuple[int, Any]:
        """Return status and content of the next answer; EOF raises."""
        status = self._file.readline()
        if not status:
            raise EOFError("the connection was closed")
        headers = {}
        while line := self._file.readline().strip():
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        content = self._file.read(int(headers.get(b"content-length", b"0")))
        return int(status.split()[1]), orjson.loads(content) if content.startswith(b"{") else content

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self.socket.close()
