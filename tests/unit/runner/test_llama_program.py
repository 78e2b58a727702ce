"""Finding llama.cpp: the program in PATH first, then the package, and what it says of itself."""

import sys
from pathlib import Path

import pytest

from hwledger.planner.export.llama_cpp import build
from hwledger.runner import llama_program
from hwledger.runner.engine import Installation, NotInstalled
from hwledger.runner.llama_cpp import arguments
from hwledger.runner.llama_program import environment, find, locate
from support.plans import small_plan

pytestmark = [
    pytest.mark.requirement("FR-RUN-LLAMACPP"),
    pytest.mark.skipif(sys.platform == "win32", reason="shell scripts"),
]
DEVICES = """Available devices:
  CUDA0: NVIDIA GeForce RTX 3090 (24135 MiB, 23871 MiB free)
  CUDA1: NVIDIA H100 80GB HBM3 (81079 MiB, 80552 MiB free)
  BLAS: OpenBLAS (0 MiB, 0 MiB free)
"""


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the one folder in PATH beside the system's; the package is not installed."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(llama_program, "find_spec", lambda _: None)
    return tmp_path


def server(folder: Path, version: str, devices: str) -> None:
    """Write a ``llama-server`` that answers these questions."""
    said = {"--version": version, "--list-devices": devices}
    cases = "".join(f"{word}) cat <<'END'\n{text}\nEND\n;;\n" for word, text in said.items())
    program = folder / "llama-server"
    program.write_text(
        f'#!/bin/sh\ncase "$1" in\n{cases}*) echo "error: invalid argument: $1" >&2; exit 1;;\nesac\n'
    )
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("version: 6123 (79c1160b)\nbuilt with cc (Debian 12.2.0-14) 12.2.0 for x86_64-linux-gnu", "b6123"),
        ("version: 0.6.0-dev (build 11549, commit 0a1b2c)\nbuilt with GNU 10.2.1 for Linux x86_64", "b11549"),
        ("version: 0.6.0-dev (build 0, commit unknown)", ""),
        ("nothing that is known", ""),
    ],
)
def test_the_build_is_what_it_says(alone: Path, said: str, version: str) -> None:
    """Both ways to write a build are read; a build of one's own has none, and that is noted."""
    server(alone, said, DEVICES)
    found = find()
    assert isinstance(found, Installation)
    assert (found.version, found.where) == (version, str(alone / "llama-server"))
    assert bool(found.notes) is not bool(version)


def test_its_accelerators_are_those_that_it_lists(alone: Path) -> None:
    """Libraries for the processor are none; an empty list is none; one that cannot list them is said."""
    server(alone, "version: 6123 (a)", DEVICES)
    found = find()
    assert isinstance(found, Installation)
    assert found.devices == ("CUDA0: NVIDIA GeForce RTX 3090", "CUDA1: NVIDIA H100 80GB HBM3")
    server(alone, "version: 6123 (a)", "Available devices:\n  (none)")
    found = find()
    assert isinstance(found, Installation)
    assert (found.devices, found.notes) == ((), ())
    server(alone, "version: 4100 (a)", "error: invalid argument: --list-devices")
    found = find()
    assert isinstance(found, Installation)
    assert found.devices == ()
    assert "does not list its devices" in found.notes[0]


def test_where_there_is_none_it_says_how_to_install_it(alone: Path) -> None:
    """Neither program nor package: a reason and a command."""
    assert locate() is None
    found = find()
    assert isinstance(found, NotInstalled)
    assert str(alone) not in found.why
    assert "pip install" in found.install


def test_it_is_started_with_the_plans_flags_and_no_others() -> None:
    """Word for word what an export prints, but for the port and the verbosity that memory is read by."""
    recipe = build(small_plan(context=512, kv_cache="q8_0"))
    exported = list(recipe.argv[1:])
    started = arguments(recipe, 12345)
    at = exported.index("--port") + 1
    assert exported[at] == "8080"
    assert started == [*exported[:at], "12345", *exported[at + 1 :], "-lv", "4"]


def test_settings_of_the_environment_do_not_change_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every flag of llama.cpp is a variable too: those stay behind and are named; threads may be set."""
    monkeypatch.setenv("LLAMA_ARG_CTX_SIZE", "99")
    monkeypatch.setenv("LLAMA_ARG_THREADS", "1")
    monkeypatch.setenv("SOMETHING", "else")
    env, left_out = environment()
    assert left_out == ("LLAMA_ARG_CTX_SIZE",)
    assert "LLAMA_ARG_CTX_SIZE" not in env
    assert (env["LLAMA_ARG_THREADS"], env["SOMETHING"]) == ("1", "else")
