"""The supervisor: nothing outlives who started it, nothing is left behind, and a crash is one sentence."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import psutil
import pytest

from hwledger.errors import EngineError
from hwledger.runner.process import Child
from support.children import children

pytestmark = [
    pytest.mark.requirement("FR-RUN-SUPERVISE"),
    pytest.mark.skipif(sys.platform == "win32", reason="no process groups"),
]
PATIENCE_S = 60
SLEEPS = "import time; print('up', flush=True); time.sleep(600)"
DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
FAMILY = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, '-c', {DEAF!r}])
print('child', child.pid, flush=True)
time.sleep(600)
"""


def child(tmp_path: Path, code: str, grace_s: float = 2.0) -> Child:
    """Return a Python program under supervision."""
    return Child("the engine", [sys.executable, "-c", code], tmp_path / "log.txt", grace_s=grace_s)


def wait_for(log: Path, text: str) -> str:
    """Return the log when it holds a text."""
    end = time.monotonic() + PATIENCE_S
    while text not in (said := log.read_text("utf-8") if log.exists() else ""):
        assert time.monotonic() < end, f"{text!r} never came: {said!r}"
        time.sleep(0.02)
    return said


def gone(pid: int) -> bool:
    """Whether a process has ended within the patience; one that its new parent has not reaped has ended."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            if (
                psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
                and psutil.Process(pid).ppid() != os.getpid()
            ):
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def no_children() -> bool:
    """Whether this process has no child left, zombies included."""
    return not children()


def test_a_program_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    """One that ignores SIGTERM is killed after the grace; no child, no grandchild and no zombie is left."""
    running = child(tmp_path, FAMILY, grace_s=0.3)
    wait_for(running.log, "up")
    grandchild = int(wait_for(running.log, "child").split("child ")[1].split()[0])
    assert running.alive
    assert running.stop() == -signal.SIGTERM
    assert running.stop() == -signal.SIGTERM
    assert not running.alive
    assert gone(running.pid)
    assert gone(grandchild)
    assert no_children()


def test_one_that_will_not_end_is_killed(tmp_path: Path) -> None:
    """SIGTERM is asked first, and SIGKILL is what ends it."""
    with child(tmp_path, DEAF, grace_s=0.2) as running:
        wait_for(running.log, "up")
    assert running.code == -signal.SIGKILL
    assert no_children()


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("print('out of memory'); raise SystemExit(3)", "exit status 3"),
        (
            "import os, signal; print('out of memory', flush=True); os.kill(os.getpid(), signal.SIGSEGV)",
            "SIGSEGV",
        ),
    ],
)
def test_a_crash_is_told_with_the_last_lines(tmp_path: Path, code: str, how: str) -> None:
    """How it ended, what it printed last and where all of it is, in one sentence."""
    with child(tmp_path, code) as running:
        with pytest.raises(EngineError, match="before it was ready") as caught:
            running.wait_ready(lambda: False, PATIENCE_S)
        assert how in str(caught.value)
        assert "out of memory" in str(caught.value)
        assert str(running.log) in str(caught.value)
    assert no_children()


def test_one_that_is_not_ready_in_time_is_ended(tmp_path: Path) -> None:
    """The time limit holds, and nothing is left running."""
    running = child(tmp_path, SLEEPS)
    with pytest.raises(EngineError, match="was not ready after"):
        running.wait_ready(lambda: False, 0.2)
    assert gone(running.pid)
    assert no_children()


def test_what_cannot_be_run_is_said(tmp_path: Path) -> None:
    """A program that does not exist, or may not be run, is an error at once."""
    for name, why in ((str(tmp_path / "nothing"), "no such program"), (str(tmp_path), "denied")):
        with pytest.raises(EngineError, match=why):
            Child("the engine", [name], tmp_path / "log.txt")
    assert no_children()


HOST = """
import json, sys, time
from pathlib import Path
from hwledger.runner.process import Child
running = Child("engine", [sys.executable, "-c", sys.argv[2]], Path(sys.argv[1]), grace_s=0.3)
print(json.dumps({"engine": running.pid, "guard": running._guard.pid}), flush=True)
time.sleep(600)
"""


def host(tmp_path: Path, code: str) -> tuple["subprocess.Popen[str]", dict[str, int]]:
    """Return a process that supervises a program, and the numbers of what it started."""
    words = [sys.executable, "-c", textwrap.dedent(HOST), str(tmp_path / "log.txt"), code]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    with process.stdout:
        return process, json.loads(process.stdout.readline())


@pytest.mark.parametrize("code", [SLEEPS, DEAF, FAMILY])
def test_a_host_that_is_killed_leaves_nothing(tmp_path: Path, code: str) -> None:
    """Kill -9 of hwledger itself: the guard sees the end of its input and ends the engine's whole group."""
    process, numbers = host(tmp_path, code)
    wait_for(tmp_path / "log.txt", "up")
    said = (tmp_path / "log.txt").read_text("utf-8")
    others = [int(word) for word in said.split() if word.isdigit()]
    process.kill()
    process.wait()
    for pid in (*numbers.values(), *others):
        assert gone(pid), pid


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has a parent-death signal")
def test_host_and_guard_killed_together_leave_nothing(tmp_path: Path) -> None:
    """With nobody left to end it, the kernel kills the engine."""
    process, numbers = host(tmp_path, DEAF)
    wait_for(tmp_path / "log.txt", "up")
    process.send_signal(signal.SIGSTOP)  # so that it cannot act on the death of the guard
    os.kill(numbers["guard"], signal.SIGKILL)
    process.kill()
    process.wait()
    assert gone(numbers["engine"])
    assert gone(numbers["guard"])


def test_a_guard_that_is_killed_takes_the_engine_with_it(tmp_path: Path) -> None:
    """The end is seen, and that nobody knows how it came."""
    running = child(tmp_path, DEAF)
    wait_for(running.log, "up")
    os.kill(running._guard.pid, signal.SIGKILL)
    assert running.wait(PATIENCE_S)
    assert gone(running.pid)
    assert running.stop() is None
    assert "guard was killed" in str(running.failure("while it ran"))
    assert no_children()


def test_a_thread_that_ends_does_not_take_the_engine_with_it(tmp_path: Path) -> None:
    """The kernel's parent-death signal fires with the thread that spawned; the guard has only one."""
    made: list[Child] = []
    thread = threading.Thread(target=lambda: made.append(child(tmp_path, SLEEPS)))
    thread.start()
    thread.join()
    with made[0] as running:
        wait_for(running.log, "up")
        assert not running.wait(0.3)
    assert running.code == -signal.SIGTERM


def test_its_output_stays_out_of_the_way(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What it prints is in its file, both streams, and nowhere else; noise holds nothing up."""
    code = "import sys; print('x' * 300000); print('end', file=sys.stderr)"
    with child(tmp_path, code) as running:
        assert running.wait(PATIENCE_S)
        assert running.code == 0
        assert running.last_lines()[-1] == "end"
    assert running.log.stat().st_size > 300000
    assert running.log.stat().st_mode & 0o077 == 0 or os.name != "posix"
    assert capfd.readouterr() == ("", "")


def test_interrupts_of_the_terminal_do_not_reach_it(tmp_path: Path) -> None:
    """Ctrl-C goes to the group of hwledger; the engine is in another session, and is stopped in order."""
    with child(tmp_path, SLEEPS) as running:
        wait_for(running.log, "up")
        assert os.getsid(running.pid) != os.getsid(0)
        assert os.getpgid(running.pid) == running.pid
