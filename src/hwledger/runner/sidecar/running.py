"""A sidecar that holds a model, behind the port of engines."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

from hwledger.errors import EngineError, HwledgerError
from hwledger.runner.backoff import Backoff
from hwledger.runner.engine import Ask, Done, Ending, Event, Limits, Piece, Progress, Timings
from hwledger.runner.logs import log_file
from hwledger.runner.process import Child
from hwledger.runner.sidecar import protocol
from hwledger.runner.sidecar.client import Client, result_of, since
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Gauge, Reading, Reason
from hwledger.telemetry.snapshot import EngineSnapshot, ModelSnapshot

BEGIN_S: Final = 60.0
"""What a sidecar may take to say that it is there; it has imported no engine then."""
FETCHING_S: Final = 24 * 3600.0
"""What a model may take that is fetched before it is loaded."""
FLUSH_S: Final = 20.0
"""What it may take to write what it kept of prompts when it is ended."""
CANCEL_S: Final = 0.2
"""What an engine may take to see that it is cancelled; after that only the next request waits for it."""
ASK_S: Final = 30.0
"""What it may take for what needs no engine."""
TOLD: Final[Mapping[str, Quantity]] = {
    "weights_bytes": Quantity.WEIGHTS_BYTES, "kv_cache_bytes": Quantity.KV_CACHE_BYTES,
    "state_bytes": Quantity.STATE_BYTES, "compute_bytes": Quantity.COMPUTE_BYTES,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """How a sidecar is started.

    Attributes:
        engine, title: as ``Engine`` has them.
        backend: ``module:class`` of what runs in it.
        load: what it is told to load.
        model: the model's name.
        env: its environment; this one's where ``None``.
        notes: what it could not be told of the plan.
        fetches_s: seconds that loading may take beside the limit, where it fetches the model.
    """

    engine: str
    title: str
    backend: str
    load: Mapping[str, Any]
    model: str
    env: Mapping[str, str] | None = None
    notes: tuple[str, ...] = field(default=())
    fetches_s: float = 0.0


def start(program: Program, limits: Limits) -> "SidecarRunning":
    """Start a sidecar and wait until it holds the model.

    Raises:
        UsageError: it cannot load what it is told.
        EngineError: it does not start, or speaks another version of the protocol.
    """
    client, loaded = _begun(program, limits)
    return SidecarRunning(program, limits, client, loaded)


def _begun(program: Program, limits: Limits) -> tuple[Client, dict[str, Any]]:
    words = [sys.executable, "-P", "-m", "hwledger.runner.sidecar", program.backend]
    client = Client(Child(program.title, words, log_file(program.engine), env=program.env, talks=True))
    try:
        version = _version(client, program)
        loaded = client.call("load", program.load, limit_s=limits.ready_s + program.fetches_s)
    except BaseException:
        client.stop()
        raise
    return client, {**loaded, "version": version}


def _version(client: Client, program: Program) -> str:
    """Return the engine's version, if the sidecar speaks the protocol that is spoken here."""
    told = client.call("health", limit_s=BEGIN_S)
    if told.get("protocol") == protocol.VERSION:
        return str(told.get("version") or "")
    raise EngineError(
        f"the sidecar of {program.title} speaks version {told.get('protocol')!r} of the protocol, and"
        f" {protocol.VERSION} is spoken here: install one hwledger alone"
    )


