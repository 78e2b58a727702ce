"""The use case of reconciling: what a run, or an engine that runs anyway, says of its plan."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hwledger.app import plan, speed
from hwledger.errors import EngineError, HwledgerError, UsageError
from hwledger.library.access import Access
from hwledger.library.serving.address import is_server, server_address
from hwledger.planner.plan import Plan
from hwledger.planner.throughput.figure import Throughput, Traffic
from hwledger.reconcile.memory import device_account, memory_terms, process_account
from hwledger.reconcile.speed import busy_note, capacity_terms, speed_terms
from hwledger.reconcile.term import Account, Quality, Reconciliation, Seen, Term, Unknown
from hwledger.telemetry.engines.live.places import VARIABLE
from hwledger.telemetry.engines.live.sampler import EnginesSampler
from hwledger.telemetry.local import SOURCES
from hwledger.telemetry.probing import probe
from hwledger.telemetry.recorded import read_recorded
from hwledger.telemetry.resident import device_bytes, resident_bytes
from hwledger.telemetry.samplers import source_names
from hwledger.telemetry.snapshot import EngineSnapshot, HostSnapshot
from hwledger.telemetry.system import System

if TYPE_CHECKING:
    from hwledger.runner.engine import Running, Timings

NO_RATE: Final = "nothing tells how fast the host's memory is"
NO_DEVICE: Final = "the plan names no device: give --device for a speed"
NOT_TIMED: Final = "nothing was timed"
LIMIT_S: Final = 30.0


def host_now() -> HostSnapshot:
    """Return the host as it is, for its load: before a run, as the run itself is load too."""
    return probe(only=frozenset({"host"})).host


def reconcile_run(
    made: Plan, running: "Running", timings: "Timings | None", before: HostSnapshot
) -> Reconciliation:
    """Return what a run says of its plan, while its engine still runs.

    Args:
        made: the plan.
        running: the engine.
        timings: of the request; ``None`` where nothing was timed.
        before: the host before the engine was started.
    """
    told = running.memory()
    prefill, decode = _rate(timings, prefill=True), _rate(timings, prefill=False)
    speeds = speed_terms(_speed(made, timings), prefill, decode, NO_RATE)
    notes = (*running.notes, *told.notes, busy_note(before, os.cpu_count() or 1))
    return _reconciled(made, told, running.pid, speeds, notes)


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
    return _reconciled(made, told, told.pid, speed_terms(fast, not_timed, not_timed, NO_DEVICE), told.notes)


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
    made: Plan, told: EngineSnapshot, pid: int | None, speeds: Sequence[Term], notes: Sequence[str]
) -> Reconciliation:
    said = (*notes, *made.memory.warnings, *(f"not modelled: {each}" for each in made.memory.not_modelled))
    return Reconciliation(
        model=made.spec.id, engine=told.engine or made.engine, planned_as=made.engine,
        planned_version=made.request.version,
        seen_version=told.version, terms=(*memory_terms(made, told), *capacity_terms(made, told), *speeds),
        accounts=tuple(_accounts(told, pid)), notes=tuple(dict.fromkeys(filter(None, said))),
    )  # fmt: skip


def _accounts(told: EngineSnapshot, pid: int | None) -> Iterator[Account]:
    """Yield what the engine's process holds, of the host and, where there are devices, of them."""
    if pid is None:
        return
    yield process_account(told, resident_bytes(pid))

    seen = probe(only=(SOURCES - {"host"}) & source_names())
    if seen.devices:
        yield device_account(told, device_bytes(seen, pid))


def _speed(made: Plan, timings: "Timings | None") -> Throughput | None:
    """Return the planned speed of what was asked."""
    if timings is None or not made.request.devices:
        return None
    traffic = Traffic(
        prompt_tokens=timings.prompt_tokens, cached_tokens=timings.cached_tokens,
        output_tokens=max(1, timings.output_tokens),
    )  # fmt: skip
    return speed(made, traffic)


def _rate(timings: "Timings | None", *, prefill: bool) -> Seen | Unknown:
    if timings is None:
        return Unknown(NOT_TIMED)
    rate = timings.prefill_tokens_per_second if prefill else timings.decode_tokens_per_second
    return Unknown(NOT_TIMED) if rate is None else Seen(rate, Quality.REPORTED, timings.source)
