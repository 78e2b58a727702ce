"""``hwledger show``."""

from typing import TYPE_CHECKING

import click

from hwledger.cli.access import access_options

if TYPE_CHECKING:
    from rich.console import Console

    from hwledger.model.spec import ModelSpec


@click.command("show")
@click.argument("words", metavar="MODEL", nargs=-1)
@access_options
@click.option("--layers", is_flag=True, help="Show every layer.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (hwledger.show/1).")
def command(  # noqa: PLR0913 - one parameter per option
    words: tuple[str, ...], revision: str | None, *, offline: bool, refresh: bool, layers: bool, as_json: bool
) -> None:
    """Show what a model is: parameters, kinds of layers, and where each fact came from."""
    from hwledger.app import show
    from hwledger.cli.access import reading

    with reading(revision=revision, offline=offline, refresh=refresh) as access:
        spec = show(" ".join(words), access=access)
    if as_json:
        from hwledger.cli.output import write_json
        from hwledger.planner.document import show_document

        write_json(show_document(spec))
        return
    from hwledger.cli.output import make_console

    draw(make_console(), spec, layers=layers)


def draw(console: "Console", spec: "ModelSpec", *, layers: bool) -> None:
    """Draw the model, its parameters, its layers and the origin of each fact."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from hwledger.screens.show import show_screen

    screen = show_screen(spec)
    console.print(Text(screen.title, "bold"))
    console.print(Text(screen.summary))
    for title, heads, rows in screen.tables(layers=layers):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
        for name, right in heads:
            table.add_column(name, justify="right" if right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        console.print(table)
    for note in screen.notes:
        console.print(Text(f"Note: {note}", "yellow"))
    if screen.read:
        console.print(Text(screen.read, "dim"))
