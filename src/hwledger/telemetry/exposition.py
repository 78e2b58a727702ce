"""A snapshot as Prometheus' metric families, under OpenTelemetry's names where it has one.

What is not known is an absent series, never a zero or -1; ``hwledger_reading_missing`` counts why.
Source of the names: ``data/metrics.toml``.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from hwledger.shipped import shipped_text
from hwledger.telemetry.quantity import MEANINGS, Quantity, Unit
from hwledger.telemetry.reading import Absent, Readings, Value, number_of
from hwledger.telemetry.snapshot import (
    DeviceSnapshot,
    EngineSnapshot,
    ModelSnapshot,
    ProcessSnapshot,
    Snapshot,
)

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Name:
    """What a reading is called.

    Attributes:
        name: without ``_total``.
        labels: what tells it from other readings of that name.
        otel: OpenTelemetry's name; empty where it has none.
    """

    name: str
    labels: Labels
    otel: str


@cache
def names() -> Mapping[Quantity, Name]:
    """Return what each reading is called; texts are labels and have none."""
    text = shipped_text("hwledger.telemetry", "data/metrics.toml")
    return {
        Quantity(quantity): Name(row["name"], row.get("labels", {}), row.get("otel", ""))
        for group in tomllib.loads(text).values()
        for quantity, row in group.items()
    }


class Page:
    """Collects samples by family; each family once, with the same labels in every sample."""

    def __init__(self) -> None:
        self._samples: dict[str, dict[frozenset[tuple[str, str]], tuple[Labels, float]]] = {}
        self._about: dict[str, tuple[str, bool]] = {}

    def add(self, name: str, about: str, labels: Labels, value: float, *, counts: bool = False) -> None:
        """Enter one sample; a second one of the same labels, which makes a page invalid, is left out."""
        self._about.setdefault(name, (about, counts))
        told = frozenset((key, text) for key, text in labels.items() if text)
        self._samples.setdefault(name, {}).setdefault(told, (labels, value))

    def families(self) -> Iterator[Metric]:
        """Yield the families in the order in which they were first entered."""
        for name, entered in self._samples.items():
            samples = entered.values()
            about, counts = self._about[name]
            keys = sorted({key for labels, _ in samples for key in labels})
            kind = CounterMetricFamily if counts else GaugeMetricFamily
            family = kind(name, about, labels=keys)
            for labels, value in samples:
                family.add_metric([labels.get(key, "") for key in keys], value)
            yield family


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """Yield every metric family of a snapshot."""
    page, info = Page(), InfoMetricFamily("hwledger_device", "what a device is", labels=_INFO)
    for device in snapshot.devices:
        info.add_metric(list(_device_info(device).values()), {})
        _add_device(page, device)
    for engine in snapshot.engines:
        _add_engine(page, engine)
    _add(page, snapshot.host.readings, {})
    _add_missing(page, snapshot)
    for check in snapshot.checks:
        page.add("hwledger_source_up", "whether a source works", {"source": check.source}, float(check.works))
    yield from page.families()
    if snapshot.devices:
        yield info


_INFO = (
    "hw_id",
    "hw_type",
    "hw_name",
    "hw_vendor",
    "hw_driver_version",
    "kind",
    "uuid",
    "index",
    "hw_parent",
)


def _device_info(device: DeviceSnapshot) -> dict[str, str]:
    driver = device[Quantity.DRIVER]
    told = (
        device.key, "gpu", device.name, device.vendor,
        str(driver.value) if isinstance(driver, Value) else "",
        device.kind, device.uuid, "" if device.index is None else str(device.index), device.parent,
    )  # fmt: skip
    return dict(zip(_INFO, told, strict=True))


def _add_device(page: Page, device: DeviceSnapshot) -> None:
    labels = {"hw_id": device.key, "hw_type": "gpu", "hw_name": device.name, "hw_vendor": device.vendor}
    labels |= {"hw_parent": device.parent}
    _add(page, device.readings, labels)
    total, used = number_of(device[Quantity.MEMORY_TOTAL]), number_of(device[Quantity.MEMORY_USED])
    if total and used is not None:
        name, about = "hw_gpu_memory_utilization_ratio", "share of the memory that is used"
        page.add(name, about, labels, used / total)
    if isinstance(device.processes, Absent):
        return
    for (pid, process), held in _held(device.processes).items():
        who = {"hw_id": device.key, "pid": pid, "process": process}
        page.add("hwledger_gpu_process_memory_bytes", "memory that a process holds", who, held)


def _held(processes: Iterable[ProcessSnapshot]) -> dict[tuple[str, str], float]:
    """Return what processes hold by number and name; those that a source cannot tell apart together."""
    found: dict[tuple[str, str], float] = {}
    for process in processes:
        held = number_of(process.memory)
        if held is not None:
            who = str(process.pid or ""), process.name
            found[who] = found.get(who, 0.0) + held
    return found


def _add_engine(page: Page, engine: EngineSnapshot) -> None:
    labels = {"engine": engine.engine, "version": engine.version, "address": engine.address}
    page.add("hwledger_engine_up", "an engine that answers", labels, 1)
    only = engine.models[0].name if len(engine.models) == 1 else ""
    _add(page, engine.readings, {**labels, "model": only})
    for model in engine.models:
        _add_model(page, model, labels)


def _add_model(page: Page, model: ModelSnapshot, labels: Labels) -> None:
    named = {**labels, "model": model.name}
    if model.loaded is not None:
        page.add("hwledger_engine_model_loaded", "the model is in memory", named, float(model.loaded))
    _add(page, model.readings, named)


def _add(page: Page, readings: Readings, labels: Labels) -> None:
    for quantity, reading in readings.items():
        named = names().get(quantity)
        if named is None or not isinstance(reading, Value):
            continue
        meaning = MEANINGS[quantity]
        if meaning.unit is Unit.WORDS and isinstance(reading.value, tuple):
            for word in reading.value:
                page.add(named.name, meaning.help, {**labels, "reason": word}, 1)
        elif isinstance(reading.value, int | float):
            value, told = float(reading.value), {**labels, **named.labels}
            page.add(named.name, meaning.help, told, value, counts=meaning.counts)


def _add_missing(page: Page, snapshot: Snapshot) -> None:
    told: Iterable[tuple[str, Readings]] = (
        *((device.key, device.readings) for device in snapshot.devices),
        ("host", snapshot.host.readings),
    )
    for key, readings in told:
        for quantity, reading in readings.items():
            if isinstance(reading, Absent):
                why = {"hw_id": key, "reading": str(quantity), "reason": str(reading.reason)}
                page.add("hwledger_reading_missing", "a reading that is not known, and why", why, 1)
