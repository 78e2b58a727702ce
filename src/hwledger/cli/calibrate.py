"""``hwledger calibrate``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from hwledger.planner.process import Rest
    from hwledger.planner.throughput import Calibration


HEADS = (
    ("", True), ("engine", False), ("device", False), ("model", False), ("figure", False),
    ("measured", True), ("predicted", True), ("off by", True), ("source", False),
)  # fmt: skip
REST_HEADS = (
    ("", True), ("engine", False), ("installed as", False), ("device", False), ("model", False),
    ("beside the plan", True), ("source", False),
)  # fmt: skip


@click.command("calibrate")
@click.option(
    "--from",
    "source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Output of llama-bench (md, csv, json, jsonl, sql) or vllm bench serve, or hwledger.runs/1.",
)
@click.option("--model", metavar="MODEL", help="The model that ran, where the file does not say it.")
@click.option("--weights", metavar="TYPE", help="Its quantisation, where the model names none: Q4_K_M …")
@click.option("--device", metavar="DEVICES", help="What it ran on, where the file does not say it.")
@click.option("--list", "listed", is_flag=True, help="List the stored runs.")
@click.option("--forget", metavar="NUMBERS", help="Forget stored runs: 3, 1,4 or all.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the stored runs as JSON (hwledger.calibration/1)."
)
def command(  # noqa: PLR0913 - one parameter per option
    source: Path | None,
    model: str | None,
    weights: str | None,
    device: str | None,
    forget: str | None,
    *,
    listed: bool,
    as_json: bool,
) -> None:
    """Correct later figures by measured runs of your own.

    A run corrects speeds of the same engine on the same device most, on devices of its family some, and
    what a process is expected to hold beside its plan. hwledger run and bench add their own runs. The
    shipped constants stay as they are; a corrected figure says so.
    """
    from hwledger.cli.output import make_console, write_json
    from hwledger.errors import UsageError
    from hwledger.library.benchmarks.rests import load_rests
    from hwledger.library.benchmarks.store import load_calibration, save_calibration

    if sum((source is not None, forget is not None, listed)) != 1:
        raise UsageError("give one of --from FILE, --list and --forget NUMBERS")
    if forget is not None:
        _forget(forget)
    elif source is not None:
        save_calibration(_with(source, model, weights, device))
    stored, rests = load_calibration(), load_rests()
    if as_json:
        from dataclasses import asdict

        write_json({"schema": "hwledger.calibration/1", "points": [asdict(p) for p in stored.points],
                    "processes": [asdict(rest) for rest in rests]})  # fmt: skip
        return
    console = make_console()
    if stored.points or not rests:
        console.print(_table(stored) if stored.points else "no measured runs are stored")
    if rests:
        console.print(_rests_table(rests, len(stored.points) + 1))


def _with(source: Path, model: str | None, weights: str | None, device: str | None) -> "Calibration":
    """Return the stored runs and those of a file."""
    from hwledger.errors import InputError
    from hwledger.library.benchmarks.reading import read_file
    from hwledger.library.benchmarks.store import load_calibration
    from hwledger.measured import calibrate
    from hwledger.planner.throughput import Calibration

    try:
        text = source.read_text("utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({error.strerror or error})") from None
    read = read_file(text, source.name)
    points = calibrate(read.runs, model=model, weights=weights, device=device)
    for note in read.notes:
        click.echo(f"{source.name}: {note}", err=True)
    return Calibration((*load_calibration().points, *points))


def _forget(numbers: str) -> None:
    """Forget stored runs, of speeds and then of processes, by the numbers that the list gives them."""
    from hwledger.errors import UsageError
    from hwledger.library.benchmarks.rests import load_rests, save_rests
    from hwledger.library.benchmarks.store import load_calibration, save_calibration, without
    from hwledger.planner.throughput import Calibration
    from hwledger.units import whole_number

    if numbers.strip().lower() == "all":
        save_calibration(Calibration())
        save_rests(())
        return
    stored, rests = load_calibration(), load_rests()
    speeds = len(stored.points)
    parts = [part.strip() for part in numbers.split(",")]
    count = speeds + len(rests)
    chosen = [number for number in map(whole_number, parts) if number and number <= count]
    if len(chosen) < len(parts):
        raise UsageError(f"{numbers!r} names no stored runs; {count} are stored; name them 1, 2,5 or all")
    save_calibration(without(stored, [number for number in chosen if number <= speeds]))
    if any(number > speeds for number in chosen):
        save_rests([rest for number, rest in enumerate(rests, speeds + 1) if number not in chosen])


def _table(stored: "Calibration") -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, right in HEADS:
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for number, point in enumerate(stored.points, 1):
        count = f"{point.devices}x " if point.devices > 1 else ""
        table.add_row(
            str(number), point.engine, f"{count}{point.device}", point.model,
            point.quantity.partition("_")[0], f"{point.measured:,.4g}", f"{point.predicted:,.4g}",
            f"{point.predicted / point.measured - 1:+.1%}", point.source,
        )  # fmt: skip
    return table


def _rests_table(rests: "Sequence[Rest]", first: int) -> "Table":
    """Return what processes held beside their plans; numbers go on from those of the speeds."""
    from rich import box
    from rich.table import Table

    from hwledger.units import format_bytes

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, right in REST_HEADS:
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for number, rest in enumerate(rests, first):
        table.add_row(
            str(number), f"{rest.engine} {rest.version}".strip(), rest.program, rest.device, rest.model,
            format_bytes(rest.rest_bytes), rest.source,
        )  # fmt: skip
    return table
