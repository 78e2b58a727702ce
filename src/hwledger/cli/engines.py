"""``hwledger engines``."""

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from hwledger.runner.engine import Engine, Installation, NotInstalled


@click.command("engines")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (hwledger.engines/1).")
def command(*, as_json: bool) -> None:
    """List the engines that can run models here.

    Which are installed, their version, what they compute on and can do, and how to install the others.
    """
    from hwledger.running import installed_engines

    found = installed_engines()
    if as_json:
        from hwledger.cli.output import write_json

        engines = [_document(engine, here) for engine, here in found]
        write_json({"schema": "hwledger.engines/1", "engines": engines})
        return
    from hwledger.cli.table import write_table
    from hwledger.screens.run import ENGINE_COLUMNS, engine_rows

    write_table(ENGINE_COLUMNS, engine_rows(found))


def _document(engine: "Engine", here: "Installation | NotInstalled") -> dict[str, Any]:
    from hwledger.runner.engine import NotInstalled

    what = {
        "engine": engine.name, "title": engine.title, "abilities": sorted(engine.abilities),
        "formats": sorted(engine.formats), "install": engine.install,
    }  # fmt: skip
    if isinstance(here, NotInstalled):
        return {**what, "installed": False, "why": here.why}
    return {
        **what, "installed": True, "version": here.version or None, "where": here.where,
        "devices": list(here.devices), "notes": list(here.notes),
    }  # fmt: skip
