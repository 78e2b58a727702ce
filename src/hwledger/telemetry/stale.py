"""Values whose source no longer answers."""

from dataclasses import replace
from types import MappingProxyType

from hwledger.telemetry.reading import Absent, Reading, Readings, Reason, Value
from hwledger.telemetry.snapshot import (
    DeviceSnapshot,
    EngineSnapshot,
    ModelSnapshot,
    ProcessSnapshot,
    Sample,
)


def staled(sample: Sample, detail: str) -> Sample:
    """Return a sample whose every value is the reason ``stale``, with the value kept as the last one."""
    host = sample.host
    return replace(
        sample,
        devices=tuple(_device(device, detail) for device in sample.devices),
        engines=tuple(_engine(engine, detail) for engine in sample.engines),
        host=None if host is None else replace(host, readings=_readings(host.readings, detail)),
    )


def _reading(reading: Reading, detail: str) -> Reading:
    if isinstance(reading, Value):
        return Absent(Reason.STALE, detail, reading.source, reading)
    return reading


def _readings(readings: Readings, detail: str) -> Readings:
    return MappingProxyType({name: _reading(reading, detail) for name, reading in readings.items()})


def _device(device: DeviceSnapshot, detail: str) -> DeviceSnapshot:
    held = device.processes
    processes: tuple[ProcessSnapshot, ...] | Absent = held
    if not isinstance(held, Absent):
        processes = tuple(
            replace(
                each,
                memory=_reading(each.memory, detail),
                shared_memory=_reading(each.shared_memory, detail),
            )
            for each in held
        )
    return replace(device, readings=_readings(device.readings, detail), processes=processes)


def _engine(engine: EngineSnapshot, detail: str) -> EngineSnapshot:
    models = tuple(_model(model, detail) for model in engine.models)
    return replace(engine, readings=_readings(engine.readings, detail), models=models)


def _model(model: ModelSnapshot, detail: str) -> ModelSnapshot:
    devices = MappingProxyType({name: _readings(each, detail) for name, each in model.devices.items()})
    return replace(model, readings=_readings(model.readings, detail), devices=devices)
