"""``hwledger devices``."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from hwledger.screens.devices import DevicesScreen
    from hwledger.screens.models import Columns


@click.command("devices")
@click.argument("words", nargs=-1)
@click.option("--nodes", is_flag=True, help="List the well-known nodes and your own.")
@click.option("--own", is_flag=True, help="Only the devices and nodes that you defined in devices.toml.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (hwledger.devices/1).")
def command(words: tuple[str, ...], *, nodes: bool, own: bool, as_json: bool) -> None:
    """List accelerators, or show one in full: hwledger devices RTX 4090.

    WORDS narrow the list: a vendor, a generation, a part of a name. Words that name one device or node
    show it with the basis and source of each figure. Your own are described in devices.toml.
    """
    from hwledger.errors import UsageError
    from hwledger.screens.devices import devices_screen

    screen = devices_screen(words, own_only=own, nodes_only=nodes)
    if as_json:
        from hwledger.cli.output import write_json

        write_json({"schema": "hwledger.devices/1", **screen.as_dict()})
        return
    if not screen.devices and not screen.nodes and words:
        raise UsageError(f"nothing matches {' '.join(words)[:80]!r}; hwledger devices lists all")
    from hwledger.cli.output import make_console

    draw(make_console(), screen)


def draw(console: "Console", screen: "DevicesScreen") -> None:
    """Draw one device or node in full, or the lists."""
    from rich.text import Text

    from hwledger.screens.devices import DEVICE_COLUMNS, FACT_COLUMNS, NODE_COLUMNS, facts

    if screen.full and screen.devices:
        row = screen.devices[0]
        console.print(Text(row.cells[0], "bold"))
        _table(console, FACT_COLUMNS, facts(row.device))
        console.print(Text(f"Source: {row.device.source}", "dim"))
    elif screen.devices:
        _table(console, DEVICE_COLUMNS, (row.cells for row in screen.devices))
    if screen.nodes:
        _table(console, NODE_COLUMNS, (row.cells for row in screen.nodes))
    if screen.full and screen.nodes:
        console.print(Text(f"Source: {screen.nodes[0].node.source}", "dim"))
    if screen.footer:
        console.print(Text(screen.footer))


def _table(console: "Console", columns: "Columns", rows: "Iterable[tuple[str, ...]]") -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, right in columns:
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