class SidecarRunning:
    """Satisfies ``Running``; a sidecar that crashed is started again with the next request, after a while."""

    def __init__(self, program: Program, limits: Limits, client: Client, loaded: Mapping[str, Any]) -> None:
        self.address = ""
        self.notes = (*program.notes, *map(str, loaded.get("notes") or ()))
        self._program, self._limits = program, limits
        self._client, self._loaded = client, loaded
        self._backoff = Backoff()
        self._request: int | None = None
        self._cancelled = threading.Event()
        self._stopped = threading.Event()

    @property
    def pid(self) -> int | None:
        """Its process; another one after it was started again."""
        return self._client.child.pid

    @property
    def guard_pid(self) -> int:
        """The process that stands between."""
        return self._client.child.guard_pid

    @property
    def log(self) -> Path | None:
        """Where what it prints is kept."""
        return self._client.child.log

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def generate(self, ask: Ask) -> Iterator[Event]:
        """Yield the answer as it comes; see ``Running``."""
        self._cancelled.clear()
        self._revive()
        begun, first = time.monotonic(), None
        number = self._request = self._client.begin("generate", _params(ask))
        if self._cancelled.is_set():  # while it was sent
            self.cancel()
        over = False
        try:
            for message in self._client.messages(number, self._limits.silent_s):
                if "method" not in message:
                    over = True
                    yield self._done(result_of(self._program.title, message), first)
                    return
                event = _event(message)
                if first is None and isinstance(event, Piece):
                    first = since(begun)
                if event is not None:
                    yield event
        except EngineError:
            over = True
            self._note_crash()
            raise
        finally:
            self._request = None
            if not over:
                self._client.tell("cancel", {"request": number})

    def _done(self, told: Mapping[str, Any], first: float | None) -> Done:
        ending = Ending.CANCELLED if told.get("ending") == "cancelled" else _ending(told.get("ending"))
        if ending is Ending.CANCELLED:
            return Done(ending)
        prompt, cached, output = (
            _whole(told.get(f"{name}_tokens")) for name in ("prompt", "cached", "output")
        )
        rates = _rate(prompt, told.get("prefill_seconds")), _rate(output, told.get("decode_seconds"))
        source = f"{self._program.title}, timed in its sidecar"
        return Done(ending, Timings(prompt, cached, output, *rates, source, first))

    def _note_crash(self) -> None:
        if not self._client.works and not self._stopped.is_set():
            self._backoff.crashed(time.monotonic())

    def _revive(self) -> None:
        """Start it again where it crashed, after a pause.

        Raises:
            EngineError: it was stopped, or crashed too often.
        """
        if self._stopped.is_set():
            raise EngineError(f"{self._program.title} was stopped; start it again")
        if self._client.works:
            return
        pause = self._backoff.wait_s(time.monotonic())
        if pause is None:
            raise EngineError(
                f"{self._program.title} crashed {len(self._backoff.crashes)} times within minutes and is"
                f" given up; its last log is {self.log}"
            )
        self._client.stop()
        if self._stopped.wait(pause):
            raise EngineError(f"{self._program.title} was stopped; start it again")
        try:
            self._client, self._loaded = _begun(self._program, self._limits)
        except HwledgerError:
            self._backoff.crashed(time.monotonic())
            raise

    def cancel(self) -> None:
        """Ask the engine to end the request that runs."""
        self._cancelled.set()
        number = self._request
        if number is not None:
            self._client.tell("cancel", {"request": number})
            timer = threading.Timer(CANCEL_S, self._client.give_up, [number])
            timer.daemon = True
            timer.start()

    def tokenize(self, text: str) -> list[int]:
        """Return the tokens of a text."""
        told = self._client.call("tokenize", {"text": text}, limit_s=self._limits.silent_s).get("tokens")
        return [each for each in told if isinstance(each, int)] if isinstance(told, list) else []

    def cache_stats(self) -> dict[str, Any]:
        """Return what the sidecar says of its prompt cache."""
        return self._client.call("cache_stats", limit_s=ASK_S)

    def memory(self) -> EngineSnapshot:
        """Return what the engine tells of its memory; what it does not tell is absent, with the reason."""
        told = self._client.call("memory", limit_s=ASK_S)
        gauge = Gauge(self._program.title)
        whys = told.get("whys")
        readings: dict[Quantity, Reading] = {
            TOLD[name]: gauge.absent(Reason.UNSUPPORTED, str(why))
            for name, why in (whys if isinstance(whys, dict) else {}).items() if name in TOLD
        }  # fmt: skip
        known = {quantity: told[name] for name, quantity in TOLD.items() if _is_size(told.get(name))}
        readings |= {quantity: gauge(quantity, size) for quantity, size in known.items()}
        place = {"cpu": "CPU", "gpu": "GPU"}.get(str(told.get("device")), "CPU")
        parts = {place: MappingProxyType({name: gauge(name, size) for name, size in known.items()})}
        model = ModelSnapshot(
            self._program.model, loaded=True, readings=MappingProxyType(readings),
            devices=MappingProxyType(parts if known else {}),
        )  # fmt: skip
        context = {Quantity.CONTEXT: gauge(Quantity.CONTEXT, _whole(self._loaded.get("context")))}
        return EngineSnapshot(
            self._program.engine, version=str(self._loaded.get("version") or ""), pid=self.pid,
            models=(model,), readings=MappingProxyType(context),
        )  # fmt: skip

    def stop(self) -> None:
        """End the sidecar and whatever it runs."""
        self.cancel()
        if not self._stopped.is_set() and "cache" in self._program.load and self._client.works:
            with contextlib.suppress(HwledgerError):  # what it still has to write of prompts is worth a while
                self._client.call("unload", limit_s=FLUSH_S)
        self._stopped.set()
        with contextlib.suppress(OSError):
            self._client.stop()


def _params(ask: Ask) -> dict[str, Any]:
    return {
        "prompt": ask.prompt, "max_tokens": ask.max_tokens, "chat": ask.chat, "temperature": ask.temperature,
        "seed": ask.seed,
    }  # fmt: skip


def _event(message: Mapping[str, Any]) -> Event | None:
    """Return the event of a notification; ``None`` for one that is not known."""
    told = message.get("params")
    if not isinstance(told, dict):
        return None
    done, total, text = told.get("done"), told.get("total"), told.get("text")
    if message["method"] == "progress" and _is_size(done) and _is_size(total):
        return Progress(_whole(done), _whole(total))
    if message["method"] == "piece" and isinstance(text, str) and text:
        return Piece(text)
    return None


def _ending(told: object) -> Ending:
    return Ending.LENGTH if told == "length" else Ending.END


def _is_size(found: object) -> bool:
    return isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 1 << 62


def _whole(found: object) -> int:
    return found if isinstance(found, int) and _is_size(found) else 0


def _rate(count: int, seconds: object) -> float | None:
    if not count or isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds <= 0:
        return None
    return count / seconds
