"""How long reading a model takes: on disk, over loopback, and remembered; ``make benchmark``."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from hwledger.library.access import Access
from hwledger.library.source import open_model
from support import tiny
from support.hub_repo import Repo
from support.hub_server import HubServer

pytestmark = pytest.mark.enable_socket


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    """A hub with a large GGUF header and with 160 shards."""
    repos = [
        Repo("o/large-GGUF", {"large-F16.gguf": tiny.large_gguf()}),
        Repo("o/shards", tiny.many_shards()),
    ]
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        server = stack.enter_context(HubServer(repos))
        patch.setenv("HF_ENDPOINT", server.url)
        patch.setenv("HWLEDGER_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield server


@pytest.mark.benchmark(group="a 150k-token GGUF header")
@pytest.mark.parametrize("how", ["disk", "remote", "remembered"])
def test_large_header(benchmark: BenchmarkFixture, hub: HubServer, tmp_path: Path, how: str) -> None:
    """The same header from disk, by range requests, and from what is remembered."""
    del hub
    path = tmp_path / "large.gguf"
    path.write_bytes(tiny.large_gguf())
    ref = str(path) if how == "disk" else "o/large-GGUF"
    open_model(ref, access=Access())
    spec = benchmark(open_model, ref, access=Access(refresh=how == "remote"))
    assert spec.exact_tensors


@pytest.mark.benchmark(group="160 shards")
@pytest.mark.parametrize("how", ["remote", "remembered"])
def test_shards(benchmark: BenchmarkFixture, hub: HubServer, how: str) -> None:
    """160 headers side by side, and remembered."""
    del hub
    open_model("o/shards", access=Access())
    spec = benchmark(open_model, "o/shards", access=Access(refresh=how == "remote"))
    assert len(spec.stored_tensors) == 1600


@pytest.mark.benchmark(group="whole process", min_rounds=5)
@pytest.mark.parametrize("ref", ["catalogue:Qwen/Qwen3-32B", "hf:o/shards", "hf:o/large-GGUF"])
def test_second_plan_in_a_process_of_its_own(benchmark: BenchmarkFixture, hub: HubServer, ref: str) -> None:
    """What a user waits for: a plan from the catalogue, and of models that are remembered."""
    environment = os.environ | {"HF_ENDPOINT": hub.url}
    open_model(ref, access=Access())
    command = [sys.executable, "-m", "hwledger", "plan", ref, "--json"]

    def call() -> bytes:
        return subprocess.run(command, capture_output=True, check=True, env=environment).stdout

    assert json.loads(benchmark(call))["schema"] == "hwledger.plan/1"
