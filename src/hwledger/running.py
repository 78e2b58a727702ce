"""The use case of running: a plan for an engine that is installed here, on what it computes with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from hwledger.app import plan
from hwledger.errors import EngineError, UsageError
from hwledger.library.access import Access
from hwledger.library.benchmarks.rests import usable_rests
from hwledger.library.told import as_texts
from hwledger.model.spec import ModelSpec
from hwledger.planner.engine import engine_profile
from hwledger.planner.fit import Verdict, judge
from hwledger.planner.plan import Plan
from hwledger.planner.process import ProcessMemory, process_memory, rest_device, rest_of
from hwledger.runner.engine import Engine, Installation, NotInstalled, engine, engine_names
from hwledger.telemetry.local import host_bytes
from hwledger.telemetry.probing import probe

AUTO: Final = "auto"
_ALIKE: Final = {"n_batch": "n_ubatch"}
"""An option that is not set where another one is: a smaller batch would make that smaller, too."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked, to be planned on one thing or another."""

    ref: str
    engine: str
    context: int | None
    concurrency: int | None
    kv_cache: str | None
    options: tuple[str, ...]
    access: Access | None

    def planned(self, version: str | None, device: str | None, more: Sequence[str] = ()) -> Plan:
        """Return the plan on a device; ``more`` are options that the asked ones win over."""
        names = {text.partition("=")[0].strip().lstrip("-").replace("-", "_") for text in self.options}
        keys = [text.partition("=")[0] for text in more]
        free = [not {key, _ALIKE.get(key, key)} & names for key in keys]
        added = [text for text, is_free in zip(more, free, strict=True) if is_free]
        return plan(
            self.ref, engine=self.engine, engine_version=version, context=self.context,
            concurrency=self.concurrency, kv_cache=self.kv_cache, device=device,
            options=[*added, *self.options], access=self.access,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A plan for an engine that is installed here.

    Attributes:
        engine: what will run it.
        installed: where it is.
        plan: for its version, on what it computes with.
        on_host: it computes on the processor, and the plan names no device.
        verdict: whether it fits; ``None`` where that is not known.
        host_room_bytes: memory of the host that could be had; ``None``: not known, or of no matter.
        on_host_device: where it does not fit into the host's memory, the plan on that as one device: its
            fit says what would.
        process: what its process will hold of the host; ``None``: not planned.
    """

    engine: Engine
    installed: Installation
    plan: Plan
    on_host: bool
    verdict: Verdict | None
    host_room_bytes: int | None = None
    on_host_device: Plan | None = None
    process: ProcessMemory | None = None


def installed_engines() -> tuple[tuple[Engine, Installation | NotInstalled], ...]:
    """Return every engine that can be run and whether it is installed here."""
    return tuple((each, each.find()) for each in map(engine, engine_names()))


def prepare(  # noqa: PLR0913 - what can be asked of a run
    ref: str,
    *,
    engine_name: str = AUTO,
    context: int | None = None,
    concurrency: int | None = None,
    kv_cache: str | None = None,
    options: Mapping[str, object] | Sequence[str] = (),
    access: Access | None = None,
    runner: Engine | None = None,
) -> Prepared:
    """Return the plan of a model for an engine that is installed here, on what that engine computes with.

    Args:
        ref: the model, as ``plan`` takes it.
        engine_name: ``llama.cpp`` …; ``auto``: the one that is installed and loads the model's format.
        context: tokens of the request; the plan's own choice where ``None``.
        concurrency: requests at once; 1 where ``None``.
        kv_cache: number type of the KV cache.
        options: the engine's own options, as ``plan`` takes them.
        access: how the model may be read.
        runner: the engine itself; found by its name where ``None``.

    Raises:
        UsageError: the engine is not known, or no engine here runs such a model.
        EngineError: the engine is not installed; the sentence says how to install it.
        InputError, UnreachableError: the model cannot be read.
    """
    chosen, found, rules = _engine_for(ref, access, [runner] if runner else _named(engine_name))
    asked = Asked(ref, rules, context, concurrency, kv_cache, tuple(as_texts(options)), access)
    on_host = not found.devices
    device = None if on_host or found.runs else "local"
    made = asked.planned(_known(chosen, found, rules), device, chosen.settings(on_host=on_host))
    if made.spec.format not in chosen.formats:
        raise _wrong_format(chosen, made.spec)
    return _judged(chosen, found, _noted(made, found.notes), asked)


def _judged(chosen: Engine, found: Installation, made: Plan, asked: Asked) -> Prepared:
    """Return a plan and whether it fits on what the engine computes with; what runs already is not judged."""
    if found.runs:
        return Prepared(engine=chosen, installed=found, plan=made, on_host=False, verdict=None)
    if not found.devices:
        return _on_host(chosen, found, made, asked)
    verdict = made.fit.verdict if made.fit else None
    return Prepared(engine=chosen, installed=found, plan=made, on_host=False, verdict=verdict)


def _named(name: str) -> list[Engine]:
    """Return the engine of a name, or all of them."""
    return [engine(each) for each in (engine_names() if name == AUTO else (name,))]


def _engine_for(ref: str, access: Access | None, known: Sequence[Engine]) -> tuple[Engine, Installation, str]:
    """Return an engine that is installed and loads the model, and whose rules plan it: its own if it can be.

    Raises:
        UsageError: none that is installed loads the model's format.
        EngineError: none is installed.
    """
    found = [(each, each.find()) for each in known]
    here = [(each, what) for each, what in found if isinstance(what, Installation)]
    if not here:
        raise _absent(found)
    chosen, what = here[0]
    if len(known) == 1 and chosen.planned_as("") == chosen.name:
        return chosen, what, chosen.name
    spec = plan(ref, access=access).spec
    loads = [(each, what, each.planned_as(spec.format)) for each, what in here if spec.format in each.formats]
    if loads:
        return min(loads, key=lambda found: found[2] != found[0].name)
    able = [(each, what) for each, what in found if spec.format in each.formats]
    if able:
        raise _absent(able)
    raise _wrong_format(here[0][0], spec)


def _absent(found: Sequence[tuple[Engine, Installation | NotInstalled]]) -> EngineError:
    """Return how to install an engine that is not there."""
    said = [
        f"{each.title} is not installed here ({what.why}); install it with: {what.install}"
        for each, what in found
        if isinstance(what, NotInstalled)
    ]
    return EngineError("; or ".join(said))


def _wrong_format(chosen: Engine, spec: ModelSpec) -> UsageError:
    formats = " and ".join(each.upper() if each == "gguf" else each for each in sorted(chosen.formats))
    return UsageError(
        f"{chosen.title} loads {formats}, and {spec.id} is {spec.format}: name a file or repository of it in"
        " that format"
    )


def _known(chosen: Engine, found: Installation, rules: str) -> str | None:
    """Return the version where the planner has rules for it; ``None``: its newest ones."""
    if not found.version or rules != chosen.name:
        return None
    try:
        return engine_profile(chosen.name).check_version(found.version)
    except UsageError:
        return None


def _noted(made: Plan, notes: Sequence[str]) -> Plan:
    warnings = tuple(dict.fromkeys((*made.memory.warnings, *notes)))
    return replace(made, memory=replace(made.memory, warnings=warnings))


def _on_host(chosen: Engine, found: Installation, made: Plan, asked: Asked) -> Prepared:
    """Return a plan on the processor, held against the host's memory that can be had now."""
    seen = probe(only=frozenset({"host"}))
    room, process = host_bytes(seen, idle=False), _process(chosen, found, made, seen.host.name)
    needed, high = max(made.total_bytes, process.value), max(made.total_interval_bytes[1], process.high)
    verdict = None if room is None else judge(round(needed), round(high), room)
    if not made.spec.weights_known and verdict is not Verdict.DOES_NOT_FIT:
        verdict = None
    refused = verdict is Verdict.DOES_NOT_FIT
    return Prepared(
        engine=chosen, installed=found, plan=made, on_host=True, verdict=verdict, host_room_bytes=room,
        on_host_device=asked.planned(made.request.version, "local") if refused else None, process=process,
    )  # fmt: skip


def _process(chosen: Engine, found: Installation, made: Plan, processor: str) -> ProcessMemory:
    """Return what the engine's process will hold, by what earlier runs of this machine say."""
    rests, _ = usable_rests()
    rest = rest_of(
        rests, chosen.name, version=made.request.version, program=found.program,
        device=rest_device(made, processor),
    )  # fmt: skip
    return process_memory(made, rest)
