"""The agents' port against certificates that are wrong in every way we could think of, over real TLS."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hwledger.server.agents import agents_app
from hwledger.server.tls import agents_context, public_context
from support.bad_certificates import BAD, pem
from support.fleets import Connection, Site, client_context, serving, site

pytestmark = [pytest.mark.requirement("FR-FLEET-MEMBER"), pytest.mark.enable_socket]
REACHED: list[str] = []
IN_THE_HANDSHAKE = {
    "expired", "not valid yet", "another authority of the same name", "self-signed", "signed by an agent",
    "signed by an authority below", "signed by the server's authority", "the server's own", "for servers",
    "for anything", "an authority as a leaf", "a DNS name alone", "a DNS name beside", "another trust domain",
}  # fmt: skip
"""Kinds that get no further; of the others TLS need not know, and each request is refused with 403."""
REFUSALS = (ssl.SSLError, ConnectionError, EOFError)


async def _who(request: Request) -> Response:
    REACHED.append(request.state.member.host)
    return JSONResponse({"host": request.state.member.host})


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Return a fleet that goes by the real time, as OpenSSL does."""
    return site(tmp_path_factory.mktemp("fleet"))


@pytest.fixture(scope="module")
def port(here: Site) -> Iterator[int]:
    """Serve the agents' port of the fleet."""
    app = agents_app(here.fleet, here.authorities, [Route("/a/v1/who", _who)])
    with serving(app, agents_context(here.authorities, ["127.0.0.1"])) as number:
        yield number


@pytest.fixture(autouse=True)
def _forget() -> None:
    REACHED.clear()


def _asked(port: int, context: ssl.SSLContext) -> int:
    """Return the status that a client gets; 0: it was refused in the handshake, or hung up on."""
    try:
        connection = Connection(port, context)
    except REFUSALS:
        return 0
    try:
        return connection.ask("/a/v1/who")[0]
    except REFUSALS:
        return 0
    finally:
        connection.close()


def _chain(key: bytes, chain: list[bytes]) -> bytes:
    loaded = (x509.load_der_x509_certificate(one) for one in chain)
    return key + b"".join(one.public_bytes(Encoding.PEM) for one in loaded)


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_certificate_is_refused(here: Site, port: int, tmp_path: Path, kind: str) -> None:
    """No handler ever hears of it, and the good certificate of another host is served before and after."""
    good, victim = here.host(), here.host()
    trusted = good.context(tmp_path, here.authorities.server_trust())
    assert _asked(port, trusted) == 200
    shown = client_context(tmp_path, here.authorities.server_trust(), _chain(*BAD[kind](here, victim)))
    assert _asked(port, shown) in ({0} if kind in IN_THE_HANDSHAKE else {0, 403})
    assert _asked(port, trusted) == 200
    assert set(REACHED) == {good.id}


def test_there_are_enough_kinds() -> None:
    """The list has not lost its length."""
    assert len(BAD) >= 35
    assert set(BAD) > IN_THE_HANDSHAKE


def test_a_weak_hash_is_refused(here: Site, port: int, tmp_path: Path) -> None:
    """A certificate that is signed over SHA-1 is refused; OpenSSL makes it, cryptography refuses to."""
    import subprocess  # noqa: PLC0415 - only here

    good = here.host()
    top, key = here.authorities.agents_authority, good.key
    (tmp_path / "ca.pem").write_text(top.pem())
    (tmp_path / "ca.key").write_bytes(pem(top.key))
    (tmp_path / "key.pem").write_bytes(pem(key))
    (tmp_path / "names").write_text(
        f"subjectAltName=URI:spiffe://example.org/agent/{good.id}\nextendedKeyUsage=clientAuth\n"
        "basicConstraints=critical,CA:FALSE\n"
    )
    more = "-days 1 -extfile names -out weak.pem"
    serial = hex(int(good.member.serial, 16))
    made = (
        "openssl req -new -key key.pem -subj /O=x -out r.pem",
        f"openssl x509 -req -sha1 -in r.pem -CA ca.pem -CAkey ca.key {more} -set_serial {serial}",
    )
    for command in made:
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    raw = pem(key) + (tmp_path / "weak.pem").read_bytes()
    try:
        weak = client_context(tmp_path, here.authorities.server_trust(), raw)
    except ssl.SSLError:
        weak = client_context(tmp_path, here.authorities.server_trust())
        weak.set_ciphers("DEFAULT:@SECLEVEL=0")
        (tmp_path / "weak-chain.pem").write_bytes(raw)
        weak.load_cert_chain(tmp_path / "weak-chain.pem")
    assert _asked(port, weak) in {0, 403}
    assert not REACHED


def test_without_a_certificate(here: Site, port: int, tmp_path: Path) -> None:
    """Whoever shows none gets no answer."""
    assert _asked(port, client_context(tmp_path, here.authorities.server_trust())) == 0
    assert not REACHED


def test_a_certificate_without_its_key(here: Site, tmp_path: Path) -> None:
    """A copied certificate is of no use: the handshake asks for the key."""
    good, other = here.host(), here.host()
    with pytest.raises(ssl.SSLError):
        client_context(tmp_path, "", pem(other.key) + good.certificate.encode(), verify=False)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1])
def test_older_versions_of_tls(here: Site, port: int, tmp_path: Path, version: ssl.TLSVersion) -> None:
    """TLS 1.3 alone is spoken, on both ports."""
    good = here.host()
    context = good.context(tmp_path, here.authorities.server_trust())
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    import warnings  # noqa: PLC0415 - only here

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    assert _asked(port, context) == 0
    app = agents_app(here.fleet, here.authorities)
    with serving(app, public_context(here.authorities, ["127.0.0.1"])) as public:
        assert _asked(public, context) == 0
    assert not REACHED


@pytest.mark.parametrize(
    "raw", [b"", b"\x16\x03\x01\x00\x05hello", b"GET /a/v1/who HTTP/1.1\r\n\r\n", bytes(999)]
)
def test_garbage_instead_of_a_handshake(here: Site, port: int, tmp_path: Path, raw: bytes) -> None:
    """What is no TLS is hung up on, and the next is served."""
    import socket  # noqa: PLC0415 - only here

    good = here.host()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.sendall(raw)
        plain.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while more := plain.recv(4096):
                received += more
        except ConnectionError:
            pass
    assert b"HTTP" not in received
    assert _asked(port, good.context(tmp_path, here.authorities.server_trust())) == 200
