"""``hwledger accuracy``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from hwledger.accuracy import Result


@click.command("accuracy")
@click.option("--engine", "engines", multiple=True, metavar="NAME", help="Only this engine; may be repeated.")
@click.option("--cases", is_flag=True, help="Show every case that is not exact.")
@click.option("--mine", is_flag=True, help="How right plans were on this machine, by what is on record.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (hwledger.accuracy/1).")
@click.option(
    "--page", type=click.Path(dir_okay=False, path_type=Path), help="Write the docs page to this file."
)
def command(
    engines: tuple[str, ...], page: Path | None, *, cases: bool, mine: bool, as_json: bool
) -> None:  # fmt: skip
    """Replay every measurement that ships and print how right the plans are.

    With --mine it is the runs and reconciliations of this machine that the plans are held against, by engine,
    component, and whether runs of your own had corrected them by then.
    """
    from hwledger.accuracy import replay, summarise
    from hwledger.errors import UsageError
    from hwledger.screens.accuracy import accuracy_document, accuracy_page, case_rows, summary_rows

    if mine and page:
        raise UsageError("the docs page is of the measurements that ship; give --page without --mine")
    results = _own(engines) if mine else list(replay(engines))
    summaries = summarise(results)
    if page:
        from hwledger.library.files import write_whole

        write_whole(page, accuracy_page(summaries).encode())
    if as_json:
        from hwledger.cli.output import write_json

        write_json(accuracy_document(results, summaries))
        return
    from rich import box
    from rich.table import Table

    from hwledger.cli.output import make_console

    console = make_console()
    heads, rows = case_rows(results) if cases else summary_rows(summaries)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, right in heads:
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    if not results:
        nothing = "nothing is on record that judges a plan; hwledger run and bench put it there"
        console.print(nothing if mine else "no measurement matches")


def _own(engines: tuple[str, ...]) -> "list[Result]":
    """Return what is on record of this machine, and say on stderr what of it judges nothing."""
    from hwledger.mine import mine

    found = mine(engines)
    for count, what in (
        (found.doubted, "of speeds measured while the machine was busy, which judge nothing"),
        (found.unreadable, "of reconciliations on record that cannot be read"),
    ):
        if count:
            click.echo(f"hwledger: note: left out: {count} {what}", err=True)
    return list(found.results)
