"""The port behind which every engine stands that runs models here, and finding one by name."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, Self, runtime_checkable

from hwledger.errors import EngineError, UnknownOptionError
from hwledger.extensions import extensions

if TYPE_CHECKING:
    from types import TracebackType

    from hwledger.planner.plan import Plan
    from hwledger.telemetry.snapshot import EngineSnapshot

ENTRY_POINTS: Final = "hwledger.runners"


class Ability(StrEnum):
    """What an engine can do; what it does not declare it is never asked for."""

    CHAT = "chat"
    """Applies the model's chat template."""
    CANCEL = "cancel"
    """Ends a request that runs without ending the engine."""
    PROGRESS = "progress"
    """Says how far the prompt is taken in."""
    TIMINGS = "timings"
    """Reports the speed of prefill and decode itself."""
    MEMORY = "memory"
    """Reports what its buffers take."""
    PARALLEL = "parallel"
    """Answers several requests at once: what it starts satisfies ``Shared``."""
    SERVE = "serve"
    """Answers others over HTTP as OpenAI's servers do, at a port that is given: it satisfies ``Serves``."""
    TOKENIZE = "tokenize"
    """Tells the tokens of a text: what it starts satisfies ``Tokenizes``."""
    KEEP = "keep"
    """Keeps what it computed of prompts on disk, for the next process."""


class Ending(StrEnum):
    """Why an answer ended."""

    END = "end"
    """The model ended it."""
    LENGTH = "length"
    """It is as long as was asked for, or the context is full."""
    CANCELLED = "cancelled"
    """Somebody cancelled it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request.

    Attributes:
        prompt: its text.
        max_tokens: tokens of the answer at most; ``None``: until the model ends it or the context is full.
        chat: the prompt is a user's message, and the model's chat template is applied.
        temperature: 0 takes the likeliest token each time.
        seed: of the sampler.
    """

    prompt: str
    max_tokens: int | None = None
    chat: bool = False
    temperature: float = 0.8
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the prompt is taken in, in tokens; those that were in the cache count as done."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the answer, usually one token; ``thinking``: of what the model thinks before it answers."""

    text: str
    thinking: bool = False


@dataclass(frozen=True, slots=True)
class Timings:
    """How long a request took.

    Attributes:
        prompt_tokens: tokens of the prompt that were computed.
        cached_tokens: those of the prompt that were in the cache before.
        output_tokens: tokens of the answer.
        prefill_tokens_per_second, decode_tokens_per_second: ``None`` where there was nothing to time.
        source: who timed it.
        ttft_seconds: from the request to the first piece, by the clock of the client.
    """

    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    prefill_tokens_per_second: float | None
    decode_tokens_per_second: float | None
    source: str
    ttft_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The end of an answer; ``timings`` is ``None`` where nothing was timed."""

    ending: Ending
    timings: Timings | None = None


Event = Progress | Piece | Done


@dataclass(frozen=True, slots=True)
class Installation:
    """An engine that is installed here.

    Attributes:
        engine: its name.
        version: as the planner writes it (``b11549``); empty where it does not say.
        where: the program or the package.
        devices: accelerators that it sees, as it calls them; empty: it computes on the processor.
        notes: sentences.
        runs: it runs already, with the model that it holds: whether that fits is no question.
    """

    engine: str
    version: str
    where: str
    devices: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    runs: bool = False

    @property
    def program(self) -> str:
        """The name of the package; empty for a program of its own, that has a path."""
        return "" if self.where.startswith(("/", "~", ".")) else self.where.partition(" ")[0]


@dataclass(frozen=True, slots=True)
class NotInstalled:
    """An engine that is not installed here: why, in words, and the command that installs it."""

    engine: str
    why: str
    install: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long things may take, and how much may be kept.

    Attributes:
        ready_s: seconds until a model is loaded.
        silent_s: seconds between two words of a running request.
        kept_bytes: bytes of prompt caches on disk, where the engine keeps any; 0: nothing is read or written.
    """

    ready_s: float = 600.0
    silent_s: float = 600.0
    kept_bytes: int = 0


