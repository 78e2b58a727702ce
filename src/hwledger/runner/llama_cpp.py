"""llama.cpp behind the port: its server in a child process, with the plan's own flags, over loopback."""

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from hwledger.errors import EngineError, UsageError
from hwledger.library.fields import mapping
from hwledger.planner.export.llama_cpp import build
from hwledger.planner.export.recipe import Recipe
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
from hwledger.runner.llama_program import ENGINE, INSTALL, Program, environment, find, locate
from hwledger.runner.llama_slots import Slots
from hwledger.runner.llama_stream import LONGEST, question, read_events, refusal
from hwledger.runner.logs import log_file, prompts_folder
from hwledger.runner.process import Child
from hwledger.telemetry.engines.llama_log import read_llama_log
from hwledger.telemetry.snapshot import EngineSnapshot

if TYPE_CHECKING:
    from pathlib import Path

HOST: Final = "127.0.0.1"
VERBOSITY: Final = ("-lv", "4")
"""What it takes for llama.cpp to print its buffers, since the end of 2025."""
LARGEST_LOG: Final = 16 << 20
TRIES: Final = 3
"""A port that was free a moment ago may be taken by then."""
FETCHING_S: Final = 24 * 3600.0
"""What a model may take that llama.cpp fetches before it loads it."""
ON_HOST: Final = ("n_gpu_layers=0", "n_batch=512")
_ASK_S: Final = 5.0
_TAKEN: Final = ("couldn't bind", "address already in use")


class LlamaCpp:
    """Satisfies ``Engine``."""

    name = ENGINE
    title = "llama.cpp"
    abilities = frozenset(Ability)
    formats = frozenset({"gguf"})
    install = INSTALL

    def find(self) -> Installation | NotInstalled:
        """Return ``llama-server`` of ``PATH``, else that of the xllamacpp package."""
        return find()

    def planned_as(self, model_format: str) -> str:
        """Return the profile that plans it."""
        del model_format
        return ENGINE

    def settings(self, *, on_host: bool) -> tuple[str, ...]:
        """Return what is planned on a processor: it sees between two batches alone that it is to stop."""
        return ON_HOST if on_host else ()

    def start(self, plan: Plan, limits: Limits | None = None) -> "LlamaRunning":
        """Start the server with the plan's flags and wait until it holds the model.

        Beside the plan's own flags it gets a free port and the verbosity at which it prints its buffers.

        Raises:
            UsageError: llama.cpp cannot run the plan.
            EngineError: it is not installed, or does not start.
        """
        recipe, program = build(plan), _program()
        for attempt in range(1, TRIES + 1):
            try:
                return _start(program, recipe, limits or Limits(), plan, _free_port())
            except EngineError as error:
                if attempt == TRIES or not any(words in str(error) for words in _TAKEN):
                    raise
        raise AssertionError  # the last attempt returns or raises

    def serve(self, plan: Plan, port: int, limits: Limits | None = None) -> "LlamaRunning":
        """Start the server as ``start`` does, at a port that others know; see ``Serves``."""
        if not port:
            return self.start(plan, limits)
        recipe, program = build(plan), _program()
        if not _is_free(port):
            raise UsageError(
                f"port {port} of {HOST} is taken; give another --port, or 0 for any that is free"
            )
        return _start(program, recipe, limits or Limits(), plan, port)


def _program() -> Program:
    """Return how the server is run here.

    Raises:
        EngineError: it is not installed.
    """
    program = locate()
    if program is None:
        raise EngineError(f"llama.cpp is not installed here; install it with: {INSTALL}")
    return program


