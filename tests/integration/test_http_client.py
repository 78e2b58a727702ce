"""The HTTP client: proxies and certificates of the environment, bounds, and whole replies from loopback."""

import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hwledger.errors import (
    DeniedError,
    MalformedError,
    MissingError,
    OfflineError,
    UnreachableError,
    UsageError,
)
from hwledger.library.access import Access
from hwledger.library.net import fetch_bytes
from hwledger.library.net.http import Credential, Http
from support import faults
from support.web_server import Reply, WebServer, file

pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("FR-SRC-HTTP")]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Close what a test opens."""
    with ExitStack() as opened:
        yield opened


def served(stack: ExitStack, reply: Reply) -> WebServer:
    """Start a server that always answers the same."""
    return stack.enter_context(WebServer(elsewhere=reply))


def test_a_proxy_of_the_environment_is_used(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY carries the request; NO_PROXY leaves it out."""
    proxy = served(stack, Reply(200, {}, b"by the proxy"))
    target = served(stack, Reply(200, {}, b"direct"))
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    assert fetch_bytes(f"{target.url}/x", 100) == b"by the proxy"
    assert not target.log
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert fetch_bytes(f"{target.url}/x", 100) == b"direct"


def test_a_proxy_that_cannot_be_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong setting ends in a sentence about the setting."""
    monkeypatch.setenv("ALL_PROXY", "gopher://127.0.0.1:1")
    with pytest.raises(UsageError, match="proxy settings of the environment"):
        fetch_bytes("http://127.0.0.1:1/", 1)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_bundle_of_ones_own_is_trusted(
    stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A server with a private certificate is refused, and read once its bundle is named."""
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "key.pem",
         "-out", tmp_path / "cert.pem", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("openssl, which makes the certificate, is absent")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server = stack.enter_context(WebServer(elsewhere=Reply(200, {}, b"private"), tls=context))
    with pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
        fetch_bytes(server.url, 100)
    monkeypatch.setenv(name, str(tmp_path / "cert.pem"))
    assert fetch_bytes(server.url, 100) == b"private"


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "CURL_CA_BUNDLE"])
def test_a_bundle_that_is_none_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The variable and the file are in the sentence."""
    (tmp_path / "no.pem").write_text("nothing")
    monkeypatch.setenv(name, str(tmp_path / "no.pem"))
    with pytest.raises(UsageError, match=rf"{name}=.*no\.pem is no usable bundle"):
        fetch_bytes("https://127.0.0.1:1/", 1)


@pytest.mark.requirement("NFR-SRC-SAFE")
def test_a_body_beyond_its_bound_is_cut(stack: ExitStack) -> None:
    """No more than was asked for is taken, whatever the server sends."""
    server = served(stack, Reply(200, {}, bytes(5 << 20)))
    with pytest.raises(UnreachableError, match="sends more than the 1,000 bytes"):
        fetch_bytes(server.url, 1000)


@pytest.mark.requirement("NFR-SRC-SAFE")
def test_the_text_beside_a_redirect_has_a_bound_of_its_own(stack: ExitStack) -> None:
    """The hub's redirects are longer than a small part that they lead to; an endless one is cut."""
    server = served(stack, Reply(302, {"Location": "/end"}, bytes(2000)))
    server.routes["/end"] = file(b"0123456789")
    with Http(Access()) as http:
        assert http.part(f"{server.url}/start", 2, 4).data == b"2345"
    server.elsewhere = Reply(302, {"Location": "/end"}, bytes(1 << 20))
    with pytest.raises(UnreachableError, match="sends more than the 65,536 bytes"):
        fetch_bytes(f"{server.url}/start", 4 << 20)


@pytest.mark.requirement("NFR-SRC-SAFE")
def test_a_token_stays_with_its_origin_along_redirects(stack: ExitStack) -> None:
    """Another port is another origin, and coming back shows the token again."""
    home = stack.enter_context(WebServer({"/end": Reply(200, {}, b"end")}))
    other = served(stack, faults.redirect(f"{home.url}/end"))
    home.routes["/start"] = faults.redirect(f"{other.url}/x", 307)
    with Http(Access(), Credential(home.url, "secret")) as http:
        assert http.fetch(f"{home.url}/start") == b"end"
    assert [(asked.path, asked.authorization) for asked in home.log] == [
        ("/start", "Bearer secret"), ("/end", "Bearer secret"),
    ]  # fmt: skip
    assert [asked.authorization for asked in other.log] == [None]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(401), DeniedError), (Reply(403), DeniedError), (Reply(404), MissingError),
        (Reply(410), MissingError),
        (Reply(500), UnreachableError), (Reply(418), UnreachableError),
        (Reply(200, {}, b"no json"), MalformedError),
    ],
)  # fmt: skip
def test_a_status_is_an_error_of_its_kind(stack: ExitStack, reply: Reply, error: type[Exception]) -> None:
    """Each kind of refusal keeps its exit code."""
    server = served(stack, reply)
    with Http(Access()) as http, pytest.raises(error):
        http.fetch_json(f"{server.url}/x?key=hush")
    with Http(Access(offline=True)) as http, pytest.raises(OfflineError):
        http.fetch_json(server.url)


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/x", "file:///etc/passwd", "nothing", "http://", "http://[::1"]
)
def test_what_is_no_address_is_said(url: str) -> None:
    """Only http and https are asked."""
    with pytest.raises(UsageError, match="address"):
        fetch_bytes(url, 1)
