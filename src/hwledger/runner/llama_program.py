"""Which llama.cpp is installed here: ``llama-server`` in ``PATH``, else the xllamacpp package."""

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from hwledger.runner.engine import Installation, NotInstalled
from hwledger.telemetry.reading import Absent
from hwledger.telemetry.system import Ran, run_tool

ENGINE: Final = "llama.cpp"
PROGRAM: Final = "llama-server"
PACKAGE: Final = "xllamacpp"
INSTALL: Final = "pip install 'hwledger[llamacpp]'"
ASK_S: Final = 60.0
"""A build with many back ends takes seconds to load them."""
_SERVER: Final = Path(__file__).with_name("xllamacpp_server.py")
_BUILD: Final = re.compile(r"version: (?:(\d{1,8}) \(|.{1,60}?\(build (\d{1,8})\b)")
_DEVICE: Final = re.compile(r"^\s+((?!CPU|BLAS|AMX)\w{2,40}: .{1,200}?)(?: \(\d+ MiB.*)?$", re.MULTILINE)
_KEPT: Final = ("LLAMA_ARG_THREADS",)
"""Settings of the environment that change no memory."""


@dataclass(frozen=True, slots=True)
class Program:
    """How llama.cpp's server is run.

    Attributes:
        words: the program and its first arguments.
        where: it in words.
        version: what is known without running it.
    """

    words: tuple[str, ...]
    where: str
    version: str = ""


def locate() -> Program | None:
    """Return how the server is run here; ``None``: it is not installed. Nothing is run."""
    path = shutil.which(PROGRAM)
    if path is not None:
        return Program((path,), path)
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        return None
    number = package_version()
    words = (sys.executable, "-P", str(_SERVER))
    return Program(words, f"{PACKAGE} {number}".strip(), build_of(number))


def build_of(number: str) -> str:
    """Return the build that a version of the package carries; empty where it carries none."""
    build = number.rpartition(".")[2]
    return f"b{build}" if build.isdigit() else ""


def package_version() -> str:
    """Return the version of the xllamacpp package; empty where it is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - start-up time

    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return ""


def find() -> Installation | NotInstalled:
    """Return the server that is installed here, its build and the accelerators that it sees."""
    program = locate()
    if program is None:
        return NotInstalled(ENGINE, f"neither {PROGRAM} is in PATH nor is {PACKAGE} installed", INSTALL)
    notes: list[str] = []
    version = program.version or _version(program, notes)
    devices = tuple(_devices(program, notes))
    return Installation(ENGINE, version, program.where, devices, tuple(notes))


def _version(program: Program, notes: list[str]) -> str:
    """Return the build as it says itself; empty where it is a build of one's own without a number."""
    ran = run_tool([*program.words, "--version"], ASK_S)
    found = _BUILD.search(_said(ran))
    number = int(next(filter(None, found.groups()), "0")) if found else 0
    if not number:
        notes.append(f"it does not tell its build{_complaint(ran)}; the newest rules are used")
    return f"b{number}" if number else ""


def _devices(program: Program, notes: list[str]) -> Iterator[str]:
    ran = run_tool([*program.words, "--list-devices"], ASK_S)
    text = _said(ran)
    if "Available devices" not in text:
        notes.append(
            f"it does not list its devices{_complaint(ran)}; it is taken to compute on the processor"
        )
        return
    yield from (found[1] for found in _DEVICE.finditer(text.partition("Available devices")[2]))


def _said(ran: Ran | Absent) -> str:
    return "" if isinstance(ran, Absent) else f"{ran.out}\n{ran.err}"


def _complaint(ran: Ran | Absent) -> str:
    if isinstance(ran, Absent):
        return f" ({ran.detail})"
    lines = [line.strip() for line in f"{ran.err}\n{ran.out}".splitlines() if line.strip()]
    return f" (exit status {ran.code}: {lines[-1][:160]})" if ran.code and lines else ""


def environment() -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the environment to run it in, and which settings of the user's are left out of it.

    Every flag can be set by a variable too (``LLAMA_ARG_CTX_SIZE``), and the plan would not know.
    """
    left_out = tuple(sorted(name for name in os.environ if _is_setting(name)))
    kept: Mapping[str, str] = {name: value for name, value in os.environ.items() if name not in left_out}
    return dict(kept), left_out


def _is_setting(name: str) -> bool:
    return name.startswith("LLAMA_ARG_") and not name.startswith(_KEPT)
