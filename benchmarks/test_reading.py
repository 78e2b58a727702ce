"""How long reading a model takes: on disk, over loopback, and remembered; ``make benchmark``."""

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


MODELS = {
    "catalogue": "catalogue:Qwen/Qwen3-32B",
    "shards": "hf:o/shards",
    "GGUF of the hub": "hf:o/large-GGUF",
    "GGUF on disk": "",
}
AS = {"plain": [], "device": ["--device", "RTX 4090"], "json": ["--device", "RTX 4090", "--json"]}


@pytest.fixture(scope="module")
def environment(hub: HubServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a process of a user's has: the hub, and modules that were compiled by an earlier call."""
    compiled = {"PYTHONPYCACHEPREFIX": str(tmp_path_factory.mktemp("compiled"))}
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | compiled | {"HF_ENDPOINT": hub.url}


@pytest.mark.benchmark(group="whole process", min_rounds=10)
@pytest.mark.parametrize("shown", AS)
@pytest.mark.parametrize("model", MODELS)
def test_second_plan_in_a_process_of_its_own(
    benchmark: BenchmarkFixture, environment: dict[str, str], tmp_path: Path, model: str, shown: str
) -> None:
    """What a user waits for: the second plan of a model, wherever it is; CPU seconds in ``extra_info``."""
    ref = MODELS[model] or str(tmp_path / "large.gguf")
    if not MODELS[model]:
        Path(ref).write_bytes(tiny.large_gguf())
    spent: list[float] = []

    def call() -> int:
        before = os.times()
        code = subprocess.run(
            [sys.executable, "-m", "hwledger", "plan", ref, *AS[shown]],
            capture_output=True, check=False, env=environment,
        ).returncode  # fmt: skip
        after = os.times()
        spent.append(after.children_user + after.children_system - before.children_user
                     - before.children_system)  # fmt: skip
        return code

    call()  # the first plan reads the headers and compiles the modules
    assert benchmark(call) in {0, 3}
    benchmark.extra_info["cpu_s"] = min(spent[1:])


@pytest.mark.benchmark(group="whole process", min_rounds=10)
def test_help_in_a_process_of_its_own(benchmark: BenchmarkFixture, environment: dict[str, str]) -> None:
    """The floor under every command: Python and click."""
    command = [sys.executable, "-m", "hwledger", "--help"]
    benchmark(subprocess.run, command, capture_output=True, check=True, env=environment)
