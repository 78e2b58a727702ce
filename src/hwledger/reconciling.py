"""The use case of reconciling: what a run, or an engine that runs anyway, says of its plan."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hwledger.app import speed
from hwledger.library.benchmarks.rests import usable_rests
from hwledger.planner.plan import Plan
from hwledger.planner.process import ProcessMemory, process_memory, rest_device, rest_of, used_share
from hwledger.planner.throughput.figure import Throughput, Traffic
from hwledger.reconcile.memory import NOT_TOLD_SAVED, device_account, memory_terms, process_account
from hwledger.reconcile.speed import busy_note, capacity_terms, speed_terms
from hwledger.reconcile.term import Account, Quality, Reconciliation, Seen, Term, Unknown
from hwledger.telemetry.engines.llama_saved import saved_prompts
from hwledger.telemetry.local import SOURCES, cores, processor_of
from hwledger.telemetry.probing import probe
from hwledger.telemetry.reading import Reading
from hwledger.telemetry.resident import device_bytes, resident_bytes
from hwledger.telemetry.samplers import source_names
from hwledger.telemetry.snapshot import EngineSnapshot, HostSnapshot

if TYPE_CHECKING:
    from pathlib import Path

    from hwledger.runner.engine import Running, Timings

NO_RATE: Final = "nothing tells how fast the host's memory is"
NOT_TIMED: Final = "nothing was timed"
LARGEST_LOG: Final = 16 << 20


def host_now() -> HostSnapshot:
    """Return the host as it is, for its load: before a run, as the run itself is load too."""
    return probe(only=frozenset({"host"})).host


def reconcile_run(  # noqa: PLR0913 - what is known of a run
    made: Plan,
    running: "Running",
    timings: "Timings | None",
    before: HostSnapshot,
    *,
    engine: str = "",
    program: str = "",
    users: int = 1,
    others: float | None = None,
) -> Reconciliation:
    """Return what a run says of its plan, while its engine still runs.

    Args:
        made: the plan.
        running: the engine.
        timings: of the request; ``None`` where nothing was timed.
        before: the host before the engine was started.
        engine: what ran, where others' rules planned it.
        program: how the engine is installed, for what its process holds beside the plan.
        users: requests at once.
        others: share of all cores that others used while it was timed; ``None``: not known.
    """
    told = running.memory()
    prefill, decode = _rate(timings, prefill=True), _rate(timings, prefill=False)
    busy = busy_note(before, cores(), others)
    speeds = speed_terms(planned_speed(made, timings, before, users), prefill, decode, NO_RATE, busy)
    rests, troubles = usable_rests()
    rest = rest_of(
        rests, engine or made.engine, version=made.request.version, program=program,
        device=rest_device(made, before.name),
    )  # fmt: skip
    used = used_share(made, users * (timings.prompt_tokens + timings.cached_tokens)) if timings else 0.0
    saved = saved_in(made, running.log)
    process = Process(running.pid, process_memory(made, rest, used), used, saved)
    notes = (*running.notes, *told.notes, *troubles, busy)
    return reconciled(made, told, process, speeds, notes)


@dataclass(frozen=True, slots=True)
class Process:
    """An engine's process, what was planned for it, and how much of its scratch memory was used."""

    pid: int | None
    planned: ProcessMemory | None = None
    used: float = 1.0
    saved: Reading = NOT_TOLD_SAVED


def saved_in(made: Plan, log: "Path | None") -> Reading:
    """Return what an engine's log says of earlier prompts that it keeps."""
    if made.engine != "llama.cpp" or log is None:
        return NOT_TOLD_SAVED
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LARGEST_LOG))
            return saved_prompts(file.read(LARGEST_LOG).decode("utf-8", "replace"))
    except OSError:
        return NOT_TOLD_SAVED


def reconciled(
    made: Plan, told: EngineSnapshot, process: Process, speeds: Sequence[Term], notes: Sequence[str]
) -> Reconciliation:
    """Return what an engine tells, and what its process holds, beside its plan."""
    said = (*notes, *made.memory.warnings, *(f"not modelled: {each}" for each in made.memory.not_modelled))
    return Reconciliation(
        model=made.spec.id, engine=told.engine or made.engine, planned_as=made.engine,
        planned_version=made.request.version,
        seen_version=told.version, terms=(*memory_terms(made, told), *capacity_terms(made, told), *speeds),
        accounts=tuple(_accounts(made, told, process)), notes=tuple(dict.fromkeys(filter(None, said))),
    )  # fmt: skip


def _accounts(made: Plan, told: EngineSnapshot, process: Process) -> Iterator[Account]:
    """Yield what the engine's process holds, of the host and, where there are devices, of them."""
    if process.pid is None:
        return
    yield process_account(told, resident_bytes(process.pid), process.planned, process.used, process.saved)

    seen = probe(only=(SOURCES - {"host"}) & source_names())
    if seen.devices:
        yield device_account(told, device_bytes(seen, process.pid), made)


def timed_plan(made: Plan, host: HostSnapshot) -> Plan:
    """Return a plan as its speed is estimated: one without devices runs on this host's processor."""
    if made.request.devices:
        return made
    from hwledger.planner.throughput.processor import on_processor  # noqa: PLC0415 - start-up time

    processor = processor_of(host)
    return made if processor is None else on_processor(made, processor)


def traffic_timed(timings: "Timings", users: int = 1) -> Traffic:
    """Return the traffic that timings are of."""
    return Traffic(
        prompt_tokens=timings.prompt_tokens, cached_tokens=timings.cached_tokens,
        output_tokens=max(1, timings.output_tokens), concurrency=users,
    )  # fmt: skip


def planned_speed(
    made: Plan, timings: "Timings | None", host: HostSnapshot, users: int = 1
) -> Throughput | None:
    """Return the planned speed of what was asked, corrected by earlier runs; ``None``: nothing is known."""
    plan_timed = timed_plan(made, host)
    if timings is None or not plan_timed.request.devices:
        return None
    return speed(plan_timed, traffic_timed(timings, users))


def _rate(timings: "Timings | None", *, prefill: bool) -> Seen | Unknown:
    if timings is None:
        return Unknown(NOT_TIMED)
    rate = timings.prefill_tokens_per_second if prefill else timings.decode_tokens_per_second
    return Unknown(NOT_TIMED) if rate is None else Seen(rate, Quality.REPORTED, timings.source)
