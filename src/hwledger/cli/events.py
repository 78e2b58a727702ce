"""``hwledger events``."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hwledger.ledger.chain import Entry

LONGEST_PAUSE_SECONDS = 10.0


@click.command("events")
@click.argument("file", metavar="[FILE]", required=False)
@click.option(
    "--type",
    "types",
    multiple=True,
    metavar="TYPE",
    help="host.enrolled, plan.created …; repeat it.",
)
@click.option("--subject", default="", metavar="TEXT", help="host/ID, model/NAME …")
@click.option("--after", type=click.IntRange(0), metavar="SEQ", help="Only events after this one.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=100, metavar="N", help="At most; 100 if not given."
)
@click.option("--follow", is_flag=True, help="Print what the server adds, as it does, until Ctrl-C.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print as JSON (hwledger.events/1); a line each with --follow."
)
def command(  # noqa: PLR0913 - one parameter per option
    file: str | None,
    types: tuple[str, ...],
    subject: str,
    after: int | None,
    limit: int,
    *,
    follow: bool,
    as_json: bool,
) -> None:
    """List the events of a ledger file, of the server's ledger, or of the local one where no server runs.

    Each event is held against its hashes while it is read; hwledger ledger verify checks all of a file.
    """
    from hwledger.errors import UsageError
    from hwledger.ledger.types import full_names

    if follow and file is not None:
        raise UsageError("--follow asks the server and reads no FILE; leave out one of them")
    if follow:
        _follow(full_names(types), subject, after, as_json=as_json)
        return
    found, origin, last = _found(file, after or 0, limit, full_names(types), subject)
    _write(found, origin, last, limit, as_json=as_json)


def _found(
    file: str | None, after: int, limit: int, types: list[str], subject: str
) -> "tuple[Sequence[Entry], str, int]":
    """Return events, the name of their ledger, and how many it has."""
    from hwledger.cli.ledger import opened_reader
    from hwledger.history import asked_server, is_served

    if file is None and is_served():
        client = asked_server()
        found = client.all_events(after=after, limit=limit, types=types, subject=subject)
        head = client.get("/v1/ledger/head")
        return found, head["origin"], head["size"]
    with opened_reader(file) as reader:
        return reader.read(after, limit, types=types, subject=subject), reader.origin, reader.head().seq


def _write(found: "Sequence[Entry]", origin: str, last: int, limit: int, *, as_json: bool) -> None:
    from hwledger.cli.output import write_json
    from hwledger.cli.table import write_lines, write_table
    from hwledger.screens.ledger import EVENT_HEADS, event_document, event_rows

    if as_json:
        write_json(event_document(found, origin))
        return
    write_table(EVENT_HEADS, event_rows(found))
    if not found:
        write_lines([f"no such event; the ledger has {last}"])
    elif len(found) == limit and found[-1].seq < last:
        write_lines([f"more: --after {found[-1].seq}"])


def _follow(types: list[str], subject: str, after: int | None, *, as_json: bool) -> None:
    """Print events as they come; a connection that breaks is made again, where it broke."""
    import sys
    import time

    from hwledger.cli.asking import server
    from hwledger.errors import BusyError, DeniedError, UnreachableError

    client, pause, broken = server(), 0.0, False
    cursor = client.get("/v1/ledger/head")["size"] if after is None else after
    while True:
        try:
            for entry in client.stream(after=cursor, types=types, subject=subject):
                sys.stdout.write(_line(entry, as_json=as_json))
                sys.stdout.flush()
                cursor, pause, broken = entry.seq, 0.0, False
        except DeniedError:
            raise
        except (UnreachableError, BusyError) as error:
            if not broken:
                click.echo(f"hwledger: note: {error}; trying again", err=True)
            broken = True
        pause = min(LONGEST_PAUSE_SECONDS, pause * 2 + 0.25)
        time.sleep(pause)


def _line(entry: "Entry", *, as_json: bool) -> str:
    from hwledger.cli.output import json_line
    from hwledger.library.paths import shown
    from hwledger.screens.ledger import event_document, event_rows

    if as_json:
        return json_line(event_document([entry], "")["events"][0])
    (row,) = event_rows([entry])
    return f"{'  '.join(shown(cell) for cell in row)}\n"
