"""``hwledger user``."""

import click

from hwledger.cli.asking import AS_JSON

ROLES = ("viewer", "operator", "admin")
LONGEST_SECONDS = 3650 * 86_400


@click.group("user")
def command() -> None:
    """Make, list and revoke the tokens of users of the server; for its admins."""


@command.command("create")
@click.argument("name")
@click.option(
    "--role", type=click.Choice(ROLES), default="viewer",
    help="viewer reads (if not given); operator also lets in hosts and tells them what to do; admin all.",
)  # fmt: skip
@click.option("--ttl", metavar="TIME", help="How long it counts: 8h, 30d; until it is revoked if not given.")
@AS_JSON
def create(name: str, role: str, ttl: str | None, *, as_json: bool) -> None:
    """Make a token of the user NAME; it is printed once, and the server keeps only its hash."""
    from hwledger.cli.asking import seconds, server
    from hwledger.cli.output import write_json

    body = {"user": name, "role": role, "ttl_seconds": seconds(ttl, LONGEST_SECONDS) if ttl else None}
    made = server().post("/v1/users/tokens", body)
    if as_json:
        write_json(made)
        return
    click.echo(f"HWLEDGER_TOKEN={made['token']}")
    if made["server"]:
        click.echo(f"HWLEDGER_SERVER={made['server']}")
    click.echo(
        f"{made['user']} ({made['role']}) sets these; hwledger user revoke {made['id']} ends it", err=True
    )


@command.command("list")
@AS_JSON
def listed(*, as_json: bool) -> None:
    """List the tokens of users, without their secrets."""
    from hwledger.cli.asking import server
    from hwledger.cli.output import write_json
    from hwledger.cli.table import write_table
    from hwledger.screens.fleet import USER_HEADS, user_rows

    found = server().get("/v1/users/tokens")
    if as_json:
        write_json(found)
    else:
        write_table(USER_HEADS, user_rows(found["tokens"]))


@command.command("revoke")
@click.argument("token", metavar="ID")
def revoke(token: str) -> None:
    """Make the token with ID count no longer, at once."""
    from hwledger.cli.asking import named, server

    done = server().post(f"/v1/users/tokens/{named(token)}", method="DELETE")
    click.echo("revoked" if done["events"] else "it was revoked before")