def _is_free(port: int) -> bool:
    """Whether a port can be listened on; one whose last connections still linger can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _start(program: Program, recipe: Recipe, limits: Limits, plan: Plan, port: int) -> "LlamaRunning":
    env, left_out = environment()
    log = log_file(ENGINE)
    slots = _slots(program, recipe, limits, plan)
    more = ["--slot-save-path", f"{slots.folder}/"] if slots else []
    child = Child("llama.cpp", [*program.words, *arguments(recipe, port), *more], log, env=env)
    try:
        child.wait_ready(lambda: _is_ready(port), limits.ready_s if recipe.local else FETCHING_S)
    except BaseException:
        child.stop()
        if slots:
            slots.close()
        raise
    notes = [*recipe.notes]
    if left_out:
        notes.append(f"left out of its environment, as the plan does not know them: {', '.join(left_out)}")
    return LlamaRunning(child, port, limits, tuple(notes), slots)


def _slots(program: Program, recipe: Recipe, limits: Limits, plan: Plan) -> Slots | None:
    """Return where prompt caches are kept; ``None``: nowhere."""
    if not limits.kept_bytes or not recipe.local:
        return None
    found = find()
    version = f"{found.version} {program.where}" if isinstance(found, Installation) and found.version else ""
    return Slots.of(plan, recipe.local, version, prompts_folder(), limits.kept_bytes)


def arguments(recipe: Recipe, port: int) -> list[str]:
    """Return the words of the plan's flags, in order, with another port, and the verbosity behind them."""
    settings = [("--port", str(port)) if each.option == "port" else each.words for each in recipe.settings]
    return [*recipe.program[1:], *(word for words in settings for word in words), *VERBOSITY]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=_ASK_S)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class LlamaRunning:
    """A server that holds a model; satisfies ``Running``."""

    def __init__(
        self, child: Child, port: int, limits: Limits, notes: tuple[str, ...], slots: Slots | None = None
    ) -> None:
        self.pid: int | None = child.pid
        self.address = f"http://{HOST}:{port}"
        self.log: Path | None = child.log
        self.notes = notes
        self._child = child
        self._port = port
        self._limits = limits
        self._slots = slots
        self._socket: socket.socket | None = None
        self._cancelled = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def generate(self, ask: Ask) -> Iterator[Event]:
        """Yield the answer as it comes; see ``Running``."""
        self._cancelled.clear()
        begun, first = time.monotonic(), None
        if self._slots:
            self._slots.restore(ask, self._asked)
        try:
            for event in self._streamed(ask):
                if first is None and isinstance(event, Piece):
                    first = time.monotonic() - begun
                yield _timed(event, first)
            if self._slots and not self._cancelled.is_set():
                self._slots.keep(self._asked)
        except (OSError, http.client.HTTPException) as error:
            if not self._cancelled.is_set():
                raise self._broken(error) from None
            yield Done(Ending.CANCELLED)
        except EngineError as error:
            if self._cancelled.is_set():
                yield Done(Ending.CANCELLED)
            elif not self._child.wait(1.0 if "broke off" in str(error) else 0.0):
                raise
            else:
                raise self._child.failure("while it answered") from None
        finally:
            self._close()

    def _streamed(self, ask: Ask) -> Iterator[Event]:
        path, body = question(ask)
        connection = http.client.HTTPConnection(HOST, self._port, timeout=self._limits.silent_s)
        connection.connect()
        self._socket = connection.sock
        if self._cancelled.is_set():  # while it was made
            self._close()
        connection.request("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        reply = connection.getresponse()
        if reply.status != http.client.OK:
            raise refusal(_error_in(reply.read(LONGEST)))
        with reply:
            yield from read_events(iter(lambda: reply.readline(LONGEST), b""))

    def _broken(self, error: Exception) -> EngineError:
        """Return what to say of a connection that broke: the engine ended, or was silent for too long."""
        if self._child.wait(1.0):
            return self._child.failure("while it answered")
        if isinstance(error, TimeoutError):
            return EngineError(f"llama.cpp said nothing for {self._limits.silent_s:,.0f} s; {self._where()}")
        return EngineError(f"the connection to llama.cpp broke ({error}); {self._where()}")

    def _where(self) -> str:
        return f"its log is {self.log}"

    def cancel(self) -> None:
        """Cut the connection: the server ends the request when it sees that."""
        self._cancelled.set()
        self._close()

    def _close(self) -> None:
        """Cut the connection where there is one; whoever reads from it wakes."""
        taken, self._socket = self._socket, None
        if taken is not None:
            with contextlib.suppress(OSError):
                taken.shutdown(socket.SHUT_RDWR)
            taken.close()

    def beside(self) -> "LlamaRunning":
        """Return another way to ask the same server; see ``Shared``."""
        return LlamaRunning(self._child, self._port, self._limits, self.notes)

    def wait(self, seconds: float) -> bool:
        """Wait for its end, and return whether it has ended."""
        return self._child.wait(seconds)

    def failure(self) -> EngineError:
        """Return how it ended by itself, with its last lines."""
        return self._child.failure("while it served")

    def tokenize(self, text: str) -> list[int]:
        """Return the tokens of a text, with the mark of a beginning where the model has one."""
        told = self._asked("/tokenize", {"content": text, "add_special": True}).get("tokens")
        return [each for each in told if isinstance(each, int)] if isinstance(told, list) else []

    def _asked(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Return the answer to a short question.

        Raises:
            EngineError: the server is gone, or refuses.
        """
        connection = http.client.HTTPConnection(HOST, self._port, timeout=self._limits.silent_s)
        try:
            connection.request("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})
            reply = connection.getresponse()
            told = reply.read(LONGEST)
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error) from None
        finally:
            connection.close()
        if reply.status != http.client.OK:
            raise refusal(_error_in(told))
        return dict(mapping(json.loads(told)))

    def memory(self) -> EngineSnapshot:
        """Return what its log says of build, buffers by device, slots and context."""
        assert self.log is not None  # noqa: S101 - for the type alone
        try:
            with self.log.open("rb") as file:
                text = file.read(LARGEST_LOG).decode("utf-8", "replace")
        except OSError as error:
            raise EngineError(f"{self.log} cannot be read ({error.strerror or error})") from None
        engine = read_llama_log(text).engines[0]
        return replace(engine, address=self.address, pid=self.pid)

    def stop(self) -> None:
        """End the server and whatever it runs."""
        self.cancel()
        self._child.stop()
        if self._slots:
            self._slots.close()


def _timed(event: Event, first: float | None) -> Event:
    """Return the last event with the time to the first piece; others as they are."""
    if not isinstance(event, Done) or event.timings is None:
        return event
    timings: Timings = replace(event.timings, ttft_seconds=first)
    return replace(event, timings=timings)


def _error_in(body: bytes) -> object:
    try:
        return mapping(json.loads(body)).get("error")
    except (ValueError, RecursionError):
        return {"message": body[:200].decode("utf-8", "replace")}


engine = LlamaCpp()
