"""``hwledger token``."""

import click

from hwledger.cli.asking import AS_JSON

LONGEST_SECONDS = 86_400


@click.group("token")
def command() -> None:
    """Make and list the tokens with which machines join the fleet; asks the server."""


@command.command("create")
@click.option(
    "--uses", type=click.IntRange(1, 10_000), default=1, metavar="N", help="Machines; 1 if not given."
)
@click.option(
    "--ttl", default="15m", metavar="TIME", help="How long it counts: 15m (the default), 2h; at most 24h."
)
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Of the machines; repeat it.")
@click.option("--approve", is_flag=True, help="Machines wait until somebody lets each of them in.")
@AS_JSON
def create(uses: int, ttl: str, labels: tuple[str, ...], *, approve: bool, as_json: bool) -> None:
    """Make a join token; it is printed once, and the server keeps only its hash."""
    from hwledger.cli.asking import labelled, seconds, server
    from hwledger.cli.output import write_json
    from hwledger.screens.fleet import moment

    body = {
        "uses": uses,
        "ttl_seconds": seconds(ttl, LONGEST_SECONDS),
        "labels": labelled(labels),
        "approve": approve,
    }
    made = server().post("/v1/tokens", body)
    if as_json:
        write_json(made)
        return
    click.echo(made["token"])
    machines = "one machine" if uses == 1 else f"{uses} machines"
    click.echo(
        f"for {machines}, until {moment(made['expires'])} UTC; on the machine: hwledger agent join TOKEN",
        err=True,
    )


@command.command("list")
@AS_JSON
def listed(*, as_json: bool) -> None:
    """List the join tokens that were made; by the beginning of their hash, the tokens are kept nowhere."""
    from hwledger.cli.asking import server
    from hwledger.cli.output import write_json
    from hwledger.cli.table import write_lines, write_table
    from hwledger.screens.fleet import TOKEN_HEADS, token_rows

    found = server().get("/v1/tokens")
    if as_json:
        write_json(found)
    elif found["tokens"]:
        write_table(TOKEN_HEADS, token_rows(found["tokens"]))
    else:
        write_lines(["no join token was made; hwledger token create makes one"])
