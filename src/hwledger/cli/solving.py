"""``hwledger plan --solve``, ``--what-if`` and ``--grid``: asking, and drawing what was found."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hwledger.cli.limits import limit_options, limits_of, traffic_of, traffic_options

if TYPE_CHECKING:
    from rich.console import Console

    from hwledger.planner.plan import Plan
    from hwledger.planner.solve.question import Progress, Question
    from hwledger.screens.solve import SolutionBlock, SolveScreen
    from hwledger.screens.whatif import WhatIfScreen

Command = TypeVar("Command", bound=Callable[..., Any])
DOES_NOT_FIT = 3
FRONT = "No way is better than another of these in memory, speed, price and quality at once"
SOLVE_OPTIONS = (
    click.option("--solve", metavar="WHAT",
                 help="Look for context, concurrency, weights, kv-cache, devices or all, within the limits."),
    click.option("--what-if", "what_if", multiple=True, metavar="CHANGES",
                 help="fp8-kv, awq, tp=2, spec=eagle3, prefix-cache=0.6 … beside the plan as it is."),
    click.option("--grid", metavar="ROWS,COLUMNS",
                 help="Two of quant, kv, context, concurrency, devices; values as context=8k:32k."),
    click.option("--write", "files", multiple=True, metavar="FILE",
                 help="Write the grid as .csv, .json or .svg, which may be repeated; or the export."),
)  # fmt: skip


def solve_options(command: Command) -> Command:
    """Give a command ``--solve``, ``--what-if``, ``--grid``, the limits and the traffic."""
    command = limit_options(traffic_options(command))
    for option in reversed(SOLVE_OPTIONS):
        command = option(command)
    return command


def check_asked(asked: dict[str, Any]) -> bool:
    """Return whether something is to be solved, tried or drawn as a grid.

    Raises:
        UsageError: two of them, or a file without what is written.
    """
    from hwledger.errors import UsageError

    named = [
        flag
        for flag, key in (("--solve", "solve"), ("--what-if", "what_if"), ("--grid", "grid"))
        if asked[key]
    ]
    if len(named) > 1:
        raise UsageError(f"{' and '.join(named)} answer different questions; give one of them")
    if asked["files"] and not asked["grid"]:
        raise UsageError("--write writes a grid or an export; give --grid or --export with it")
    return bool(named)


def answer(
    ctx: click.Context, made: "Plan", asked: dict[str, Any], given: list[str], *, as_json: bool
) -> None:
    """Solve, try or draw, and print."""
    from hwledger.app import question_of

    arrivals, prompt, output = traffic_of(asked)
    question = question_of(
        made, limits=limits_of(asked), given=given, arrivals=arrivals, prompt=prompt, output=output,
        seed=asked["seed"],
    )  # fmt: skip
    if asked["solve"]:
        _solve(ctx, made, question, asked["solve"], as_json=as_json)
    elif asked["what_if"]:
        _what_if(made, question, asked["what_if"], as_json=as_json)
    else:
        from hwledger.cli.gridding import draw_grid

        draw_grid(question, asked["grid"], asked["files"], as_json=as_json)


@contextmanager
def progress(what: str) -> "Iterator[Progress | None]":
    """Give a callback that draws how far it is on stderr; ``None`` where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True, highlight=False).status(what) as status:
        yield lambda done, of: status.update(f"{what}: {done:,} of {of:,}")


def _solve(ctx: click.Context, made: "Plan", question: "Question", unknown: str, *, as_json: bool) -> None:
    from hwledger.planner.solve.solve import solve

    with progress("looking through devices") as told:
        found = solve(question, unknown, told)
    if as_json:
        from hwledger.cli.output import write_json
        from hwledger.planner.document import plan_document
        from hwledger.planner.solve.document import answer_document

        write_json({**plan_document(made), **answer_document(found)})
    else:
        from hwledger.cli.output import make_console
        from hwledger.screens.solve import solve_screen

        draw(make_console(), solve_screen(found, f"{made.spec.id} on {made.engine} {made.request.version}"))
    if not found.holds:
        ctx.exit(DOES_NOT_FIT)


def draw(console: "Console", screen: "SolveScreen") -> None:
    """Draw answers, the front, and what was refused."""
    from rich.text import Text

    from hwledger.cli.table import write_table
    from hwledger.screens.solve import COLUMNS

    console.print(Text(screen.headline, "bold" if screen.good else "bold red"))
    for block in screen.blocks:
        _draw_block(console, block)
    if screen.front:
        console.print(Text(f"\n{FRONT}:"))
        write_table(COLUMNS, screen.front)
    if screen.refused:
        console.print(Text("Why not:" if screen.front else "\nWhy not:", "bold"))  # a table ends in a blank
        for what, why in screen.refused:
            console.print(Text(f"  • {what}: {why}"))
    for line in (screen.counts, *screen.notes):
        if line:
            console.print(Text(line, "dim"))


def _draw_block(console: "Console", block: "SolutionBlock") -> None:
    from rich.padding import Padding
    from rich.text import Text

    console.print(
        Text.assemble((f"\n{block.title}: ", "bold"), (block.value, "bold green" if block.good else "bold"))
    )
    for line in (block.figures, *(f"limit: {one}" for one in block.limited)):
        if line:
            console.print(Padding(Text(line), (0, 0, 0, 2), expand=False))
    for note in block.notes:
        console.print(Padding(Text(note, "dim"), (0, 0, 0, 2), expand=False))


def _what_if(made: "Plan", question: "Question", texts: tuple[str, ...], *, as_json: bool) -> None:
    from hwledger.planner.solve.whatif import what_if

    effects = what_if(question, texts)
    if as_json:
        from hwledger.cli.output import write_json
        from hwledger.planner.document import plan_document
        from hwledger.planner.solve.documents import effects_document

        write_json({**plan_document(made), **effects_document(effects)})
        return
    from hwledger.cli.output import make_console
    from hwledger.screens.whatif import what_if_screen

    draw_what_if(
        make_console(), what_if_screen(effects, f"{made.spec.id} on {made.engine} {made.request.version}")
    )


def draw_what_if(console: "Console", screen: "WhatIfScreen") -> None:
    """Draw the changes side by side, and what they do to quality below."""
    from rich.text import Text

    from hwledger.cli.table import write_table

    console.print(Text(screen.title, "bold"))
    write_table(screen.columns, screen.rows)
    for name, lines in screen.quality:
        console.print(Text(f"{name}: quality", "bold"))
        for line in lines:
            console.print(Text(f"  {line}"))
    for note in screen.notes:
        console.print(Text(f"Note: {note}", "yellow"))
