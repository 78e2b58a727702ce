"""One engine's process: started behind a guard, watched, and ended with all that it started.

The guard (``guard.py``) is a small process of its own, so that the engine is ended when this one is gone,
however it went; what the engine prints goes to a file and never into a protocol.
"""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from hwledger.errors import EngineError, UsageError

GRACE_S: Final = 5.0
"""Between asking a process to end and killing it."""
SLACK_S: Final = 5.0
"""What the guard may take beyond that."""
BEGIN_S: Final = 30.0
LOOK_S: Final = 0.05
LAST_LINES: Final = 6
_LAST_BYTES: Final = 16 << 10
_LONGEST_LINE: Final = 240
_GUARD: Final = Path(__file__).with_name("guard.py")


class Child:
    """A process that lives no longer than this one.

    Args:
        name: what it is called in sentences.
        command: the program and its arguments.
        log: file that gets what it prints; made anew.
        env: its environment; this one's where ``None``.
        grace_s: seconds between asking it to end and killing it.
        talks: it is talked to: ``pipes`` are its standard input and output, and the log gets what it writes
            to its standard error.

    Attributes:
        name, log: as given.
        pid: its number.
        pipes: files to write to and to read from, unbuffered; ``None`` where it is not talked to.

    Raises:
        EngineError: it cannot be started.
        UsageError: this system has no process groups (Windows).
    """

    def __init__(  # noqa: PLR0913 - what is told of a process
        self, name: str, command: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None,
        grace_s: float = GRACE_S, talks: bool = False,
    ) -> None:  # fmt: skip
        self.name, self.log = name, log
        self.pipes: tuple[IO[bytes], IO[bytes]] | None = None
        self._grace_s = grace_s
        self._code: int | None = None
        self._over = threading.Event()
        self._stopping = threading.Lock()
        self._guard = self._guarded(command, env, talks=talks)
        self.pid = self._begun()
        self._listener = threading.Thread(target=self._listen, name=f"guard of {name}", daemon=True)
        self._listener.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def guard_pid(self) -> int:
        """The guard's number."""
        return self._guard.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return not self._over.is_set()

    @property
    def code(self) -> int | None:
        """How it ended: its exit status, or the signal as a negative number; ``None``: not known."""
        return self._code

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it has ended, and return whether it has."""
        return self._over.wait(seconds)

    def wait_ready(self, is_ready: Callable[[], bool], limit_s: float) -> None:
        """Wait until ``is_ready`` says so.

        Raises:
            EngineError: it ended before, or the time is up, and then it is ended; its last lines are told.
        """
        end = time.monotonic() + limit_s
        while not is_ready():
            if self._over.wait(LOOK_S):
                raise self.failure("before it was ready")
            if time.monotonic() > end:
                self.stop()
                raise EngineError(
                    f"{self.name} was not ready after {limit_s:,.0f} s and was ended; {self._last_words()}"
                )

    def failure(self, when: str) -> EngineError:
        """Return what to say of a process that ended by itself: how, its last lines, and where its log is."""
        return EngineError(f"{self.name} ended {when} ({_how(self._code)}); {self._last_words()}")

    def last_lines(self, count: int = LAST_LINES) -> list[str]:
        """Return the last lines that it printed, without empty ones."""
        try:
            with self.log.open("rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - _LAST_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return []
        lines = (" ".join(line.split())[:_LONGEST_LINE] for line in text.splitlines())
        return [line for line in lines if line][-count:]

    def _last_words(self) -> str:
        lines = self.last_lines()
        said = f"its last lines: {' | '.join(lines)}" if lines else "it printed nothing"
        return f"{said}; all of them are in {self.log}"

    def stop(self) -> int | None:
        """End it and all that it started, and return how it ended; a second call returns the same."""
        with self._stopping:
            with contextlib.suppress(OSError):
                _pipe(self._guard.stdin).close()  # the guard sees the end of its input
            if not self._over.wait(self._grace_s + SLACK_S):
                self._kill()
            self._listener.join()
            self._guard.wait()
            if self.pipes:  # the other one is closed by whoever reads it to its end
                self.pipes[0].close()
            return self._code

    def _guarded(
        self, command: Sequence[str], env: Mapping[str, str] | None, *, talks: bool
    ) -> "subprocess.Popen[bytes]":
        """Start the guard, and keep this end of the pipes."""
        if not hasattr(os, "fork"):
            raise UsageError("engines are run on Linux and macOS; on Windows run hwledger inside WSL")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.unlink(missing_ok=True)  # the guard makes it anew, for this user's eyes alone
        theirs: tuple[int, ...] = ()
        if talks:
            (asked, ask), (told, tell) = os.pipe(), os.pipe()
            theirs = (asked, tell)
            self.pipes = os.fdopen(ask, "wb", 0), os.fdopen(told, "rb", 0)
        words = ",".join(map(str, theirs)) or "-"
        try:
            return _spawn([str(self._grace_s), str(self.log), words, *command], env, theirs)
        except OSError as error:
            self._let_go()
            raise EngineError(f"no process can be started ({error.strerror or error})") from None
        finally:
            for each in theirs:
                os.close(each)

    def _let_go(self) -> None:
        """Close this end of the pipes."""
        for each in self.pipes or ():
            with contextlib.suppress(OSError):
                each.close()

    def _kill(self) -> None:
        """Kill what the guard did not end: the group first, so that the guard can still reap it."""
        _kill_group(self.pid)
        if not self._over.wait(SLACK_S):
            self._guard.kill()

    def _begun(self) -> int:
        """Return the process's number when the guard has told it."""
        timer = threading.Timer(BEGIN_S, self._guard.kill)
        timer.daemon = True
        timer.start()
        word, _, number = (
            _pipe(self._guard.stdout).readline().decode("ascii", "replace").strip().partition(" ")
        )
        timer.cancel()
        if word == "started":
            return int(number)
        _close(self._guard)
        self._let_go()
        raise EngineError(f"{self.name} cannot be started ({_why(word, number)})")

    def _listen(self) -> None:
        """Take what the guard tells until it ends."""
        for line in _pipe(self._guard.stdout):
            word, _, number = line.decode("ascii", "replace").strip().partition(" ")
            if word == "ended":
                self._code = int(number)
        _pipe(self._guard.stdout).close()
        if self._code is None:  # the guard was killed, and cannot end anything any more
            _kill_group(self.pid)
        self._over.set()


def _spawn(
    words: Sequence[str], env: Mapping[str, str] | None, pipes: Sequence[int]
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - the caller names the program
        [sys.executable, "-I", "-S", str(_GUARD), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env=env, start_new_session=True, pass_fds=pipes,
    )  # fmt: skip


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    """Return a pipe of the guard; both were asked for."""
    assert stream is not None  # noqa: S101 - for the type alone
    return stream


def _close(guard: "subprocess.Popen[bytes]") -> None:
    _pipe(guard.stdin).close()
    _pipe(guard.stdout).close()
    guard.wait()


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _why(word: str, number: str) -> str:
    if word != "failed" or not number.isdigit():
        return "its guard did not start"
    if int(number) == errno.ENOENT:
        return "there is no such program"
    return os.strerror(int(number))


def _how(code: int | None) -> str:
    if code is None:
        return "its guard was killed"
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"by signal {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
