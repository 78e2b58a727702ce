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
from support.hub import HubServer, Repo

TOKENS = 150_000
pytestmark = pytest.mark.enable_socket


def large() -> bytes:
    """Return a GGUF with a 150k-token tokenizer and 64 MiB that are not read."""
    tokens = [f"{index:07}"[: 3 + index % 6] for index in range(TOKENS)]
    lists = {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": [1] * TOKENS,
             "tokenizer.ggml.merges": [f"{token} {token}" for token in tokens]}  # fmt: skip
    return tiny.gguf_file(**lists)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    """A hub with a large GGUF header and with 160 shards."""
    tensors = {f"model.layers.0.mlp.experts.{i}.up_proj.weight": ("BF16", (64, 64)) for i in range(1600)}
    repos = {
        "o/large-GGUF": Repo({"large-F16.gguf": large()}),
        "o/shards": Repo({**tiny.plain(), **tiny.checkpoint(tensors, 160)}),  # type: ignore[arg-type]
    }
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
    path.write_bytes(large())
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
