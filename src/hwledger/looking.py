"""The use case of looking at an engine that runs anyway: by its address, or by one of its processes."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hwledger.app import plan, speed
from hwledger.errors import EngineError, HwledgerError, UnreachableError, UsageError
from hwledger.library.access import Access
from hwledger.library.benchmarks.rests import usable_rests
from hwledger.library.commands import is_command
from hwledger.library.net.address import is_local
from hwledger.library.serving.address import is_server, server_address
from hwledger.planner.memory import HOST
from hwledger.planner.plan import Plan
from hwledger.planner.process import Learned, process_memory, rest_device, rest_of
from hwledger.reconcile.explain import Explanation, explain
from hwledger.reconcile.speed import speed_terms
from hwledger.reconcile.term import Reconciliation, Unknown
from hwledger.reconciling import Process, host_now, reconciled, saved_in
from hwledger.telemetry.engines.live.places import VARIABLE
from hwledger.telemetry.engines.live.sampler import EnginesSampler
from hwledger.telemetry.engines.live.whose import Owner, log_of, owner_of, pid_at
from hwledger.telemetry.local import SOURCES
from hwledger.telemetry.probing import probe
from hwledger.telemetry.recorded import read_recorded, read_text
from hwledger.telemetry.samplers import source_names
from hwledger.telemetry.snapshot import EngineSnapshot
from hwledger.telemetry.system import System

NO_DEVICE: Final = "the plan names no device: give --device for a speed"
LIMIT_S: Final = 30.0
PACKAGED: Final = {"mlx": "mlx-lm"}
"""Engines that run in a package's own program, whoever starts them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is known of an engine beside what it tells.

    Attributes:
        device: what it runs on; its plan then has a speed.
        options: settings that it does not state, as ``plan`` takes them.
        log: text of its log, which tells buffers that it does not tell over HTTP; empty: the file that its
            process writes to, where it is on this machine.
        model: what it holds, where it does not tell it or where it cannot be read from here.
        engine: whose rules plan it; its own where ``None``.
        access: how its model may be read.
    """

    device: str | None = None
    options: tuple[str, ...] = ()
    log: str = ""
    model: str | None = None
    engine: str | None = None
    access: Access | None = None

    def planned(self, ref: str) -> Plan:
        """Return the plan of what answers at an address, of a command line, or of the model that is named."""
        return plan(
            self.model or ref,
            engine=self.engine,
            device=self.device,
            options=self.options,
            access=self.access,
        )


@dataclass(frozen=True, slots=True)
class Looked:
    """A plan, what was seen of it, and what a process is expected to hold beside it."""

    plan: Plan
    found: Reconciliation
    baseline: Learned

    def explained(self, whole_bytes: float) -> Explanation:
        """Return what a figure is made of."""
        return explain(whole_bytes, self.plan, self.baseline, self.found)


def reconcile_server(
    ref: str,
    *,
    device: str | None = None,
    options: Sequence[str] = (),
    log: str = "",
    access: Access | None = None,
) -> Reconciliation:
    """Return what a running engine says of the plan of what it runs; see ``look_at_server``."""
    asked = Asked(device=device, options=tuple(options), log=log, access=access)
    return look_at_server(ref, asked).found


def look_at_server(ref: str, asked: Asked) -> Looked:
    """Return what an engine at an address says of the plan of what it runs.

    One of this machine that does not tell what it runs (MLX) is planned by the command line of its process.

    Raises:
        UsageError: it is no address, or the log is none of an engine.
        UnreachableError: nothing answers there, or no engine that is known.
        InputError: its model cannot be read from here.
    """
    if not is_server(ref):
        raise UsageError(f"{ref!r} is no address of a running engine; give one like http://localhost:8080")
    address = server_address(ref)[0]
    try:
        made = asked.planned(ref)
    except UnreachableError:
        pid = pid_at(address) if is_local(address) else None
        if pid is None:
            raise
        return look_at_process(pid, asked)
    return _looked(made, _watched(address), asked)


def look_at_process(pid: int, asked: Asked) -> Looked:
    """Return what the engine says that a process of this machine is, or is a part of.

    It is asked where it listens. One that does not answer, or whose answer names no model, is planned by its
    command line; of it the process and the devices are seen alone.

    Raises:
        UsageError: there is no such process, or it is no engine that is known.
        InputError: its model cannot be read from here.
    """
    owner = owner_of(pid)
    if owner is None:
        raise UsageError(f"there is no process {pid} here; hwledger probe lists the engines that run")
    troubles: list[str] = []
    for address in owner.addresses:
        try:
            made = asked.planned(address)
            told = replace(_watched(address), pid=owner.pid)
        except (UnreachableError, EngineError) as error:
            troubles.append(str(error))
            continue
        return _looked(made, told, asked)
    told = EngineSnapshot(owner.engine or asked.engine or "", pid=owner.pid, notes=tuple(troubles))
    return _looked(asked.planned(_command(owner, asked)), told, asked)


def look_at_model(ref: str, asked: Asked) -> Looked:
    """Return the plan of a model or of a command line, with nothing seen: to explain a figure."""
    made = asked.planned(ref)
    return _looked(made, EngineSnapshot(made.engine), asked)


def _command(owner: Owner, asked: Asked) -> str:
    """Return the command line of an engine as ``plan`` takes it.

    Raises:
        UsageError: it is none that runs a model.
    """
    words = shlex.join(owner.words)
    if asked.model or is_command(words):
        return words
    shown = words[:200] or "nothing that this user may see"
    raise UsageError(
        f"process {owner.pid} is no engine that is known ({shown}), or does not say its model; name it with"
        " --model and --engine"
    )


def _looked(made: Plan, told: EngineSnapshot, asked: Asked) -> Looked:
    log = log_of(told.pid) if told.pid is not None else None
    if asked.log:
        told = _with_log(told, asked.log)
    elif log is not None:
        told = _with_own_log(told, log)
    fast = speed(made) if made.request.devices else None
    not_timed = Unknown("it is not timed here: the requests of others are not known")
    speeds = speed_terms(fast, not_timed, not_timed, NO_DEVICE)
    baseline = _baseline(made)
    planned = process_memory(made, baseline) if made.request.devices or _on_host(made, told) else None
    process = Process(told.pid, planned, 1.0, saved_in(made, log))
    return Looked(made, reconciled(made, told, process, speeds, told.notes), baseline)


def _on_host(made: Plan, told: EngineSnapshot) -> bool:
    """Whether all of a plan without devices is in the host's memory: it says so, or nothing else is here."""
    if all(part.place == HOST for part in made.memory.components):
        return True
    return told.pid is not None and not probe(only=(SOURCES - {"host"}) & source_names()).devices


def _baseline(made: Plan) -> Learned:
    """Return what a process of the plan's engine holds beside it.

    How it is installed is not known: as a program of its own, unless this machine ran or has a package of it.
    """
    rests, _ = usable_rests()
    device, version = rest_device(made, host_now().name), made.request.version
    ran = [each.program for each in rests if each.engine == made.engine]
    program = ran[-1] if ran else PACKAGED.get(made.engine, "")
    return rest_of(rests, made.engine, version=version, program=program, device=device)


def _with_own_log(told: EngineSnapshot, path: Path) -> EngineSnapshot:
    """Return what an engine says with what its own log says; as it is where that is none that is read."""
    try:
        return _with_log(told, read_text(path))
    except HwledgerError:
        return told


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
