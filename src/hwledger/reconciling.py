"""The use case of reconciling: what a run, or an engine that runs anyway, says of its plan."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from hwledger.app import plan, speed
from hwledger.errors import EngineError, HwledgerError, UsageError
from hwledger.library.access import Access
from hwledger.library.benchmarks.rests import usable_rests
from hwledger.library.serving.address import is_server, server_address
from hwledger.planner.plan import Plan
from hwledger.planner.process import ProcessMemory, process_memory, rest_of, used_share
from hwledger.planner.throughput.figure import Throughput, Traffic
from hwledger.reconcile.memory import NOT_TOLD_SAVED, device_account, memory_terms, process_account
from hwledger.reconcile.speed import busy_note, capacity_terms, speed_terms
from hwledger.reconcile.term import Account, Quality, Reconciliation, Seen, Term, Unknown
from hwledger.telemetry.engines.live.places import VARIABLE
from hwledger.telemetry.engines.live.sampler import EnginesSampler
from hwledger.telemetry.engines.llama_saved import saved_prompts
from hwledger.telemetry.local import SOURCES, cores, processor_of
from hwledger.telemetry.probing import probe
from hwledger.telemetry.reading import Reading
from hwledger.telemetry.recorded import read_recorded
from hwledger.telemetry.resident import device_bytes, resident_bytes
from hwledger.telemetry.samplers import source_names
from hwledger.telemetry.snapshot import EngineSnapshot, HostSnapshot
from hwledger.telemetry.system import System

if TYPE_CHECKING:
    from pathlib import Path

    from hwledger.runner.engine import Running, Timings

NO_RATE: Final = "nothing tells how fast the host's memory is"
NO_DEVICE: Final = "the plan names no device: give --device for a speed"
NOT_TIMED: Final = "nothing was timed"
LIMIT_S: Final = 30.0
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
        rests, made.engine, version=made.request.version, program=program, device=rest_device(made, before)
    )
    used = used_share(made, users * (timings.prompt_tokens + timings.cached_tokens)) if timings else 0.0
    saved = _saved(made, running.log)
    process = _Process(running.pid, process_memory(made, rest, used), used, saved)
    notes = (*running.notes, *told.notes, *troubles, busy)
    return _reconciled(made, told, process, speeds, notes)


@dataclass(frozen=True, slots=True)
class _Process:
    """An engine's process, what was planned for it, and how much of its scratch memory was used."""

    pid: int | None
    planned: ProcessMemory | None = None
    used: float = 1.0
    saved: Reading = NOT_TOLD_SAVED


def _saved(made: Plan, log: "Path | None") -> Reading:
    """Return what an engine's log says of earlier prompts that it keeps."""
    if made.engine != "llama.cpp" or log is None:
        return NOT_TOLD_SAVED
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LARGEST_LOG))
            return saved_prompts(file.read(LARGEST_LOG).decode("utf-8", "replace"))
    except OSError:
        return NOT_TOLD_SAVED


def rest_device(made: Plan, host: HostSnapshot) -> str:
    """Return what a process's rest is kept under: its devices, or the processor."""
    names = dict.fromkeys(device.name for device in made.request.devices)
    return ", ".join(names) or host.name


def own_program(where: str) -> str:
    """Return how an engine is installed: the package's name, empty for a program of its own."""
    return "" if where.startswith(("/", "~", ".")) else where.partition(" ")[0]


def reconcile_server(
    ref: str,
    *,
    device: str | None = None,
    options: Sequence[str] = (),
    log: str = "",
    access: Access | None = None,
) -> Reconciliation:
    """Return what a running engine says of the plan of what it runs.

    Args:
        ref: its address.
        device: what it runs on; its plan then has a speed.
        options: settings that it does not state, as ``plan`` takes them.
        log: text of its log, which tells buffers that it does not tell over HTTP; empty for none.
        access: how its model may be read.

    Raises:
        UsageError: it is no address, or the log is none of an engine.
        UnreachableError: nothing answers there, or no engine that is known.
        InputError: its model cannot be read from here.
    """
    if not is_server(ref):
        raise UsageError(f"{ref!r} is no address of a running engine; give one like http://localhost:8080")
    made = plan(ref, device=device, options=options, access=access)
    told = _watched(server_address(ref)[0])
    if log:
        told = _with_log(told, log)
    fast = speed(made) if made.request.devices else None
    not_timed = Unknown("it is not timed here: the requests of others are not known")
    speeds = speed_terms(fast, not_timed, not_timed, NO_DEVICE)
    return _reconciled(made, told, _Process(told.pid), speeds, told.notes)


def _watched(address: str) -> EngineSnapshot:
    """Return what the engine at an address says now.

    Raises:
        EngineError: it says nothing.
    """
    source = EnginesSampler(System(environ={**os.environ, VARIABLE: address}), limit_s=LIMIT_S)
    try:
        sample = source.sample(processes=True)
    finally:
        source.close()
    found = next((each for each in sample.engines if each.address == address), None)
    if found is None:
        raise EngineError("; ".join(sample.troubles) or f"{address} tells nothing of itself")
    return found


def _with_log(told: EngineSnapshot, text: str) -> EngineSnapshot:
    """Return what an engine says with what its log says of the same model."""
    try:
        logged = read_recorded(text, "the log")[1].engines
    except HwledgerError as error:
        raise UsageError(str(error)) from None
    if not logged or logged[0].engine != told.engine:
        raise UsageError(f"the log is none of {told.engine}, which answers at {told.address}")
    live = told.models[0].readings if told.models else {}
    models = tuple(replace(each, readings={**each.readings, **live}) for each in logged[0].models[:1])
    readings = {**logged[0].readings, **told.readings}
    notes = (*told.notes, *logged[0].notes)
    return replace(told, models=models or told.models, readings=readings, notes=notes)


def _reconciled(
    made: Plan, told: EngineSnapshot, process: _Process, speeds: Sequence[Term], notes: Sequence[str]
) -> Reconciliation:
    said = (*notes, *made.memory.warnings, *(f"not modelled: {each}" for each in made.memory.not_modelled))
    return Reconciliation(
        model=made.spec.id, engine=told.engine or made.engine, planned_as=made.engine,
        planned_version=made.request.version,
        seen_version=told.version, terms=(*memory_terms(made, told), *capacity_terms(made, told), *speeds),
        accounts=tuple(_accounts(made, told, process)), notes=tuple(dict.fromkeys(filter(None, said))),
    )  # fmt: skip


def _accounts(made: Plan, told: EngineSnapshot, process: _Process) -> Iterator[Account]:
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
