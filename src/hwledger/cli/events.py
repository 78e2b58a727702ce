"""``hwledger events``."""

import click


@click.command("events")
@click.argument("file", metavar="[FILE]", required=False)
@click.option(
    "--type",
    "types",
    multiple=True,
    metavar="TYPE",
    help="host.enrolled, plan.created …; repeat it.",
)
@click.option("--subject", default="", metavar="TEXT", help="host/NAME, model/NAME …")
@click.option("--after", type=click.IntRange(0), default=0, metavar="SEQ", help="Only events after this one.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=100, metavar="N", help="At most; 100 if not given."
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (hwledger.events/1).")
def command(  # noqa: PLR0913 - one parameter per option
    file: str | None, types: tuple[str, ...], subject: str, after: int, limit: int, *, as_json: bool
) -> None:
    """List the events of a ledger file; the local ledger where none is given.

    Each page is held against its hashes while it is read; hwledger ledger verify checks all of it.
    """
    from hwledger.cli.ledger import opened_reader
    from hwledger.cli.output import write_json
    from hwledger.cli.table import write_lines, write_table
    from hwledger.ledger.types import full_names
    from hwledger.screens.ledger import EVENT_HEADS, event_document, event_rows

    with opened_reader(file) as reader:
        found = reader.read(after, limit, types=full_names(types), subject=subject)
        if as_json:
            write_json(event_document(found, reader.origin))
            return
        write_table(EVENT_HEADS, event_rows(found))
        last = reader.head().seq
        if not found:
            write_lines([f"no such event; the ledger has {last}"])
        elif len(found) == limit and found[-1].seq < last:
            write_lines([f"more: --after {found[-1].seq}"])