@runtime_checkable
class Running(Protocol):
    """An engine that holds a model.

    Attributes:
        pid: its process; ``None`` where it has none of its own.
        address: where it answers; empty where it has no address.
        log: where what it prints is kept; ``None`` where that is nowhere.
        notes: what it could not be told of the plan, in sentences.
    """

    pid: int | None
    address: str
    log: Path | None
    notes: tuple[str, ...]

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None: ...

    def generate(self, ask: Ask) -> Iterator[Event]:
        """Yield the answer as it comes; the last event is ``Done``. One request at a time.

        Closing the iterator cancels the request.

        Raises:
            UsageError: the request cannot be met: the prompt does not fit into the context.
            EngineError: the engine fails, ends or says nothing for longer than its limit.
        """
        ...

    def cancel(self) -> None:
        """End the request that runs, from any thread; nothing where none runs."""
        ...

    def memory(self) -> "EngineSnapshot":
        """Return what the engine tells of its model, memory and cache; what it does not tell is absent."""
        ...

    def stop(self) -> None:
        """End the engine and let go of everything; a second call does nothing."""
        ...


@runtime_checkable
class Engine(Protocol):
    """An engine that can run models on this machine.

    Attributes:
        name: as the planner calls it (``llama.cpp``).
        title: as people write it.
        abilities: what it can do.
        formats: formats of models that it loads, as ``ModelSpec.format`` names them.
        install: the command that installs it.
    """

    name: str
    title: str
    abilities: frozenset[Ability]
    formats: frozenset[str]
    install: str

    def find(self) -> Installation | NotInstalled:
        """Return what is installed here; never raises for what is not, or does not work."""
        ...

    def planned_as(self, model_format: str) -> str:
        """Return the name of the planner's engine whose rules plan a model of a format for this one."""
        ...

    def settings(self, *, on_host: bool) -> tuple[str, ...]:
        """Return options that a run is planned with where others are not asked for.

        Args:
            on_host: it computes on the processor.
        """
        ...

    def start(self, plan: "Plan", limits: Limits | None = None) -> Running:
        """Start the engine with the settings of a plan and wait until it holds the model.

        Raises:
            UsageError: it cannot run the plan.
            EngineError: it does not start.
        """
        ...


@runtime_checkable
class Shared(Protocol):
    """A running engine that answers several requests at once."""

    def beside(self) -> Running:
        """Return another way to ask the same engine, for a request beside others.

        Ending it ends the engine.
        """
        ...


class Served(Running, Protocol):
    """A running engine that others may ask, at its address."""

    def wait(self, seconds: float) -> bool:
        """Wait for its end, and return whether it has ended."""
        ...

    def failure(self) -> EngineError:
        """Return what to say of it where it ended by itself."""
        ...


@runtime_checkable
class Serves(Protocol):
    """An engine that answers others."""

    def serve(self, plan: "Plan", port: int, limits: Limits | None = None) -> Served:
        """Start the engine as ``Engine.start`` does, at a port of loopback; 0: any that is free.

        Raises:
            UsageError: it cannot run the plan, or the port is taken.
            EngineError: it does not start.
        """
        ...


@runtime_checkable
class Tokenizes(Protocol):
    """A running engine that tells tokens."""

    def tokenize(self, text: str) -> list[int]:
        """Return the tokens of a text, as they are at the beginning of a prompt.

        Raises:
            EngineError: the engine fails.
        """
        ...


@cache
def engine_names() -> tuple[str, ...]:
    """Names of all engines that can be run."""
    return tuple(sorted({point.name for point in extensions(ENTRY_POINTS)}))


@cache
def engine(name: str) -> Engine:
    """Return the engine called ``name``; ``llamacpp`` and ``llama-cpp`` find ``llama.cpp``.

    The address of a server that speaks OpenAI's API is an engine, too: ``http://localhost:8000``.

    Raises:
        UnknownOptionError: no such engine can be run.
    """
    if name.lower().startswith(("http://", "https://")):
        from hwledger.runner.openai_http import at  # noqa: PLC0415 - start-up time

        return at(name)
    for point in extensions(ENTRY_POINTS):
        if _plain(point.name) == _plain(name):
            found: object = point.load()
            if isinstance(found, Engine):
                return found
    raise UnknownOptionError("engine to run", name, engine_names())


def _plain(name: str) -> str:
    return name.lower().replace(".", "").replace("-", "").replace("_", "")
