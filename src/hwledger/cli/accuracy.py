"""``hwledger accuracy``."""

from pathlib import Path

import click


@click.command("accuracy")
@click.option("--engine", "engines", multiple=True, metavar="NAME", help="Only this engine; may be repeated.")
@click.option("--cases", is_flag=True, help="Show every case that is not exact.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (hwledger.accuracy/1).")
@click.option(
    "--page", type=click.Path(dir_okay=False, path_type=Path), help="Write the docs page to this file."
)
def command(engines: tuple[str, ...], page: Path | None, *, cases: bool, as_json: bool) -> None:
    """Replay every measurement that ships and print how right the plans are."""
    from hwledger.accuracy import replay, summarise
    from hwledger.screens.accuracy import accuracy_document, accuracy_page, case_rows, summary_rows

    results = list(replay(engines))
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
        console.print("no measurement matches")
