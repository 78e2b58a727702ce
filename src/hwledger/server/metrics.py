"""What the server tells Prometheus of itself."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily

from hwledger.errors import HwledgerError

if TYPE_CHECKING:
    from prometheus_client.core import Metric

MEDIA: Final = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class ServerMetrics:
    """Counters of one server; ``watch`` adds what is asked for at each scrape."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._requests = Counter(
            "hwledger_http_requests", "Replies by route and status.", ("method", "route", "status"),
            registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "hwledger_http_request_seconds", "Time until a reply began, by route.", ("route",),
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.streams = Gauge("hwledger_streams", "Readers of the live stream.", registry=self.registry)
        self.refused = Counter(
            "hwledger_auth_refused", "Requests without a token that counts, or without the right.",
            ("why",), registry=self.registry,
        )  # fmt: skip

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a reply."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def watch(self, values: Callable[[], dict[str, tuple[str, float]]]) -> None:
        """Ask for values at each scrape: help and value by name; what raises is absent from the page."""
        self.registry.register(_Asked(values))

    def page(self) -> bytes:
        """Return the page."""
        return generate_latest(self.registry)


class _Asked:
    def __init__(self, values: Callable[[], dict[str, tuple[str, float]]]) -> None:
        self._values = values

    def collect(self) -> "Iterable[Metric]":
        try:
            values = self._values()
        except HwledgerError:
            return  # a ledger that cannot be read: the other counters are wanted then most of all
        for name, (about, value) in values.items():
            yield GaugeMetricFamily(name, about, value)
