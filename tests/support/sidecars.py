"""Sidecars that break: every way in which a host, a guard or an engine can end, and what must be left."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from hwledger.errors import EngineError
from hwledger.runner.engine import Ask, Event, Limits
from hwledger.runner.sidecar.running import Program, SidecarRunning, start

BACKEND = "hwledger.runner.sidecar.backend:FakeBackend"
PATIENCE_S = 60.0
SILENT_S = 0.5
HOST = """
import json, sys
from support.sidecars import sidecar
from hwledger.runner.engine import Ask
running = sidecar()
print(json.dumps([running.pid, running.guard_pid]), flush=True)
for event in running.generate(Ask(prompt="over and over")):
    pass
"""
"""A process that runs a sidecar until it is killed."""


def sidecar(model: str = "fake", silent_s: float = PATIENCE_S, context: int = 1 << 20) -> SidecarRunning:
    """Return a sidecar that holds the fake engine."""
    program = Program(engine="fake", title="the fake engine", backend=BACKEND, model="fake",
                      load={"model": model, "context": context})  # fmt: skip
    return start(program, Limits(ready_s=PATIENCE_S, silent_s=silent_s))


def cancelled(running: SidecarRunning, prompt: str) -> list[Event]:
    """Return the events of a request that is cancelled with its first one."""
    seen: list[Event] = []
    for event in running.generate(Ask(prompt=prompt)):
        if not seen:
            running.cancel()
        seen.append(event)
    return seen


def gone(pid: int) -> bool:
    """Whether a process has ended, within the patience; one that its new parent has not reaped has ended."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE and process.ppid() != os.getpid():
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


def sentence(running: SidecarRunning, prompt: str) -> str:
    """Return what is said of a request that fails.

    Raises:
        AssertionError: it did not fail, or not with one sentence.
    """
    said = ""
    try:
        for _ in running.generate(Ask(prompt=prompt, max_tokens=100_000)):
            pass
    except EngineError as error:
        said = str(error)
    assert said, f"{prompt!r} did not fail"
    assert "\n" not in said
    assert "Traceback" not in said
    return said


def kill_sidecar(chance: random.Random) -> str:
    """Kill the engine's process while it answers."""
    return _kill(chance, lambda running: running.pid, signal.SIGKILL)


def crash_sidecar(chance: random.Random) -> str:
    """Have the engine's process crash from outside, at any moment of an answer."""
    return _kill(chance, lambda running: running.pid, signal.SIGSEGV)


def kill_guard(chance: random.Random) -> str:
    """Kill what stands between."""
    return _kill(chance, lambda running: running.guard_pid, signal.SIGKILL)


def _kill(chance: random.Random, whom: Callable[[SidecarRunning], int | None], number: int) -> str:
    with sidecar() as running:
        pids = running.pid, running.guard_pid
        after, said = chance.randrange(1, 40), ""
        try:
            for count, _ in enumerate(running.generate(Ask(prompt="over and over"))):
                if count == after:
                    os.kill(whom(running) or 0, number)
        except EngineError as error:
            said = str(error)
        assert said
        assert "\n" not in said
    return _all_gone(pids, said)


def segfault(chance: random.Random) -> str:
    """Have the engine crash by itself."""
    del chance
    return _broken("!segfault")


def leave(chance: random.Random) -> str:
    """Have the engine end by itself."""
    del chance
    return _broken("!exit")


def hang(chance: random.Random) -> str:
    """Have the engine hang and be deaf to SIGTERM."""
    del chance
    return _broken("!hang", silent_s=SILENT_S)


def closed_pipes(chance: random.Random) -> str:
    """Have the engine close the files of the protocol, one or both, and live on."""
    return _broken(chance.choice(("!close", "!close-out", "!close-in")), silent_s=SILENT_S)


def garbage(chance: random.Random) -> str:
    """Have the engine say what is no message."""
    return _broken(
        chance.choice(("!garbage", "!list", "!deep", "!nan", "!cut", "!digits")), silent_s=SILENT_S
    )


def _broken(prompt: str, silent_s: float = PATIENCE_S) -> str:
    with sidecar(silent_s=silent_s) as running:
        pids = running.pid, running.guard_pid
        said = sentence(running, f"{prompt} x")
    return _all_gone(pids, said)


def kill_host(chance: random.Random) -> str:
    """Kill hwledger itself at any moment after it began."""
    tests = str(Path(__file__).parent.parent)
    host = subprocess.Popen([sys.executable, "-c", HOST], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            env={**os.environ, "PYTHONPATH": tests})  # fmt: skip
    assert host.stdout
    pids = json.loads(host.stdout.readline())
    time.sleep(chance.random() * 0.1)
    host.kill()
    host.wait()
    host.stdout.close()
    return _all_gone(pids, "the host was killed")


def _all_gone(pids: tuple[int | None, ...] | list[int], said: str) -> str:
    left = [pid for pid in pids if pid is not None and not gone(pid)]
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert not left, f"processes {left} are left after: {said}"
    zombies = [child.pid for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE]
    assert not zombies, f"zombies {zombies} are left after: {said}"
    return said


FAULTS: dict[str, Callable[[random.Random], str]] = {
    "kill host": kill_host, "kill sidecar": kill_sidecar, "kill guard": kill_guard,
    "crash": crash_sidecar, "segfault": segfault, "exit": leave, "hang": hang,
    "closed pipes": closed_pipes, "garbage": garbage,
}  # fmt: skip
