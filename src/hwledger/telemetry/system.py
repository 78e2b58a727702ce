"""The machine as samplers see it: its files, its tools and its clock, each exchangeable in a test."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hwledger.telemetry.reading import Absent, Reason

TOOL_LIMIT_S: Final = 10.0
MOST_OUTPUT: Final = 16 << 20
MOST_FILE: Final = 1 << 20
_PAGE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Ran:
    """What a tool said.

    Attributes:
        code: its exit status.
        out: what it printed, decoded leniently.
        err: what it complained of.
    """

    code: int
    out: str
    err: str


def run_tool(command: Sequence[str], limit_s: float = TOOL_LIMIT_S) -> Ran | Absent:
    """Return what a tool prints, or why it prints nothing.

    The tool gets no input, its own process group and ``LC_ALL=C``; with the time limit the whole group is
    killed. Output beyond 16 MiB is an error: no vendor's tool says that much.

    Args:
        command: the program's name or path and its arguments; the name is looked up in ``PATH``.
        limit_s: seconds until it is killed.
    """
    name = command[0]
    program = shutil.which(name)
    if program is None:
        return Absent(Reason.ABSENT_TOOL, f"{name} is not installed or not in PATH", name)
    try:
        process = subprocess.Popen(  # noqa: S603 - samplers name fixed programs
            [program, *command[1:]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env={**os.environ, "LC_ALL": "C"}, start_new_session=True,
        )  # fmt: skip
    except PermissionError:
        return Absent(Reason.NO_PERMISSION, f"{program} may not be run by this user", name)
    except OSError as error:
        return Absent(Reason.ABSENT_TOOL, f"{program} cannot be run ({error.strerror or error})", name)
    return _heard(process, name, limit_s)


def _heard(process: "subprocess.Popen[bytes]", name: str, limit_s: float) -> Ran | Absent:
    timer = threading.Timer(limit_s, _kill, [process])
    timer.daemon = True
    timer.start()
    complaints: list[bytes] = []
    listener = threading.Thread(target=lambda: complaints.append(_drained(process.stderr)), daemon=True)
    listener.start()
    out = _drained(process.stdout)
    if len(out) >= MOST_OUTPUT:
        _kill(process)
    code = process.wait()
    late = not timer.is_alive()
    timer.cancel()
    listener.join(1.0)
    if late:
        return Absent(Reason.STALE, f"{name} did not end within {limit_s:g} s and was stopped", name)
    if len(out) >= MOST_OUTPUT:
        return Absent(Reason.UNPARSED, f"{name} prints more than {MOST_OUTPUT >> 20} MiB", name)
    return Ran(code, out.decode("utf-8", "replace"), b"".join(complaints).decode("utf-8", "replace"))


def _drained(pipe: object) -> bytes:
    with pipe as stream:  # type: ignore[attr-defined]  # a pipe of Popen, never None here
        data: bytes = stream.read(MOST_OUTPUT)
        return data


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill a tool with everything that it started."""
    try:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except (ProcessLookupError, PermissionError):
        process.kill()


def _content(path: Path) -> bytes:
    """Return what is in one of the kernel's files, without the buffers of ``open``, which cost more than it.

    Raises:
        OSError: there is none, or it may not be read.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        parts: list[bytes] = []
        left = MOST_FILE
        while left > 0 and (part := os.read(handle, min(left, _PAGE))):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
    finally:
        os.close(handle)


@dataclass(frozen=True, slots=True)
class System:
    """The machine.

    Attributes:
        sysfs: where the kernel shows devices.
        procfs: where the kernel shows processes.
        platform: as ``sys.platform``.
        run: runs a tool, as ``run_tool``.
        clock: seconds that never go back; ``Value.at`` is read from it.
        environ: the environment.
    """

    sysfs: Path = Path("/sys")
    procfs: Path = Path("/proc")
    platform: str = sys.platform
    run: Callable[..., Ran | Absent] = run_tool
    clock: Callable[[], float] = time.monotonic
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def read(self, path: Path) -> str | Absent:
        """Return the text of one of the kernel's files, without blanks around it, or why there is none."""
        try:
            return _content(path).decode("utf-8", "replace").strip()
        except FileNotFoundError:
            return Absent(Reason.UNSUPPORTED, f"the kernel has no {path.name} here", str(path))
        except PermissionError:
            return Absent(Reason.NO_PERMISSION, f"{path} may not be read by this user", str(path))
        except OSError as error:
            gone = error.errno in {errno.ENODEV, errno.ENXIO}
            reason = Reason.LOST_DEVICE if gone else Reason.UNSUPPORTED
            return Absent(reason, f"{path.name}: {error.strerror or error}", str(path))
