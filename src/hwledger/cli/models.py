"""``hwledger models``."""

from typing import TYPE_CHECKING, Any

import click

from hwledger.cli.access import access_options

if TYPE_CHECKING:
    from hwledger.screens.local import LocalRow
    from hwledger.screens.models import ModelRow

SORTS = ("downloads", "likes", "last_modified", "created_at", "trending_score")


@click.command("models")
@click.argument("words", nargs=-1)
@click.option("--local", is_flag=True, help="Only the models on this machine, with their fit on it.")
@click.option("--catalogue", is_flag=True, help="Only the models of the catalogue.")
@click.option("--fit/--no-fit", default=True, help="Read the headers of local models: what they need here.")
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
    fit: bool,
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
    if hub and (local or catalogue):
        other = "--local this machine" if local else "--catalogue the catalogue"
        raise UsageError(
            f"--hub searches the hub and {other}; give one of them, and the other in another call"
        )
    if hub:
        _list_hub(words, as_json=as_json, offline=offline, refresh=refresh, author=author, library=library,
                  task=task, sort=sort, limit=limit)  # fmt: skip
        return
    if author or library or task:
        raise UsageError("--author, --library and --task filter a search of the hub; add --hub")
    from hwledger.screens.models import model_rows

    both = local == catalogue
    rows = model_rows(words) if catalogue or both else None
    here, machine = _local(words, fit=fit, refresh=refresh) if local or both else (None, "")
    if as_json:
        from hwledger.cli.output import write_json

        write_json({"schema": "hwledger.models/1", "models": [row.as_dict() for row in rows or ()],
                    "local": [row.as_dict() for row in here or ()], "machine": machine or None})  # fmt: skip
        return
    _write_catalogue(rows, words)
    _write_local(here, words, machine)


def _write_catalogue(rows: "list[ModelRow] | None", words: tuple[str, ...]) -> None:
    from hwledger.cli.table import write_lines, write_table
    from hwledger.screens.models import CATALOGUE_COLUMNS, counted

    if rows:
        write_table(CATALOGUE_COLUMNS, [row.cells for row in rows])
        write_lines([f"{counted(len(rows))} of the catalogue"])
    elif rows is not None:
        write_lines([f"nothing in the catalogue matches {' '.join(words)}"])


def _write_local(rows: "list[LocalRow] | None", words: tuple[str, ...], machine: str) -> None:
    from hwledger.cli.table import write_lines, write_table
    from hwledger.screens.local import total_on_disk
    from hwledger.screens.models import LOCAL_COLUMNS, counted
    from hwledger.units import format_bytes

    if rows:
        write_table(LOCAL_COLUMNS, [row.cells for row in rows])
        size = format_bytes(total_on_disk(rows))
        write_lines([f"{counted(len(rows))} on this machine, {size} on disk: {machine}"])
    elif rows is not None:
        write_lines([_nothing_here(words)])


def _local(words: tuple[str, ...], *, fit: bool, refresh: bool) -> "tuple[list[LocalRow], str]":
    import sys

    from hwledger.screens.local import local_rows
    from hwledger.telemetry.machine import this_machine

    machine = this_machine()
    if not sys.stderr.isatty():
        return local_rows(words, machine, fit=fit, refresh=refresh), machine.described
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True, highlight=False).status("looking for models") as status:

        def seen(name: str) -> None:
            status.update(Text(f"reading {name}"))

        return local_rows(words, machine, seen, fit=fit, refresh=refresh), machine.described


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
    from hwledger.cli.table import write_lines, write_table

    write_table(HUB_COLUMNS, [hub_cells(model) for model in found.models])
    write_lines([hub_footer(found)])
