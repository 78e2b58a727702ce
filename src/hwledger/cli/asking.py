"""Asking a server of a fleet: which one, and how what was asked for in words is sent."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from hwledger.errors import UsageError

if TYPE_CHECKING:
    from hwledger.fleet.client import Client

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print as JSON, as the API answers.")


def server() -> "Client":
    """Return the server that ``HWLEDGER_SERVER`` names, or that runs on this machine.

    Raises:
        HwledgerError: there is none, or no token for it.
    """
    from hwledger.fleet.client import Client, Entrance
    from hwledger.library.paths import data_dir

    return Client(Entrance.found(data_dir()))


def named(name: str) -> str:
    """Return a name as part of an address of the API."""
    from urllib.parse import quote

    return quote(name, safe="")


def seconds(text: str, most: int) -> int:
    """Return the whole seconds of ``15m``, ``24h`` or ``30d``.

    Raises:
        UsageError: it is no such time, or longer.
    """
    from hwledger.units import parse_seconds

    try:
        found = parse_seconds(text)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if not 1 <= found <= most:
        raise UsageError(f"a token counts for 1 s to {most // 3600} h, not {text}")
    return round(found)


def labelled(texts: Iterable[str]) -> dict[str, str]:
    """Return the labels of texts like ``rack=a``.

    Raises:
        UsageError: one is not like that, or a label is given twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name or name in found:
            raise UsageError(f"--label is name=value, each name once; not {text!r}")
        found[name] = value
    return found
