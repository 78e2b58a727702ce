"""Stands between hwledger and an engine, so that neither outlives the other: run as a script, by itself.

``python -I -S guard.py GRACE_SECONDS LOG - PROGRAM ARGUMENT…``

It starts the program in a process group of its own with what it prints in LOG, and ends that group, first
with SIGTERM and after the grace with SIGKILL, when its standard input ends (whoever holds the other end is
gone, however it died), when it is asked to by SIGTERM, or when it is orphaned. On Linux the kernel kills the
program when the guard itself is killed, and what the program leaves behind is adopted and reaped here.

In place of ``-`` stand the numbers of two open pipes, ``IN,OUT``, for a program that is talked to: it gets
them as its standard input and output, the guard keeps neither, and LOG gets its standard error alone.

It writes lines to its standard output: ``started PID``, then ``ended CODE`` (negative: the signal), or
``failed ERRNO`` where the program cannot be run. It imports nothing of hwledger: it has to be there in 20 ms.
"""

import contextlib
import os
import select
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LOOK_S = 1.0
"""How often it looks whether it was orphaned, beside waiting for the end of its input."""
NOT_RUN = 127
STREAMS = 2
"""The last of the standard streams."""


def prctl(option: int, value: int) -> None:
    """Ask the kernel of Linux for something; elsewhere, and where it is refused, nothing happens."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes  # noqa: PLC0415 - only where it is needed

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def say(line: str) -> None:
    """Tell hwledger, if it is still there."""
    with contextlib.suppress(OSError):
        os.write(1, f"{line}\n".encode())


def spawn(log: str, pipes: list[int], command: list[str]) -> int:
    """Start the program in its own group; return its number."""
    guard = os.getpid()
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        become(guard, [*(pipes or [0, out]), out], tell, command)
    with contextlib.suppress(OSError):  # the child does the same; whoever is first
        os.setpgid(pid, pid)
    for each in (out, tell, *pipes):  # a pipe ends when the program does, and nobody else holds it
        os.close(each)
    failed = os.read(told, 16)
    os.close(told)
    say(f"failed {failed.decode()}" if failed else f"started {pid}")
    return pid


def become(guard: int, streams: list[int], tell: int, command: list[str]) -> None:
    """Turn this child into the program, with the files of its three streams; never returns."""
    try:
        os.setpgid(0, 0)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:  # it died before the kernel knew
            os._exit(NOT_RUN)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        for place, stream in enumerate(streams):
            os.dup2(stream, place)
        for stream in {each for each in streams if each > STREAMS}:
            os.close(stream)
        os.execvp(command[0], command)  # noqa: S606 - running a program is what it is for
    except OSError as error:
        os.write(tell, str(error.errno).encode())
    os._exit(NOT_RUN)


def waking() -> int:
    """Return a file that can be read when a signal came."""
    got, give = os.pipe()
    os.set_blocking(give, False)
    os.set_blocking(got, False)
    signal.set_wakeup_fd(give, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, ask_to_end)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return got


ASKED: list[int] = []


def ask_to_end(number: int, frame: object) -> None:
    """Remember that a signal asked for the end."""
    del frame
    ASKED.append(number)


def reap(program: int) -> int | None:
    """Take the ends of all children; return that of the program, ``None`` while it runs."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        if pid == 0:
            return None
        if pid == program:
            return os.waitstatus_to_exitcode(status)


def pause(files: list[int], woken: int, seconds: float) -> list[int]:
    """Wait until a file can be read or the time is up; return those that can."""
    ready, _, _ = select.select(files, [], [], max(0.0, seconds))
    if woken in ready:
        with contextlib.suppress(BlockingIOError):
            os.read(woken, 4096)
    return ready


def ended_input(ready: list[int]) -> bool:
    """Whether the standard input has ended; what is written there otherwise is of no matter."""
    return 0 in ready and not os.read(0, 4096)


def watch(program: int, woken: int, parent: int) -> int | None:
    """Wait until the program ends, and return how; ``None``: it is to be ended."""
    while True:
        code = reap(program)
        if code is not None:
            return code
        ready = pause([0, woken], woken, LOOK_S)
        if ASKED or os.getppid() != parent or ended_input(ready):
            return reap(program)


def signal_group(program: int, number: int) -> bool:
    """Send a signal to the program's group; ``False``: there is none any more."""
    try:
        os.killpg(program, number)
    except (ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
        return False
    return True


def end(program: int, woken: int, grace_s: float, code: int | None) -> int:
    """End what is left of the group, and return how the program ended."""
    for number, seconds in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 60.0)):
        limit = time.monotonic() + seconds
        if not signal_group(program, number):
            break
        while signal_group(program, 0) and time.monotonic() < limit:
            if (seen := reap(program)) is not None:
                code = seen
            if not signal_group(program, 0):
                break
            pause([woken], woken, min(0.05, limit - time.monotonic()))
    seen = reap(program)
    return next((each for each in (code, seen) if each is not None), -signal.SIGKILL)


def main(words: list[str]) -> int:
    """Run a program and end it when it is time; return 0."""
    parent = os.getppid()
    grace_s, log, command = float(words[0]), words[1], words[3:]
    pipes = [] if words[2] == "-" else [int(number) for number in words[2].split(",")]
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    woken = waking()
    program = spawn(log, pipes, command)
    code = watch(program, woken, parent)
    say(f"ended {end(program, woken, grace_s, code)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
