"""``hwledger serve-metrics``."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable
    from threading import Thread
    from wsgiref.simple_server import WSGIServer

    from prometheus_client.core import Metric

    from hwledger.telemetry.collector import Collector

LOOK_S = 1.0
"""How long Ctrl-C may wait: Windows ends no wait that has no end of its own."""
PORT = 9464
"""What OpenTelemetry's exporters for Prometheus listen on."""


@click.command("serve-metrics")
@click.option("--host", default="127.0.0.1", metavar="ADDRESS", help="Where to listen; this machine alone.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, metavar="N",
    help=f"Where to listen; {PORT} if not given, 0: any that is free.",
)  # fmt: skip
@click.option(
    "--interval", type=click.FloatRange(0.2, 3600), default=5.0, metavar="SECONDS",
    help="How often to look; 5 if not given. A scrape never waits for a driver.",
)  # fmt: skip
@click.option("--source", "sources", multiple=True, metavar="NAME", help="Ask only this source; repeat it.")
def command(host: str, port: int, interval: float, sources: tuple[str, ...]) -> None:
    """Serve the telemetry of this machine to Prometheus, under /metrics.

    Names are OpenTelemetry's where it has them (hw_gpu_memory_usage_bytes), in base units. What is not
    known is absent, and hwledger_reading_missing says why. Ctrl-C ends it.
    """
    from hwledger.telemetry.collector import Collector
    from hwledger.telemetry.samplers import installed_samplers

    with Collector(installed_samplers(only=frozenset(sources)), interval_s=interval) as collector:
        server, thread = _started(collector, host, port)
        shown = f"[{host}]" if ":" in host else host
        click.echo(f"http://{shown}:{server.server_port}/metrics; Ctrl-C ends it", err=True)
        try:
            while thread.is_alive():
                thread.join(LOOK_S)
        finally:
            server.shutdown()
            server.server_close()


def _started(collector: "Collector", host: str, port: int) -> "tuple[WSGIServer, Thread]":
    """Return a server of one page, and the thread that it runs in.

    Raises:
        UsageError: that address cannot be listened on.
    """
    from prometheus_client import CollectorRegistry, start_http_server

    from hwledger.errors import UsageError

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Scraped(collector))
    try:
        return start_http_server(port, host, registry)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"{host}:{port} cannot be listened on ({why}); give another --host or --port"
        ) from None


class _Scraped:
    """Gives the families of the newest snapshot."""

    def __init__(self, collector: "Collector") -> None:
        self._collector = collector

    def collect(self) -> "Iterable[Metric]":
        """Return every family; never waits for a source."""
        from hwledger.telemetry.exposition import families

        return list(families(self._collector.snapshot()))
