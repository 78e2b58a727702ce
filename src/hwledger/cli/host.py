"""``hwledger host``."""

import click

from hwledger.cli.asking import AS_JSON

HOST = click.argument("host", metavar="HOST")
REASON = "For the record."


@click.group("host")
def command() -> None:
    """Show one machine of the fleet, let it in, let it go or keep it out; asks the server.

    HOST is its name, its id, or the beginning of its id.
    """


@command.command("show")
@HOST
@AS_JSON
def show(host: str, *, as_json: bool) -> None:
    """Show all that is known of HOST now."""
    from hwledger.cli.asking import named, server
    from hwledger.cli.output import write_json
    from hwledger.cli.table import write_lines
    from hwledger.library.paths import shown
    from hwledger.screens.fleet import host_lines

    found = server().get(f"/v1/hosts/{named(host)}")
    if as_json:
        write_json(found)
    else:
        write_lines(map(shown, host_lines(found)))  # a host says what it likes


@command.command("approve")
@HOST
def approve(host: str) -> None:
    """Let in HOST, which waits; or let one come back again whose certificate ran out too often."""
    _decide(host, "approve", None, "is let in; it fetches its certificate by itself")


@command.command("retire")
@HOST
@click.option("--reason", default="", metavar="TEXT", help=REASON)
def retire(host: str, reason: str) -> None:
    """Let HOST go: it is refused from now on; the machine may join again with a new token."""
    _decide(host, "retire", reason, "is retired; its certificate counts no longer")


@command.command("ban")
@HOST
@click.option("--reason", default="banned by an operator", metavar="TEXT", help=REASON)
def ban(host: str, reason: str) -> None:
    """Keep HOST out: it is refused from now on, and its machine may not join again."""
    _decide(host, "ban", reason, "is banned; neither its certificate nor its machine counts any more")


def _decide(host: str, verb: str, reason: str | None, done: str) -> None:
    from hwledger.cli.asking import named, server

    body = None if reason is None else {"reason": reason}
    found = server().post(f"/v1/hosts/{named(host)}/{verb}", body)
    click.echo(f"{host} {done}" if found["events"] else f"{host}: nothing was left to be done")
