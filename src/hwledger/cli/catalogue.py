"""``hwledger catalogue``."""

from typing import TYPE_CHECKING

import click

from hwledger.library.catalogue import store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")


@click.group("catalogue", no_args_is_help=False)
def command() -> None:
    """Keep the catalogue of models up to date, pinned to one version, or as shipped."""


@command.command("update", short_help="Install a catalogue from a file or an https:// address.")
@click.argument("source")
@click.option("--sha256", default="", metavar="HEX", help="Install it only when its SHA-256 is this one.")
@click.option("--force", is_flag=True, help="Install it even when it has less than half of the models.")
@AS_JSON
def update_command(source: str, sha256: str, *, force: bool, as_json: bool) -> None:
    """Install the catalogue at SOURCE, a file or an https:// address, and use it from now on.

    Everything in it is checked before; where anything is wrong, the one before stays.
    """
    from hwledger.screens.catalogue import update_document, update_lines

    done = store.update(source, _fetch, sha256=sha256, force=force, say=_say)
    _print(update_document(done), update_lines(done), as_json=as_json)


@command.command("pin", short_help="Use one version from now on.")
@click.argument("version")
@AS_JSON
def pin_command(version: str, *, as_json: bool) -> None:
    """Use VERSION from now on: its first digits, or "shipped" for the one in the package."""
    from hwledger.screens.catalogue import move_document, move_lines

    done = store.pin(version, say=_say)
    _print(move_document("pin", done), move_lines(done), as_json=as_json)


@command.command("undo", short_help="Use the catalogue that was in use before.")
@AS_JSON
def undo_command(*, as_json: bool) -> None:
    """Use the catalogue that was in use before the last change; again, the one before that."""
    from hwledger.screens.catalogue import move_document, move_lines

    done = store.undo(say=_say)
    _print(move_document("undo", done), move_lines(done), as_json=as_json)


@command.command("path")
@AS_JSON
def path_command(*, as_json: bool) -> None:
    """Print the file in use."""
    from hwledger.screens.catalogue import path_document

    found = store.active_version()
    _print(path_document(found), [str(found.path)], as_json=as_json)


@command.command("list")
@AS_JSON
def list_command(*, as_json: bool) -> None:
    """List every version that can be used; a star marks the one in use."""
    from hwledger.screens.catalogue import VERSION_HEADS, version_rows, versions_document

    found = store.versions()
    if as_json:
        _print(versions_document(found), (), as_json=True)
        return
    from hwledger.cli.table import write_table

    write_table(VERSION_HEADS, version_rows(found))


def _fetch(address: str, limit: int) -> bytes:
    from hwledger.library.net import fetch_bytes

    return fetch_bytes(address, limit)


def _say(sentence: str) -> None:
    click.echo(f"hwledger: {sentence}", err=True)


def _print(document: "Mapping[str, Any]", lines: "Sequence[str]", *, as_json: bool) -> None:
    if as_json:
        from hwledger.cli.output import write_json

        write_json(dict(document))
    for line in () if as_json else lines:
        click.echo(line)
