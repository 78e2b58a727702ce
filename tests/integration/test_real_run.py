"""Real runs of a real small model on llama.cpp: answered, interrupted, killed, crashed and reconciled."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from jsonschema import Draft202012Validator

from hwledger.errors import EngineError
from hwledger.runner.engine import Ask, Limits
from hwledger.running import prepare
from hwledger.shipped import shipped_text
from support.children import children
from support.engines import free_port, needs, running

pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("FR-RUN-CLI", "FR-RUN-LLAMACPP")]
PATIENCE_S = 120
HWLEDGER = [sys.executable, "-m", "hwledger"]
PRINTED = 0.005 * (1 << 20) + 1


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep llama.cpp from spinning on every core of a busy machine."""
    needs("xllamacpp")
    monkeypatch.setenv("LLAMA_ARG_THREADS", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")


def run(*words: str, prompt: str = "") -> "subprocess.CompletedProcess[str]":
    """Run a model with a prompt on the standard input."""
    return subprocess.run([*HWLEDGER, "run", *words], input=prompt, capture_output=True, text=True,
                          timeout=PATIENCE_S, check=False)  # fmt: skip


@contextmanager
def started(*words: str) -> Iterator["subprocess.Popen[str]"]:
    """Give a long run that is under way."""
    process = subprocess.Popen(
        [*HWLEDGER, "run", *words, "Once upon a time", "--json", "--max-tokens", "4000", "--context", "4096"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(process: "subprocess.Popen[str]", name: str) -> dict[str, Any]:
    """Return the first event of a name."""
    assert process.stdout
    for line in process.stdout:
        event: dict[str, Any] = json.loads(line)
        if event["event"] == name:
            return event
    pytest.fail(f"{name} never came: {process.stderr.read() if process.stderr else ''}")


def gone(pid: int) -> bool:
    """Whether a process ends within the patience; one that nobody reaped yet has ended."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_the_answer_is_all_that_is_on_stdout(smollm: Path) -> None:
    """Prompt from a pipe, answer on stdout, plan, timings and reconciliation on stderr."""
    ran = run(str(smollm), "--context", "256", "--max-tokens", "5", "--temperature", "0", prompt="The sky is")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()
    assert ran.stdout.count("\n") == 1
    for words in (
        "Fits: needs",
        "tokens of prompt at",
        "planned as llama.cpp b",
        "as planned",
        "unexplained",
    ):
        assert words in ran.stderr
    assert "outside" not in ran.stderr


@pytest.mark.parametrize("context", [256, 1024, 2048])
def test_memory_is_as_planned(smollm: Path, context: int) -> None:
    """At several contexts every buffer that llama.cpp prints is in the planned interval, to a digit."""
    ran = run(str(smollm), "x", "--context", str(context), "--max-tokens", "1", "--chat", "--json")
    assert ran.returncode == 0, ran.stderr
    events = [json.loads(line) for line in ran.stdout.splitlines()]
    names = [event["event"] for event in events]
    assert names[:3] == ["plan", "starting", "ready"]
    assert names[-2:] == ["done", "reconciliation"]
    found = events[-1]["reconciliation"]
    terms = {term["name"]: term for term in found["terms"]}
    for name in ("weights", "kv_cache", "compute", "context", "slots"):
        assert terms[name]["inside"] is True, terms[name]
    assert abs(terms["kv_cache"]["difference"]) <= PRINTED
    assert found["planned_bytes"] == events[0]["total_bytes"]
    (account,) = found["accounts"]
    assert account["whole"]["value"] == pytest.approx(
        sum(part["value"] for part in account["parts"]) + account["unexplained"]
    )
    assert gone(events[2]["pid"])


def test_an_interrupt_ends_the_engine(smollm: Path) -> None:
    """Ctrl-C in the middle of an answer: exit code 130, one word on stderr, and nothing is left running."""
    with started(str(smollm)) as process:
        engine = until(process, "ready")["pid"]
        until(process, "token")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 130
        assert err.strip().splitlines()[-1] == "hwledger: interrupted"
        assert "Traceback" not in err
        assert gone(engine)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_is_killed_leaves_no_engine(smollm: Path, how: signal.Signals) -> None:
    """Kill -9 of hwledger in the middle of an answer."""
    with started(str(smollm)) as process:
        engine = until(process, "ready")["pid"]
        until(process, "token")
        process.send_signal(how)
        process.wait(PATIENCE_S)
        assert gone(engine)


@pytest.mark.parametrize("how", ["SIGKILL", "SIGSEGV"])
def test_an_engine_that_crashes_is_one_sentence(smollm: Path, how: str) -> None:
    """The engine dies in the middle of an answer: exit code 6, how it ended and where its log is."""
    with started(str(smollm)) as process:
        engine = until(process, "ready")["pid"]
        until(process, "token")
        os.kill(engine, getattr(signal, how))
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 6
    (sentence,) = [line for line in err.splitlines() if line.startswith("hwledger: llama.cpp")]
    assert f"ended while it answered (by signal {how})" in sentence
    assert ".log" in sentence
    assert "Traceback" not in err


def test_a_model_that_is_broken_is_one_sentence(smollm: Path, tmp_path: Path) -> None:
    """A file whose tensors are cut off: llama.cpp refuses it, and its own last words are told."""
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(smollm.read_bytes()[: 8 << 20])
    ran = run(str(cut), "x", "--context", "256")
    assert ran.returncode in {4, 6}, ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stderr.strip().splitlines()[-1].startswith("hwledger: ")


def test_what_does_not_fit_is_refused(smollm: Path) -> None:
    """Exit code 3 with the way out, and no engine is started."""
    ran = run(str(smollm), "x", "--context", str(1 << 30))
    assert ran.returncode == 3
    assert "Does not fit" in ran.stderr
    assert "what would fit: " in ran.stderr
    assert ran.stdout == ""


@pytest.mark.parametrize(
    ("words", "prompt", "why"),
    [
        (("--engine", "nothing"), "x", "unknown engine to run"),
        ((), "", "the prompt is empty"),
        (("--max-tokens", "0"), "x", "max-tokens"),
        (("--option", "nonsense=1"), "x", "nonsense"),
    ],
)
def test_bad_requests_are_one_sentence(smollm: Path, words: tuple[str, ...], prompt: str, why: str) -> None:
    """Exit code 2 and what to do instead."""
    ran = run(str(smollm), *words, prompt=prompt)
    assert ran.returncode == 2
    assert why in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.requirement("FR-RUN-SUPERVISE")
def test_an_engine_that_hangs_is_given_up(smollm: Path) -> None:
    """It says nothing for longer than its limit: one sentence; it is ended although it hears no SIGTERM."""
    ready = prepare(str(smollm), context=256)
    with ready.engine.start(ready.plan, Limits(ready_s=PATIENCE_S, silent_s=0.5)) as held:
        assert held.pid is not None
        os.kill(held.pid, signal.SIGSTOP)
        with pytest.raises(EngineError, match="said nothing for"):
            list(held.generate(Ask(prompt="x", max_tokens=1)))
    assert gone(held.pid)
    assert not children()


@pytest.mark.requirement("FR-RUN-SUPERVISE")
def test_an_engine_that_does_not_get_ready_is_given_up(smollm: Path) -> None:
    """The limit for loading holds, and nothing is left."""
    ready = prepare(str(smollm), context=256)
    with pytest.raises(EngineError, match="was not ready after"):
        ready.engine.start(ready.plan, Limits(ready_s=0.0))
    assert not children()


@pytest.mark.requirement("FR-RUN-ENGINES")
def test_the_engines_that_are_here_are_listed() -> None:
    """What is installed has a version and a place; what can be done and how to install it is always said."""
    ran = subprocess.run([*HWLEDGER, "engines", "--json"], capture_output=True, text=True, timeout=PATIENCE_S,
                         check=False)  # fmt: skip
    document = json.loads(ran.stdout)
    assert document["schema"] == "hwledger.engines/1"
    found = {each["engine"]: each for each in document["engines"]}["llama.cpp"]
    assert found["installed"] is True
    assert found["version"].startswith("b")
    assert {"chat", "cancel", "memory", "timings"} <= set(found["abilities"])
    assert "pip install" in found["install"]
    text = subprocess.run([*HWLEDGER, "engines"], capture_output=True, text=True, timeout=PATIENCE_S,
                          check=False)  # fmt: skip
    assert found["version"] in text.stdout


@pytest.mark.requirement("FR-RUN-RECONCILE")
def test_a_server_that_runs_is_reconciled(smollm: Path, llama_server: Path, tmp_path: Path) -> None:
    """Weights as it states them, and its process; by a log, its own or a given one, each buffer, too."""
    port = free_port()
    script = (
        f"exec llama-server -m {shlex.quote(str(smollm))} --host 127.0.0.1 --port {port} -lv 4 --no-repack"
        " --no-warmup -c 512 -np 2 -t 1"
    )
    with running(script, port, tmp_path, str(llama_server)) as address:
        words = [*HWLEDGER, "reconcile", address, "--option", "n_gpu_layers=0", "--json"]
        by_address = _reconciled(words)
        by_log = _reconciled([*words, "--log", str(tmp_path / "log.txt")])
    terms = {term["name"]: term for term in by_address["terms"]}
    assert terms["weights"]["inside"] is not None
    assert terms["kv_cache"]["inside"] is True  # by the file that its process writes to
    assert (terms["slots"]["inside"], terms["context"]["inside"]) == (True, True)
    assert by_address["accounts"][0]["whole"]["value"] > 90 << 20
    terms = {term["name"]: term for term in by_log["terms"]}
    for name in ("kv_cache", "compute"):
        assert terms[name]["inside"] is True, terms[name]
    assert by_log["accounts"][0]["parts"]


def _reconciled(words: list[str]) -> dict[str, Any]:
    ran = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    schema = json.loads(shipped_text("hwledger.reconcile", "schemas/reconciliation-1.json"))
    Draft202012Validator(schema).validate(found)
    return found
