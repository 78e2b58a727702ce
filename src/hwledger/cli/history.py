"""``hwledger history``."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from hwledger.ledger.chain import Entry


@click.command("history")
@click.argument("name", metavar="MODEL|HOST")
@click.option("--ledger", metavar="LEDGER", help="A file or an address; the local one if not given.")
@click.option("--after", type=click.IntRange(0), default=0, metavar="SEQ", help="Only after this event.")
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=100,
    metavar="N",
    help="At most; 100 if not given.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (hwledger.events/1).")
def command(name: str, ledger: str | None, after: int, limit: int, *, as_json: bool) -> None:
    """Show what is on record of a model or a host: plans that were made with --record, and all that follows.

    MODEL is the name that the plan shows, Qwen/Qwen3-32B.
    """
    from hwledger.cli.output import write_json
    from hwledger.cli.table import write_lines, write_table
    from hwledger.screens.ledger import HISTORY_HEADS, event_document, history_rows

    found, origin = _found(name, ledger, after, limit)
    if as_json:
        write_json(event_document(found, origin))
        return
    write_table(HISTORY_HEADS, history_rows(found))
    if not found:
        write_lines([f"nothing after {after}"])
    elif len(found) == limit:
        write_lines([f"there may be more: --after {found[-1].seq}"])


def _found(name: str, ledger: str | None, after: int, limit: int) -> "tuple[list[Entry], str]":
    """Return what is on record, and the name of the ledger; a server's where one has the local ledger."""
    from hwledger.history import asked_server, history, is_served, ledger_at, local_ledger
    from hwledger.ledger.opening import open_reader

    if ledger is None and is_served():
        client = asked_server()
        return client.history(name, after=after, limit=limit), client.origin()
    path = ledger_at(ledger) if ledger else local_ledger()
    found = history(name, path, after=after, limit=limit)
    with open_reader(path) as reader:
        return found, reader.origin
