"""What is asked of each engine: paths that change nothing, and what their answers say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

from hwledger.errors import UnreachableError
from hwledger.library.serving.replies import Server, text_of
from hwledger.telemetry.derive import first_told
from hwledger.telemetry.engines import llama_cpp, lmstudio, ollama, others, sglang
from hwledger.telemetry.engines.formats import TITLES, page_source
from hwledger.telemetry.engines.live.rates import Rates
from hwledger.telemetry.engines.page import engine_of, read_engine_page
from hwledger.telemetry.engines.sizes import named
from hwledger.telemetry.engines.tables import metric_table
from hwledger.telemetry.engines.values import NO_WORD, engine_values
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Basis, Gauge, Reading, Reason, number_of
from hwledger.telemetry.snapshot import EngineSnapshot, ModelSnapshot

SLOW_S: Final = 30.0
"""What does not change by itself is asked again after so long: models, settings, version."""
_SLEEPS: Final = ("--sleep-idle-seconds",)
_MOST_ROUTED: Final = 16
COUNTED: Final = frozenset({
    Quantity.REQUESTS_RUNNING, Quantity.REQUESTS_WAITING, Quantity.PROMPT_TOKENS, Quantity.GENERATED_TOKENS,
    Quantity.PREFILL_SPEED, Quantity.DECODE_SPEED,
})  # fmt: skip
"""What one looks for on a page of metrics."""
_SLACK: Final = 16.0
_NO_PAGE: Final = {
    "llama.cpp": "start it with --metrics for counts of requests and tokens",
    "sglang": "start it with --enable-metrics for counts of requests and tokens",
}  # fmt: skip


@dataclass
class Known:
    """An engine that was identified, and what it said before.

    Attributes:
        engine: which one it is.
        rates: its counters.
        slow: what does not change by itself; ``None`` before it was asked.
        slow_at: when that was.
        words: command line of its process; empty where it is not known.
        nothing_at: paths that had nothing to say; they are left alone until the slow questions come again.
    """

    engine: str
    words: tuple[str, ...] = ()
    slow: EngineSnapshot | None = None
    slow_at: float = 0.0
    rates: Rates = field(default_factory=Rates)
    nothing_at: set[str] = field(default_factory=set)


def look(server: Server, known: Known, at: float) -> EngineSnapshot:
    """Return what an engine says now.

    Args:
        server: where it answers, asked anew.
        known: which engine it is, and what it said before; brought up to date.
        at: when, on the clock of the system.

    Raises:
        UnreachableError: it does not answer.
        DeniedError: it wants a key.
    """
    if known.slow is None or is_due(known, at):
        known.slow = _SLOW[known.engine](server, at)
        known.slow_at = at
        known.nothing_at.clear()
    fast = _FAST[known.engine](server, known, at)
    if server.lost:
        known.slow_at = -SLOW_S  # what was asked may be of half the answers
        raise UnreachableError(f"{server.address} did not answer {', '.join(server.lost)} in time")
    told = first_told(fast.readings, known.slow.readings)
    running = number_of(told.get(Quantity.REQUESTS_RUNNING))
    gauge = Gauge(page_source(known.engine), at)
    told |= known.rates.speeds(told, gauge, running)
    told = first_told(told, _lacking(known.engine, at))
    return replace(
        known.slow,
        version=known.slow.version or fast.version,
        readings=MappingProxyType(told),
        models=_joined(fast.models, known.slow.models),
        notes=tuple(dict.fromkeys((*known.slow.notes, *fast.notes))),
    )


def is_due(known: Known, at: float) -> bool:
    """Whether what does not change by itself is to be asked again."""
    return known.slow is not None and at - known.slow_at >= SLOW_S


def _lacking(engine: str, at: float) -> dict[Quantity, Reading]:
    """Return why an engine cannot tell what one would look for."""
    gauge = Gauge(TITLES[engine], at)
    cells = engine_values()[engine].items()
    return {
        quantity: gauge.absent(Reason.UNSUPPORTED, cell.why_not)
        for quantity, cell in cells if cell.why_not and cell.why_not != NO_WORD
    }  # fmt: skip


def _joined(fast: tuple[ModelSnapshot, ...], slow: tuple[ModelSnapshot, ...]) -> tuple[ModelSnapshot, ...]:
    """Return models by name with what both say; where there is one, it is the same under two names."""
    if len(fast) == 1 and len(slow) == 1:
        fast = (replace(fast[0], name=slow[0].name),)
    by_name = {model.name: model for model in slow}
    for model in fast:
        before = by_name.get(model.name)
        by_name[model.name] = model if before is None else _both(model, before)
    return tuple(by_name.values())


def _both(one: ModelSnapshot, other: ModelSnapshot) -> ModelSnapshot:
    """Return what both say of one model; one that was put to sleep holds no weights any more."""
    readings = first_told(one.readings, other.readings)
    if one.loaded is False:
        readings.pop(Quantity.WEIGHTS_BYTES, None)
    return replace(
        one,
        loaded=one.loaded if one.loaded is not None else other.loaded,
        readings=MappingProxyType(readings),
        devices=one.devices or other.devices,
    )


def _reply(
    server: Server, path: str, read: Callable[[object, Gauge], EngineSnapshot], title: str, at: float
) -> EngineSnapshot:
    return read(server.json(path), Gauge(f"{title} {path.partition('?')[0]}", at))


def _page(server: Server, known: Known, at: float, path: str = "/metrics") -> EngineSnapshot:
    """Return what the page of metrics says; where there is none, why its figures are missing."""
    engine = known.engine
    text = "" if path in known.nothing_at else server.text(path)
    if engine_of(text[: 1 << 20]) != engine:
        known.nothing_at.add(path)
        return _without_page(engine, at)
    sample = read_engine_page(text, engine, Gauge(page_source(engine), at))
    return replace(sample.engines[0], notes=(*sample.engines[0].notes, *sample.troubles))


def _without_page(engine: str, at: float) -> EngineSnapshot:
    why = f"it shows no page of metrics{': ' if engine in _NO_PAGE else ''}{_NO_PAGE.get(engine, '')}"
    absent = Gauge(page_source(engine), at).absent(Reason.UNSUPPORTED, why)
    told = engine_values()[engine]
    counted = (metric.quantity for metric in metric_table().metrics[engine])
    readings = {name: absent for name in counted if "/metrics" in told[name].live and name in COUNTED}
    return EngineSnapshot(engine, readings=MappingProxyType(readings), notes=(why,))


def _with_version(server: Server, engine: EngineSnapshot, path: str) -> EngineSnapshot:
    return replace(engine, version=engine.version or text_of(server.json(path), "version") or "")


def _slow_vllm(server: Server, at: float) -> EngineSnapshot:
    served = _reply(server, "/v1/models", lambda r, g: others.read_served(r, g, "vllm"), "vLLM", at)
    return _with_version(server, served, "/version")


def _slow_sglang(server: Server, at: float) -> EngineSnapshot:
    path = "/server_info" if server.json("/server_info") else "/get_server_info"
    told = _reply(server, path, sglang.read_server_info, "SGLang", at)
    moving = {Quantity.DECODE_SPEED}  # of the last time that it generated, which may be long ago
    readings = {name: reading for name, reading in told.readings.items() if name not in moving}
    served = _reply(server, "/v1/models", lambda r, g: others.read_served(r, g, "sglang"), "SGLang", at)
    notes = tuple(note for note in told.notes if not note.startswith("decode_speed"))
    return replace(
        told, readings=MappingProxyType(readings), notes=notes, models=_joined(told.models[:1], served.models)
    )


def _slow_tgi(server: Server, at: float) -> EngineSnapshot:
    return _reply(server, "/info", others.read_tgi_info, "TGI", at)


def _slow_llama(server: Server, at: float) -> EngineSnapshot:
    return _reply(server, "/v1/models", llama_cpp.read_models, "llama.cpp", at)


def _fast_llama(server: Server, known: Known, at: float) -> EngineSnapshot:
    """Return what a server says that may be asked without waking its model or keeping it from sleep.

    ``/props`` never counts as work (llama.cpp ``tools/server/README.md``, "sleeping on idle"); ``/slots``
    does, so it is asked only of servers that do not sleep by themselves.
    """
    props = server.json("/props")
    if text_of(props, "role") == "router" or text_of(props, "model_path") == "none":
        return _routed(server, known, at)
    told = _reply(server, "/props", llama_cpp.read_props, "llama.cpp", at)
    if props.get("is_sleeping") is True:
        return told
    page = _page(server, known, at)
    slots = EngineSnapshot("llama.cpp")
    if _stays_awake(props, known):
        slots = _slots(server, known, at)
        page = _in_flight(server, known, page, at)
    elif known.words:
        note = "its slots are not asked for: that would keep its model from going to sleep"
        slots = replace(slots, notes=(note,))
    return _merged(page, slots, told)


def _stays_awake(props: Mapping[str, Any], known: Known) -> bool:
    """Whether the server does not put its model to sleep: it is too old to, or was not told to."""
    if "is_sleeping" not in props:
        return True
    return bool(known.words) and not any(word.startswith(_SLEEPS) for word in known.words)


def _slots(server: Server, known: Known, at: float) -> EngineSnapshot:
    reply = None if "/slots" in known.nothing_at else server.value("/slots")
    if not llama_cpp.is_slots(reply):
        known.nothing_at.add("/slots")
        return EngineSnapshot("llama.cpp")
    return llama_cpp.read_slots(reply, Gauge("llama.cpp /slots", at))


def _in_flight(server: Server, known: Known, page: EngineSnapshot, at: float) -> EngineSnapshot:
    """Return the page with the tokens of running requests added to those that it counts.

    The page counts a request's tokens when it ends; its slots tell them before. Where a request ended between
    the two questions, the page is asked again and must say the same.
    """
    counted = number_of(page.readings.get(Quantity.GENERATED_TOKENS))
    if counted is None or "/slots" in known.nothing_at:
        return page
    known.rates.at_end, known.rates.slack = False, _SLACK
    flying = llama_cpp.tokens_in_flight(server.value("/slots"))
    if not flying:
        return page
    server.forget("/metrics")
    again = _page(server, known, at)
    if number_of(again.readings.get(Quantity.GENERATED_TOKENS)) != counted:
        return again
    derived = Gauge(f"{page_source('llama.cpp')} and /slots", at, Basis.DERIVED)
    total = derived(Quantity.GENERATED_TOKENS, round(counted + sum(flying.values())))
    return replace(page, readings=MappingProxyType({**page.readings, Quantity.GENERATED_TOKENS: total}))


def _routed(server: Server, known: Known, at: float) -> EngineSnapshot:
    """Return what the loaded models of a router say; the others are left alone."""
    loaded = [model for model in (known.slow.models if known.slow else ()) if model.loaded][:_MOST_ROUTED]
    models = []
    for model in loaded:
        query = f"?model={quote(model.name, safe='')}&autoload=false"
        props = _reply(server, f"/props{query}", llama_cpp.read_props, "llama.cpp", at)
        page = (
            _page(server, known, at, f"/metrics{query}") if not props.notes else EngineSnapshot("llama.cpp")
        )
        told = first_told(page.readings, props.readings, *(each.readings for each in props.models))
        awake = False if props.notes else model.loaded
        models.append(ModelSnapshot(model.name, loaded=awake, readings=MappingProxyType(told)))
    return EngineSnapshot("llama.cpp", models=tuple(models), notes=("it routes requests to several models",))


def _merged(*told: EngineSnapshot) -> EngineSnapshot:
    models: tuple[ModelSnapshot, ...] = ()
    for each in told:
        models = _joined(models, each.models) if models else each.models
    return replace(
        told[0], version=next((each.version for each in told if each.version), ""), models=models,
        readings=MappingProxyType(first_told(*(each.readings for each in told))),
        notes=tuple(note for each in told for note in each.notes),
    )  # fmt: skip


def _slow_ollama(server: Server, at: float) -> EngineSnapshot:
    del at
    return _with_version(server, EngineSnapshot("ollama"), "/api/version")


def _fast_ollama(server: Server, known: Known, at: float) -> EngineSnapshot:
    del known
    return _reply(server, "/api/ps", ollama.read_running, "Ollama", at)


def _fast_lm_studio(server: Server, known: Known, at: float) -> EngineSnapshot:
    newer = "/api/v1/models"
    if newer not in known.nothing_at and lmstudio.is_newer(server.value(newer)):
        return _loaded_alone(_reply(server, newer, lmstudio.read_newer, "LM Studio", at))
    known.nothing_at.add(newer)
    return _loaded_alone(_reply(server, "/api/v0/models", lmstudio.read_older, "LM Studio", at))


def _loaded_alone(engine: EngineSnapshot) -> EngineSnapshot:
    return replace(engine, models=tuple(model for model in engine.models if model.loaded))


def _slow_mistral(server: Server, at: float) -> EngineSnapshot:
    told = _reply(server, "/v1/models", others.read_mistral_models, "mistral.rs", at)
    build = server.json("/v1/system/info").get("build")
    revision = text_of(build, "git_revision") if isinstance(build, dict) else None
    return replace(told, version=(revision or "")[:12])


def _fast_mlx(server: Server, known: Known, at: float) -> EngineSnapshot:
    """Return nothing but that it answers: MLX's server counts nothing. The command line names its model."""
    del at
    server.json("/health")
    at_word = known.words.index("--model") + 1 if "--model" in known.words else 0
    if not at_word or at_word >= len(known.words):
        return EngineSnapshot("mlx")
    return EngineSnapshot("mlx", models=(ModelSnapshot(named(known.words[at_word]), loaded=True),))


def _fast_page(server: Server, known: Known, at: float) -> EngineSnapshot:
    return _page(server, known, at)


def _plain(engine: str) -> Callable[[Server, float], EngineSnapshot]:
    return lambda server, at: EngineSnapshot(engine)  # noqa: ARG005 - nothing slow to ask


_SLOW: Final[Mapping[str, Callable[[Server, float], EngineSnapshot]]] = {
    "vllm": _slow_vllm, "sglang": _slow_sglang, "tgi": _slow_tgi, "llama.cpp": _slow_llama,
    "ollama": _slow_ollama, "lmstudio": _plain("lmstudio"), "mistral.rs": _slow_mistral, "mlx": _plain("mlx"),
}  # fmt: skip
_FAST: Final[Mapping[str, Callable[[Server, Known, float], EngineSnapshot]]] = {
    "vllm": _fast_page, "sglang": _fast_page, "tgi": _fast_page, "mistral.rs": _fast_page,
    "llama.cpp": _fast_llama, "ollama": _fast_ollama, "lmstudio": _fast_lm_studio, "mlx": _fast_mlx,
}  # fmt: skip
COUNT_AT_END: Final = frozenset({"tgi", "llama.cpp"})
"""Engines whose counters of tokens move when a request ends."""
