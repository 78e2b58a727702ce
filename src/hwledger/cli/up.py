"""``hwledger up``."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

    from hwledger.fleet.running import Running
    from hwledger.server.listening import Places

PORT = 8470


@click.command("up")
@click.option(
    "--ledger", metavar="LEDGER",
    help="A file, or postgresql://…; HWLEDGER_LEDGER, or ledger.db in the data folder.",
)  # fmt: skip
@click.option("--folder", metavar="FOLDER", help="Of keys and tokens; hwledger's data folder if not given.")
@click.option(
    "--host", default="127.0.0.1", metavar="ADDRESS",
    help="Where agents and other machines come in, over TLS: 0.0.0.0 for all of them; else this one alone.",
)  # fmt: skip
@click.option(
    "--name", "names", multiple=True, metavar="NAME",
    help="By which other machines reach this one; found out if not given. Repeat it.",
)  # fmt: skip
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, metavar="N",
    help=f"Of this machine's own listener, without TLS; {PORT} if not given, 0: any that is free.",
)  # fmt: skip
@click.option(
    "--public-port", type=click.IntRange(0, 65535), metavar="N",
    help="Where machines join and users come in, over TLS; the next one if not given.",
)  # fmt: skip
@click.option(
    "--agents-port", type=click.IntRange(0, 65535), metavar="N",
    help="Where agents report, over TLS on both sides; the one after that if not given.",
)  # fmt: skip
@click.option(
    "--local-host", default="127.0.0.1", metavar="ADDRESS", help="Of this machine's own listener; loopback."
)
@click.option(
    "--log", "level", type=click.Choice(["debug", "info", "warning", "error"]),
    help="What to log on stderr, as JSON lines; info if not given, warning in a terminal.",
)  # fmt: skip
def command(  # noqa: PLR0913, PLR0917 - one parameter per option
    ledger: str | None,
    folder: str | None,
    host: str,
    names: tuple[str, ...],
    port: int,
    public_port: int | None,
    agents_port: int | None,
    local_host: str,
    level: str | None,
) -> None:
    """Start the server of a fleet on this machine; Ctrl-C ends it.

    Its ledger, its keys and its certificate authority are made on the first start. The command line of this
    machine finds it, and comes in with the token in admin.token.
    """
    import sys

    from hwledger.library.paths import data_dir, typed
    from hwledger.server.listening import Places
    from hwledger.server.logs import set_up_logs
    from hwledger.server.up import Settings, up

    set_up_logs(level or ("warning" if sys.stderr.isatty() else "info"))
    place = (typed(folder) if folder else data_dir()).absolute()
    places = Places(host, local_host, port, _after(port, 1, public_port), _after(port, 2, agents_port), names)
    up(Settings(_ledger(ledger), place, places), lambda running: _said(running, place, places))


def _after(port: int, steps: int, given: int | None) -> int:
    """Return the port of a listener: as it was given, or so many after the first; any where that is any."""
    if given is not None:
        return given
    return port + steps if 0 < port <= 65535 - steps else 0


def _ledger(given: str | None) -> "str | Path":
    """Return the ledger: a file as a whole path, or an address."""
    from pathlib import Path

    from hwledger.history import ledger_at, local_ledger

    found = ledger_at(given) if given else local_ledger()
    return found.absolute() if isinstance(found, Path) else found


def _said(running: "Running", folder: "Path", places: "Places") -> None:
    """Say where the server is, and what to do next."""
    from hwledger.library.paths import data_dir, shown
    from hwledger.server.listening import is_loopback

    here = "" if folder == data_dir().absolute() else f"HWLEDGER_DATA_DIR={shown(folder)} "
    lines = [
        f"hwledger answers at {running.address}; Ctrl-C ends it",
        f"  ledger     {shown(running.ledger)}",
        f"  keys       {shown(folder)}",
        f"  machines   join at {running.public}, agents report to {running.agents}",
    ]
    if is_loopback(places.host):
        lines.append("             this machine alone so far; hwledger up --host 0.0.0.0 lets in others")
    lines += [
        f"  next       {here}hwledger token create             a token for a machine to join with",
        f"             {here}hwledger events --follow         what happens, as it does",
        f"             {here}hwledger user create NAME        a token for somebody else",
    ]
    click.echo("\n".join(lines))
