"""Joining over real TLS: the secret goes to nobody but the server that the token was made on."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from hwledger.errors import ConflictError, DeniedError, HwledgerError, MalformedError, UnreachableError
from hwledger.fleet.certificates import Authorities
from hwledger.fleet.enrolment import approve, create_token
from hwledger.fleet.identities import check_member
from hwledger.fleet.joining import checked, come_back, join, server_context, vouched
from hwledger.fleet.signing import key_pem, new_key
from hwledger.fleet.tokens import MOST_REFUSALS
from hwledger.fleet.views import projections
from hwledger.fleet.wire.enrolment import EnrolAnswer
from hwledger.fleet.wire.tokens import JoinToken, encoded
from hwledger.ledger.sqlite import SqliteStore
from hwledger.server.enrolling import Offer, Rate, routes
from hwledger.server.tls import public_context
from support.fleets import MACHINE, Host, Site, client_context, serving, site

pytestmark = [pytest.mark.requirement("FR-FLEET-JOIN"), pytest.mark.enable_socket]
SAID: dict[str, Any] = {"name": "box", "machine": MACHINE, "inventory": {"gpus": 8}, "version": "1"}
OFFER = Offer(":8472", "example.org/ledger+0a0b0c0d+AQID")
HERE = "127.0.0.1"


@pytest.fixture
def here(tmp_path: Path) -> Site:
    """Return a fleet that goes by the real time."""
    return site(tmp_path)


@contextmanager
def _public_port(here: Site, rate: Rate | None = None) -> Iterator[int]:
    app = Starlette(routes=routes(here.fleet, here.authorities, OFFER, rate or Rate(1e6, 10**6)))
    with serving(app, public_context(here.authorities, [HERE])) as port:
        yield port


def _token(here: Site, port: int, **more: Any) -> JoinToken:
    return JoinToken.read(create_token(here.fleet, address=f"{HERE}:{port}", actor="user:anna", **more).text)


def test_a_machine_joins(here: Site) -> None:
    """It gets a certificate for its key, and where to go on; the certificate is that of a member."""
    key = new_key()
    with _public_port(here) as port:
        answer = join(_token(here, port), key, **SAID)
    assert (answer.state, answer.agents_address) == ("active", "127.0.0.1:8472")
    assert answer.checkpoint_key == OFFER.checkpoint_key
    found = Host(answer.host, key, answer.certificate)
    assert check_member(here.fleet, found.der, "/a/v1/hello") == found.member


def test_a_machine_waits(here: Site) -> None:
    """Until it is approved it is told so; then the same call joins."""
    key = new_key()
    with _public_port(here) as port:
        token = _token(here, port, approve=True)
        waiting = join(token, key, **SAID)
        approve(here.fleet, waiting.host, actor="user:anna")
        answer = join(token, key, **SAID)
    assert (waiting.state, answer.state) == ("waiting", "active")
    assert waiting.host == answer.host


def test_a_machine_that_slept_comes_back(here: Site) -> None:
    """After its certificate ran out it proves its key on the public port and has the next certificate."""
    host, following = here.host(), new_key()
    with _public_port(here) as port:
        address, trust = f"{HERE}:{port}", here.authorities.server_trust()
        with pytest.raises(ConflictError, match="valid still"):
            come_back(address, trust, host.id, host.key, following)
        here.clock.pass_hours(30)
        answer = come_back(address, trust, host.id, host.key, following)
        with pytest.raises(DeniedError, match="proof"):
            come_back(address, trust, "00000000-0000-7000-8000-000000000000", host.key, new_key())
    found = Host(host.id, following, answer.certificate)
    assert check_member(here.fleet, found.der, "/a/v1/hello") == found.member


def test_one_token_a_hundred_machines_over_tls(tmp_path: Path) -> None:
    """Of a hundred machines that show one token at once exactly one is let in, and it is on record so."""
    store = SqliteStore(tmp_path / "ledger.db", projections=projections())
    here, answers, refusals = site(tmp_path, store), [], []
    barrier = threading.Barrier(100)
    with _public_port(here) as port:
        token = _token(here, port)

        def ask() -> None:
            key = new_key()
            barrier.wait()
            try:
                answers.append(join(token, key, **SAID, seconds=60.0))
            except DeniedError as error:
                refusals.append(str(error))

        threads = [threading.Thread(target=ask) for _ in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    kinds = here.kinds()
    store.close()
    assert [answer.state for answer in answers] == ["active"]
    assert len(refusals) == 99
    assert all("used up" in text for text in refusals)
    assert (kinds.count("host.enrolled"), kinds.count("token.used")) == (1, 1)
    assert kinds.count("token.reuse_refused") == MOST_REFUSALS


@dataclass
class Between:
    """Somebody between a machine and the server, with a certificate of his own or none."""

    target: int
    first: ssl.SSLContext | None
    later: ssl.SSLContext | None = None
    plain: bytearray = field(default_factory=bytearray)
    raw: bytearray = field(default_factory=bytearray)
    seen: int = 0

    def serve(self, listening: socket.socket) -> None:
        """Take one connection after the other until the socket is closed."""
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            connection.settimeout(5)
            self.seen += 1
            self._through(connection, self.first if self.seen == 1 else self.later or self.first)

    def _through(self, connection: socket.socket, context: ssl.SSLContext | None) -> None:
        upstream = socket.create_connection((HERE, self.target), timeout=5)
        try:
            if context is not None:
                connection = context.wrap_socket(connection, server_side=True)
                anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
                upstream = anybody.wrap_socket(upstream)
            answering = threading.Thread(target=_pump, args=(upstream, connection, bytearray()))
            answering.start()
            _pump(connection, upstream, self.plain if context else self.raw)
            answering.join()
        except OSError:
            pass
        finally:
            connection.close()
            upstream.close()


def _pump(source: socket.socket, target: socket.socket, kept: bytearray) -> None:
    try:
        while more := source.recv(65536):
            kept += more
            target.sendall(more)
    except OSError:
        pass
    finally:
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@contextmanager
def _between(thief: Between) -> Iterator[int]:
    listening = socket.create_server((HERE, 0))
    thread = threading.Thread(target=thief.serve, args=(listening,))
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def _nothing_of(token: JoinToken, heard: bytes) -> bool:
    pieces = (token.secret, encoded(token.secret).encode(), token.secret.hex().encode())
    return not any(piece[at : at + 8] in heard for piece in pieces for at in range(len(piece) - 7))


def _forged(tmp_path: Path, here: Site) -> Authorities:
    """Return the authorities of the one between, of the same names as those of the server."""
    return Authorities.open(tmp_path / "thief", "example.org", here.clock)


def test_a_man_in_the_middle_gets_nothing(here: Site, tmp_path: Path) -> None:
    """He ends TLS with his own certificate and passes everything on: of the token he hears 0 bytes."""
    thief = Between(0, public_context(_forged(tmp_path, here), [HERE]))
    with _public_port(here) as port, _between(thief) as middle:
        thief.target = port
        token = _token(here, middle)
        with pytest.raises(DeniedError, match="nothing was told"):
            join(token, new_key(), **SAID)
        assert b"GET /ca" in thief.plain
        assert b"POST" not in thief.plain
        assert _nothing_of(token, bytes(thief.plain))
        assert "host.enrolled" not in here.kinds()
        assert join(replace(token, port=port), new_key(), **SAID).state == "active"


def test_he_shows_his_own_authority(here: Site, tmp_path: Path) -> None:
    """He answers /ca himself with an authority of the same name: its hash is another."""
    forged = _forged(tmp_path, here)
    fake = site(tmp_path / "thief")
    app = Starlette(routes=routes(fake.fleet, forged, OFFER))
    refused = pytest.raises(DeniedError, match="nothing was told")
    with serving(app, public_context(forged, [HERE])) as port, refused:
        join(_token(here, port), new_key(), **SAID)


def test_he_passes_the_authority_on_and_then_steps_in(here: Site, tmp_path: Path) -> None:
    """The first connection reaches the server, the second ends at him: no handshake, so no secret."""
    thief = Between(0, None, public_context(_forged(tmp_path, here), [HERE]))
    with _public_port(here) as port, _between(thief) as middle:
        thief.target = port
        token = _token(here, middle)
        with pytest.raises(DeniedError, match="nothing was told"):
            join(token, new_key(), **SAID)
        assert thief.seen == 2
        assert not thief.plain
        assert _nothing_of(token, bytes(thief.raw))


def test_he_only_listens(here: Site) -> None:
    """Who passes the bytes on as they are lets the machine join, and hears nothing."""
    thief = Between(0, None)
    with _public_port(here) as port, _between(thief) as middle:
        thief.target = port
        token = _token(here, middle)
        assert join(token, new_key(), **SAID).state == "active"
        assert len(thief.raw) > 500
        assert _nothing_of(token, bytes(thief.raw))


@pytest.mark.parametrize("name", ["localhost", "127.0.0.2"])
def test_a_server_of_another_name(here: Site, name: str) -> None:
    """Another certificate of the right authority does not do: the name is checked."""
    with _public_port(here) as port:
        token = replace(_token(here, port), host=name)
        with pytest.raises((DeniedError, UnreachableError)):
            join(token, new_key(), **SAID)
    assert "host.enrolled" not in here.kinds()


def test_an_agent_that_plays_server(here: Site, tmp_path: Path) -> None:
    """The certificate of an agent is none of a server: a host of the fleet cannot step between."""
    host = here.host()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    path = tmp_path / "agent.pem"
    path.write_bytes(key_pem(host.key) + host.certificate.encode())
    context.load_cert_chain(path)
    thief = Between(0, None, context)
    with _public_port(here) as port, _between(thief) as middle:
        thief.target = port
        token = _token(here, middle)
        with pytest.raises(DeniedError, match="nothing was told"):
            join(token, new_key(), **SAID)
        assert not thief.plain


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 99, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"]
)
def test_a_server_that_talks_nonsense(here: Site, tmp_path: Path, answer: bytes) -> None:
    """It is one error of ours, whatever it says."""
    context = public_context(_forged(tmp_path, here), [HERE])

    def talk(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        try:
            with context.wrap_socket(connection, server_side=True) as spoken:
                spoken.recv(4096)
                spoken.sendall(answer)
        except OSError:
            pass

    with socket.create_server((HERE, 0)) as listening:
        thread = threading.Thread(target=talk, args=(listening,))
        thread.start()
        with pytest.raises(HwledgerError):
            vouched(replace(here.token(), port=listening.getsockname()[1]), 5.0)
        thread.join()


def test_nobody_there(here: Site) -> None:
    """The sentence asks whether the server is up."""
    with socket.create_server((HERE, 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(UnreachableError, match="is the server up"):
        join(replace(here.token(), port=port), new_key(), **SAID)


def test_a_certificate_for_another_key_is_refused(here: Site) -> None:
    """What the server hands over is held against the key that was asked for."""
    host = here.host()
    answer = EnrolAnswer(
        "active", host.id, host.certificate, here.authorities.server_trust(), "example.org", ":8472", "x", "y"
    )  # fmt: skip
    assert checked(answer, host.key, "::1").agents_address == "[::1]:8472"
    other = "00000000-0000-7000-8000-000000000000"
    for wrong, key in (
        (answer, new_key()), (replace(answer, host=other), host.key),
        (replace(answer, certificate="x"), host.key),
        (replace(answer, trust_domain="else"), host.key), (replace(answer, agents_address="a b:1"), host.key),
    ):  # fmt: skip
        with pytest.raises(MalformedError):
            checked(wrong, key, HERE)


def test_authorities_of_the_machine_do_not_count(here: Site, tmp_path: Path) -> None:
    """The context trusts the fleet's authority alone, TLS 1.3 alone."""
    context = server_context(here.authorities.server_trust())
    assert len(context.get_ca_certs()) == 1
    assert context.minimum_version == ssl.TLSVersion.TLSv1_3
    assert context.check_hostname
    assert client_context(tmp_path, here.authorities.server_trust()).check_hostname


def test_one_address_may_ask_so_often(here: Site) -> None:
    """More is answered with 429 and when to ask again; the token keeps its use."""
    with _public_port(here, Rate(0.01, 2)) as port:
        token = _token(here, port, uses=5)
        for _ in range(2):
            assert join(token, new_key(), **SAID).state == "active"
        with pytest.raises(UnreachableError, match="too many requests"):
            join(token, new_key(), **SAID)
