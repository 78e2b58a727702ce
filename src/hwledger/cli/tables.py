"""Tables of text, drawn alike by every command."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console


def draw_table(
    console: "Console",
    columns: "Sequence[tuple[str, bool]]",
    rows: "Iterable[Sequence[str]]",
    title: str = "",
) -> None:
    """Draw a table; columns are names and whether they go to the right. Long first cells fold."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title or None, title_justify="left")
    for place, (name, right) in enumerate(columns):
        table.add_column(
            name, justify="right" if right else "left", overflow="fold", no_wrap=right and place > 0
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
