"""A real llama.cpp server at an address: what it runs is found out and planned as its own log prints it."""

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hwledger.app import plan
from hwledger.planner.plan import Plan
from support.engines import free_port, running
from support.process import run

pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("FR-SRC-ENGINE")]
MIB = 1 << 20
PRINTED = 0.005 * MIB
"""Half of the last digit that the log prints."""
BUFFERS = {
    "weights": r"load_tensors: +\S+ model buffer size = +([\d.]+) MiB",
    "kv_cache": r"llama_kv_cache: +\S+ KV buffer size = +([\d.]+) MiB",
    "output": r"llama_context: +\S+ +output buffer size = +([\d.]+) MiB",
    "compute": r"sched_reserve: +\S+ compute buffer size = +([\d.]+) MiB",
}
SLOTS = re.compile(r"n_slots = (\d+), n_ctx_slot = (\d+), kv_unified = '(\w+)'")
ON_THE_HOST = "n_gpu_layers=0"
"""The server does not say where it runs, and these run without an accelerator."""
SERVERS = {
    "": (),
    "-c 2048": (),
    "-c 2048 -np 2": (),
    "-c 3000 -np 1": (),
    "-c 1024 -np 1 -b 512 -ub 256": ("n_batch=512", "n_ubatch=256"),
    "-c 1500 -np 2 -fa on -ctk q8_0 -ctv q4_0": ("cache_type_k=q8_0", "cache_type_v=q4_0"),
    "-c 1024 -np 3 -kvu": ("kv_unified=on", "n_ctx=1024"),
}
"""What servers are started with, and what has to be said beside the address: the notes name just that."""


@pytest.fixture
def model(smollm: Path, tmp_path: Path) -> Path:
    """Return a real model under a name that nothing else has."""
    path = tmp_path / "a model's file.gguf"
    path.symlink_to(smollm)
    return path


@contextmanager
def serving(model: Path, llama_server: Path, words: str = "") -> Iterator[str]:
    """Run a server that logs its buffers; machines that repack weights for their own CPU are told not to."""
    port = free_port()
    script = (
        f"exec llama-server -m {shlex.quote(str(model))} --host 127.0.0.1 --port {port}"
        f" -lv 4 --no-repack --no-warmup {words}"
    )
    with running(script, port, model.parent, str(llama_server)) as address:
        yield address


def printed(log: Path) -> dict[str, float]:
    """Return the bytes of every kind of buffer that the log prints; the last try of a server counts."""
    text = log.read_text()
    return {name: float(re.findall(pattern, text)[-1]) * MIB for name, pattern in BUFFERS.items()}


def differences(made: Plan, log: dict[str, float]) -> dict[str, tuple[float, object]]:
    """Return what the log prints and the plan does not say, beyond the interval of each component."""
    planned = {part.name: part.interval_bytes for part in made.memory.components}
    assert set(planned) == set(log)
    return {
        name: (size, planned[name])
        for name, size in log.items()
        if not planned[name][0] - PRINTED <= size <= planned[name][1] + PRINTED
    }


@pytest.mark.parametrize("words", SERVERS)
def test_a_running_server_is_planned_as_its_log_prints(
    words: str, model: Path, llama_server: Path, tmp_path: Path
) -> None:
    """Engine, model, slots and context are the server's, and so is every buffer, to the digit where exact."""
    with serving(model, llama_server, words) as address:
        made = plan(address, options=[ON_THE_HOST, *SERVERS[words]])
    log = tmp_path / "log.txt"
    assert (made.engine, made.request.spec.format) == ("llama.cpp", "gguf")
    assert (made.program or "").startswith("llama-server b")
    assert made.request.spec.reading
    assert made.request.spec.reading.origin == str(model)
    found = SLOTS.search(log.read_text())
    assert found
    options = made.memory.options
    assert (made.memory.concurrency, made.memory.context_tokens) == (int(found[1]), int(found[2]))
    assert str(options["kv_unified"]).lower() == found[3]
    assert not differences(made, printed(log))


def test_what_a_server_does_not_say_is_said(model: Path, llama_server: Path) -> None:
    """The command line prints who runs it and which settings to give, and says so when the server is gone."""
    with serving(model, llama_server, "-c 1024 -np 3 -kvu") as address:
        there = run("plan", address)
    assert there.returncode == 0
    said = " ".join(there.stdout.split())
    assert "As run by: llama-server b" in said
    assert "context 1k, 3 requests at once" in said
    assert "give --option kv_unified=on --option n_ctx=1024" in said
    assert "the server does not state types of its cache, batch or what is offloaded" in said
    gone = run("plan", address)
    assert gone.returncode == 5
    assert "cannot be reached" in gone.stderr
