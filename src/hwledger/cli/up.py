"""``hwledger up``."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from hwledger.fleet.running import Running

PORT = 8470


@click.command("up")
@click.option(
    "--ledger", metavar="FILE", help="The ledger; HWLEDGER_LEDGER, or ledger.db in the data folder."
)
@click.option("--folder", metavar="FOLDER", help="Of keys and tokens; hwledger's data folder if not given.")
@click.option("--host", default="127.0.0.1", metavar="ADDRESS", help="Where to listen; this machine alone.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, metavar="N",
    help=f"Where to listen; {PORT} if not given, 0: any that is free.",
)  # fmt: skip
@click.option(
    "--log", "level", type=click.Choice(["debug", "info", "warning", "error"]), default="info",
    help="What to log on stderr, as JSON lines; info if not given.",
)  # fmt: skip
def command(ledger: str | None, folder: str | None, host: str, port: int, level: str) -> None:
    """Start the server of a fleet on this machine, with its ledger in a file; Ctrl-C ends it.

    The command line of this machine finds it and comes in with the token in admin.token.
    """
    from hwledger.history import local_ledger
    from hwledger.library.paths import data_dir, typed
    from hwledger.server.logs import set_up_logs
    from hwledger.server.up import Settings, up

    set_up_logs(level)
    path = (typed(ledger.removeprefix("sqlite:///")) if ledger else local_ledger()).absolute()
    place = (typed(folder) if folder else data_dir()).absolute()
    up(Settings(path, place, host, port), _said)


def _said(running: "Running") -> None:
    from hwledger.library.paths import shown

    click.echo(f"hwledger answers at {running.address}; Ctrl-C ends it")
    click.echo(f"  ledger   {shown(running.ledger)}")
    click.echo("  next     hwledger events --follow")
    click.echo("           hwledger user create NAME --role viewer   makes a token for somebody else")
