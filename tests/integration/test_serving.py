"""Serving: an engine that is kept up at a port, for programs of this machine."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from hwledger.errors import EngineError, UsageError
from hwledger.runner.engine import Ability
from hwledger.runner.fake import FakeEngine
from hwledger.running import Prepared, prepare
from hwledger.serving import RESTARTS, Down, Up, serve
from support import tiny
from support.engines import ask, free_port, needs

pytestmark = pytest.mark.requirement("FR-RUN-SERVE", "FR-REC-PROCESS", "FR-REC-EXPLAIN")
HWLEDGER = [sys.executable, "-m", "hwledger"]
PATIENCE_S = 120


def prepared(tmp_path: Path, engine: FakeEngine) -> Prepared:
    """Return a plan of a small model for the fake engine."""
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny.gguf_file())
    return prepare(str(path), runner=engine, context=128, concurrency=2)


def test_an_engine_that_ends_by_itself_is_started_again(tmp_path: Path) -> None:
    """Three times in a row, each after twice the pause, at the same port; then it is given up."""
    engine, pauses = FakeEngine(serves_looks=1), list[float]()
    events = serve(prepared(tmp_path, engine), 8123, pause=pauses.append, clock=lambda: 0.0)
    seen: list[Up | Down] = []
    with pytest.raises(EngineError, match=f"started again {RESTARTS} times and is given up"):
        seen.extend(events)
    assert pauses == [1.0, 2.0, 4.0]
    assert len(engine.started) == RESTARTS + 1
    assert all(each.stopped for each in engine.started)
    assert {each.address for each in engine.started} == {"http://127.0.0.1:8123"}


def test_one_that_served_long_is_counted_anew(tmp_path: Path) -> None:
    """A crash a day is no reason to give up."""
    times = iter(range(0, 1_000_000, 10_000))
    events = serve(prepared(tmp_path, FakeEngine(serves_looks=0)), 8123, pause=lambda _: None,
                   clock=lambda: float(next(times)))  # fmt: skip
    seen = [next(events) for _ in range(20)]
    assert [type(each) for each in seen] == [Up, Down] * 10
    assert {each.again_s for each in seen if isinstance(each, Down)} == {1.0}


def test_closing_ends_the_engine(tmp_path: Path) -> None:
    """Whoever leaves leaves nothing behind."""
    engine = FakeEngine()
    events = serve(prepared(tmp_path, engine), 8123)
    assert isinstance(next(events), Up)
    events.close()  # type: ignore[attr-defined]
    assert engine.started[0].stopped


def test_an_engine_that_serves_nobody_says_so(tmp_path: Path) -> None:
    """It is refused before anything is started."""
    engine = FakeEngine(abilities=frozenset(Ability) - {Ability.SERVE})
    with pytest.raises(UsageError, match="serves nobody"):
        next(serve(prepared(tmp_path, engine), 8123))
    assert not engine.started


@pytest.mark.enable_socket
def test_a_real_model_is_served_and_ends_cleanly(smollm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenAI's paths answer on loopback with what was planned; Ctrl-C ends it with exit code 0."""
    needs("xllamacpp")
    monkeypatch.setenv("LLAMA_ARG_THREADS", "1")
    words = [
        "serve",
        str(smollm),
        "--port",
        str(free_port()),
        "--context",
        "256",
        "--concurrency",
        "2",
        "--json",
    ]
    process = subprocess.Popen([*HWLEDGER, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        plan, up = (json.loads(process.stdout.readline()) for _ in range(2))
        assert (plan["event"], plan["concurrency"], up["event"]) == ("plan", 2, "up")
        terms = {term["name"]: term for term in up["reconciliation"]["terms"]}
        assert (terms["kv_cache"]["inside"], terms["slots"]["seen"]["value"]) == (True, 2)
        answer = ask(f"{up['api']}/completions", {"prompt": "The sky is", "max_tokens": 3})
        assert answer["usage"]["completion_tokens"] == 3
        _reconciled_by_its_process(up["pid"])
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, json.loads(out)["event"]) == (0, "ended"), err
        assert _gone(up["pid"])
    finally:
        process.kill()
        process.communicate()


def _reconciled_by_its_process(pid: int) -> None:
    """By the number of its process, or of its guard, every buffer is seen in the log that it writes."""
    ran = _run("reconcile", "--pid", str(pid), "--option", "n_gpu_layers=0", "--no-record", "--json")
    terms = {term["name"]: term for term in json.loads(ran.stdout)["terms"]}
    assert all(terms[name]["inside"] for name in ("weights", "kv_cache", "compute", "slots")), ran.stdout
    guard = str(psutil.Process(pid).ppid())
    ran = _run("reconcile", "--pid", guard, "--option", "n_gpu_layers=0", "--explain", "200MiB", "--json")
    told = json.loads(ran.stdout)
    assert {line["name"]: line["trust"] for line in told["lines"]}["kv_cache"] == "logged"
    assert told["whole_bytes"] == 200 << 20


@pytest.mark.enable_socket
def test_a_port_that_is_taken_is_one_sentence(smollm: Path) -> None:
    """Exit code 2; another port is the way out. What does not fit is refused before, with exit code 3."""
    needs("xllamacpp")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ran = _run("serve", str(smollm), "--port", port, "--context", "256")
        assert (ran.returncode, f"port {port} of 127.0.0.1 is taken" in ran.stderr) == (2, True)
        ran = _run("serve", str(smollm), "--port", port, "--context", str(1 << 30))
    assert (ran.returncode, "what would fit: " in ran.stderr) == (3, True)


def _run(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*HWLEDGER, *words], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def _gone(pid: int) -> bool:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return not os.path.exists(f"/proc/{pid}")  # noqa: PTH110 - as the system calls it
