"""``hwledger hosts``."""

import click

from hwledger.cli.asking import AS_JSON


@click.command("hosts")
@AS_JSON
def command(*, as_json: bool) -> None:
    """List the machines of the fleet as they are now; asks the server."""
    from hwledger.cli.asking import server
    from hwledger.cli.output import write_json
    from hwledger.cli.table import write_lines, write_table
    from hwledger.screens.fleet import HOST_HEADS, host_rows

    found = server().get("/v1/hosts")
    if as_json:
        write_json(found)
    elif found["hosts"]:
        write_table(HOST_HEADS, host_rows(found["hosts"]))
    else:
        write_lines(["no machine has joined; hwledger token create makes a token to join with"])
