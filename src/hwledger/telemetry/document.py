"""A snapshot as JSON: ``hwledger.probe/1``."""

from dataclasses import asdict
from typing import Any, Final

from hwledger.telemetry.quantity import DEVICE, ENGINE, HOST, Quantity
from hwledger.telemetry.reading import NOT_TOLD, Absent, Reading, Readings, Value
from hwledger.telemetry.snapshot import (
    Check,
    DeviceSnapshot,
    EngineSnapshot,
    HostSnapshot,
    ModelSnapshot,
    ProcessSnapshot,
    Sample,
    Snapshot,
)

SCHEMA: Final = "hwledger.probe/1"


def snapshot_document(snapshot: Snapshot) -> dict[str, Any]:
    """Return a snapshot for JSON; every value has its age in seconds at the moment of the snapshot."""
    at = snapshot.at
    peers = {"peers": [asdict(peer) for peer in snapshot.peers]} if snapshot.peers else {}
    return {
        "schema": SCHEMA,
        "time": snapshot.time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "host": host_document(snapshot.host, at),
        "devices": [device_document(device, at) for device in snapshot.devices],
        "engines": [engine_document(engine, at) for engine in snapshot.engines],
        "sources": [check_document(check) for check in snapshot.checks],
        "troubles": list(snapshot.troubles),
        **peers,
    }


def sample_document(sample: Sample) -> dict[str, Any]:
    """Return one source's sample for JSON, without ages."""
    host = sample.host
    peers = {"peers": [asdict(peer) for peer in sample.peers]} if sample.peers else {}
    return {
        "host": None if host is None else host_document(host, None),
        "devices": [device_document(device, None) for device in sample.devices],
        "engines": [engine_document(engine, None) for engine in sample.engines],
        "troubles": list(sample.troubles),
        "failure": None if sample.failure is None else _absent(sample.failure, None),
        **peers,
    }  # fmt: skip


def host_document(host: HostSnapshot, at: float | None) -> dict[str, Any]:
    """Return the host for JSON, as ``device_document``."""
    return {"name": host.name, "system": host.system, **_told(host.readings, HOST, at)}


def device_document(device: DeviceSnapshot, at: float | None) -> dict[str, Any]:
    """Return a device for JSON; ``at`` is the moment that ages count to, ``None`` for no ages."""
    held = device.processes
    return {
        "key": device.key, "name": device.name, "vendor": device.vendor, "kind": device.kind,
        "index": device.index, "uuid": device.uuid, "parent": device.parent or None,
        "unified": device.unified,
        **_told(device.readings, DEVICE, at),
        "processes": _absent(held, at) if isinstance(held, Absent) else [_process(each, at) for each in held],
        "notes": list(device.notes),
    }  # fmt: skip


def engine_document(engine: EngineSnapshot, at: float | None) -> dict[str, Any]:
    """Return an engine with its models for JSON, as ``device_document``."""
    return {
        "engine": engine.engine, "version": engine.version, "address": engine.address, "pid": engine.pid,
        **_told(engine.readings, ENGINE, at),
        "models": [_model(model, at) for model in engine.models],
        "notes": list(engine.notes),
    }  # fmt: skip


def check_document(check: Check) -> dict[str, Any]:
    """Return whether a source works for JSON."""
    reason = None if check.reason is None else str(check.reason.reason)
    return {
        "source": check.source,
        "works": check.works,
        "found": check.found,
        "reason": reason,
        "remedy": check.remedy,
        "here": check.here,
    }


def _told(readings: Readings, order: tuple[Quantity, ...], at: float | None) -> dict[str, Any]:
    return {
        "readings": {str(name): reading_document(readings[name], at) for name in order if name in readings}
    }


def reading_document(reading: Reading, at: float | None) -> dict[str, Any]:
    """Return a value with unit, source and age, or the reason why there is none."""
    if isinstance(reading, Absent):
        return _absent(reading, at)
    told: dict[str, Any] = {
        "value": list(reading.value) if isinstance(reading.value, tuple) else reading.value,
        "unit": str(reading.unit), "source": reading.source, "basis": str(reading.basis),
    }  # fmt: skip
    return told if at is None else {**told, "age_seconds": _age(reading, at)}


def _age(reading: Value, at: float) -> float | None:
    return round(max(0.0, at - reading.at), 3) if reading.at else None


def _absent(reading: Absent, at: float | None) -> dict[str, Any]:
    last = None if reading.last is None else reading_document(reading.last, at)
    told = {"value": None, "reason": str(reading.reason), "detail": reading.detail, "source": reading.source}
    return told if last is None else {**told, "last": last}


def _process(process: ProcessSnapshot, at: float | None) -> dict[str, Any]:
    told = {
        "pid": process.pid, "name": process.name, "kind": process.kind,
        "memory": reading_document(process.memory, at),
    }  # fmt: skip
    shared = process.shared_memory
    return told if shared is NOT_TOLD else {**told, "shared_memory": reading_document(shared, at)}


def _model(model: ModelSnapshot, at: float | None) -> dict[str, Any]:
    told: dict[str, Any] = {"name": model.name, "loaded": model.loaded, **_told(model.readings, ENGINE, at)}
    if model.devices:
        told["devices"] = {name: _told(each, ENGINE, at)["readings"] for name, each in model.devices.items()}
    return told
