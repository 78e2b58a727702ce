"""``hwledger fit``."""

from typing import TYPE_CHECKING, Any

import click

from hwledger.cli.limits import limit_options
from hwledger.cli.values import Size

if TYPE_CHECKING:
    from hwledger.device.node import Node
    from hwledger.device.spec import DeviceSpec
    from hwledger.planner.solve.ranking import Fitted

    _Where = tuple[tuple[DeviceSpec, ...], Node | None]


@click.command("fit")
@click.argument("words", metavar="WORDS", nargs=-1)
@click.option("--device", metavar="DEVICES", help='"RTX 4090", "2x H100 SXM"; this machine if not given.')
@click.option(
    "--engine", metavar="NAME", help="Only on this engine; what suits model and device if not given."
)
@click.option("--context", type=Size(), metavar="TOKENS", help="Tokens of one request; 4096 if not given.")
@click.option(
    "--concurrency", type=click.IntRange(1, 1 << 20), default=1, metavar="N", help="Requests at once."
)
@click.option("--weights", metavar="TYPE", help="Only in this type; the best that fits if not given.")
@limit_options
@click.option("--catalogue", is_flag=True, help="Only models of the catalogue.")
@click.option("--local", is_flag=True, help="Only models on this machine.")
@click.option("--all", "every", is_flag=True, help="Also what does not fit, and why.")
@click.option("--sort", type=click.Choice(("size", "speed", "name")), default="size", help="The order.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=40, metavar="N", help="Models at most.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (hwledger.fit/1).")
def command(  # noqa: PLR0913, PLR0917 - one parameter per option
    words: tuple[str, ...],
    device: str | None,
    engine: str | None,
    context: int | None,
    concurrency: int,
    weights: str | None,
    sort: str,
    limit: int,
    *,
    catalogue: bool,
    local: bool,
    every: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """List what this machine, or --device, can run: how, in which quantisation, and how fast.

    WORDS narrow the list. A model runs on the devices alone, with its experts or some of its layers in
    host memory, or not. The largest models come first.
    """
    from hwledger.cli.limits import limits_of
    from hwledger.errors import UsageError
    from hwledger.planner.solve.ranking import ranked
    from hwledger.screens.fit import FitQuestion, fit_all

    if catalogue and local:
        raise UsageError("--catalogue and --local leave nothing to list; give one of them, or neither")
    where, described, host = _devices(device, asked["ram"])
    wanted = FitQuestion(
        devices=where[0], node=where[1], engine=engine, context=context, concurrency=concurrency,
        weights=weights, limits=limits_of(asked),
    )  # fmt: skip
    with _seen() as told:
        found = ranked(fit_all(words, wanted, local=not catalogue, catalogue=not local, seen=told), sort)
    if as_json:
        from hwledger.cli.output import write_json
        from hwledger.planner.solve.documents import fit_document

        write_json(fit_document(found, devices=described, host_bytes=host))
        return
    _draw(found, described, limit, every=every)
    from hwledger.cli.drawing import write_local_notes

    write_local_notes([device])


def _devices(device: str | None, ram: int | None) -> "tuple[_Where, str, int | None]":
    """The devices and what they are in, both in words, and the host memory that is there.

    No node, or no memory: of the host nothing is known.
    """
    from hwledger.calls import place_of
    from hwledger.screens.fit import host_words

    if device:
        where = place_of(device)
        sizes = (ram, where[1].host_memory_bytes if where[1] else None)
        host = min((size for size in sizes if size is not None), default=None)
        return where, f"{device}{host_words(host)}", host
    from hwledger.telemetry.machine import this_machine

    machine = this_machine()
    return (machine.devices, machine.node), machine.described, ram or machine.host_bytes


def _seen() -> Any:
    """A line on stderr that names the model that is being planned, where somebody watches."""
    import sys
    from contextlib import nullcontext

    if not sys.stderr.isatty():
        return nullcontext(None)
    from contextlib import contextmanager

    from rich.console import Console
    from rich.text import Text

    @contextmanager
    def told() -> Any:
        with Console(stderr=True, highlight=False).status("") as status:
            yield lambda name: status.update(Text(f"planning {name}"))

    return told()


def _draw(found: "list[Fitted]", described: str, limit: int, *, every: bool) -> None:
    from rich.text import Text

    from hwledger.cli.output import make_console
    from hwledger.cli.table import write_table
    from hwledger.planner.solve.ranking import Mode
    from hwledger.screens.fit import COLUMNS, fit_cells, footer

    console = make_console()
    running = [one for one in found if one.mode is not Mode.NOT]
    shown = running[:limit]
    write_table(COLUMNS, [fit_cells(one) for one in shown])
    if every:
        for one in found:
            if one.mode is Mode.NOT:
                console.print(Text(f"{one.model}: {one.problem}", "dim"))
    console.print(Text(footer(found, len(shown) + len(found) - len(running), described)))
