"""A snapshot as Prometheus' metrics."""

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from hwledger.telemetry.exposition import families, names
from hwledger.telemetry.quantity import MEANINGS, Quantity, Unit
from hwledger.telemetry.reading import Absent, Gauge, Reason
from hwledger.telemetry.snapshot import (
    Check,
    DeviceSnapshot,
    EngineSnapshot,
    HostSnapshot,
    ModelSnapshot,
    ProcessSnapshot,
    Snapshot,
)

pytestmark = pytest.mark.requirement("FR-TEL-METRICS")
Q = Quantity
M = re.MULTILINE
GAUGE = Gauge("test")
SUFFIX = {
    Unit.BYTES: "_bytes", Unit.RATIO: "_ratio", Unit.CELSIUS: "_celsius", Unit.WATTS: "_watts",
    Unit.JOULES: "_joules", Unit.HERTZ: "_hertz", Unit.BYTES_PER_SECOND: "_bytes_per_second",
    Unit.TOKENS_PER_SECOND: "_tokens_per_second", Unit.TOKENS: "_tokens",
}  # fmt: skip


def snapshot() -> Snapshot:
    """Return a machine with a card, a process and two models of one engine."""
    card = DeviceSnapshot(
        "0000:01:00.0", 'Card "X"', "NVIDIA", index=0,
        readings={
            Q.MEMORY_TOTAL: GAUGE(Q.MEMORY_TOTAL, 8 << 30), Q.MEMORY_USED: GAUGE(Q.MEMORY_USED, 2 << 30),
            Q.THROTTLE: GAUGE(Q.THROTTLE, ("power cap",)), Q.ENERGY: GAUGE(Q.ENERGY, 12.5),
            Q.DRIVER: GAUGE(Q.DRIVER, "580.1"), Q.FAN: Absent(Reason.UNSUPPORTED),
            Q.POWER: Absent(Reason.STALE, last=GAUGE(Q.POWER, 70.0)),
        },
        processes=(ProcessSnapshot(7, "python", GAUGE(Q.MEMORY_USED, 1 << 30)),),
    )  # fmt: skip
    models = (
        ModelSnapshot("a", loaded=True, readings={Q.KV_CACHE_USED: GAUGE(Q.KV_CACHE_USED, 0.5)}),
        ModelSnapshot("b", loaded=False),
    )
    engine = EngineSnapshot("vllm", "0.33", "http://x", models=models)
    return Snapshot(
        datetime.now(UTC), 1.0, HostSnapshot(), (card,), (engine,), (Check("nvml", works=True, found=""),)
    )


def page(found: Snapshot) -> str:
    """Return the page that a scrape gets, through the client library's own checks."""
    registry = CollectorRegistry(auto_describe=False)

    class Scraped:
        def collect(self) -> list[object]:
            return list(families(found))

    registry.register(Scraped())  # type: ignore[arg-type]
    text = open_metrics(registry).decode()
    assert list(text_string_to_metric_families(text))
    return generate_latest(registry).decode()


def test_values_are_in_base_units_under_opentelemetrys_names() -> None:
    """Memory, energy and a word of throttling are series with the device's identity."""
    text = page(snapshot())
    assert re.search(r'^hw_gpu_memory_usage_bytes\{.*hw_id="0000:01:00.0".*\} 2.147483648e\+09$', text, M)
    assert re.search(r"^hw_gpu_memory_utilization_ratio\{.*\} 0.25$", text, M)
    assert re.search(r"^hw_energy_joules_total\{.*\} 12.5$", text, M)
    assert re.search(r'^hwledger_gpu_throttled\{.*reason="power cap".*\} 1.0$', text, M)
    assert re.search(r'^hwledger_engine_kv_cache_usage_ratio\{.*model="a".*\} 0.5$', text, M)
    assert re.search(r'^hwledger_gpu_process_memory_bytes\{.*pid="7".*\} 1.073741824e\+09$', text, M)


def test_what_is_not_known_is_absent_and_said() -> None:
    """Neither a zero nor the last value stands for what is not known; the reason is a series of its own."""
    text = page(snapshot())
    assert "hw_power_watts" not in text
    assert "hw_fan" not in text
    assert 'reading="power",reason="stale"' in text
    assert 'reading="fan",reason="unsupported"' in text


def test_every_number_has_a_name_in_its_unit() -> None:
    """The table names every quantity that is a number, ends in its base unit, and names nothing twice."""
    numbers = {q for q in Quantity if MEANINGS[q].unit is not Unit.TEXT}
    assert set(names()) == numbers
    for quantity, name in names().items():
        assert name.name.endswith(SUFFIX.get(MEANINGS[quantity].unit, "")), quantity
        assert name.name.startswith("hwledger_") == (not name.otel)
    assert len({(n.name, *sorted(n.labels.items())) for n in names().values()}) == len(names())


def test_no_series_stands_twice_on_a_page() -> None:
    """Prometheus refuses such a page: processes that look alike are added up, others are told once."""
    (card,), (engine,) = snapshot().devices, snapshot().engines
    alike = (ProcessSnapshot(None, "python", GAUGE(Q.MEMORY_USED, 1 << 30)),) * 2
    busy = {Q.KV_CACHE_USED: GAUGE(Q.KV_CACHE_USED, 0.25)}
    engine = replace(engine, models=engine.models[:1], readings=busy)
    text = page(replace(snapshot(), devices=(replace(card, processes=alike),), engines=(engine, engine)))
    series = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(series) == len(set(series))
    assert re.search(r'^hwledger_gpu_process_memory_bytes\{.*process="python".*\} 2.147483648e\+09$', text, M)
