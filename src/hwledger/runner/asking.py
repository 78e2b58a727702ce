"""Asking llama.cpp what it would allocate: libllama plans by a header, in a child, with a limit."""

import csv
import json
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hwledger.errors import EngineError, UnknownOptionError, UsageError
from hwledger.library.fields import mapping, rows, whole
from hwledger.planner.export.llama_cpp import build
from hwledger.runner.llama_program import INSTALL, PACKAGE, build_of, environment, package_version
from hwledger.runner.process import Child
from hwledger.shipped import shipped_text

if TYPE_CHECKING:
    from hwledger.planner.plan import Plan

LIMIT_S: Final = 120.0
HOST: Final = "host"
_SCRIPT: Final = Path(__file__).with_name("llama_ask.py")
_WHERE: Final = frozenset({"model", "hf_repo", "hf_file", "model_url", "adapter", "port", "host"})
"""Settings of a plan that say where things are, and not how large they become."""


@dataclass(frozen=True, slots=True)
class Buffers:
    """What an engine would allocate on one device, in bytes.

    Attributes:
        device: as the engine calls it; ``host`` for the host's memory.
        model: weights.
        context: cache and state.
        compute: what its graphs need.
    """

    device: str
    model: int
    context: int
    compute: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine says that it would allocate.

    Attributes:
        version: of the package that was asked.
        buffers: by device, the host last.
    """

    version: str
    buffers: tuple[Buffers, ...]


def check_can_ask(engine: str) -> None:
    """Refuse an engine that cannot say what it would allocate without doing it, and one that is not here.

    Raises:
        UsageError: it cannot; the sentence says what to do instead.
        EngineError: it is not installed.
    """
    lines = shipped_text("hwledger.runner", "data/dry_runs.csv").splitlines()
    table = {row["engine"]: row for row in csv.DictReader(lines)}
    row = table.get(engine)
    if row is None:
        raise UnknownOptionError("engine to ask", engine, sorted(table))
    if row["can"] != "yes":
        raise UsageError(f"{engine} cannot be asked without running it: {row['how']}")
    if find_spec(PACKAGE) is None:
        raise EngineError(
            f"asking llama.cpp takes the package {PACKAGE}, which is not installed here; install it with:"
            f" {INSTALL}"
        )


def package_build() -> str:
    """Return the llama.cpp build of the package that is asked; empty where it does not say."""
    return build_of(package_version())


def ask_llama_cpp(plan: "Plan", model: Path, folder: Path, limit_s: float = LIMIT_S) -> Answer:
    """Return what libllama would allocate for a plan.

    Args:
        plan: its settings are those that llama-server would be started with.
        model: the model's file; a hollow copy will do.
        folder: for the answer and the log of the child.
        limit_s: how long it may take.

    Raises:
        EngineError: libllama refuses the file, asserts on its header, takes too long, or lies otherwise.
    """
    settings = [each.words for each in build(plan).settings if each.option not in _WHERE]
    words = ["--model", str(model), *(word for each in settings for word in each)]
    answer = folder / "answer.json"
    command = [sys.executable, "-P", str(_SCRIPT), str(answer), *words]
    with Child("llama.cpp", command, folder / "ask.log", env=environment()[0]) as child:
        if not child.wait(limit_s):
            raise EngineError(
                f"llama.cpp did not say within {limit_s:,.0f} s what it would allocate; it was ended"
            )
        if child.code != 0:
            raise EngineError(_refusal(child))
    return _read(answer)


def _refusal(child: Child) -> str:
    """Return why it gave no answer, in one sentence without a log that is gone by then."""
    said = " | ".join(child.last_lines(2)) or "it printed nothing"
    how = f"exit status {child.code}" if child.code is None or child.code >= 0 else f"signal {-child.code}"
    return f"llama.cpp cannot plan this header ({how}); its last lines: {said}"


def _read(path: Path) -> Answer:
    try:
        told = mapping(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, RecursionError):
        raise EngineError(
            "llama.cpp ended without an answer; ask again, or plan without --ask-engine"
        ) from None
    found = tuple(_buffers(row) for row in rows(told.get("devices")))
    if not found or found[-1].device != HOST:
        raise EngineError("llama.cpp answered what is not understood; plan without --ask-engine")
    return Answer(str(told.get("version") or ""), found)


def _buffers(row: Any) -> Buffers:
    sizes = [whole(row.get(name)) or 0 for name in ("model", "context", "compute")]
    return Buffers(str(row.get("device") or ""), *sizes)
