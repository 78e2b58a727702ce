"""``hwledger compare``."""

from typing import TYPE_CHECKING

import click

from hwledger.cli.access import access_options
from hwledger.cli.values import Size

if TYPE_CHECKING:
    from rich.console import Console

    from hwledger.screens.compare import Compared


@click.command("compare")
@click.argument("models", metavar="MODEL...", nargs=-1)
@click.option(
    "--device", "devices", multiple=True, metavar="DEVICES", help="May be repeated: one column each."
)
@click.option("--weights", multiple=True, metavar="TYPE", help="May be repeated; stored: as it is stored.")
@click.option("--kv-cache", "kv_caches", multiple=True, metavar="TYPE", help="May be repeated.")
@click.option("--engine", "engines", multiple=True, metavar="NAME", help="May be repeated.")
@click.option("--context", type=Size(), metavar="TOKENS", help="Tokens of one request: 131072 or 128k.")
@click.option("--concurrency", type=click.IntRange(1, 1 << 20), metavar="N", help="Requests at once.")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="An option of the engine.")
@access_options
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (hwledger.compare/1).")
def command(  # noqa: PLR0913, PLR0917 - one parameter per option
    models: tuple[str, ...],
    devices: tuple[str, ...],
    weights: tuple[str, ...],
    kv_caches: tuple[str, ...],
    engines: tuple[str, ...],
    context: int | None,
    concurrency: int | None,
    options: tuple[str, ...],
    revision: str | None,
    *,
    offline: bool,
    refresh: bool,
    as_json: bool,
) -> None:
    """Compare models, devices, quantisations, cache types or engines side by side.

    Every combination of what is named makes a column: memory, fit, speed, cost and what is known of
    quality.
    """
    from hwledger.cli.access import reading
    from hwledger.errors import UsageError
    from hwledger.screens.compare import CompareQuestion, compare

    if not models:
        raise UsageError("name a model to compare; a second one, or --device and --weights, make the columns")
    asked = CompareQuestion(
        models=models, devices=devices or (None,),
        weights=tuple(None if name == "stored" else name for name in weights) or (None,),
        kv_caches=kv_caches or (None,), engines=engines or (None,), context=context,
        concurrency=concurrency, options=options,
    )  # fmt: skip
    with reading(revision=revision, offline=offline, refresh=refresh) as access:
        compared = compare(asked, access)
    if as_json:
        from hwledger.cli.output import write_json
        from hwledger.planner.solve.documents import compare_document

        write_json(compare_document([(one.name, one.measured, one.quality) for one in compared]))
        return
    from hwledger.cli.drawing import write_local_notes
    from hwledger.cli.output import make_console

    draw(make_console(), compared)
    write_local_notes(asked.devices)


def draw(console: "Console", compared: "list[Compared]") -> None:
    """Draw the columns; where they are more than the terminal has room for, in several tables."""
    from rich.text import Text

    from hwledger.cli.table import write_table
    from hwledger.screens.column import Column
    from hwledger.screens.compare import compare_rows, unknowns

    label, width = 20, 24
    each = max(1, (console.width - label) // width)
    for start in range(0, len(compared), each):
        part = compared[start : start + each]
        columns = [Column(""), *(Column(one.name, wraps=True) for one in part)]
        write_table(columns, list(compare_rows(part)))
    for line in dict.fromkeys(line for one in compared for line in one.quality):
        console.print(Text(line, "dim"))
    for note in unknowns(compared):
        console.print(Text(f"Note: {note}", "yellow"))
