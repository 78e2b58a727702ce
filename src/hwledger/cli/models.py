"""``hwledger models``."""

from typing import TYPE_CHECKING, Any

import click

from hwledger.cli.access import access_options

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hwledger.screens.models import Columns, LocalRow

SORTS = ("downloads", "likes", "last_modified", "created_at", "trending_score")


@click.command("models")
@click.argument("words", nargs=-1)
@click.option("--local", is_flag=True, help="Only the models on this machine, with their fit on it.")
@click.option("--catalogue", is_flag=True, help="Only the models of the catalogue.")
@click.option("--hub", is_flag=True, help="Search the Hugging Face hub.")
@click.option("--author", metavar="NAME", help="With --hub: only of this user or organisation.")
@click.option("--library", metavar="NAME", help="With --hub: only for gguf, mlx, transformers …")
@click.option("--task", metavar="TAG", help="With --hub: only of this pipeline tag, like text-generation.")
@click.option("--sort", type=click.Choice(SORTS), default="downloads", help="With --hub: the order.")
@click.option(
    "--limit", type=click.IntRange(1, 500), default=20, metavar="N", help="With --hub: results at most."
)
@access_options
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (hwledger.models/1).")
def command(  # noqa: PLR0913, PLR0917 - one parameter per option
    words: tuple[str, ...],
    author: str | None,
    library: str | None,
    task: str | None,
    sort: Any,
    limit: int,
    revision: str | None,
    *,
    local: bool,
    catalogue: bool,
    hub: bool,
    offline: bool,
    refresh: bool,
    as_json: bool,
) -> None:
    """List models: of the catalogue and of this machine, or of the hub; WORDS narrow the list.

    Models of this machine are those in the hub's cache, Ollama, LM Studio, llama.cpp and MLX.
    """
    from hwledger.errors import UsageError

    if revision:
        raise UsageError("a list has no revisions; --revision goes with plan and show")
    if hub:
        _list_hub(words, as_json=as_json, offline=offline, refresh=refresh, author=author, library=library,
                  task=task, sort=sort, limit=limit)  # fmt: skip
        return
    if author or library or task:
        raise UsageError("--author, --library and --task filter a search of the hub; add --hub")
    from hwledger.screens.models import CATALOGUE_COLUMNS, LOCAL_COLUMNS, counted, model_rows

    rows = [] if local else model_rows(words)
    here, machine = ([], "") if catalogue else _local(words)
    if as_json:
        from hwledger.cli.output import write_json

        write_json({"schema": "hwledger.models/1", "models": [row.as_dict() for row in rows],
                    "local": [row.as_dict() for row in here], "machine": machine or None})  # fmt: skip
        return
    if not local:
        none = f"nothing in the catalogue matches {' '.join(words)}"
        _table(
            CATALOGUE_COLUMNS,
            (row.cells for row in rows),
            f"{counted(len(rows))} of the catalogue" if rows else none,
        )
    if here or local:
        found = f"{counted(len(here))} on this machine: {machine}" if here else _nothing_here(words)
        _table(LOCAL_COLUMNS, (row.cells for row in here), found)


def _local(words: tuple[str, ...]) -> "tuple[list[LocalRow], str]":
    import sys

    from rich.console import Console

    from hwledger.screens.models import local_rows
    from hwledger.telemetry.machine import this_machine

    machine = this_machine()
    if not sys.stderr.isatty():
        return local_rows(words, machine), machine.described
    with Console(stderr=True, highlight=False).status("") as status:
        return local_rows(words, machine, lambda name: status.update(f"reading {name}")), machine.described


def _nothing_here(words: tuple[str, ...]) -> str:
    what = (
        f"no model on this machine matches {' '.join(words)}" if words else "no model found on this machine"
    )
    return f"{what}: the hub's cache, Ollama, LM Studio, llama.cpp and MLX were looked through"


def _list_hub(words: tuple[str, ...], *, as_json: bool, offline: bool, refresh: bool, **wanted: Any) -> None:
    from hwledger.cli.access import reading
    from hwledger.library.hub.search import HubQuery, search_hub
    from hwledger.screens.models import HUB_COLUMNS, hub_cells, hub_footer

    with reading(revision=None, offline=offline, refresh=refresh) as access:
        found = search_hub(HubQuery(words=" ".join(words), **wanted), access)
    if as_json:
        from dataclasses import asdict

        from hwledger.cli.output import write_json

        write_json({"schema": "hwledger.models/1", "models": [], "local": [], "machine": None,
                    "hub": [asdict(model) for model in found.models], "kept_s": found.kept_s})  # fmt: skip
        return
    _table(HUB_COLUMNS, (hub_cells(model) for model in found.models), hub_footer(found))


def _table(columns: "Columns", rows: "Iterable[tuple[str, ...]]", footer: str) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from hwledger.cli.output import make_console

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, right in columns:
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = make_console()
    if table.row_count:
        console.print(table)
    console.print(Text(footer))
