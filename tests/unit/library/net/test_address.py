"""The address of a server in all its spellings."""

import pytest

from hwledger.errors import UsageError
from hwledger.library.net.address import spelled_address
from hwledger.library.ollama.server import base_url

pytestmark = pytest.mark.requirement("FR-SRC-OLLAMA")


@pytest.mark.parametrize(
    ("said", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),  # noqa: S104 - a spelling, nothing listens
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        (":9000", "http://127.0.0.1:9000"),
        ("box", "http://box:11434"),
        ("box:80", "http://box:80"),
        ("http://box", "http://box:80"),
        ("HTTPS://box", "https://box:443"),
        ("http://0.0.0.0:11434/", "http://127.0.0.1:11434"),
        ("https://box/ollama/", "https://box:443/ollama"),
        ("::1", "http://[::1]:11434"),
        ("[::]:7", "http://[::1]:7"),
        (' "box:1" ', "http://box:1"),
    ],
)
def test_every_spelling_is_understood(said: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts, ports, schemes, paths and quotes give the address that a client asks."""
    monkeypatch.setenv("OLLAMA_HOST", said)
    assert base_url() == url


@pytest.mark.parametrize("said", ["ftp://box", "box:port", "a b", "box:99999999", "http://[::1", "a\nb"])
def test_what_is_no_address_is_refused(said: str) -> None:
    """Nonsense ends in one sentence that names the variable."""
    with pytest.raises(UsageError, match="OLLAMA_HOST") as caught:
        spelled_address("OLLAMA_HOST", said, 11434)
    assert "\n" not in str(caught.value)
