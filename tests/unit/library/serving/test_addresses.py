"""Which references are addresses of servers, and which model a server's path is."""

from pathlib import Path

import pytest

from hwledger.errors import MalformedError, UsageError
from hwledger.library.net.address import is_local
from hwledger.library.serving.address import is_server, server_address
from hwledger.library.serving.reference import best_reference, model_reference, revision_of

pytestmark = pytest.mark.requirement("FR-SRC-ENGINE")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SERVERS = (
    "http://localhost:8000", "https://gpu.example.com", "HTTP://10.0.0.3:8000/", "http://h:1/v1",
    "http://h/v1/chat/completions", "http://h:8000/docs", "http://h:8000/metrics", "localhost:8000",
    "localhost:8000/v1", "10.0.0.3:8000", "[::1]:8080", "http://[::1]:8080/v1", "http://h/api/tags",
    "http://h:80/?model=org%2Fname", "127.0.0.1:1234/v1/models", " http://localhost:8000 ",
)  # fmt: skip
OTHERS = (
    "https://huggingface.co", "https://huggingface.co/org/name", "https://h/m.gguf", "http://h/models/m.gguf",
    "http://h/v1/m.gguf", "http://h/api/config.json", "org/name", "org/name:8000", "qwen3:8b", "phi3.5:14",
    "model.gguf:8000", "gpt2", "", "localhost", "ftp://h:8000", "http://", "http://h:99999", "http://h:0",
    "vllm serve http://localhost:8000", "http://h/some/page", "localhost:8000x", "http://[::1", "http://a\x00b",
)  # fmt: skip


@pytest.mark.parametrize("ref", SERVERS)
def test_addresses_of_servers(ref: str) -> None:
    """Addresses without a path, or with one that engines answer, are servers; a scheme is not needed here."""
    assert is_server(ref)
    assert server_address(ref)[0].startswith(("http://", "https://"))


@pytest.mark.parametrize("ref", OTHERS)
def test_references_that_are_no_servers(ref: str) -> None:
    """Files on the web, pages of the hub, names and commands are none."""
    assert not is_server(ref)
    with pytest.raises(UsageError):
        server_address(ref)


def test_parts_of_an_address() -> None:
    """Paths and passwords are dropped; ``?model=`` names a model; loopback is this machine."""
    assert server_address("http://me:secret@H:8000/v1?model=org%2Fname#x") == ("http://H:8000", "org/name")
    assert server_address("[::1]:8080/v1") == ("http://[::1]:8080", None)
    assert [is_local(url) for url in ("http://localhost", "http://127.0.0.2:1", "http://[::1]:1")] == [
        True
    ] * 3
    assert not is_local("http://10.0.0.3:8000")
    assert not is_local("http://gpu.example.com")


def test_a_hub_of_ones_own_is_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that ``HF_ENDPOINT`` names is a hub."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9000")
    assert not is_server("http://127.0.0.1:9000/org/name")
    assert not is_server("http://127.0.0.1:9000")


@pytest.mark.parametrize(
    ("stated", "reference", "told"),
    [
        ("org/name", "org/name", None),
        ("org/name:Q4_K_M", "org/name:Q4_K_M", None),
        (f"/srv/.cache/huggingface/hub/models--org--name/snapshots/{COMMIT}", f"hf:org/name@{COMMIT}", None),
        (f"/h/models--org--name/snapshots/{COMMIT}/q/m.gguf", f"hf:org/name@{COMMIT}/q/m.gguf", None),
        (f"C:\\hub\\models--org--na--me\\snapshots\\{COMMIT}\\", f"hf:org/na--me@{COMMIT}", None),
        (f"/h/models--gpt2/snapshots/{COMMIT}", f"hf:gpt2@{COMMIT}", None),
        ("/raid/models/meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B-Instruct", "taken from"),
        ("D:\\llm\\models\\Qwen\\Qwen3-8B", "Qwen/Qwen3-8B", "taken from"),
        ("/m/models/org/name-GGUF/name-Q4_0.gguf", "hf:org/name-GGUF/name-Q4_0.gguf", "taken from"),
        ("/models/SmolLM2-135M.Q4_1.gguf", "/models/SmolLM2-135M.Q4_1.gguf", "on the server's machine"),
        ("/models/Llama-3.1-8B", "/models/Llama-3.1-8B", "on the server's machine"),
        ("/home/alice/Llama-3.1-8B", "/home/alice/Llama-3.1-8B", "on the server's machine"),
        ("/srv/data/models/Llama-3", "/srv/data/models/Llama-3", "on the server's machine"),
        ("m.gguf", "m.gguf", "on the server's machine"),
        ("my-model", "my-model", "does not say where"),
        ("//share/models/org/name", "org/name", "taken from"),
    ],
)
def test_the_model_that_a_server_names(stated: str, reference: str, told: str | None) -> None:
    """Names stay; a path in the hub's cache is its commit; a path that ends so is a guess."""
    found, note = model_reference(stated)
    assert found == reference
    assert (note is None) == (told is None)
    assert (told or "") in (note or "")


def test_a_path_that_is_here(tmp_path: Path) -> None:
    """A path that exists on this machine is read here, and says so."""
    found, note = model_reference(str(tmp_path))
    assert found == str(tmp_path)
    assert "on this machine" in (note or "")


@pytest.mark.parametrize(
    "stated",
    ["http://10.0.0.1/secret.gguf", "https://h:8000", "localhost:8000", "10.0.0.3:80", "file:///etc/passwd",
     "ollama:x", "server:10.0.0.3:8000", "web:http://h/m.gguf", "s3://bucket/m", "catalogue:gpt2"],
)  # fmt: skip
def test_a_server_does_not_decide_whom_to_ask(stated: str) -> None:
    """Addresses and names of other sources are refused: nothing else is contacted on a server's word."""
    with pytest.raises(MalformedError, match="give the model itself"):
        model_reference(stated)


def test_name_and_path() -> None:
    """A name of the hub counts where the path leads nowhere; a path that means a repository counts first."""
    assert (best_reference("/models/x", "org/name") or ("", ""))[0] == "org/name"
    assert (best_reference("/m/data/org/real", "alias/name") or ("", ""))[0] == "org/real"
    assert (best_reference("/models/x", "alias") or ("", ""))[0] == "/models/x"
    assert best_reference(None, "org/name") == ("org/name", None)
    assert best_reference(None, None) is None


def test_revisions() -> None:
    """A revision belongs to a repository that names none itself, and is a plain word."""
    assert revision_of("org/name", COMMIT) == COMMIT
    assert revision_of("org/name@v1", COMMIT) is None
    assert revision_of("/models/x", COMMIT) is None
    assert revision_of("org/name", "../x") is None
    assert revision_of("org/name", None) is None
