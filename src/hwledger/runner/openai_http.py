"""A server that speaks OpenAI's API behind the port: it runs already, and is neither started nor ended.

Which engine it is and what it tells of its memory is asked as telemetry asks it; its speed is timed here.

Source: the OpenAI API, ``/v1/completions`` and ``/v1/chat/completions`` with ``stream_options``, as vLLM,
SGLang, llama.cpp, mistral.rs, LM Studio and mlx_lm.server answer it.
"""

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from hwledger.errors import EngineError, HwledgerError, UnreachableError, UsageError
from hwledger.library.access import Access
from hwledger.library.fields import mapping, rows, whole
from hwledger.library.net.http import Http
from hwledger.library.serving.address import server_address
from hwledger.library.serving.replies import Server
from hwledger.planner.plan import Plan
from hwledger.runner.engine import (
    Ability,
    Ask,
    Done,
    Ending,
    Event,
    Installation,
    Limits,
    NotInstalled,
    Piece,
    Timings,
)
from hwledger.telemetry.engines.live.asking import Known, look
from hwledger.telemetry.engines.live.knowing import identify
from hwledger.telemetry.snapshot import EngineSnapshot

if TYPE_CHECKING:
    from pathlib import Path

LONGEST: Final = 4 << 20
LOOK_S: Final = 20.0
TIMED_HERE: Final = "timed by the client"
PLANNED: Final = {"sglang": "vllm", "tgi": "vllm", "ollama": "llama.cpp", "lmstudio": "llama.cpp"}
"""Rules that plan engines that have none of their own; others are planned by their own name."""


@dataclass
class OpenAiHttp:
    """Satisfies ``Engine`` for one address.

    Attributes:
        address: scheme, host and port.
        model: which of its models; the first that it lists where empty.
    """

    address: str
    model: str = ""
    name: str = "openai"
    title: str = "the server"
    abilities: frozenset[Ability] = frozenset({Ability.CHAT, Ability.CANCEL, Ability.TIMINGS})
    formats: frozenset[str] = frozenset({"gguf", "safetensors", "mlx", "catalogue", "config"})
    install: str = "start a server that speaks OpenAI's API"

    def find(self) -> Installation | NotInstalled:
        """Return which engine answers at the address."""
        try:
            with _server(self.address) as server:
                told = _look(server)
        except HwledgerError as error:
            return NotInstalled(self.name, str(error), self.install)
        version = told.version if told else ""
        where = f"{told.engine if told else 'a server'} at {self.address}"
        return Installation(self.name, version, where, runs=True)

    def planned_as(self, model_format: str) -> str:
        """Return the rules of the engine that answers; those of vLLM where it is not known."""
        del model_format
        with contextlib.suppress(HwledgerError), _server(self.address) as server:
            found = identify(server) or "vllm"
            return PLANNED.get(found, found)
        return "vllm"

    def settings(self, *, on_host: bool) -> tuple[str, ...]:
        """Return nothing: it runs as it was started."""
        del on_host
        return ()

    def start(self, plan: Plan, limits: Limits | None = None) -> "OpenAiRunning":
        """Return it as it runs.

        Raises:
            UsageError: another engine answers than the plan is of.
            UnreachableError: nothing answers.
        """
        with _server(self.address) as server:
            kind = identify(server)
            served = [str(row["id"]) for row in rows(server.json("/v1/models").get("data")) if row.get("id")]
        if kind and PLANNED.get(kind, kind) != plan.engine:
            raise UsageError(
                f"{self.address} is {kind}, and the plan is one of {plan.engine}: plan it with --engine"
                f" {PLANNED.get(kind, kind)}"
            )
        model = self.model or next(iter(served), "")
        if not model:
            raise UnreachableError(f"{self.address} serves no model now; load one there")
        return OpenAiRunning(self.address, model, limits or Limits())


def at(text: str) -> OpenAiHttp:
    """Return the server at an address; ``?model=`` names one of its models.

    Raises:
        UsageError: it is no address.
    """
    address, model = server_address(text)
    return OpenAiHttp(address, model or "")


@contextlib.contextmanager
def _server(address: str) -> Iterator[Server]:
    with Http(Access(time_limit_s=LOOK_S), near=True) as asked:
        yield Server(asked, address)


def _look(server: Server) -> EngineSnapshot | None:
    """Return what a server tells; ``None`` where it is none that is known."""
    kind = identify(server)
    return look(server, Known(kind), time.time()) if kind else None


@dataclass
class _Heard:
    """What came of an answer so far, and when."""

    begun: float
    first: float = 0.0
    last: float = 0.0
    count: int = 0
    ending: Ending | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)

    def timings(self) -> Timings | None:
        """Return its speed by the clock here; the prompt's is not told apart from waiting."""
        output = whole(self.usage.get("completion_tokens")) or self.count
        if not self.first:
            return None
        known = whole(mapping(self.usage.get("prompt_tokens_details")).get("cached_tokens")) or 0
        prompt = whole(self.usage.get("prompt_tokens")) or 0
        span = self.last - self.first
        rate = (output - 1) / span if output > 1 and span > 0 else None
        return Timings(max(0, prompt - known), known, output, None, rate, TIMED_HERE, self.first - self.begun)


