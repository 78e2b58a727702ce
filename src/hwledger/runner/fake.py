"""An engine for tests of what stands above the port: no process, no model, and every ability."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from hwledger.errors import EngineError, UsageError
from hwledger.planner.memory import Category
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
    Progress,
    Timings,
)
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Gauge, Reading
from hwledger.telemetry.snapshot import EngineSnapshot, ModelSnapshot

TOLD = {
    Quantity.WEIGHTS_BYTES: Category.WEIGHTS, Quantity.KV_CACHE_BYTES: Category.KV_CACHE,
    Quantity.STATE_BYTES: Category.STATE, Quantity.COMPUTE_BYTES: Category.COMPUTE,
}  # fmt: skip


@dataclass
class FakeRunning:
    """An engine that answers with the words of its prompt, again and again; satisfies ``Running``.

    Attributes:
        plan: what it was started with.
        fails_after: pieces after which it breaks; ``None``: never.
        stopped: it was.
        serves_looks: how often one may wait for it before it ends by itself; ``None``: it does not.
        looks: how often somebody waited for its end.
    """

    plan: Plan
    fails_after: int | None = None
    pid: int | None = None
    address: str = ""
    log: Path | None = None
    notes: tuple[str, ...] = ()
    stopped: bool = False
    serves_looks: int | None = None
    looks: int = 0
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def generate(self, ask: Ask) -> Iterator[Event]:
        """Yield progress, then a word at a time."""
        if self.stopped:
            raise EngineError("the fake engine was stopped; start it again")
        words = ask.prompt.split() or [""]
        room = self.plan.memory.context_tokens - len(words)
        if room < 1:
            raise UsageError(f"the prompt of {len(words)} tokens does not fit into the context")
        self._cancelled.clear()
        yield Progress(0, len(words))
        yield Progress(len(words), len(words))
        count = 0
        wanted = room if ask.max_tokens is None else min(ask.max_tokens, room)
        for count in range(1, wanted + 1):
            if self._cancelled.is_set():
                yield Done(Ending.CANCELLED)
                return
            if self.fails_after is not None and count > self.fails_after:
                raise EngineError("the fake engine broke, as it was told to")
            yield Piece(f" {words[(count - 1) % len(words)]}")
        yield Done(Ending.LENGTH, Timings(len(words), 0, count, 100.0, 10.0, "fake", 0.01))

    def cancel(self) -> None:
        """End the answer with its next piece."""
        self._cancelled.set()

    def beside(self) -> "FakeRunning":
        """Return another that knows the same plan."""
        return FakeRunning(self.plan, self.fails_after)

    def wait(self, seconds: float) -> bool:
        """Return whether it was stopped, or has served as long as it was told to."""
        del seconds
        self.looks += 1
        return self.stopped or (self.serves_looks is not None and self.looks > self.serves_looks)

    def failure(self) -> EngineError:
        """Return what to say of it."""
        return EngineError("the fake engine ended while it served, as it was told to")

    def tokenize(self, text: str) -> list[int]:
        """Return a number for each word."""
        return list(range(len(text.split())))

    def memory(self) -> EngineSnapshot:
        """Return just what was planned."""
        gauge = Gauge("fake")
        told: dict[Quantity, Reading] = {
            quantity: gauge(quantity, self.plan.by_category[category]) for quantity, category in TOLD.items()
        }
        models = (ModelSnapshot(self.plan.spec.id, loaded=True, readings=MappingProxyType(told)),)
        return EngineSnapshot("fake", models=models)

    def stop(self) -> None:
        """Answer no more."""
        self.cancel()
        self.stopped = True


@dataclass
class FakeEngine:
    """Satisfies ``Engine``; hand it over where an engine is wanted.

    Attributes:
        installed: whether it is.
        fails_after: as ``FakeRunning.fails_after``.
        started: every engine that was started.
        serves_looks: as ``FakeRunning.serves_looks``.
    """

    installed: bool = True
    fails_after: int | None = None
    serves_looks: int | None = None
    started: list[FakeRunning] = field(default_factory=list)
    name: str = "llama.cpp"
    title: str = "the fake engine"
    abilities: frozenset[Ability] = frozenset(Ability)
    formats: frozenset[str] = frozenset({"gguf"})
    install: str = "pip install fake"

    def find(self) -> Installation | NotInstalled:
        """Return that it is there, or not."""
        if self.installed:
            return Installation(self.name, "", "memory")
        return NotInstalled(self.name, "it was told to be absent", self.install)

    def planned_as(self, model_format: str) -> str:
        """Return that it is planned as what it is called."""
        del model_format
        return self.name

    def settings(self, *, on_host: bool) -> tuple[str, ...]:
        """Return those of llama.cpp."""
        return ("n_gpu_layers=0", "n_batch=512") if on_host else ()

    def start(self, plan: Plan, limits: Limits | None = None) -> FakeRunning:
        """Return it running."""
        del limits
        running = FakeRunning(plan, self.fails_after)
        self.started.append(running)
        return running

    def serve(self, plan: Plan, port: int, limits: Limits | None = None) -> FakeRunning:
        """Return it running, at an address where nobody answers."""
        running = self.start(plan, limits)
        running.address = f"http://127.0.0.1:{port}"
        running.serves_looks = self.serves_looks
        return running
