"""``hwledger top``."""

import click

FASTEST_S = 0.2


@click.command("top")
@click.option(
    "--interval", type=click.FloatRange(FASTEST_S, 3600), default=1.0, metavar="SECONDS",
    help="How often to look and draw; 1 if not given.",
)  # fmt: skip
@click.option("--source", "sources", multiple=True, metavar="NAME", help="Ask only this source; repeat it.")
def command(interval: float, sources: tuple[str, ...]) -> None:
    """Watch devices, processes and engines of this machine live.

    Keys: s sorts, / filters, p pauses, e writes what is shown as JSON into this folder, 1 to 4 choose what
    stands below, q quits.
    """
    import sys
    from pathlib import Path

    from hwledger.errors import UsageError

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("top needs a terminal; in a pipe use: hwledger probe --watch --json")
    try:
        from hwledger.tui.top import TopApp
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "textual":
            raise
        raise UsageError("top needs Textual; run: pip install 'hwledger[tui]'") from None
    from hwledger.telemetry.collector import Collector
    from hwledger.telemetry.samplers import installed_samplers

    with Collector(installed_samplers(only=frozenset(sources)), interval_s=interval) as collector:
        collector.wait(min(interval, 1.0))
        TopApp(collector, interval, Path.cwd()).run()