class OpenAiRunning:
    """Satisfies ``Running``."""

    def __init__(self, address: str, model: str, limits: Limits) -> None:
        self.pid: int | None = None
        self.address = address
        self.log: Path | None = None
        self.notes: tuple[str, ...] = ()
        self._model, self._limits = model, limits
        self._socket: socket.socket | None = None
        self._cancelled = threading.Event()
        self._stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def generate(self, ask: Ask) -> Iterator[Event]:
        """Yield the answer as it comes; see ``Running``."""
        if self._stopped:
            raise EngineError(f"{self.address} was let go of; start it again")
        self._cancelled.clear()
        heard = _Heard(time.monotonic())
        try:
            for found in self._streamed(*_question(ask, self._model)):
                yield from _pieces(found, heard)
            if heard.ending is None and not self._cancelled.is_set():
                raise EngineError(f"{self.address} broke off its answer")
            yield Done(heard.ending or Ending.CANCELLED, heard.timings())
        except (OSError, http.client.HTTPException, ValueError) as error:
            if not self._cancelled.is_set():
                raise EngineError(f"the connection to {self.address} broke ({error})") from None
            yield Done(Ending.CANCELLED)
        finally:
            self._close()

    def _streamed(self, path: str, body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        parts = urlsplit(self.address)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=self._limits.silent_s)
        connection.connect()
        self._socket = connection.sock
        connection.request("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        reply = connection.getresponse()
        if reply.status != http.client.OK:
            raise _refusal(self.address, reply.status, reply.read(LONGEST))
        with reply:
            for line in iter(lambda: reply.readline(LONGEST), b""):
                head, _, rest = line.strip().partition(b":")
                if head == b"data" and rest.strip() != b"[DONE]":
                    found = mapping(json.loads(rest))
                    if "error" in found:
                        raise _refusal(self.address, 0, rest)
                    yield found

    def cancel(self) -> None:
        """Cut the connection: servers end a request that nobody reads."""
        self._cancelled.set()
        self._close()

    def _close(self) -> None:
        taken, self._socket = self._socket, None
        if taken is not None:
            with contextlib.suppress(OSError):
                taken.shutdown(socket.SHUT_RDWR)
            taken.close()

    def memory(self) -> EngineSnapshot:
        """Return what the server tells of itself, as its own engine tells it.

        Raises:
            UnreachableError: it does not answer.
        """
        with _server(self.address) as server:
            return _look(server) or EngineSnapshot("", address=self.address)

    def stop(self) -> None:
        """Let go of it; it goes on."""
        self.cancel()
        self._stopped = True


def _question(ask: Ask, model: str) -> tuple[str, dict[str, Any]]:
    body: dict[str, Any] = {
        "model": model, "stream": True, "stream_options": {"include_usage": True},
        "temperature": ask.temperature,
    }  # fmt: skip
    chosen = {"seed": ask.seed, "max_tokens": ask.max_tokens}
    body |= {name: value for name, value in chosen.items() if value is not None}
    if ask.chat:
        return "/v1/chat/completions", {**body, "messages": [{"role": "user", "content": ask.prompt}]}
    if ask.max_tokens is None:
        raise UsageError("servers end a bare prompt after few tokens unless they are told: give --max-tokens")
    return "/v1/completions", {**body, "prompt": ask.prompt}


def _pieces(found: Mapping[str, Any], heard: _Heard) -> Iterator[Event]:
    """Yield what a message brings, and remember when and how much."""
    heard.usage = mapping(found.get("usage")) or heard.usage
    for choice in rows(found.get("choices")):
        delta = mapping(choice.get("delta"))
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        for text, thinking in ((thought, True), (choice.get("text") or delta.get("content"), False)):
            if isinstance(text, str) and text:
                heard.last = time.monotonic()
                heard.first = heard.first or heard.last
                heard.count += 1
                yield Piece(text, thinking)
        if reason := choice.get("finish_reason"):
            heard.ending = Ending.LENGTH if reason == "length" else Ending.END


def _refusal(address: str, status: int, body: bytes) -> HwledgerError:
    """Return the error that a server's own words stand for."""
    try:
        found = mapping(json.loads(body))
    except (ValueError, RecursionError):
        found = {"message": body[:200].decode("utf-8", "replace")}
    told = mapping(found.get("error")) or found
    message = " ".join(str(told.get("message") or found.get("error") or "no reason is given").split())[:300]
    if status in {400, 413, 422} and "context" in message.lower():
        return UsageError(f"the prompt does not fit into the context ({message})")
    return EngineError(f"{address} refuses the request: {message}")
