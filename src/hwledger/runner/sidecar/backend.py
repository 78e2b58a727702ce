"""The port behind which a sidecar keeps its engine, and a fake that also breaks as engines do."""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event
from typing import Any, Final, Protocol

from hwledger.runner.sidecar.protocol import Code, SidecarError

SLOW_S: Final = 3.0
"""What the fake engine takes for a prompt that begins with ``!slow``, without looking up."""
NO_MODEL: Final = "no model is loaded"


@dataclass(frozen=True)
class Job:
    """One request to generate, as an engine sees it.

    Attributes:
        prompt, max_tokens, chat, temperature, seed: as ``hwledger.runner.engine.Ask`` has them.
        cancelled: is set when nobody wants the answer any more; it is looked at as often as the engine can.
        progress: told how many tokens of the prompt are taken in, and of how many.
        piece: told a piece of the answer, and its token where the engine tells that.
    """

    prompt: str
    max_tokens: int | None
    chat: bool
    temperature: float
    seed: int | None
    cancelled: Event
    progress: Callable[[int, int], None]
    piece: Callable[[str, int | None], None]


class Backend(Protocol):
    """An engine within a sidecar.

    ``load``, ``unload``, ``generate`` and ``tokenize`` are called in one thread, one after the other; the
    others at any time from another one. Each returns what the schema says of its method, and raises
    ``SidecarError``.
    """

    name: str

    def version(self) -> str:
        """Return the engine's version."""
        ...

    def load(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Load a model."""
        ...

    def unload(self) -> dict[str, Any]:
        """Let go of the model."""
        ...

    def generate(self, job: Job) -> dict[str, Any]:
        """Answer, and return how it went."""
        ...

    def tokenize(self, text: str) -> dict[str, Any]:
        """Return the tokens of a text."""
        ...

    def memory(self) -> dict[str, Any]:
        """Return what the engine tells of its memory; ``None`` for what it does not tell."""
        ...

    def cache_stats(self) -> dict[str, Any]:
        """Return what is kept of prompts."""
        ...


def ended(
    ending: str, prompt: int, output: int, seconds: tuple[float, float], cached: int = 0
) -> dict[str, Any]:
    """Return the result of ``generate``: why it ended, tokens, and seconds of prefill and of decode."""
    return {
        "ending": ending, "prompt_tokens": prompt, "cached_tokens": cached, "output_tokens": output,
        "prefill_seconds": seconds[0], "decode_seconds": seconds[1],
    }  # fmt: skip


NOTHING_KEPT: Final[Mapping[str, Any]] = {
    "enabled": False, "why": "no prompt cache was asked for", "blocks": 0, "bytes": 0, "hits": 0, "misses": 0,
}  # fmt: skip


class FakeBackend:
    """Answers with the words of the prompt; one that begins with ``!`` makes it break in a certain way."""

    name = "fake"

    def __init__(self) -> None:
        self._context = 0

    def version(self) -> str:
        """Return a version."""
        return "1.0"

    def load(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Load, or break as the model's name says."""
        misbehave(str(params["model"]))
        self._context = int(params["context"])
        return {"context": self._context, "device": "cpu", "notes": []}

    def unload(self) -> dict[str, Any]:
        """Forget the model."""
        self._context = 0
        return {}

    def generate(self, job: Job) -> dict[str, Any]:
        """Repeat the words."""
        if not self._context:
            raise SidecarError(NO_MODEL, Code.NOT_LOADED)
        words = job.prompt.split() or [""]
        misbehave(words[0])
        room = self._context - len(words)
        if room < 1:
            raise SidecarError(f"the prompt of {len(words)} tokens does not fit into the context", Code.USAGE)
        job.progress(0, len(words))
        time.sleep(SLOW_S if words[0] == "!slow" else 0)
        job.progress(len(words), len(words))
        wanted = room if job.max_tokens is None else min(room, job.max_tokens)
        for count in range(wanted):
            if job.cancelled.wait(0.001):
                return ended("cancelled", len(words), count, (0.01, 0.01))
            job.piece(f" {words[count % len(words)]}", count)
        return ended("length", len(words), wanted, (0.01, 0.01))

    def tokenize(self, text: str) -> dict[str, Any]:
        """Return a number for each word."""
        return {"tokens": list(range(len(text.split())))}

    def memory(self) -> dict[str, Any]:
        """Return sizes that stand for nothing."""
        return {"weights_bytes": 1, "kv_cache_bytes": 2, "compute_bytes": 3, "device": "cpu"}

    def cache_stats(self) -> dict[str, Any]:
        """Return that nothing is kept."""
        return dict(NOTHING_KEPT)


def misbehave(word: str) -> None:
    """Break as a word says: crash, hang, end, print, or say what is no message."""
    if word == "!segfault":
        sys.stderr.write("about to crash\n")
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGSEGV)
    elif word == "!exit":
        os._exit(3)
    elif word == "!hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(3600)
    elif word == "!print":
        print("an engine that prints to its standard output")  # noqa: T201 - that is what it stands for
        os.write(1, b"and one that writes to the file itself\n")
    elif word.startswith("!raise"):
        raise RuntimeError("the engine failed, as it was told to")
    elif word in _CLOSED:
        close_protocol(word)
    elif word in _GARBLED:
        _out().write(_GARBLED[word])


_CLOSED: Final = ("!close", "!close-in", "!close-out")


def close_protocol(word: str) -> None:
    """Close files of the protocol, and live on."""
    from hwledger.runner.sidecar.child import PROTOCOL  # noqa: PLC0415 - a cycle, for breaking alone

    for name, file in zip(("in", "out"), PROTOCOL, strict=True):
        if word in {"!close", f"!close-{name}"}:
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, file.fileno())  # a reader that waits in it goes on waiting
            os.close(nothing)
    time.sleep(3600)


_GARBLED: Final = {
    "!garbage": b"\x00\xff not a message\n", "!list": b"[1, 2]\n", "!deep": b"[" * 100_000 + b"\n",
    "!nan": b'{"jsonrpc": "2.0", "id": 1, "result": NaN}\n', "!long": b"x" * (33 << 20) + b"\n",
    "!cut": b'{"jsonrpc": "2.0", "id"', "!digits": b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b"}\n",
    "!stranger": b'{"jsonrpc": "2.0", "id": 999999, "result": {}}\n',
    "!noise": b'{"jsonrpc": "2.0", "method": "weather", "params": {"id": 1}}\n',
}  # fmt: skip


def _out() -> Any:
    """Return the file of the protocol, which an engine never has."""
    from hwledger.runner.sidecar.child import PROTOCOL  # noqa: PLC0415 - a cycle, for breaking alone

    return PROTOCOL[1]
