"""``hwledger probe``."""

from functools import partial
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from hwledger.telemetry.snapshot import Snapshot

FASTEST_S = 0.2
NO_DEVICES = frozenset({"host", "engines"})
"""Sources that tell of no device: where they alone are asked, none is missed."""


@click.command("probe")
@click.option(
    "--watch", "seconds", type=click.FloatRange(FASTEST_S, 3600), metavar="SECONDS", is_flag=False,
    flag_value=2.0, help="Look again every SECONDS, 2 if none are given; with --json one line a look.",
)  # fmt: skip
@click.option("--doctor", is_flag=True, help="Show each source: whether it works, why not, what to do.")
@click.option("--source", "sources", multiple=True, metavar="NAME", help="Ask only this source; repeat it.")
@click.option(
    "--from", "recorded", type=click.Path(), metavar="FILE",
    help="Read what a tool printed elsewhere instead of this machine; - reads the standard input.",
)  # fmt: skip
@click.option(
    "--wait", "limit_s", type=click.FloatRange(0.1, 600), default=5.0, metavar="SECONDS",
    help="How long to wait for the slowest source; 5 if not given.",
)  # fmt: skip
@click.option("--count", type=click.IntRange(1), metavar="N", help="With --watch: stop after N looks.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (hwledger.probe/1).")
def command(  # noqa: PLR0913 - one parameter per option
    seconds: float | None,
    sources: tuple[str, ...],
    recorded: str | None,
    limit_s: float,
    count: int | None,
    *,
    doctor: bool,
    as_json: bool,
) -> None:
    """Show every accelerator and inference engine of this machine as it is now.

    What is not known is said with its reason: unsupported, no permission, absent tool, lost device,
    stale or unparsed. A number is never made up. Looking disturbs nothing: no context is made on a
    device, no sleeping device is woken, tools and process lists are asked rarely.

    The exit code is 0 whatever is found, 2 for wrong options and 4 for a file that cannot be read.
    """
    _check(seconds, recorded, sources, count, doctor=doctor)
    write = _writer(doctor=doctor, as_json=as_json)
    if recorded is not None:
        _writer(doctor=False, as_json=as_json, recorded=True)(_read(recorded))
    elif seconds is None:
        from hwledger.telemetry.probing import probe

        write(probe(only=frozenset(sources), limit_s=limit_s))
    else:
        _watch(write, frozenset(sources), seconds, limit_s, count, clear=not as_json)


def _check(
    seconds: float | None, recorded: str | None, sources: tuple[str, ...], count: int | None, *, doctor: bool
) -> None:
    """Refuse options that contradict each other.

    Raises:
        UsageError: they do.
    """
    from hwledger.errors import UsageError

    if recorded is not None and (seconds is not None or doctor or sources):
        raise UsageError("--from reads a file; --watch, --doctor and --source are about this machine")
    if count is not None and seconds is None:
        raise UsageError("--count says when --watch stops; give --watch too")
    if doctor and seconds is not None:
        raise UsageError("--doctor looks once; leave --watch out")


def _writer(*, doctor: bool, as_json: bool, recorded: bool = False) -> "Callable[[Snapshot], None]":
    if as_json:
        from hwledger.cli.output import write_json
        from hwledger.telemetry.document import snapshot_document

        return lambda snapshot: write_json(snapshot_document(snapshot))
    return _draw_checks if doctor else partial(_draw, recorded=recorded)


def _read(name: str) -> "Snapshot":
    """Return what a recorded output says.

    Raises:
        MissingError: there is no such file.
        MalformedError: it is no output that is known.
    """
    import sys
    from pathlib import Path

    from hwledger.telemetry.recorded import decoded, read_recorded, read_text, recorded_snapshot

    where = "the standard input" if name == "-" else name
    text = decoded(sys.stdin.buffer, where) if name == "-" else read_text(Path(name))
    return recorded_snapshot(*read_recorded(text, where))


def _watch(  # noqa: PLR0913 - what a watch needs
    write: "Callable[[Snapshot], None]",
    only: frozenset[str],
    seconds: float,
    limit_s: float,
    count: int | None,
    *,
    clear: bool,
) -> None:
    """Look again and again until the count, an interrupt or a reader that left."""
    import sys
    import time
    from itertools import count as counting

    from hwledger.telemetry.collector import Collector
    from hwledger.telemetry.samplers import installed_samplers

    home = "\x1b[H\x1b[2J" if clear and sys.stdout.isatty() else ""
    with Collector(installed_samplers(only=only), interval_s=seconds) as collector:
        collector.wait(min(limit_s, seconds))
        for number in counting(1):
            sys.stdout.write(home)
            write(collector.snapshot())
            sys.stdout.flush()
            if number == count:
                return
            time.sleep(seconds)


def _draw(snapshot: "Snapshot", *, recorded: bool) -> None:
    """Draw a look; an output that was ``recorded`` need not tell of the host or of devices."""
    from rich.text import Text

    from hwledger.cli.output import make_console
    from hwledger.cli.table import write_table
    from hwledger.screens.telemetry import (
        DEVICE_COLUMNS,
        ENGINE_COLUMNS,
        MEMORY_COLUMNS,
        PEER_COLUMNS,
        PROCESS_COLUMNS,
        probe_screen,
    )

    screen, console = probe_screen(snapshot), make_console()
    if screen.host or not recorded:
        console.print(Text(screen.host or "nothing is known of the host", "bold"))
    looked = not recorded and any(check.source not in NO_DEVICES for check in snapshot.checks)
    if looked and not screen.devices:
        console.print(Text("No accelerator was found; hwledger probe --doctor says what was tried"))
    elif not any((screen.host, screen.devices, screen.engines, screen.peers)):
        console.print(Text("It tells of no accelerator and no engine"))
    tables: tuple[tuple[Any, Any], ...] = (
        (DEVICE_COLUMNS, screen.devices),
        (PROCESS_COLUMNS, screen.processes),
        (ENGINE_COLUMNS, screen.engines),
        (MEMORY_COLUMNS, screen.memory),
        (PEER_COLUMNS, screen.peers),
    )  # fmt: skip
    for columns, rows in tables:
        write_table(columns, rows)
    for line in screen.missing:
        console.print(Text(f"Not known: {line}", "dim"))
    for note in screen.notes:
        console.print(Text(f"Note: {note}", "yellow"))


def _draw_checks(snapshot: "Snapshot") -> None:
    from rich.text import Text

    from hwledger.cli.output import make_console
    from hwledger.cli.table import write_table
    from hwledger.screens.telemetry import CHECK_COLUMNS, check_rows, idle_words

    write_table(CHECK_COLUMNS, check_rows(snapshot.checks))
    idle = idle_words(snapshot.checks)
    if idle:
        make_console().print(Text(idle, "dim"))
