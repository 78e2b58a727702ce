"""``hwledger models``."""

import click


@click.command("models")
@click.argument("words", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON, one object with a list.")
def command(words: tuple[str, ...], *, as_json: bool) -> None:
    """List the models of the catalogue; WORDS narrow the list."""
    from hwledger.screens.models import model_rows

    rows = model_rows(words)
    if as_json:
        from hwledger.cli.output import write_json

        write_json({"schema": "hwledger.models/1", "models": [row.as_dict() for row in rows]})
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from hwledger.cli.output import make_console

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, side in (("model", "left"), ("architecture", "left"), ("parameters", "right"),
                       ("active", "right"), ("layers", "left"), ("context", "right")):  # fmt: skip
        table.add_column(name, justify="right" if side == "right" else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row.cells))
    console = make_console()
    console.print(table)
    console.print(
        Text(f"{len(rows)} models" if rows else f"nothing in the catalogue matches {' '.join(words)}")
    )
