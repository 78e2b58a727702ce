"""How long the list of ten thousand small models on this machine takes; ``make benchmark``."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from support import tiny

MODELS = 10_000


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub's cache of that many repositories, laid out as huggingface_hub does."""
    home = tmp_path_factory.mktemp("home")
    files = tiny.plain()
    for number in range(MODELS):
        folder = home / "hub" / f"models--org{number % 100}--model-{number}"
        snapshot = folder / "snapshots" / f"{number:040x}"
        snapshot.mkdir(parents=True)
        (folder / "blobs").mkdir()
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text(snapshot.name)
        for name, raw in files.items():
            (folder / "blobs" / name).write_bytes(raw)
            (snapshot / name).symlink_to(f"../../blobs/{name}")
    return home


@pytest.mark.benchmark(group="10,000 models on this machine")
@pytest.mark.parametrize("how", ["json", "table", "no-fit"])
def test_second_list(benchmark: BenchmarkFixture, cache: Path, how: str) -> None:
    """The second list in a process of its own: wall time; CPU seconds and memory beside it."""
    environment = os.environ | {
        "HOME": str(cache), "HF_HOME": str(cache), "HWLEDGER_CACHE_DIR": str(cache / "kept"),
        "COLUMNS": "120",
    }  # fmt: skip
    options = {"json": ["--json"], "table": [], "no-fit": ["--no-fit"]}[how]
    command = [sys.executable, "-m", "hwledger", "models", "--local", *options]

    def call() -> bytes:
        return subprocess.run(command, capture_output=True, check=True, env=environment).stdout

    call()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = benchmark.pedantic(call, rounds=3)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    benchmark.extra_info["cpu_s"] = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 3
    benchmark.extra_info["most_memory_mib"] = after.ru_maxrss / 1024
    if how == "json":
        assert sum(row["verdict"] == "fits" for row in json.loads(found)["local"]) == MODELS
    else:
        assert b"10,000 models on this machine" in found
